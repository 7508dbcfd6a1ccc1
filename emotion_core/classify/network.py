"""What all networks with a card share: calibration, the mirror image, labels from points."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ..affect import scores_from_affect
from ..calibration import balance, scale_temperature
from ..cards import PRIORS, Card
from ..errors import BadArgument, CardMismatch
from ..labels import LabelSet
from ..types import Affect, Scores
from ..voting import Vote, soft_vote


def balanced_scores(scores: Scores, card: Card) -> Scores:
    """Return calibrated scores of a model at the balanced prior.

    They stay as they are where its card does not know how frequent the labels were in training.
    """
    if not card.prior:
        return scores
    return replace(scores, probs=balance(scores.probs, np.array(card.prior)))


class NetworkClassifier(ABC):
    """One network with its card, and a committee of one; a runtime fills in `_run`.

    Args:
        card: Its card.
    """

    def __init__(self, card: Card) -> None:
        self._card = card
        self._prior = "data"

    def at_prior(self, prior: str) -> Self:
        """Return the same network that reads at a prior, one of `cards.PRIORS`.

        Raises:
            CardMismatch: There is no such prior.
        """
        if prior not in PRIORS:
            raise CardMismatch(f"There is no prior {prior!r}. Choose one of: {', '.join(PRIORS)}.")
        other = copy.copy(self)
        other._prior = prior
        return other

    @property
    def prior(self) -> str:
        """How frequent it takes the labels for, one of `cards.PRIORS`.

        Without shares in its card it can only answer as it learned.
        """
        return self._prior if self._card.prior else "data"

    @property
    def card(self) -> Card:
        """The model's card."""
        return self._card

    @property
    def id(self) -> str:
        """The card's id."""
        return self._card.id

    @property
    def labels(self) -> LabelSet:
        """The card's labels."""
        return LabelSet(self._card.labels)

    @property
    def threshold(self) -> float:
        """The card's threshold at its prior."""
        is_tilted = self._prior == "balanced" and self._card.prior
        return self._card.balanced_threshold if is_tilted else self._card.threshold

    @property
    def members(self) -> Sequence["NetworkClassifier"]:
        """The model itself: a committee of one."""
        return (self,)

    @property
    def vote_temperature(self) -> None:
        """None: there is no vote."""
        return

    def fuse(self, scores: Sequence[Scores]) -> Vote:
        """Return the only member's scores as the vote."""
        return soft_vote(scores)

    def classify(self, crops: NDArray[np.uint8], *, flip: bool = False) -> Scores:
        """Return calibrated scores, (n, k), for crops uint8 (n, side, side, channels).

        They hold valence and arousal where the network answers them. A network that answers
        nothing else has its labels read from these, `affect.scores_from_affect`.

        With `flip`, all is the mean over each crop and its mirror image.

        Raises:
            BadArgument: The crops are not of the card's side and channels.
        """
        self._check_crops(crops)
        answers = self._run(crops)
        return self._scores(self._with_mirror(answers, crops) if flip else answers)

    def classify_both(self, crops: NDArray[np.uint8]) -> tuple[Scores, Scores]:
        """Return what `classify` does, without and with `flip`, having looked at each crop once.

        Raises:
            BadArgument: The crops are not of the card's side and channels.
        """
        self._check_crops(crops)
        answers = self._run(crops)
        return self._scores(answers), self._scores(self._with_mirror(answers, crops))

    def _check_crops(self, crops: NDArray[np.uint8]) -> None:
        rule = self._card.crop
        if crops.shape[1:] != (rule.side_px, rule.side_px, rule.channels):
            raise BadArgument(
                f"{self.id} takes crops (n, {rule.side_px}, {rule.side_px}, {rule.channels}), "
                f"got {crops.shape}."
            )

    def _with_mirror(
        self, answers: list[NDArray[np.float32]], crops: NDArray[np.uint8]
    ) -> list[NDArray[np.float32]]:
        """Return the mean of what was answered to crops and what is to their mirror images."""
        pairs = zip(answers, self._run(crops[:, :, ::-1]), strict=True)
        return [np.mean(pair, axis=0, dtype=np.float32) for pair in pairs]

    def _scores(self, answers: list[NDArray[np.float32]]) -> Scores:
        """Return calibrated scores from what the outputs answer."""
        named = dict(zip(self._card.outputs, answers, strict=True))
        affect = None
        if "affect" in named:
            affect = Affect(*np.clip(named["affect"], -1, 1).T)
        if affect is not None and "emotion" not in named:
            read = scores_from_affect(affect, self.labels, system=self._card.coordinates)
            named["emotion"] = read.probs
        probs = scale_temperature(named["emotion"], self._card.temperature)
        scores = Scores(probs, self.labels, affect)
        return balanced_scores(scores, self._card) if self._prior == "balanced" else scores

    @property
    def _widths(self) -> list[int]:
        """How many numbers each output has, by the card."""
        return [2 if name == "affect" else len(self._card.labels) for name in self._card.outputs]

    @abstractmethod
    def _run(self, crops: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        """Return what each output answers, float32 (n, width)."""
