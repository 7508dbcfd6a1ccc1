"""A narrower network out of a finished one: the channels that later layers lean on most stay.

Structured pruning after Li et al. 2016 (arXiv 1608.08710), but that a channel is weighed by the
kernels that read it instead of the one that makes it. What is left reads worse until it has
learned on, and needs far fewer epochs for it than a network that begins with nothing.
"""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

#: Layers whose answer has channels of its own; all others hand on those of what they are given.
_MIXING = (layers.Conv2D, layers.Dense)


def narrow_weights(
    wide: Any, pairs: Sequence[tuple[Any, Any]]
) -> list[list[NDArray[np.float32]] | None]:
    """Return what layers of a narrower network take over from those of a finished one.

    Channels that are added or multiplied stay or go together, so that a residual stage keeps the
    same ones throughout. Where nothing is narrower, all weights are taken as they are.

    Args:
        wide: The finished Keras network.
        pairs: Its layers with weights, each with the one of the narrower network that takes over
            from it, in the order in which they are passed.

    Returns:
        The weights for the second of each pair, or None: it does not fit, being wider, of another
        kernel, or of a kind that is neither convolution, dense layer nor batch normalisation.
    """
    group = _groups(wide)
    weight = _weigh(wide, group)
    kept: dict[int, NDArray[np.bool_]] = {}
    for held, wanted in pairs:
        if isinstance(held, _MIXING):
            number, n = group(held.output), _shapes(wanted)[0][-1]
            if number in weight:  # a layer of the model itself, not of one inside it
                order = np.argsort(-weight[number], kind="stable")
                kept.setdefault(number, np.isin(np.arange(len(order)), order[:n]))
    return [_cut(held, wanted, group, kept) for held, wanted in pairs]


def _cut(
    held: Any, wanted: Any, group: Callable[[Any], int], kept: dict[int, NDArray[np.bool_]]
) -> list[NDArray[np.float32]] | None:
    values = [np.asarray(one) for one in held.get_weights()]
    if [one.shape for one in values] != _shapes(wanted):
        is_known = isinstance(held, (*_MIXING, layers.BatchNormalization))
        if not is_known or (isinstance(held, layers.Conv2D) and held.groups != 1):
            return None
        values = [_taken(one, kept.get(group(held.output)), -1) for one in values]
        if isinstance(held, _MIXING):
            values[0] = _taken(values[0], kept.get(group(held.input)), -2)
    return values if [one.shape for one in values] == _shapes(wanted) else None


def _taken(
    values: NDArray[np.float32], mask: NDArray[np.bool_] | None, axis: int
) -> NDArray[np.float32]:
    """Return what is left of an axis with the channels of a group, at each place anew where the
    places were flattened; all of it where it has none of them."""
    if mask is None or values.shape[axis] % len(mask):
        return values
    return np.compress(np.tile(mask, values.shape[axis] // len(mask)), values, axis=axis)


def _groups(model: Any) -> Callable[[Any], int]:
    """Return what tells which group the channels of a tensor of the model belong to."""
    above: dict[int, int] = {}

    def group(tensor: Any) -> int:
        number = id(tensor)
        while number in above:
            number = above[number]
        return number

    for layer in model.layers:
        if isinstance(layer, (*_MIXING, layers.InputLayer, keras.Model)):
            continue
        answer = group(layer.output)
        for source in layer.input if isinstance(layer.input, list) else [layer.input]:
            if group(source) != answer:
                above[group(source)] = answer
    return group


def _weigh(model: Any, group: Callable[[Any], int]) -> dict[int, NDArray[np.float64]]:
    """Return for each group the sum of the squares of all kernels that read each channel."""
    weight: dict[int, NDArray[np.float64]] = {}
    mixing = [layer for layer in model.layers if isinstance(layer, _MIXING)]
    for layer in mixing:
        weight.setdefault(group(layer.output), np.zeros(_shapes(layer)[0][-1]))
    for layer in mixing:
        kernel = np.asarray(layer.get_weights()[0], np.float64)
        read = weight.get(group(layer.input))
        squares = np.square(kernel).sum(axis=-1).reshape(-1, kernel.shape[-2]).sum(axis=0)
        if read is not None and len(squares) % len(read) == 0:
            # flattened places lie one after another, each with all channels
            read += squares.reshape(-1, len(read)).sum(axis=0)
    return weight


def _shapes(layer: Any) -> list[tuple[int, ...]]:
    return [tuple(one.shape) for one in layer.get_weights()]
