"""How good a network is, in every epoch and in the end: calibration, both priors, robustness."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import calibration, metrics
from ..affect import scores_from_affect
from ..degrade import DEGRADATIONS, degrade
from ..errors import TrainingError
from ..labels import LabelSet
from ..types import Affect, leading
from .examples import Examples, TrainingData, class_weights, label_prior
from .feed import answers_of
from .mixing import draw_weights
from .recipe import AFFECT, EMOTION, Recipe

#: From faces, uint8 (n, h, h, c), and `flip`, to a network's outputs.
Answer = Callable[..., list[Any]]
#: A model of valence and arousal alone abstains until a label is at least so much likelier.
_MORE_THAN_CHANCE = 0.01
#: Robustness is measured on so many validation faces, and on fewer where that takes longer.
_ROBUSTNESS_FACES, _ROBUSTNESS_FACES_MIN, _ROBUSTNESS_S = 4_000, 50, 120.0
#: So many of them are in memory at once: the others lie on the disk.
_ROBUSTNESS_AT_ONCE = 256


@dataclass(frozen=True)
class Measured:
    """What a card says of a network in numbers.

    Attributes:
        temperature: As `cards.Card`; so are the next three.
        threshold: From validation.
        threshold_rule: How the threshold was chosen, in words.
        balanced_threshold: As `threshold`, at the balanced prior.
        prior: As `learned_prior` gives it; empty without an emotion output.
        figures: The card's metrics.
    """

    temperature: float
    threshold: float
    threshold_rule: str
    balanced_threshold: float
    prior: tuple[float, ...]
    figures: dict[str, Any]


def measure_epoch(model: Any, val: Examples, outputs: tuple[str, ...]) -> dict[str, float]:
    """Return the figures of a history row on the validation split.

    Raises:
        TrainingError: The network answers with values that are no numbers.
    """
    answers = dict(zip(outputs, answers_of(model, val.images), strict=True))
    if not all(np.isfinite(one).all() for one in answers.values()):
        raise TrainingError(
            "The network's answers are no longer numbers: the training has diverged. Take a lower "
            "learning rate."
        )
    row: dict[str, float] = {}
    if EMOTION in answers:
        probs, clear = answers[EMOTION], val.clear
        shown, truth = probs[clear], val.truth[clear]
        row = {
            "val_loss": metrics.negative_log_likelihood(probs, val.targets),
            "val_accuracy": metrics.accuracy(shown, truth),
            "val_mean_recall": metrics.mean_recall(shown, truth),
            "val_macro_f1": metrics.macro_f1(shown, truth),
            "val_ece": metrics.expected_calibration_error(shown, truth),
        }
    if AFFECT in answers and val.affect is not None:
        error = np.clip(answers[AFFECT], -1, 1) - val.affect  # as it is served
        row["val_mse"] = float(np.square(error).mean())
        row["val_mae"] = float(np.abs(error).mean())
    return {name: round(value, 5) for name, value in row.items()}


def measure_model(recipe: Recipe, answer: Answer, data: TrainingData) -> Measured:
    """Calibrate a network on validation and measure it there and, once, on the test split.

    Args:
        recipe: What it was trained by.
        answer: Asks the network that will be served.
        data: What it was trained on. Temperature and thresholds come from validation alone.
    """
    started = time.monotonic()
    answers = answer(data.val.images)
    s_per_face = (time.monotonic() - started) / len(data.val)
    probs = label_probs(recipe, answers, data.labels)
    temperature, threshold, answered = calibration.calibrate(probs, data.val.truth, data.val.clear)
    calibrated = calibration.scale_temperature(probs, temperature)
    prior = np.zeros(0)
    if EMOTION in recipe.outputs:
        prior = learned_prior(recipe, data.train.targets)
    fitted = threshold
    if not len(prior):  # a point near no label gives all of them the same
        threshold = max(threshold, round(1 / len(data.labels) + _MORE_THAN_CHANCE, 4))
        answered = float((calibrated.max(axis=1) >= threshold).mean())
    figures = {
        "validation": _measure(calibrated, data.val, data),
        "answered_at_threshold": round(answered, 4),
    }
    balanced_threshold = 0.0
    if len(prior):
        balanced = calibration.balance(calibrated, prior)
        figures["validation_balanced"] = _measure(balanced, data.val, data)
        balanced_threshold = calibration.abstain_threshold(
            balanced, data.val.truth, accuracy_goal=calibration.ACCURACY_GOAL
        )
    if data.test is not None:
        figures |= _test_figures(recipe, answer, data.test, data, temperature, prior)
    if AFFECT in recipe.outputs:
        where = recipe.outputs.index(AFFECT)
        figures["validation_affect"] = measure_affect(answers[where], data.val)
    figures["robustness"] = _robustness(recipe, answer, data, s_per_face)
    shares = tuple(round(float(one), 6) for one in prior)
    rule = _rule_of(calibrated, data.val, threshold)
    if threshold > fitted:
        rule = "just above what a point near no label gives all of them"
    return Measured(temperature, threshold, rule, balanced_threshold, shares, figures)


def _rule_of(probs: NDArray[np.float32], val: Examples, threshold: float) -> str:
    """Return how a threshold was chosen, in words, as far as it is true."""
    goal = calibration.ACCURACY_GOAL
    if calibration.is_reached(probs, val.truth, threshold, accuracy_goal=goal):
        return (
            f"lowest at which the answered validation faces (n {len(val)}) are right in at least "
            f"{goal:.0%}"
        )
    return (
        f"no threshold that answers one validation face in ten (n {len(val)}) is right in "
        f"{goal:.0%}; this is the highest that does"
    )


def learned_prior(recipe: Recipe, targets: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the shares of the labels as a network learns them, float64 (k,).

    They are those of the training faces, evener where rare labels are drawn or weighed more. What
    `logit_adjustment` changes is undone in the network itself.
    """
    weights = draw_weights(targets, recipe.evenness)
    if recipe.loss.class_weights == "balanced":
        weights = weights * class_weights(targets)
    return label_prior(targets * weights[:, np.newaxis])


