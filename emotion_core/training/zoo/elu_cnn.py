"""The network of seed 004, for grey faces of 48 px: 3×3 convolutions with ELU."""

from typing import Any

from keras import layers

from .blocks import BatchNorm
from .heads import POOL


def features(
    pixels: Any,
    *,
    widths: tuple[tuple[int, ...], ...] = ((512, 256), (128, 128), (256, 512)),
    dense: int = 256,
    dropout: float = 0.22,
) -> Any:
    """Stages of convolutions, each halved; then a dense layer. It ends in a vector.

    With seven classes the default, its README's form, holds 7,831,815 parameters. A last width of
    256 and `dense=128`, the form of its last commit, hold 3,700,231.
    """
    x = layers.Rescaling(1 / 255)(pixels)
    for stage in widths:
        for width in stage:
            x = layers.Conv2D(
                width, 3, padding="same", activation="elu", kernel_initializer="he_normal"
            )(x)
            x = BatchNorm()(x)
        x = layers.MaxPooling2D(2)(x)
        x = layers.Dropout(dropout)(x)
    x = layers.Flatten(name=POOL)(x)
    x = layers.Dense(dense, activation="elu", kernel_initializer="he_normal", name="head_elu")(x)
    x = layers.BatchNormalization(name="head_bn")(x)
    return layers.Dropout(dropout, name="head_drop")(x)
