"""Layers that several networks share."""

from typing import Any

import keras
from keras import layers


def standardise(pixels: Any) -> Any:
    """Give each picture of (n, h, w, 1), 0..255, mean 0 and standard deviation about 1.

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


def conv_bn_relu(x: Any, width: int, *, kernel_px: int = 3, strides: int = 1) -> Any:
    """Convolution without bias, batch normalisation, ReLU."""
    x = layers.Conv2D(
        width,
        kernel_px,
        strides=strides,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
    )(x)
    x = layers.BatchNormalization(momentum=0.9)(x)
    return layers.ReLU()(x)


def softmax_head(x: Any, classes: int, *, dropout: float) -> Any:
    """Global average pooling, dropout and a softmax in float32."""
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dropout(dropout)(x)
    return layers.Dense(classes, activation="softmax", dtype="float32")(x)
