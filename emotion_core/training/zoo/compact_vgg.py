"""A small VGG with batch normalisation and global pooling, for 48 px grey faces."""

import keras
from keras import layers

from .blocks import Standardise, conv_bn_relu, softmax_head


def build(
    *,
    input_px: int,
    classes: int,
    widths: tuple[int, ...] = (32, 64, 128, 256),
    depths: tuple[int, ...] = (2, 2, 2, 2),
    dropout: float = 0.25,
) -> keras.Model:
    """Build the network; each stage is some 3×3 convolutions (`depths`) and a halving.

    Four stages of the default widths hold 1.18 million parameters.
    """
    inputs = keras.Input((input_px, input_px, 1), name="pixels")
    x = Standardise(name="standardise")(inputs)
    for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
        for _ in range(depth):
            x = conv_bn_relu(x, width)
        if stage < len(widths) - 1:
            x = layers.MaxPooling2D(2)(x)
        x = layers.SpatialDropout2D(dropout * 0.25)(x)
    return keras.Model(inputs, softmax_head(x, classes, dropout=dropout * 1.5))
