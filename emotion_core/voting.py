"""Votes of several models."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .errors import CardMismatch
from .labels import LabelSet, canonical_name
from .types import Affect, Scores, flat_rows

#: What the winner of a tie leads by.
_STEP = 1e-4


@dataclass(frozen=True)
class Vote:
    """The outcome of a vote over n faces.

    Attributes:
        scores: Soft vote: mean probabilities. Hard vote: shares of the votes that were cast.
            Valence and arousal are the means of the members that answer them.
        class_id: int64 (n,), who won. In a hard vote with a tie this is not simply the highest.
        confidence: float32 (n,), the winner's probability or its share of all members.
    """

    scores: Scores
    class_id: NDArray[np.int64]
    confidence: NDArray[np.float32]

    def as_probs(self) -> NDArray[np.float32]:
        """Return the shares, float32 (n, k), with the winner's the highest where a tie hid it.

        Where all are the same, they stay so: no label leads.
        """
        probs = self.scores.probs.copy()
        rows = np.arange(len(probs))
        is_hidden = (probs.argmax(axis=1) != self.class_id) & ~self.scores.is_flat
        probs[rows[is_hidden], self.class_id[is_hidden]] += _STEP
        return np.asarray(probs / probs.sum(axis=1, keepdims=True), np.float32)


def soft_vote(members: Sequence[Scores], weights: Sequence[float] = ()) -> Vote:
    """Average the probabilities of the members, and valence and arousal of those that tell them.

    Args:
        members: One `Scores` per member over the same faces.
        weights: How much each member counts, such as `calibration.fit_mixture` gives; none = alike.

    Raises:
        CardMismatch: The members do not share one label set in one order.
    """
    labels = _check_members(members)
    check_same_labels([member.labels for member in members])
    counts = np.array(list(weights) or [1.0] * len(members), np.float64)
    shares = np.stack([member.probs for member in members])
    probs = np.tensordot(counts / counts.sum(), shares, axes=1).astype(np.float32)
    class_id = probs.argmax(axis=1).astype(np.int64)
    confidence = probs.max(axis=1, initial=0.0).astype(np.float32)
    return Vote(Scores(probs, labels, _mean_affect(members, counts)), class_id, confidence)


def hard_vote(members: Sequence[Scores]) -> Vote:
    """Let each member cast one vote for its leading label.

    Labels are matched by canonical name (angry is anger); a label that the leader (the first
    member) does not know is an abstaining vote, and so is one of a member for which none leads.
    Where nobody votes, all shares are the same. The label with most votes wins; in a tie, the one
    that was named first in the order of the members, so the leader decides.

    Args:
        members: One `Scores` per member over the same faces, the leader first.

    Raises:
        CardMismatch: There are no members, or they speak of different faces.
    """
    labels = _check_members(members)
    n, k = len(members[0]), len(labels)
    known = {canonical_name(name) or name: class_id for class_id, name in enumerate(labels)}
    counts = np.zeros((n, k), np.int64)
    first_seen = np.full((n, k), len(members), np.int64)
    for turn, member in enumerate(members):
        to_leader = [known.get(canonical_name(name) or name, -1) for name in member.labels]
        chosen = np.array(to_leader)[member.probs.argmax(axis=1)] if n else np.zeros(0, int)
        chosen[member.is_flat] = -1
        rows = np.flatnonzero(chosen >= 0)
        counts[rows, chosen[rows]] += 1
        first_seen[rows, chosen[rows]] = np.minimum(first_seen[rows, chosen[rows]], turn)
    cast = counts.sum(axis=1, keepdims=True)
    # most votes first, then the earlier turn: one integer that orders both
    class_id = (counts * (len(members) + 1) - first_seen).argmax(axis=1).astype(np.int64)
    shares = np.where(cast, counts / np.maximum(cast, 1), 1 / k).astype(np.float32)
    # a tie of all labels that was cast has a winner, too, and is not as where nobody voted
    is_tie = (cast[:, 0] > 0) & flat_rows(shares)
    shares[is_tie, class_id[is_tie]] += _STEP
    shares /= shares.sum(axis=1, keepdims=True)
    confidence = (counts.max(axis=1, initial=0) / len(members)).astype(np.float32)
    alike = np.ones(len(members))
    return Vote(Scores(shares, labels, _mean_affect(members, alike)), class_id, confidence)


def check_same_labels(sets: Sequence[LabelSet]) -> None:
    """Raise `CardMismatch` unless all label sets are the same, in one order."""
    if any(labels != sets[0] for labels in sets):
        told = "; ".join(", ".join(labels) for labels in sets)
        raise CardMismatch(
            f"A soft vote needs members with the same labels in the same order, got: {told}. "
            "Take a hard vote or other members."
        )


def _mean_affect(members: Sequence[Scores], counts: NDArray[np.float64]) -> Affect | None:
    """Return the mean of those members that answer it and count, or None."""
    pairs = zip((member.affect for member in members), counts, strict=True)
    own = [(affect, count) for affect, count in pairs if affect is not None and count > 0]
    if not own:
        return None
    shares = np.array([count for _, count in own]) / sum(count for _, count in own)
    valence, arousal = (
        np.tensordot(shares, np.stack(values), axes=1).astype(np.float32)
        for values in zip(*((affect.valence, affect.arousal) for affect, _ in own), strict=True)
    )
    return Affect(valence, arousal)


def _check_members(members: Sequence[Scores]) -> LabelSet:
    if not members:
        raise CardMismatch("A committee needs at least one member.")
    if any(len(member) != len(members[0]) for member in members):
        raise CardMismatch("The members of a committee have to speak of the same faces.")
    return members[0].labels
