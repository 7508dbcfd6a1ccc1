"""Several classifiers that answer as one."""

from collections.abc import Sequence
from dataclasses import dataclass

from ..committee import Vote, check_same_labels, hard_vote, soft_vote
from ..errors import CardMismatch
from ..labels import LabelSet
from ..types import Scores
from .contract import Classifier

VOTES = ("soft", "hard")


@dataclass(frozen=True)
class Committee:
    """Members that vote, the leader first.

    Attributes:
        members: The classifiers.
        vote: `soft` averages probabilities and needs equal labels; `hard` counts votes.
        threshold: Under this confidence the committee abstains.
        weights: How much each member counts in a soft vote; none = alike.

    Raises:
        CardMismatch: There are no members, a soft vote over different labels is asked for, or the
            weights do not fit the members.
    """

    members: tuple[Classifier, ...]
    vote: str = "soft"
    threshold: float = 0.0
    weights: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not self.members:
            raise CardMismatch("A committee needs at least one member.")
        if self.vote not in VOTES:
            raise CardMismatch(f"A committee votes 'soft' or 'hard', not {self.vote!r}.")
        if self.weights and (
            self.vote != "soft"
            or len(self.weights) != len(self.members)
            or min(self.weights) < 0
            or not sum(self.weights)
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

    def fuse(self, scores: Sequence[Scores]) -> Vote:
        """Vote over one `Scores` per member."""
        return soft_vote(scores, self.weights) if self.vote == "soft" else hard_vote(scores)