def label_probs(
    recipe: Recipe, answers: list[NDArray[np.float32]], labels: Sequence[str]
) -> NDArray[np.float32]:
    """Return the probabilities of the labels, float32 (n, k), from a network's outputs.

    Where it answers valence and arousal alone, they are read from these.

    Args:
        recipe: What the network was trained by.
        answers: One array per output, in its order.
        labels: The k labels.
    """
    named = dict(zip(recipe.outputs, answers, strict=True))
    if EMOTION in named:
        return named[EMOTION]
    affect = Affect(*np.clip(named[AFFECT], -1, 1).T)
    return scores_from_affect(affect, LabelSet(labels), system=recipe.affect).probs


def measure_affect(points: NDArray[np.float32], examples: Examples) -> dict[str, Any]:
    """Return the errors of valence and arousal, float32 (n, 2), cut off at -1 and 1 as served."""
    if examples.affect is None:
        return {}
    error = np.clip(points, -1, 1) - examples.affect
    return {
        "n": len(examples),
        "mse": round(float(np.square(error).mean()), 5),
        "mae": round(float(np.abs(error).mean()), 5),
    }


def _measure(probs: NDArray[np.float32], examples: Examples, data: TrainingData) -> dict[str, Any]:
    figures = metrics.figures(probs, examples.targets, examples.clear, data.labels)
    return {"rule": data.rule, **figures}


def _test_figures(
    recipe: Recipe,
    answer: Answer,
    test: Examples,
    data: TrainingData,
    temperature: float,
    prior: NDArray[np.float64],
) -> dict[str, Any]:
    answers = [answer(test.images, flip=flip) for flip in (False, True)]
    plain, mirrored = (
        calibration.scale_temperature(label_probs(recipe, one, data.labels), temperature)
        for one in answers
    )
    with_flip = _measure(mirrored, test, data)
    figures = {
        "test": {
            **_measure(plain, test, data),
            "accuracy_with_flip": with_flip["accuracy"],
            "ece_with_flip": with_flip["ece_15_bins"],
        }
    }
    if len(prior):
        figures["test_balanced"] = _measure(calibration.balance(plain, prior), test, data)
    if AFFECT in recipe.outputs:
        points = answers[0][recipe.outputs.index(AFFECT)]
        figures["test_affect"] = measure_affect(points, test)
    return figures


def _robustness(
    recipe: Recipe, answer: Answer, data: TrainingData, s_per_face: float
) -> dict[str, Any]:
    """Return the accuracy on validation faces that are made worse in one way each."""
    looks = len(DEGRADATIONS) + 1
    affordable = int(_ROBUSTNESS_S / max(1e-9, looks * s_per_face))
    most = min(_ROBUSTNESS_FACES, max(_ROBUSTNESS_FACES_MIN, affordable))
    clear = np.flatnonzero(data.val.clear)
    rows = np.sort(np.random.default_rng(0).permutation(clear)[:most])
    hits = dict.fromkeys(["as_they_are", *DEGRADATIONS], 0)
    for first in range(0, len(rows), _ROBUSTNESS_AT_ONCE):
        part = rows[first : first + _ROBUSTNESS_AT_ONCE]
        faces, truth = np.asarray(data.val.images[part]), data.val.truth[part]
        for name in hits:
            shown = degrade(faces, name, first=first) if name in DEGRADATIONS else faces
            probs = label_probs(recipe, answer(shown), data.labels)
            hits[name] += int((leading(probs) == truth).sum())
    shares = {name: round(count / max(1, len(rows)), 4) for name, count in hits.items()}
    return {
        "split": "validation",
        "n": len(rows),
        "accuracy": shares.pop("as_they_are"),
        "under": shares,
    }
