"""A small residual network with squeeze-and-excitation, for grey faces of 48 px.

Residual blocks: He et al. 2015 (arXiv 1512.03385).
"""

from typing import Any

from keras import layers

from .blocks import BatchNorm, Standardise, conv_bn_relu, squeeze_excite


def features(
    pixels: Any,
    *,
    widths: tuple[int, ...] = (32, 64, 128, 256),
    depths: tuple[int, ...] = (),
    dropout: float = 0.25,
    reduction: int = 8,
) -> Any:
    """Each stage is some residual blocks (`depths`, one if empty); all but the first halve."""
    x = Standardise(name="standardise")(pixels)
    x = conv_bn_relu(x, widths[0])
    for stage, (width, depth) in enumerate(zip(widths, depths or (1,) * len(widths), strict=True)):
        for block in range(depth):
            halves = stage > 0 and block == 0
            x = _block(x, width, strides=2 if halves else 1, reduction=reduction)
        x = layers.SpatialDropout2D(dropout * 0.25)(x)
    return x


def _block(x: Any, width: int, *, strides: int, reduction: int) -> Any:
    shortcut = x
    if strides != 1:
        shortcut = layers.AveragePooling2D(2)(shortcut)
    if shortcut.shape[-1] != width:
        shortcut = layers.Conv2D(width, 1, use_bias=False)(shortcut)
    x = conv_bn_relu(x, width, strides=strides)
    x = layers.Conv2D(width, 3, padding="same", use_bias=False, kernel_initializer="he_normal")(x)
    x = BatchNorm(momentum=0.9)(x)
    x = squeeze_excite(x, reduction)
    return layers.ReLU()(layers.Add()([x, shortcut]))
