"""The networks. A new one is a file with a `build` function and a row in `NETWORKS`."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from ...errors import TrainingError
from . import compact_se_resnet, compact_vgg

if TYPE_CHECKING:
    import keras

NETWORKS: dict[str, Callable[..., "keras.Model"]] = {
    "compact_vgg": compact_vgg.build,
    "compact_se_resnet": compact_se_resnet.build,
}


def build_network(name: str, /, **options: object) -> "keras.Model":
    """Build a network by its name.

    Args:
        name: A key of `NETWORKS`.
        options: What its `build` function takes; at least `input_px` and `classes`.

    Returns:
        A model from grey pixels, float32 (n, input_px, input_px, 1) in 0..255, to probabilities
        (n, classes). Scaling is a part of the model, so that nobody scales twice.

    Raises:
        TrainingError: There is no such network, or an option is unknown to it.
    """
    if name not in NETWORKS:
        raise TrainingError(f"No network is called {name!r}. Choose one of {sorted(NETWORKS)}.")
    try:
        return NETWORKS[name](**options)
    except TypeError as error:
        raise TrainingError(f"The network {name!r} cannot be built: {error}.") from error
