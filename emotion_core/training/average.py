"""The moving average of the weights, which is what is evaluated and kept."""

from collections.abc import Sequence
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
        self._momentum = momentum
        self._values: list[Any] = []
        self.restart(values)
        self.steps = steps

    @property
    def values(self) -> list[Any]:
        """The average, each of float32."""
        return [np.asarray(value) for value in self._values]

    @values.setter
    def values(self, values: Sequence[Any]) -> None:
        self._values = list(values)

    def restart(self, values: Sequence[Any]) -> None:
        """Begin anew from some weights."""
        self._values = [np.array(value, np.float32) for value in values]
        self.steps = 0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        del batch, logs
        self._values = self.blend(self._values, self.model.get_weights(), self.next_share())

    def next_share(self) -> float:
        """Count one more step, and return the share of the average that it keeps."""
        self.steps += 1
        return min(self._momentum, self.steps / (10 + self.steps))

    @staticmethod
    def blend(old: list[Any], new: list[Any], keep: float) -> list[Any]:
        """Return the average after a step that keeps a share of the old one."""
        return [keep * one + (1 - keep) * other for one, other in zip(old, new, strict=True)]
