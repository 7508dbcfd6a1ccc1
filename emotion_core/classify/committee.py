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

    Raises:
        CardMismatch: There are no members, or a soft vote over different labels is asked for.
    """

    members: tuple[Classifier, ...]
    vote: str = "soft"
    threshold: float = 0.0

    def __post_init__(self) -> None:
        if not self.members:
            raise CardMismatch("A committee needs at least one member.")
        if self.vote not in VOTES:
            raise CardMismatch(f"A committee votes 'soft' or 'hard', not {self.vote!r}.")
        if self.vote == "soft":
            check_same_labels([LabelSet(member.card.labels) for member in self.members])

    @property
    def id(self) -> str:
        """The members' ids and the rule, such as `soft(vgg-s,vgg-xs)`."""
        return f"{self.vote}({','.join(member.card.id for member in self.members)})"

    @property
    def labels(self) -> LabelSet:
        """The leader's labels."""
        return LabelSet(self.members[0].card.labels)

    def fuse(self, scores: Sequence[Scores]) -> Vote:
        """Vote over one `Scores` per member."""
        return soft_vote(scores) if self.vote == "soft" else hard_vote(scores)
