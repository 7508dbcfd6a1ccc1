"""Models measured on labelled data sets, and their answers on unlabelled ones."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .. import calibration, metrics
from ..affect import affect_of
from ..classify import Committee, Recognizer, measure_latency
from ..datasets.cleaning import clean_rows, kept_rows, split_cleaned
from ..datasets.outputs import removed_counts
from ..datasets.splits import TEST, TRAIN, VAL
from ..errors import InputError
from ..labels import UNCERTAIN, LabelSet, class_ids
from ..texts import say
from ..types import leading
from ..voting import Vote
from .faces import read_both_ways, read_probs
from .index import OnProgress, check_readable, load_index, load_unlabelled
from .store import Dataset
from .teachers import learned_here

ALL, SPLITS = "all", (TRAIN, VAL, TEST)


@dataclass(frozen=True)
class Evaluation:
    """How a model or a committee did on a data set.

    Attributes:
        model: Its id.
        labels: The labels of its answers.
        split: Which rows: `train`, `val`, `test` or `all`.
        prior: At which it read, one of `cards.PRIORS`.
        left_out: Rows whose label the model does not know, by label.
        removed: Pictures of the data set, whatever their split, that are not measured: unreadable,
            copies, conflicting labels and what else its recipe leaves out, by reason.
        plain: Figures without, as `metrics.figures` gives them.
        with_flip: Figures with the mirror image beside each face.
        confusion: int64 (k, k), row = label, column = answer; without the mirror image.
        members: Accuracy of each member by its id; of a committee.
        weights: How much each member counts, where they were fitted or given.
        learned_here: Ids of those that were trained on the data set, one of the
            studio's or FER2013 with the votes of FER+.
        latency_ms: Median time for one face, by the id of each network that is asked.
        table: A row per picture: `path`, `truth`, `label`, `confidence`, `valence` and `arousal`,
            -1 to 1, and `prob_<label>`.
    """

    model: str
    labels: tuple[str, ...]
    split: str
    prior: str
    left_out: dict[str, int]
    removed: dict[str, int]
    plain: dict[str, Any]
    with_flip: dict[str, Any]
    confusion: NDArray[np.int64]
    members: dict[str, float]
    weights: dict[str, float]
    learned_here: list[str]
    latency_ms: dict[str, float]
    table: pd.DataFrame

    @property
    def gain(self) -> float:
        """How much more often a committee is right than its best member; 0 for one model."""
        best = max(self.members.values(), default=self.plain["accuracy"])
        return round(float(self.plain["accuracy"]) - best, 4)

    def as_dict(self) -> dict[str, Any]:
        """Return the figures as plain values for JSON; the table is left out."""
        return {
            "model": self.model,
            "labels": list(self.labels),
            "split": self.split,
            "prior": self.prior,
            "left_out": self.left_out,
            "removed": self.removed,
            "plain": self.plain,
            "with_flip": self.with_flip,
            "confusion": self.confusion.tolist(),
            "members": self.members,
            "weights": self.weights,
            "learned_here": self.learned_here,
            "latency_ms": self.latency_ms,
            "gain": self.gain,
        }


def evaluate(
    dataset: Dataset,
    recognizer: Recognizer,
    *,
    split: str = ALL,
    fit_on: str = "",
    on_progress: OnProgress | None = None,
) -> Evaluation:
    """Measure a model or a committee on the labelled pictures of a data set.

    The data set's own recipe cleans and splits it first.

    Args:
        dataset: Measured before.
        recognizer: Who reads.
        split: `train`, `val`, `test` or `all`.
        fit_on: The split on which the weights of a committee are fitted first, `val`; not the one
            that is measured. Empty leaves them as they are.
        on_progress: Called after some pictures each.

    Raises:
        InputError: No picture of the split has a label that the model knows; or weights would be
            fitted on what is measured, or for something that has none.
        BadTable: The data set cannot be split.
    """
    if fit_on:
        recognizer = _weighted(dataset, recognizer, split, fit_on, on_progress)
    rows, left_out, removed = _known(dataset, recognizer, split)
    labels = recognizer.labels
    with closing(dataset.open()) as source:
        paths = rows["path"].tolist()
        scores = read_both_ways(source, paths, recognizer.members, on_progress=on_progress)
    truth = class_ids(rows["label"], labels)
    plain, flipped = (recognizer.fuse([one[way] for one in scores]) for way in range(2))
    members = {
        member.card.id: _accuracy_of(one[0].probs, LabelSet(member.card.labels), rows["label"])
        for member, one in zip(recognizer.members, scores, strict=True)
    }
    return Evaluation(
        model=recognizer.id,
        labels=labels.names,
        split=split,
        prior=recognizer.prior,
        left_out=left_out,
        removed=removed,
        plain=_figures(plain, truth, labels),
        with_flip=_figures(flipped, truth, labels),
        confusion=metrics.confusion_matrix(plain.as_probs(), truth),
        members=members if len(members) > 1 else {},
        weights=_weights_of(recognizer),
        learned_here=learned_here(dataset, [member.card for member in recognizer.members]),
        latency_ms={
            member.card.id: measure_latency(member)["median_ms"] for member in recognizer.members
        },
        table=_table(rows, plain, labels),
    )


def submission(
    dataset: Dataset,
    recognizer: Recognizer,
    *,
    order: Sequence[str] = (),
    flip: bool = False,
    threshold: float = 0.0,
    on_progress: OnProgress | None = None,
) -> pd.DataFrame:
    """Return what a model says of the unlabelled pictures of a data set, for a competition.

    Args:
        dataset: Measured before; its pictures without a label are read.
        recognizer: Who reads; its own threshold has no meaning here.
        order: Names of the pictures in the order that is wanted; without it, by number.
        flip: Whether the mean over each face and its mirror image is taken.
        threshold: Under this confidence the answer is `uncertain`; as it comes, only where no
            label leads.
        on_progress: Called after some pictures each.

    Returns:
        Columns `image_path`, the picture's bare name, and `emotion`.

    Raises:
        InputError: No picture is without a label, two of them bear one name, one of `order` is not
            among them, or one that is wanted cannot be read: a submission has to have them all.
    """
    rows = load_unlabelled(dataset)
    names = rows["path"].map(lambda path: PurePosixPath(path).name)
    if names.duplicated().any():
        name = names[names.duplicated()].iloc[0]
        raise InputError(say("error.submission_twice", name=name))
    by_name = dict(zip(names, rows["path"], strict=True))
    wanted = list(order) or sorted(by_name, key=_by_number)
    if not by_name:
        raise InputError(say("error.no_unlabelled_rows", name=dataset.name))
    missing = [name for name in wanted if name not in by_name]
    if missing:
        raise InputError(say("error.submission_order", n=len(missing), name=missing[0]))
    paths = [by_name[name] for name in wanted]
    broken = rows[rows["path"].isin(paths) & ~rows["is_readable"]]
    if len(broken):
        path = broken["path"].iloc[0]
        raise InputError(say("error.submission_unreadable", n=len(broken), path=path))
    with closing(dataset.open()) as source:
        scores = read_probs(source, paths, recognizer.members, flip=flip, on_progress=on_progress)
    vote = recognizer.fuse(scores)
    labels = np.array(recognizer.labels.names, object)
    is_open = (vote.confidence < threshold) | vote.scores.is_flat
    answers = np.where(is_open, UNCERTAIN, labels[vote.class_id])
    return pd.DataFrame({"image_path": wanted, "emotion": answers})


def _known(
    dataset: Dataset, recognizer: Recognizer, split: str
) -> tuple[pd.DataFrame, dict[str, int], dict[str, int]]:
    """Return the rows whose label a model knows, how many are left out by label, and how many the
    data set's recipe leaves out by reason."""
    rows, removed = _labelled(dataset, split)
    is_known = rows["label"].isin(recognizer.labels.names)
    left_out = rows.loc[~is_known, "label"].value_counts().to_dict()
    rows = rows[is_known].reset_index(drop=True)
    if rows.empty:
        names = ", ".join(recognizer.labels)
        raise InputError(
            say("error.no_evaluation_rows", name=dataset.name, split=split, labels=names)
        )
    return rows, {str(name): int(n) for name, n in left_out.items()}, removed


