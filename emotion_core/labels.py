"""Label sets: names in order. A model's own set comes from its card."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .errors import CardMismatch

UNCERTAIN = "uncertain"

#: The order in which every chart, table and legend shows the emotions.
CANONICAL = (
    "anger",
    "contempt",
    "disgust",
    "fear",
    "happy",
    "neutral",
    "sad",
    "surprise",
    UNCERTAIN,
)

#: Label numbers of the FER2013 table.
FER2013 = ("anger", "disgust", "fear", "happy", "sad", "surprise", "neutral")

#: Vote columns of FER+; the last two are no emotions.
FERPLUS = (
    "neutral",
    "happy",
    "surprise",
    "sad",
    "anger",
    "disgust",
    "fear",
    "contempt",
    "unknown",
    "not a face",
)

_SYNONYMS = {
    "angry": "anger",
    "contemptuous": "contempt",
    "disgusted": "disgust",
    "fearful": "fear",
    "happiness": "happy",
    "sadness": "sad",
    "surprised": "surprise",
}


def canonical_name(name: str) -> str | None:
    """Return the canonical name of an emotion, or None when the name is not known.

    >>> canonical_name("Angry")
    'anger'
    """
    lowered = name.strip().lower()
    lowered = _SYNONYMS.get(lowered, lowered)
    return lowered if lowered in CANONICAL else None


@dataclass(frozen=True)
class LabelSet:
    """The names of a model's outputs, in the order of its outputs.

    Raises:
        CardMismatch: There are no names, or one stands twice.
    """

    names: tuple[str, ...]

    def __init__(self, names: Iterable[str]) -> None:
        ordered = tuple(names)
        if not ordered or len(set(ordered)) != len(ordered):
            raise CardMismatch(f"A label set needs different names, got {list(ordered)}.")
        object.__setattr__(self, "names", ordered)

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __getitem__(self, class_id: int) -> str:
        return self.names[class_id]

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def index(self, name: str) -> int:
        """Return the class id of `name`.

        Raises:
            CardMismatch: The name is not in this set.
        """
        if name not in self.names:
            raise CardMismatch(f"{name!r} is not one of the labels {list(self.names)}.")
        return self.names.index(name)


def class_ids(names: Iterable[object], labels: Iterable[str]) -> NDArray[np.int64]:
    """Return where each of n names stands among the labels, int64 (n,); -1 for none of them."""
    place = {label: class_id for class_id, label in enumerate(labels)}
    return np.array([place.get(name, -1) for name in names], np.int64)  # type: ignore[call-overload]
