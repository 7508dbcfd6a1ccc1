"""Cards: what a model is, what it was trained on, how good it is, and what it is not for."""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from .errors import CardMismatch
from .labels import LabelSet
from .types import CropRule

OUTPUTS = ("emotion", "affect")
#: How frequent a reading takes the expressions for: as in the training data, or less uneven, by
#: `calibration.balance`.
PRIORS = ("data", "balanced")
#: What it costs and gains: docs/models.md, "The prior".
DEFAULT_PRIOR = "balanced"
#: The coordinates of `affect.COORDINATES`.
SYSTEMS = ("rays", "anchors")
#: The files of a model folder beside its card.
NETWORK_FILE, KERAS_FILE, HISTORY_FILE = "model.tflite", "model.keras", "history.csv"
#: What every card says of use and failure.
INTENDED = (
    "Describing which of some expressions a visible face looks like, in research, teaching and "
    "media work, for people who know of it and agree."
)
FORBIDDEN = (
    "Judging what somebody feels, intends or is; work places, schools, hiring, policing, "
    "insurance, diagnosis, lie detection; identifying anybody."
)
LIMITS = (
    "It judges the look of a face, not a mind: posed, subtle and mixed expressions are often "
    "read as neutral.",
    "Faces turned away, covered, blurred or under 24 px are read worse, without a warning.",
)
#: What every measured split tells of emotions, beside its recalls, rule and interval.
_FIGURES = ("n", "accuracy", "mean_recall", "ece_15_bins", "target_n", "nll", "brier")
_OF_A_LABEL = ("n", "recall", "precision", "f1")
#: A limit of networks that no page loads.
LARGE = "It is too large for the pages: videos and evaluations read with it, in jobs and commands."


@dataclass(frozen=True)
class Card:
    """The card of one model; `card.json` in its folder.

    Attributes:
        id: The name of the folder.
        title: A short name for people.
        outputs: `emotion`, `affect` or both.
        labels: Names of the emotion outputs, in order.
        crop: How faces are cut out for it.
        sees: What it learned from: a `face`, cut out, or the `whole` picture. Pictures of data sets
            are read in the same way; in photos and videos a face, with as much around it.
        scaling: What happens to grey values before the first layer, in words; it is a part of the
            network, which takes 0..255.
        files: SHA-256 of each file of the folder, by file name.
        coordinates: Of valence and arousal where it answers them, a key of `affect.COORDINATES`;
            a model without an emotion output has its labels read from them.
        temperature: Divides the logarithms of the probabilities (calibration).
        threshold: Under this calibrated confidence the model abstains.
        threshold_rule: How the threshold was chosen.
        prior: Shares of the labels in the training data, in order, as they were drawn and weighed;
            empty where not known.
        balanced_threshold: As `threshold`, for readings at the balanced prior.
        network: Name and options, for people.
        parameters: Number of trained numbers.
        training: Data, terms, date, recipe and what came out.
        metrics: Measured figures with n.
        limits: Known failures, one sentence each.
        intended: What it is for.
        forbidden: What it must not be used for.
    """

    id: str
    title: str
    outputs: tuple[str, ...]
    labels: tuple[str, ...]
    crop: CropRule
    scaling: str
    files: dict[str, str]
    sees: str = "face"
    coordinates: str = ""
    temperature: float = 1.0
    threshold: float = 0.0
    threshold_rule: str = ""
    prior: tuple[float, ...] = ()
    balanced_threshold: float = 0.0
    network: str = ""
    parameters: int = 0
    training: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    limits: tuple[str, ...] = ()
    intended: str = ""
    forbidden: str = ""

    def __post_init__(self) -> None:
        LabelSet(self.labels)
        numbers = (self.crop.margin, self.crop.shift_y, self.crop.side_px, self.crop.channels)
        fits = isinstance(self.files, dict) and isinstance(self.metrics, dict)
        if not fits or not all(isinstance(number, int | float) for number in numbers):
            raise CardMismatch(f"The card {self.id!r} has a value of a wrong type.")
        if not self.outputs or any(output not in OUTPUTS for output in self.outputs):
            raise CardMismatch(
                f"The card {self.id!r} names the outputs {list(self.outputs)}; known are "
                f"{list(OUTPUTS)}."
            )
        if "affect" in self.outputs and self.coordinates not in SYSTEMS:
            raise CardMismatch(
                f"The card {self.id!r} names the coordinates {self.coordinates!r} of valence and "
                f"arousal; known are {list(SYSTEMS)}."
            )
        if self.prior and (len(self.prior) != len(self.labels) or min(self.prior) < 0):
            raise CardMismatch(
                f"The card {self.id!r} has the prior {list(self.prior)}; it has to be a share for "
                f"each of {len(self.labels)} labels."
            )
        if not 0 <= self.balanced_threshold <= 1:
            raise CardMismatch(
                f"The card {self.id!r} has the balanced threshold {self.balanced_threshold}; it "
                "has to be within 0..1."
            )
        if self.temperature <= 0 or not 0 <= self.threshold <= 1:
            raise CardMismatch(
                f"The card {self.id!r} has temperature {self.temperature} and threshold "
                f"{self.threshold}; they have to be above 0 and within 0..1."
            )

    def as_dict(self) -> dict[str, Any]:
        """Return the card as plain values for JSON."""
        return asdict(self)


