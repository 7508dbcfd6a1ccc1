"""What a network is trained on and measured with: faces and what they should be read as."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..calibration import NEVER_SEEN
from ..errors import TrainingError
from ..types import CropRule


class Rows:
    """Some pictures of an array that lies on the disk; only those that are asked for are read.

    Args:
        held: (m, h, h, c), such as an `np.memmap`.
        rows: int (n,), which of them.
    """

    def __init__(self, held: NDArray[np.uint8], rows: NDArray[np.integer]) -> None:
        self._held, self._rows = held, rows
        self.shape, self.ndim, self.dtype = (len(rows), *held.shape[1:]), held.ndim, held.dtype

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, which: Any) -> NDArray[np.uint8]:
        return np.asarray(self._held[self._rows[which]])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        del copy  # it is one always
        return np.asarray(self[:], dtype)


@dataclass(frozen=True)
class Examples:
    """Faces of one split.

    Attributes:
        images: uint8 (n, h, h, c); 1 channel is grey, 3 are RGB. They may lie on the disk.
        targets: float32 (n, k), a distribution over the labels per face.
        affect: float32 (n, 2), valence and arousal in -1..1, or None.
        is_clear: bool (n,), the faces whose label is clear enough to count as right or wrong;
            None means all.
        names: What each face is called, such as its path; empty for none.
        given: float32 (n, m), a distribution over the labels that others gave the faces, where
            these are others than the targets'; zeros where nobody did; or None.
    """

    images: NDArray[np.uint8] | Rows
    targets: NDArray[np.float32]
    affect: NDArray[np.float32] | None = None
    is_clear: NDArray[np.bool_] | None = None
    names: tuple[str, ...] = ()
    given: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        n = len(self.images)
        fits = self.images.ndim == 4 and self.targets.ndim == 2 and len(self.targets) == n
        has_affect = self.affect is None or self.affect.shape == (n, 2)
        if not fits or not has_affect or len(self.names) not in (0, n):
            raise TrainingError(
                f"The examples do not fit together: images {self.images.shape}, targets "
                f"{self.targets.shape}."
            )

    def __len__(self) -> int:
        return len(self.images)

    @property
    def truth(self) -> NDArray[np.int64]:
        """The class id of each face, the one with most votes, int64 (n,)."""
        return np.asarray(self.targets.argmax(axis=1), np.int64)

    @property
    def clear(self) -> NDArray[np.bool_]:
        """Which faces count as right or wrong, bool (n,)."""
        return np.ones(len(self), bool) if self.is_clear is None else self.is_clear

    def outputs(self, names: tuple[str, ...]) -> list[NDArray[np.float32]]:
        """Return the targets of a network's outputs, in order.

        Raises:
            TrainingError: An output has no targets here.
        """
        held = {"affect": self.affect, "given": self.given}
        found = []
        for name in names:
            targets = held.get(name, self.targets)
            if targets is None:
                told = {"affect": "valence and arousal", "given": "labels that others gave"}
                raise TrainingError(f"These examples have no {told[name]}.")
            found.append(targets)
        return found


@dataclass(frozen=True)
class TrainingData:
    """A data set as a training takes it.

    Attributes:
        labels: Names of the classes, in order.
        train: What is trained on.
        val: What chooses the best epoch, the temperature and the threshold.
        test: What is looked at once, at the end; None where there is none, or none that counts.
        content_hash: Hash over all of it, independent of any file.
        rule: How labels come about, in words.
        about: What a card says of it: origin, terms …
        limits: What a network trained on it cannot do, one sentence each.
        crop: How faces are cut out of photos for a network trained on it; None is as the recipe
            says.
    """

    labels: tuple[str, ...]
    train: Examples
    val: Examples
    test: Examples | None
    content_hash: str
    rule: str = "labels as given"
    about: Mapping[str, Any] = field(default_factory=dict)
    limits: tuple[str, ...] = ()
    crop: CropRule | None = None

    def __post_init__(self) -> None:
        n = int(self.val.clear.sum())
        if not len(self.train) or not n:
            raise TrainingError(
                f"There are {len(self.train)} faces to train on and {n} to validate "
                "with; both are needed. Split the data set first."
            )
        if self.test is not None and not self.test.clear.any():
            object.__setattr__(self, "test", None)
        if len(self.labels) < 2:
            raise TrainingError(
                f"There is only the label {', '.join(self.labels) or '-'}; a network needs two at "
                "least."
            )

    def check_labels(self) -> None:
        """Check that every label has faces to train on.

        Raises:
            TrainingError: One has none; the message names it.
        """
        counts = self.train.targets.sum(axis=0)
        check_trained([name for name, n in zip(self.labels, counts, strict=True) if not n])


def check_trained(missing: Sequence[str]) -> None:
    """Check that no label is without faces to train on.

    Raises:
        TrainingError: There are some; the message names them.
    """
    if missing:
        raise TrainingError(
            f"No face to train on is labelled {', '.join(missing)}. Add some, or leave the "
            "label out."
        )


def label_prior(targets: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the share of each label, float64 (k,), never quite 0."""
    shares = targets.mean(axis=0, dtype=np.float64)
    return np.asarray(np.maximum(shares / shares.sum(), NEVER_SEEN), np.float64)


def class_weights(targets: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a weight per face, float32 (n,), mean 1: n / (k · faces of its label)."""
    counts = targets.sum(axis=0)
    per_class = len(targets) / (np.count_nonzero(counts) * np.maximum(counts, 1e-9))
    return np.asarray(targets @ np.where(counts > 0, per_class, 0), np.float32)


def smooth(targets: NDArray[np.float32], share: float) -> NDArray[np.float32]:
    """Return the targets with a share of each spread over all labels (Szegedy et al. 2015,
    arXiv 1512.00567)."""
    return np.asarray(targets * (1 - share) + share / targets.shape[1], np.float32)
