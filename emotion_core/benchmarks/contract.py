"""What a benchmark gives."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .. import metrics
from ..classify import Classifier, Recognizer, balanced_scores
from ..labels import canonical_name
from ..types import Scores
from ..voting import Vote
from .peers import PEERS

OnProgress = Callable[[int, int], None]


@dataclass(frozen=True)
class Benchmark:
    """How models did on data that everybody can name.

    Attributes:
        name: A key of `BENCHMARKS`.
        rule: What counts as right, in words.
        n: How many faces each figure is about.
        table: A row per model, prior and mirror image: `model`, `prior`, `mirrored`, then figures.
        split: `val` or `test`; what has one part only is for testing.
    """

    name: str
    rule: str
    n: dict[str, int]
    table: pd.DataFrame
    split: str = "test"

    @property
    def peers(self) -> pd.DataFrame:
        """What others reach on the same faces: `model`, figures and `source`.

        They were measured on test faces alone; for validation there are none.
        """
        return PEERS[self.name] if self.split == "test" else PEERS[self.name].iloc[:0]

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain values for JSON."""
        return {
            "name": self.name,
            "split": self.split,
            "rule": self.rule,
            "n": self.n,
            "rows": _records(self.table),
            "peers": _records(self.peers),
        }

    def of(self, model: str) -> dict[str, Any]:
        """Return what a card keeps of it: the rows of one model."""
        rows = self.table[self.table["model"] == model].drop(columns="model")
        return {"rule": self.rule, "n": self.n, "rows": _records(rows)}


#: Runs one benchmark: data, models, split where it has several, progress.
Run = Callable[[Path, Sequence[Recognizer], str, OnProgress | None], Benchmark]


def networks_of(recognizers: Sequence[Recognizer]) -> dict[str, Classifier]:
    """Return the networks that are asked, by id; one that several ask stands once."""
    return {member.card.id: member for one in recognizers for member in one.members}


def votes_of(
    recognizers: Sequence[Recognizer], read: Mapping[tuple[str, bool], Scores]
) -> Iterator[tuple[dict[str, Any], Vote]]:
    """Yield how a row of the table begins, and what a recogniser says there: at both priors,
    without and with the mirror image.

    Args:
        recognizers: Models and committees.
        read: What each network says at the data's prior, by id and mirror image.
    """
    for recognizer in recognizers:
        cards = [member.card for member in recognizer.members]
        for flip in (False, True):
            plain = [read[card.id, flip] for card in cards]
            tilted = [balanced_scores(one, card) for one, card in zip(plain, cards, strict=True)]
            for prior, scores in (("data", plain), ("balanced", tilted)):
                row = {"model": recognizer.id, "prior": prior, "mirrored": flip}
                yield row, recognizer.at_prior(prior).fuse(scores)


def among_or_none(vote: Vote, labels: Sequence[str]) -> NDArray[np.float32]:
    """Return what `among` does, and a last column, float32 (n, k + 1): 1 where the answer is none
    of the labels, since no label leads or another one is all that was thought of, else 0."""
    probs = among(vote, labels)
    probs[vote.scores.is_flat] = 0
    return np.column_stack([probs, ~probs.any(axis=1)]).astype(np.float32)


def among(vote: Vote, labels: Sequence[str]) -> NDArray[np.float32]:
    """Return probabilities of some labels alone, float32 (n, k), each row summing to 1.

    A label that the model does not know gets 0.
    """
    own = [canonical_name(name) or name for name in vote.scores.labels]
    columns = [own.index(name) if name in own else -1 for name in labels]
    probs = vote.as_probs()
    chosen = np.stack(
        [probs[:, c] if c >= 0 else np.zeros(len(probs), np.float32) for c in columns], axis=1
    )
    return np.asarray(chosen / np.maximum(chosen.sum(axis=1, keepdims=True), 1e-12), np.float32)


def share(hit: NDArray[np.bool_], name: str) -> dict[str, float]:
    """Return a share and its 95 % interval (Wilson), in columns that begin with `name`."""
    low, high = metrics.wilson_interval(int(hit.sum()), len(hit))
    value = float(hit.mean()) if len(hit) else float("nan")
    return {name: value, f"{name}_low": low, f"{name}_high": high}


def mean_recall(probs: NDArray[np.float32], truth: NDArray[np.int64]) -> dict[str, float]:
    """Return the mean recall over the classes that occur, and its 95 % interval."""
    recall = metrics.recalls(probs, truth)
    counts = np.bincount(truth, minlength=len(recall))
    low, high = metrics.mean_recall_interval(recall, counts)
    value = metrics.mean_recall(probs, truth)
    return {"mean_recall": value, "mean_recall_low": low, "mean_recall_high": high}


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [
        {str(key): _plain(value) for key, value in row.items() if value == value}
        for row in table.to_dict("records")
    ]


def _plain(value: Any) -> Any:
    if isinstance(value, float | np.floating):
        return round(float(value), 6)
    return value.item() if isinstance(value, np.generic) else value
