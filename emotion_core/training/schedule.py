"""The learning rate over a training: a warm-up and a cosine, once or several times."""

import math
from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="mien")
class CosineCycles(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """Cosine decay with warm restarts (Loshchilov and Hutter 2016, arXiv 1608.03983).

    Args:
        peak: Learning rate after the warm-up of the first cycle.
        warmup_steps: Steps in which a cycle rises from zero, linearly.
        starts: First step of each cycle.
        total_steps: Where the last cycle ends, at a rate of zero.
        restart_scale: The peak of each cycle is this much of the one before.
    """

    def __init__(
        self,
        peak: float,
        *,
        warmup_steps: int,
        starts: list[int],
        total_steps: int,
        restart_scale: float,
    ) -> None:
        super().__init__()
        self._settings: dict[str, Any] = {
            "peak": peak,
            "warmup_steps": warmup_steps,
            "starts": list(starts),
            "total_steps": total_steps,
            "restart_scale": restart_scale,
        }

    def __call__(self, step: Any) -> Any:
        settings = self._settings
        step = ops.cast(step, "float32")
        rate = ops.zeros_like(step)
        ends = [*settings["starts"][1:], settings["total_steps"]]
        warmup = settings["warmup_steps"]
        for number, (start, end) in enumerate(zip(settings["starts"], ends, strict=True)):
            peak = settings["peak"] * settings["restart_scale"] ** number
            done = step - start
            rising = peak * done / max(1, warmup)
            share = ops.clip((done - warmup) / max(1, end - start - warmup), 0.0, 1.0)
            falling = peak * 0.5 * (1 + ops.cos(math.pi * share))
            rate = ops.where(done >= 0, ops.where(done < warmup, rising, falling), rate)
        return rate

    def get_config(self) -> dict[str, Any]:
        return dict(self._settings)
