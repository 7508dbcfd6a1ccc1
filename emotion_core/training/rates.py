"""The learning rate and the end of a stage, from the recipe and the history alone.

Nothing here has a state of its own: whatever is resumed goes on with the rate it would have had.
"""

import math
from typing import Any

import keras

from .recipe import Plateau, Stage, is_better

History = list[dict[str, float]]


def rate_at(stage: Stage, step: int, *, steps_per_epoch: int, history: History) -> float:
    """Return the learning rate of a step.

    Args:
        stage: Whose schedule.
        step: Steps of the stage that are finished.
        steps_per_epoch: How many an epoch has.
        history: A row per finished epoch of the stage.
    """
    rate = _scheduled(stage, step, steps_per_epoch)
    if stage.plateau is None:
        return rate
    lowered = rate * plateau_scale(stage.plateau, history)
    return lowered if lowered > stage.plateau.min_rate else min(rate, stage.plateau.min_rate)


#: A gain has to be larger to count on a plateau: the default of Keras' `ReduceLROnPlateau`.
_MIN_DELTA = 1e-4


def plateau_scale(plateau: Plateau, history: History) -> float:
    """Return what the rate is multiplied by after some epochs; as Keras' `ReduceLROnPlateau`."""
    best: float | None = None
    waited, scale = 0, 1.0
    for row in history:
        if plateau.monitor not in row:  # nothing is measured, as when labels are judged
            return 1.0
        figure = row[plateau.monitor]
        gained = best is None or abs(figure - best) > _MIN_DELTA
        if gained and is_better(plateau.monitor, figure, best):
            best, waited = figure, 0
            continue
        waited += 1
        if waited >= plateau.patience:
            scale, waited = scale * plateau.factor, 0
    return scale


def is_stalled(stage: Stage, history: History) -> bool:
    """Return whether a stage ends early; as Keras' `EarlyStopping`."""
    if stage.early_stop is None or not history:
        return False
    figures = [row[name] for row in history if (name := stage.early_stop.monitor) in row]
    if not figures:
        return False
    best = 0
    for epoch, figure in enumerate(figures):
        if is_better(stage.early_stop.monitor, figure, figures[best]):
            best = epoch
    return len(figures) - 1 - best >= stage.early_stop.patience


def _scheduled(stage: Stage, step: int, steps_per_epoch: int) -> float:
    if stage.schedule == "exponential":
        return float(stage.learning_rate * stage.decay_rate ** (step / stage.decay_steps))
    starts = [steps_per_epoch * epoch for epoch in (0, *stage.restarts)]
    cycle = max(number for number, start in enumerate(starts) if start <= step)
    end = [*starts[1:], steps_per_epoch * stage.epochs][cycle]
    peak = stage.learning_rate * stage.restart_scale**cycle
    done, warmup = step - starts[cycle], round(steps_per_epoch * stage.warmup_epochs)
    if done < warmup:
        return peak * done / warmup
    if stage.schedule == "constant":
        return peak
    # Loshchilov and Hutter 2016 (arXiv 1608.03983)
    share = min(1.0, (done - warmup) / max(1, end - starts[cycle] - warmup))
    return peak * 0.5 * (1 + math.cos(math.pi * share))


class RateControl(keras.callbacks.Callback):  # type: ignore[misc]
    """Sets the optimiser's rate before every step of one epoch.

    Args:
        stage: Whose schedule.
        first_step: Steps of the stage that are finished.
        steps_per_epoch: How many an epoch has.
        history: A row per finished epoch of the stage.
    """

    def __init__(
        self, stage: Stage, *, first_step: int, steps_per_epoch: int, history: History
    ) -> None:
        super().__init__()
        self._stage, self._first, self._history = stage, first_step, history
        self._steps = steps_per_epoch
        self.rate = math.nan  # unlike any rate, so that the first step sets one

    def at(self, batch: int) -> float:
        """Return the rate of a step of the epoch, counted from 0, and keep it in mind."""
        self.rate = rate_at(
            self._stage,
            self._first + batch,
            steps_per_epoch=self._steps,
            history=self._history,
        )
        return self.rate

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        del logs
        before = self.rate
        if self.at(batch) != before:
            self.model.optimizer.learning_rate = self.rate
