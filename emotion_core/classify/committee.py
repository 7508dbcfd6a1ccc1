"""Several classifiers that answer as one."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ..calibration import scale_temperature
from ..errors import CardMismatch
from ..labels import LabelSet
from ..types import Scores
from ..voting import Vote, check_same_labels, hard_vote, soft_vote
from .contract import Classifier

VOTES = ("soft", "hard")
#: Under this share of the votes a hard vote abstains.
_HALF = 0.5


@dataclass(frozen=True)
class Calibration:
    """What makes a soft vote as sure as it is right, fitted on validation.

    The mean of calibrated members is too unsure: where they differ, it is flatter than each.

    Attributes:
        temperature: Divides the logarithms of the mean probabilities.
        threshold: Under this confidence the committee abstains.

    Raises:
        CardMismatch: One of them is impossible.
    """

    temperature: float
    threshold: float

    def __post_init__(self) -> None:
        if not (0 < self.temperature < math.inf and 0 <= self.threshold <= 1):
            raise CardMismatch(
                f"A committee has temperature {self.temperature} and threshold {self.threshold}; "
                "they have to be above 0 and within 0..1."
            )


@dataclass(frozen=True)
class Committee:
    """Members that vote, the leader first.

    Attributes:
        members: The classifiers.
        vote: `soft` averages probabilities and needs equal labels; `hard` counts votes.
        weights: How much each member counts in a soft vote; none = alike.
        calibration: Of a soft vote without weights, by prior; empty where nobody fitted it.

    Raises:
        CardMismatch: There are no members, a soft vote over different labels is asked for, or the
            weights do not fit the members.
    """

    members: tuple[Classifier, ...]
    vote: str = "soft"
    weights: tuple[float, ...] = ()
    calibration: Mapping[str, Calibration] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.members:
            raise CardMismatch("A committee needs at least one member.")
        if self.vote not in VOTES:
            raise CardMismatch(f"A committee votes 'soft' or 'hard', not {self.vote!r}.")
        if self.weights and (
            self.vote != "soft"
            or len(self.weights) != len(self.members)
            or not 0 < sum(self.weights) < math.inf
            or min(self.weights) < 0
        ):
            raise CardMismatch(
                f"The weights {list(self.weights)} do not fit a {self.vote} vote of "
                f"{len(self.members)} members: a soft vote takes one for each, 0 or more."
            )
        if self.vote == "soft":
            check_same_labels([LabelSet(member.card.labels) for member in self.members])

    @property
    def id(self) -> str:
        """The members' ids and the rule, such as `soft(vgg-s,vgg-xs)`."""
        names = [member.card.id for member in self.members]
        if self.weights:
            pairs = zip(self.weights, names, strict=True)
            names = [f"{weight:.3g}*{name}" for weight, name in pairs]
        return f"{self.vote}({','.join(names)})"

    @property
    def labels(self) -> LabelSet:
        """The leader's labels."""
        return LabelSet(self.members[0].card.labels)

    @property
    def prior(self) -> str:
        """The leader's; all members are loaded at one."""
        return self.members[0].prior

    @property
    def threshold(self) -> float:
        """Of its calibration; without one the leader's, and half of the votes in a hard vote."""
        if self._fitted is not None:
            return self._fitted.threshold
        return self.members[0].threshold if self.vote == "soft" else _HALF

    @property
    def _fitted(self) -> Calibration | None:
        """What holds at its prior; with weights it is another vote, which nobody fitted."""
        is_plain = self.vote == "soft" and not self.weights
        return self.calibration.get(self.prior) if is_plain else None

    def at_prior(self, prior: str) -> "Committee":
        """Return the same committee that reads at a prior, one of `cards.PRIORS`.

        Raises:
            CardMismatch: There is no such prior.
        """
        return replace(self, members=tuple(member.at_prior(prior) for member in self.members))

    @property
    def vote_temperature(self) -> float | None:
        """The temperature of a soft vote besides the members' own, or None."""
        return None if self._fitted is None else self._fitted.temperature

    def fuse(self, scores: Sequence[Scores]) -> Vote:
        """Vote over one `Scores` per member, read at the committee's prior."""
        if self.vote == "hard":
            return hard_vote(scores)
        vote = soft_vote(scores, self.weights)
        if self._fitted is None:
            return vote
        probs = scale_temperature(vote.scores.probs, self._fitted.temperature)
        highest = np.asarray(probs.max(axis=1, initial=0.0), np.float32)
        return replace(vote, scores=replace(vote.scores, probs=probs), confidence=highest)