def read_card(path: Path) -> Card:
    """Read a `card.json`.

    Raises:
        CardMismatch: It is missing, no JSON, incomplete, or has unknown fields or values that
            cannot be.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        known = {f.name for f in fields(Card)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise CardMismatch(f"The card {path} has unknown fields: {', '.join(unknown)}.")
        for name in ("outputs", "labels", "limits", "prior"):
            _expect(isinstance(values.get(name, []), list), name)
            values[name] = tuple(values.get(name, ()))
        card = Card(**{**values, "crop": CropRule(**values["crop"])})
        _check_values(card)
        _check_figures(card)
        return card
    except (
        OSError, ValueError, TypeError, KeyError, AttributeError, ArithmeticError, RecursionError
    ) as error:  # fmt: skip
        reason = f"{error} is missing" if isinstance(error, KeyError) else error
        raise CardMismatch(
            f"The card {path} cannot be used: {reason}. Restore the model's folder."
        ) from error


def _expect(is_so: bool, what: str) -> None:
    if not is_so:
        raise ValueError(f"{what!r} is missing or impossible")


def _are_texts(values: Iterable[Any]) -> bool:
    return all(isinstance(value, str) and value for value in values)


def _are_numbers(values: Iterable[Any], *, count: int | None = None) -> bool:
    held = list(values)
    fits = count is None or len(held) == count
    is_number = [isinstance(one, int | float) and not isinstance(one, bool) for one in held]
    return fits and all(is_number) and all(math.isfinite(one) for one in held)


def _check_values(card: Card) -> None:
    """Raise where a field holds what everybody who shows or runs the model would stumble over."""
    for field_ in fields(Card):
        if field_.type in (str, "str"):
            _expect(isinstance(getattr(card, field_.name), str), field_.name)
    _expect(bool(card.title), "title")
    _expect(card.sees in ("face", "whole"), "sees")
    _expect(_are_texts(card.labels), "labels")
    _expect(_are_texts(card.limits), "limits")
    _expect(bool(card.files) and _are_texts((*card.files, *card.files.values())), "files")
    _expect(isinstance(card.training, dict), "training")
    _expect(type(card.parameters) is int, "parameters")  # a truth value is an int, too
    _expect(_are_numbers([card.temperature]), "temperature")
    _expect(_are_numbers(card.prior) and (not card.prior or sum(card.prior) > 0), "prior")
    crop = card.crop
    _expect(type(crop.side_px) is int and 8 <= crop.side_px <= 1024, "side_px")
    _expect(type(crop.channels) is int and crop.channels in (1, 3), "channels")
    # as recipes take them
    _expect(_are_numbers([crop.margin]) and 0 < crop.margin <= 10, "margin")
    _expect(_are_numbers([crop.shift_y]) and abs(crop.shift_y) <= 2, "shift_y")
    _expect(isinstance(crop.align, bool), "align")


def _check_figures(card: Card) -> None:
    """Raise where measured figures lack what pages and texts tell of them."""
    held = card.metrics
    for split in ("validation", "test"):
        for name in (split, f"{split}_balanced"):
            if name in held:
                _expect(_is_complete(held[name]), f"metrics.{name}")
        if split in held:
            _expect(_are_numbers([held["answered_at_threshold"]]), "answered_at_threshold")
        affect = held.get(f"{split}_affect")
        if affect:
            numbers = [affect[name] for name in ("n", "mse", "mae")]
            _expect(_are_numbers(numbers), f"metrics.{split}_affect")
    robust = held.get("robustness")
    if robust:
        numbers = [robust["n"], robust["accuracy"], *robust["under"].values()]
        _expect(_are_numbers(numbers) and _are_texts([robust["split"]]), "metrics.robustness")
    check_benchmarks(held.get("benchmarks", {}))


def check_benchmarks(held: Mapping[str, Any]) -> None:
    """Raise `ValueError` or `KeyError` where figures by benchmark lack what is told of them."""
    for name, found in held.items():
        is_told = _are_texts([found["rule"]]) and _are_numbers(found["n"].values())
        is_told &= all(_is_benchmark_row(row) for row in found["rows"])
        _expect(is_told, f"benchmarks.{name}")


def _is_complete(shown: Mapping[str, Any]) -> bool:
    recalls = shown["recall"].values()
    told = [row[name] for row in recalls for name in _OF_A_LABEL if row[name] is not None]
    told += [row["n"] for row in recalls]
    told += [shown[name] for name in _FIGURES]
    told += [one for row in shown.get("confusion", ()) for one in row]
    if "reliability" in shown:
        told += [one for name in ("sure", "right", "n") for one in shown["reliability"][name]]
    intervals = [shown["accuracy_interval_95"], shown.get("mean_recall_interval_95") or (0, 1)]
    return (
        _are_numbers(told)
        and all(_are_numbers(ends, count=2) for ends in intervals)
        and _are_texts([shown["rule"]])
    )


def _is_benchmark_row(row: Mapping[str, Any]) -> bool:
    told = [value for name, value in row.items() if name not in ("prior", "mirrored")]
    if "valence_ccc_rays" in row:
        told += [
            row[f"{name}_{figure}_{system}"]
            for name in ("valence", "arousal")
            for figure in ("ccc", "mae")
            for system in SYSTEMS
        ]
    return row["prior"] in PRIORS and isinstance(row["mirrored"], bool) and _are_numbers(told)