def _weighted(
    dataset: Dataset,
    recognizer: Recognizer,
    split: str,
    fit_on: str,
    on_progress: OnProgress | None,
) -> Committee:
    """Return a committee with the weights under which its answers on a split are likeliest."""
    if not isinstance(recognizer, Committee) or recognizer.vote != "soft":
        raise InputError(say("error.weights_of_what", name=recognizer.id))
    if fit_on in (split, ALL) or split == ALL:
        raise InputError(say("error.weights_where", split=split, fit_on=fit_on))
    rows, _, _ = _known(dataset, recognizer, fit_on)
    with closing(dataset.open()) as source:
        paths = rows["path"].tolist()
        scores = read_probs(source, paths, recognizer.members, on_progress=on_progress)
    truth = class_ids(rows["label"], recognizer.labels)
    weights = calibration.fit_mixture([one.probs for one in scores], truth)
    return replace(recognizer, weights=tuple(round(float(one), 4) for one in weights))


def _weights_of(recognizer: Recognizer) -> dict[str, float]:
    if not isinstance(recognizer, Committee) or not recognizer.weights:
        return {}
    names = [member.card.id for member in recognizer.members]
    return dict(zip(names, recognizer.weights, strict=True))


def _labelled(dataset: Dataset, split: str) -> tuple[pd.DataFrame, dict[str, int]]:
    if split not in (*SPLITS, ALL):
        raise InputError(say("error.no_such_split", split=split, names=", ".join((*SPLITS, ALL))))
    recipe = dataset.recipe()
    table = clean_rows(recipe, load_index(dataset))
    check_readable(dataset, table)
    if split != ALL:
        table = split_cleaned(table, recipe.split)
    kept = kept_rows(table)
    rows = kept if split == ALL else kept[kept["split"] == split]
    removed, taught = removed_counts(table), kept["by_model"]
    if taught.any():  # what a model said is no truth to measure one by
        removed["labelled by a model"] = int(taught.sum())
    return rows[~rows["by_model"]], removed


