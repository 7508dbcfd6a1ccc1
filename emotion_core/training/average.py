"""The moving average of the weights, which is what is evaluated and kept."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np


class WeightAverage(keras.callbacks.Callback):  # type: ignore[misc]
    """Averages all weights, those of batch normalisation included, after every step.

    Keras' own `use_ema` is of no use here: each call of `fit` ends by replacing the weights with
    their average, so that a training that goes epoch by epoch would restart from it every time.

    Args:
        momentum: Share of the old average that a step keeps; the first steps keep less.
        values: The average so far.
        steps: How many steps it has seen.
    """

    def __init__(self, momentum: float, values: Sequence[Any], steps: int) -> None:
        super().__init__()
        self._momentum, self._blend = momentum, _blender()
        self.restart(values)
        self.steps = steps

    @property
    def values(self) -> list[Any]:
        """The average, each of float32."""
        return [np.asarray(value) for value in self._values]

    def restart(self, values: Sequence[Any]) -> None:
        """Begin anew from some weights."""
        self._values: list[Any] = [np.array(value, np.float32) for value in values]
        self.steps = 0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        del batch, logs
        if keras.backend.backend() == "jax":
            self.model.jax_state_sync()
            new = [variable.value for variable in self.model.weights]
        else:
            new = self.model.get_weights()
        self.steps += 1
        keep = min(self._momentum, self.steps / (10 + self.steps))
        self._values = self._blend(self._values, new, keep)


def _blender() -> Callable[[list[Any], list[Any], float], list[Any]]:
    """Return what blends weights: with JAX on the device where they are, all in one go."""

    def blend(old: list[Any], new: list[Any], keep: float) -> list[Any]:
        return [keep * one + (1 - keep) * other for one, other in zip(old, new, strict=True)]

    if keras.backend.backend() != "jax":
        return blend
    import jax

    compiled: Callable[[list[Any], list[Any], float], list[Any]] = jax.jit(blend)
    return compiled
