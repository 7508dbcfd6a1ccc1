"""The networks. A new one is a file with a `features` function and a row in `NETWORKS`."""

from collections.abc import Callable
from typing import Any

import keras

from ...errors import TrainingError
from ..recipe import EMOTION, Head
from . import application, bit, compact_se_resnet, compact_vgg, elu_cnn, vggface
from .heads import attach_heads

#: Pooling and the outputs, nothing between.
PLAIN_HEAD = Head()
#: From pixels (n, h, h, c) in 0..255 to features (n, h', w', c') or (n, c').
NETWORKS: dict[str, Callable[..., Any]] = {
    "application": application.features,
    "bit": bit.features,
    "compact_se_resnet": compact_se_resnet.features,
    "compact_vgg": compact_vgg.features,
    "elu_cnn": elu_cnn.features,
    "vggface": vggface.features,
}


def build_network(
    name: str,
    /,
    *,
    input_px: int,
    classes: int,
    channels: int = 1,
    outputs: tuple[str, ...] = (EMOTION,),
    given: int = 0,
    head: Head = PLAIN_HEAD,
    **options: object,
) -> Any:
    """Build a network by its name.

    Args:
        name: A key of `NETWORKS`.
        input_px: Side of the square pictures.
        classes: Number of labels.
        channels: 1 = grey, 3 = RGB.
        outputs: `emotion`, `affect` or both, in this order; `given` behind them in training.
        given: Number of the labels of `given`.
        head: What stands on the backbone.
        options: What its `features` function takes.

    Returns:
        A Keras model from pixels, float32 (n, input_px, input_px, channels) in 0..255, to what
        `heads.attach_heads` gives. Scaling is a part of the model, so that nobody scales twice.

    Raises:
        TrainingError: There is no such network, or an option is unknown or impossible.
    """
    if name not in NETWORKS:
        raise TrainingError(f"No network is called {name!r}. Choose one of {sorted(NETWORKS)}.")
    pixels = keras.Input((input_px, input_px, channels), name="pixels")
    try:
        x = NETWORKS[name](pixels, **options)
    except (TypeError, ValueError, ArithmeticError, LookupError) as error:
        raise TrainingError(f"The network {name!r} cannot be built: {error}.") from error
    return keras.Model(pixels, attach_heads(x, head, classes=classes, outputs=outputs, given=given))
