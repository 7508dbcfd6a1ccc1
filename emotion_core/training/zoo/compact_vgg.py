"""A small VGG with batch normalisation, for grey faces of 48 px."""

from typing import Any

from keras import layers

from .blocks import Standardise, conv_bn_relu, squeeze_excite


def features(
    pixels: Any,
    *,
    widths: tuple[int, ...] = (32, 64, 128, 256),
    depths: tuple[int, ...] = (2, 2, 2, 2),
    dropout: float = 0.25,
    reduction: int = 0,
    trim: int = 0,
) -> Any:
    """Each stage is some 3×3 convolutions (`depths`) and a halving.

    With a `reduction`, squeeze-and-excitation ends each stage. `trim` is how many pixels of each
    edge are not looked at.

    Four stages of the default widths hold 1.18 million parameters.
    """
    x = layers.Cropping2D(trim)(pixels) if trim else pixels
    x = Standardise(name="standardise")(x)
    for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
        for _ in range(depth):
            x = conv_bn_relu(x, width)
        if reduction:
            x = squeeze_excite(x, reduction)
        if stage < len(widths) - 1:
            x = layers.MaxPooling2D(2)(x)
        x = layers.SpatialDropout2D(dropout * 0.25)(x)
    return x
