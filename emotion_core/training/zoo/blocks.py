"""Layers that several networks share."""

from typing import Any

import keras
from keras import layers

from ..hardware import runs_on_tensorflow_cpu


def standardise(pixels: Any) -> Any:
    """Give each picture of (n, h, w, c), 0..255, mean 0 and standard deviation about 1.

    A dim and a bright photo of the same face then look alike to the network. The floor of 8
    grey values keeps the noise of a blank picture from being blown up.
    """
    centred = pixels - keras.ops.mean(pixels, axis=(1, 2, 3), keepdims=True)
    variance = keras.ops.mean(keras.ops.square(centred), axis=(1, 2, 3), keepdims=True)
    return centred * keras.ops.rsqrt(variance + 64.0)


@keras.saving.register_keras_serializable(package="mien")
class Standardise(layers.Layer):  # type: ignore[misc]
    """`standardise` as a layer that is saved with the model."""

    def __init__(self, **options: Any) -> None:
        super().__init__(dtype="float32", **{k: v for k, v in options.items() if k != "dtype"})

    def call(self, pixels: Any) -> Any:
        return standardise(pixels)


@keras.saving.register_keras_serializable(package="mien")
class MinusMeanBGR(layers.Layer):  # type: ignore[misc]
    """Turns RGB 0..255 into BGR and takes a mean off each channel, as Caffe's networks want it.

    Args:
        mean: Means of blue, green and red.
    """

    def __init__(self, mean: tuple[float, float, float], **options: Any) -> None:
        super().__init__(**options)
        self.mean = tuple(mean)

    def call(self, pixels: Any) -> Any:
        flipped = keras.ops.flip(pixels, axis=-1)
        return flipped - keras.ops.cast(keras.ops.array(self.mean), flipped.dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "mean": list(self.mean)}


@keras.saving.register_keras_serializable(package="mien")
class BatchNorm(layers.BatchNormalization):  # type: ignore[misc]
    """Keras' batch normalisation, learning in one operation where TensorFlow runs on a CPU.

    Keras spells it out in operations that each go through the memory in float32, which makes much
    of a compact network's step (`benchmarks.training`). Weights, answers and gradients are the same
    but for rounding; the moving variance is the unbiased one. On GPUs and other backends it is
    Keras'.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        is_plain = mask is None and len(inputs.shape) == 4 and self.axis in (-1, 3)
        is_plain = is_plain and self.scale and self.center
        if not (training and self.trainable and is_plain and runs_on_tensorflow_cpu()):
            return super().call(inputs, training=training, mask=mask)
        import tensorflow as tf

        inputs = tf.cast(inputs, self.compute_dtype)
        answer, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            inputs, self.gamma, self.beta, epsilon=self.epsilon, is_training=True
        )
        for held, new in ((self.moving_mean, mean), (self.moving_variance, variance)):
            held.assign(held * self.momentum + new * (1.0 - self.momentum))
        return answer


def conv_bn_relu(x: Any, width: int, *, strides: int = 1) -> Any:
    """Convolution 3×3 without bias, batch normalisation, ReLU."""
    x = layers.Conv2D(
        width,
        3,
        strides=strides,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
    )(x)
    x = BatchNorm(momentum=0.9)(x)
    return layers.ReLU()(x)


def squeeze_excite(x: Any, reduction: int) -> Any:
    """Weigh the channels by what all places say together (Hu et al. 2017, arXiv 1709.01507)."""
    width = x.shape[-1]
    weights = layers.GlobalAveragePooling2D(keepdims=True)(x)
    weights = layers.Conv2D(width // reduction, 1, activation="relu")(weights)
    weights = layers.Conv2D(width, 1, activation="sigmoid")(weights)
    return layers.Multiply()([x, weights])