def _figures(vote: Vote, truth: NDArray[np.int64], labels: LabelSet) -> dict[str, Any]:
    targets = np.eye(len(labels), dtype=np.float32)[truth]
    return metrics.figures(vote.as_probs(), targets, np.ones(len(truth), bool), labels.names)


def _accuracy_of(probs: NDArray[np.float32], labels: LabelSet, truth: pd.Series) -> float:
    answered = np.array([*labels.names, UNCERTAIN], object)[leading(probs)]
    return round(float((answered == truth.to_numpy(object)).mean()), 6)


def _table(rows: pd.DataFrame, vote: Vote, labels: LabelSet) -> pd.DataFrame:
    names = np.array(labels.names, object)
    answers = np.where(vote.scores.is_flat, UNCERTAIN, names[vote.class_id])
    table = pd.DataFrame({"path": rows["path"], "truth": rows["label"]})
    table["label"], table["confidence"] = answers, vote.confidence
    affect = affect_of(vote.scores)
    table["valence"], table["arousal"] = affect.valence, affect.arousal
    for column, name in enumerate(labels):
        table[f"prob_{name}"] = vote.scores.probs[:, column]
    return table


def _by_number(name: str) -> tuple[int, str]:
    stem = PurePosixPath(name).stem
    return (int(stem), name) if stem.isdecimal() else (1 << 60, name)
