"""What every classifier promises."""

from collections.abc import Sequence
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from ..cards import Card
from ..labels import LabelSet
from ..types import Scores
from ..voting import Vote


class Classifier(Protocol):
    """One network. It may be used from several threads; each waits for the other."""

    @property
    def card(self) -> Card:
        """Its card: labels, crop rule, calibration."""
        ...

    @property
    def prior(self) -> str:
        """How frequent it takes the labels for, one of `cards.PRIORS`."""
        ...

    @property
    def threshold(self) -> float:
        """Under this confidence it abstains where it answers alone."""
        ...

    def at_prior(self, prior: str) -> Self:
        """Return the same network that reads at a prior."""
        ...

    def classify(self, crops: NDArray[np.uint8], *, flip: bool = False) -> Scores:
        """Return calibrated scores of crops, uint8 (n, side, side, channels) by its crop rule.

        With `flip` they are the mean over each crop and its mirror image.
        """
        ...

    def classify_both(self, crops: NDArray[np.uint8]) -> tuple[Scores, Scores]:
        """Return what `classify` does, without and with `flip`, in less time than both."""
        ...


class Recognizer(Protocol):
    """One model or a committee: what the analysis works with."""

    @property
    def id(self) -> str:
        """A name for provenance."""
        ...

    @property
    def labels(self) -> LabelSet:
        """The labels of its answers."""
        ...

    @property
    def prior(self) -> str:
        """How frequent it takes the labels for, one of `cards.PRIORS`."""
        ...

    @property
    def threshold(self) -> float:
        """Under this confidence it abstains."""
        ...

    @property
    def members(self) -> Sequence[Classifier]:
        """The networks that are asked, the leader first."""
        ...

    @property
    def vote_temperature(self) -> float | None:
        """The temperature of a vote besides the networks' own, or None."""
        ...

    def at_prior(self, prior: str) -> Self:
        """Return the same recogniser that reads at a prior."""
        ...

    def fuse(self, scores: Sequence[Scores]) -> Vote:
        """Turn one `Scores` per member into one answer."""
        ...
