"""Networks trained to recognise faces (VGGFace2): ResNet-50, SENet-50 and VGG-16.

The layouts are those that the published weights have: Parkhi et al. 2015 (VGG-16), Cao et al.
2018, arXiv 1710.08092 (the others); a stage's stride is in its first 1×1 convolution.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import keras
from keras import layers

from ...errors import TrainingError
from .blocks import BatchNorm, MinusMeanBGR

_DEPTHS = (3, 4, 6, 3)
#: Means of blue, green and red over the faces that the weights were trained on.
_MEAN_1, _MEAN_2 = (93.5940, 104.7624, 129.1863), (91.4953, 103.8827, 131.0912)


def features(
    pixels: Any, *, variant: str = "resnet50", width: int = 64, depths: tuple[int, ...] = _DEPTHS
) -> Any:
    """The convolutional part, as one layer `backbone`.

    Args:
        pixels: RGB, 0..255.
        variant: `resnet50`, `senet50` or `vgg16`.
        width: Channels of the first stage; weights exist for 64.
        depths: Blocks of the four stages of the residual networks; weights exist for (3, 4, 6, 3).

    Raises:
        TrainingError: There is no such variant.
    """
    if variant not in _VARIANTS:
        raise TrainingError(f"vggface has no {variant!r}; choose one of {sorted(_VARIANTS)}.")
    if pixels.shape[-1] == 1:
        pixels = layers.Concatenate()([pixels, pixels, pixels])
    inputs = keras.Input(pixels.shape[1:])
    build, mean = _VARIANTS[variant]
    backbone = keras.Model(inputs, build(inputs, width, depths), name="backbone")
    return backbone(MinusMeanBGR(mean)(pixels))


def _vgg16(x: Any, width: int, depths: tuple[int, ...]) -> Any:
    del depths
    for scale, depth in ((1, 2), (2, 2), (4, 3), (8, 3), (8, 3)):
        for _ in range(depth):
            x = layers.Conv2D(width * scale, 3, padding="same", activation="relu")(x)
        x = layers.MaxPooling2D(2)(x)
    return x


def _residual(x: Any, width: int, depths: tuple[int, ...], *, squeeze: bool) -> Any:
    norm = partial(BatchNorm, epsilon=1e-4 if squeeze else 1e-3)
    x = layers.Conv2D(width, 7, strides=2, padding="same", use_bias=False)(x)
    x = layers.ReLU()(norm()(x))
    x = layers.MaxPooling2D(3, strides=2)(x)
    for stage, depth in enumerate(depths):
        for block in range(depth):
            strides = 2 if stage > 0 and block == 0 else 1
            shortcut = x
            y = _body(x, width * 2**stage, strides, norm=norm, squeeze=squeeze)
            if block == 0:
                shortcut = layers.Conv2D(y.shape[-1], 1, strides=strides, use_bias=False)(x)
                shortcut = norm()(shortcut)
            x = layers.ReLU()(layers.Add()([y, shortcut]))
    return x


def _body(x: Any, width: int, strides: int, *, norm: Any, squeeze: bool) -> Any:
    y = layers.Conv2D(width, 1, strides=strides, use_bias=False)(x)
    y = layers.ReLU()(norm()(y))
    y = layers.Conv2D(width, 3, padding="same", use_bias=False)(y)
    y = layers.ReLU()(norm()(y))
    y = norm()(layers.Conv2D(4 * width, 1, use_bias=False)(y))
    if squeeze:
        share = layers.GlobalAveragePooling2D(keepdims=True)(y)
        share = layers.Conv2D(width // 4, 1, activation="relu")(share)
        share = layers.Conv2D(4 * width, 1, activation="sigmoid")(share)
        y = layers.Multiply()([y, share])
    return y


_VARIANTS: dict[str, tuple[Callable[..., Any], tuple[float, float, float]]] = {
    "resnet50": (partial(_residual, squeeze=False), _MEAN_2),
    "senet50": (partial(_residual, squeeze=True), _MEAN_2),
    "vgg16": (_vgg16, _MEAN_1),
}
