"""Cards: what a model is, what it was trained on, how good it is, and what it is not for."""

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from .errors import CardMismatch
from .labels import LabelSet
from .types import CropRule

OUTPUTS = ("emotion", "affect")
#: The files of a model folder beside its card.
NETWORK_FILE, KERAS_FILE = "model.tflite", "model.keras"


@dataclass(frozen=True)
class Card:
    """The card of one model; `card.json` in its folder.

    Attributes:
        id: The name of the folder.
        title: A short name for people.
        outputs: `emotion`, `affect` or both.
        labels: Names of the emotion outputs, in order.
        crop: How faces are cut out for it.
        scaling: What happens to grey values before the first layer, in words; it is a part of the
            network, which takes 0..255.
        files: SHA-256 of each file of the folder, by file name.
        temperature: Divides the logarithms of the probabilities (calibration).
        threshold: Under this calibrated confidence the model abstains.
        threshold_rule: How the threshold was chosen.
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
    temperature: float = 1.0
    threshold: float = 0.0
    threshold_rule: str = ""
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
        CardMismatch: It is missing, no JSON, incomplete, or has unknown fields.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        known = {f.name for f in fields(Card)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise CardMismatch(f"The card {path} has unknown fields: {', '.join(unknown)}.")
        for name in ("outputs", "labels", "limits"):
            values[name] = tuple(values.get(name, ()))
        return Card(**{**values, "crop": CropRule(**values["crop"])})
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise CardMismatch(
            f"The card {path} cannot be used: {error}. Restore the model's folder."
        ) from error
