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
        self.steps = steps
        self.values = [np.array(value, np.float32) for value in values]

    def restart(self, values: Sequence[Any]) -> None:
        """Begin anew from some weights."""
        self.values, self.steps = [np.array(value, np.float32) for value in values], 0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        del batch, logs
        if keras.backend.backend() == "jax":
            self.model.jax_state_sync()
        self.steps += 1
        keep = min(self._momentum, self.steps / (10 + self.steps))
        self.values = [
            keep * old + (1 - keep) * new
            for old, new in zip(self.values, self.model.get_weights(), strict=True)
        ]
