"""The teachers of a recipe: models whose answers are learned beside the labels."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from ..errors import TrainingError
from ..metrics import scale_temperature
from ..registry import load_model
from ..serving import open_network
from ..texts import say
from ..training.recipe import Recipe


def teacher_of(
    recipe: Recipe, labels: Sequence[str]
) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]] | None:
    """Return what asks the recipe's teachers, or None where it has none.

    Their answers are taken as the networks give them, before calibration, which has been fitted to
    labels and not to votes.

    Args:
        recipe: Whose.
        labels: What the faces are labelled by.

    Returns:
        From faces, uint8 (n, h, h, c), to the teachers' mean distribution, float32 (n, k).

    Raises:
        ModelError, CardMismatch, ModelNotTrusted: A teacher cannot be loaded.
        TrainingError: It has other labels or another input.
    """
    if not recipe.teachers:
        return None
    teachers = [
        load_model(model_id, prior="data", load=open_network) for model_id in recipe.teachers
    ]
    wanted = (recipe.crop.side_px, recipe.crop.channels)
    for teacher in teachers:
        crop = teacher.card.crop
        if (crop.side_px, crop.channels) != wanted:
            raise TrainingError(say("error.teacher_input", id=teacher.id, px=crop.side_px))
        if teacher.card.labels != tuple(labels):
            told = ", ".join(teacher.card.labels)
            raise TrainingError(say("error.teacher_labels", id=teacher.id, labels=told))

    def ask(faces: NDArray[np.uint8]) -> NDArray[np.float32]:
        answers = [
            scale_temperature(teacher.classify(faces).probs, 1 / teacher.card.temperature)
            for teacher in teachers
        ]
        return np.asarray(np.mean(answers, axis=0), np.float32)

    return ask
