"""BiT: ResNetV2 with group normalisation and weight standardisation.

Kolesnikov et al. 2019, Big Transfer (arXiv 1912.11370); weight standardisation: Qiao et al. 2019
(arXiv 1903.10520). The published weights take RGB in [-1, 1].
"""

import zlib
from typing import Any
from zipfile import BadZipFile

import keras
import numpy as np
from keras import layers, ops

from ...errors import TrainingError

_ROOT = "resnet"


@keras.saving.register_keras_serializable(package="mien")
class StandardisedConv2D(layers.Conv2D):  # type: ignore[misc]
    """A convolution whose kernel has mean 0 and variance 1 in each output channel."""

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        centred = kernel - ops.mean(kernel, axis=(0, 1, 2), keepdims=True)
        variance = ops.mean(ops.square(centred), axis=(0, 1, 2), keepdims=True)
        return super().convolution_op(inputs, centred * ops.rsqrt(variance + 1e-10))


def features(
    pixels: Any,
    *,
    width: int = 64,
    depths: tuple[int, ...] = (3, 4, 6, 3),
    groups: int = 32,
) -> Any:
    """R50x1 by default, as one layer `backbone`; `width` 64 times 3 would be R50x3."""
    if pixels.shape[-1] == 1:
        pixels = layers.Concatenate()([pixels, pixels, pixels])
    inputs = keras.Input(pixels.shape[1:])
    x = layers.ZeroPadding2D(3)(inputs)
    x = StandardisedConv2D(
        width, 7, strides=2, use_bias=False, name=_key("root_block/standardized_conv2d")
    )(x)
    x = layers.MaxPooling2D(3, strides=2)(layers.ZeroPadding2D(1)(x))
    for stage, depth in enumerate(depths, start=1):
        for unit in range(1, depth + 1):
            strides = 2 if stage > 1 and unit == 1 else 1
            where = f"block{stage}/unit{unit:02d}"
            x = _unit(x, width * 2 ** (stage - 1), strides=strides, where=where, groups=groups)
    x = layers.ReLU()(_norm("group_norm", groups)(x))
    backbone = keras.Model(inputs, x, name="backbone")
    return backbone(layers.Rescaling(1 / 127.5, -1.0)(pixels))


def _unit(x: Any, width: int, *, strides: int, where: str, groups: int) -> Any:
    before = layers.ReLU()(_norm(f"{where}/a/group_norm", groups)(x))
    shortcut = x
    if strides != 1 or x.shape[-1] != 4 * width:
        shortcut = _conv(f"{where}/a/proj/standardized_conv2d", 4 * width, 1, strides)(before)
    y = _conv(f"{where}/a/standardized_conv2d", width, 1)(before)
    y = layers.ReLU()(_norm(f"{where}/b/group_norm", groups)(y))
    y = layers.ZeroPadding2D(1)(y)
    y = _conv(f"{where}/b/standardized_conv2d", width, 3, strides)(y)
    y = layers.ReLU()(_norm(f"{where}/c/group_norm", groups)(y))
    y = _conv(f"{where}/c/standardized_conv2d", 4 * width, 1)(y)
    return layers.Add()([y, shortcut])


def _conv(where: str, width: int, kernel_px: int, strides: int = 1) -> Any:
    return StandardisedConv2D(width, kernel_px, strides=strides, use_bias=False, name=_key(where))


def _norm(where: str, groups: int) -> Any:
    return layers.GroupNormalization(groups, epsilon=1e-5, name=_key(where))


def _key(where: str) -> str:
    """Return a layer's name for its place in the published file; a name takes no slash."""
    return where.replace("/", "__")


def load_npz(model: Any, path: Any) -> None:
    """Put the weights of a published `.npz` into the layer `backbone` of a model.

    Raises:
        TrainingError: The file is none of this network; the model is unchanged.
    """
    found = []
    try:
        with np.load(path, allow_pickle=False) as held:
            for layer in model.get_layer("backbone").layers:
                for variable in layer.weights:
                    array = held[f"{_ROOT}/{layer.name.replace('__', '/')}/{variable.name}"]
                    found.append((variable, array.reshape(variable.shape)))
    except (OSError, ValueError, KeyError, BadZipFile, zlib.error) as error:
        raise TrainingError(f"{path} holds no weights of this BiT network: {error}.") from error
    for variable, array in found:
        variable.assign(array)
