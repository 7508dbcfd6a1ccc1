"""Benchmarks on given crops: FER2013 by the votes of FER+ and by its own labels."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .. import metrics
from ..affect import COORDINATES, affect_from_scores
from ..classify import Recognizer
from ..datasets.fer2013 import (
    EMOTIONS,
    VotedFaces,
    emotion_targets,
    load_arrays,
    majority_labels,
    subtle_labels,
    validation_faces,
)
from ..errors import CardMismatch, InputError
from ..labels import FER2013, LabelSet
from ..texts import say
from ..types import Scores, leading
from ..voting import Vote
from .contract import (
    Benchmark,
    OnProgress,
    among,
    among_or_none,
    mean_recall,
    networks_of,
    share,
    votes_of,
)

#: Faces that are read between two steps of the progress.
_PART = 512


def ferplus(
    data: Path, recognizers: Sequence[Recognizer], split: str, on_progress: OnProgress | None
) -> Benchmark:
    """Measure by the votes of FER+: the majority rule of its authors over eight emotions.

    Args:
        data: An `.npz` as `datasets.fer2013.load_arrays` reads it.
        recognizers: Models and committees that answer the eight emotions.
        split: `val` (the public test, without copies of test pictures) or `test`.
        on_progress: Called with (faces read, faces in all).

    Raises:
        BadTable: The file is not such a set.
        InputError: The split has no faces, or none with votes.
        CardMismatch: A model takes other pictures.
    """
    faces = faces_of(data, split)
    targets, truth = emotion_targets(faces.votes), majority_labels(faces.votes)
    subtle = subtle_labels(faces.votes)
    is_clear, is_voted, is_subtle = truth >= 0, targets.any(axis=1), subtle >= 0
    if not is_clear.any():
        raise InputError(say("error.benchmark_empty", name=data.name, split=split))
    plurality = targets.argmax(axis=1)
    rows: list[dict[str, Any]] = []
    for row, vote in read_votes(faces, recognizers, on_progress):
        probs = among(vote, EMOTIONS)
        answer, clear = leading(probs), probs[is_clear]
        mean, high = metrics.calibration_error_by_chance(clear)
        rows.append(
            {
                **row,
                **share(answer[is_clear] == truth[is_clear], "accuracy"),
                **mean_recall(clear, truth[is_clear]),
                **share(answer[is_subtle] == subtle[is_subtle], "subtle"),
                "ece": metrics.expected_calibration_error(clear, truth[is_clear]),
                "ece_by_chance": mean,
                "ece_by_chance_p95": high,
                "plurality_accuracy": metrics.accuracy(probs[is_voted], plurality[is_voted]),
                "plurality_ece": metrics.expected_calibration_error(
                    probs[is_voted], plurality[is_voted]
                ),
                "nll": metrics.negative_log_likelihood(probs[is_voted], targets[is_voted]),
                "brier": metrics.brier_score(probs[is_voted], targets[is_voted]),
                **_affect_figures(probs[is_voted], targets[is_voted]),
            }
        )
    n = {"faces": int(is_clear.sum()), "subtle": int(is_subtle.sum())}
    n |= {"plurality": int(is_voted.sum())}
    return Benchmark("ferplus", say("benchmark.ferplus"), n, pd.DataFrame(rows), split)


def _affect_figures(probs: NDArray[np.float32], targets: NDArray[np.float32]) -> dict[str, float]:
    """Return how near valence and arousal come to those of the votes, in both coordinate systems.

    Both are means of the emotions' points, weighted by answers and by votes; nobody judged valence
    or arousal itself.
    """
    found: dict[str, float] = {}
    for system in COORDINATES:
        answered, voted = (
            affect_from_scores(Scores(one, LabelSet(EMOTIONS)), system=system)
            for one in (probs, targets)
        )
        for name in ("valence", "arousal"):
            estimate, truth = getattr(answered, name), getattr(voted, name)
            found[f"{name}_ccc_{system}"] = metrics.concordance(estimate, truth)
            found[f"{name}_mae_{system}"] = float(np.abs(estimate - truth).mean())
    return found


def fer2013(
    data: Path, recognizers: Sequence[Recognizer], split: str, on_progress: OnProgress | None
) -> Benchmark:
    """Measure by FER2013's own labels; contempt, which they do not have, is left out of answers.

    Args, Raises: As `ferplus`.
    """
    faces = faces_of(data, split)
    truth = faces.labels.astype(np.int64)
    rows: list[dict[str, Any]] = []
    for row, vote in read_votes(faces, recognizers, on_progress):
        probs = among_or_none(vote, FER2013)
        rows.append(
            {
                **row,
                **share(probs.argmax(axis=1) == truth, "accuracy"),
                **mean_recall(probs, truth),
                "ece": metrics.expected_calibration_error(probs, truth),
            }
        )
    n = {"faces": len(faces)}
    return Benchmark("fer2013", say("benchmark.fer2013"), n, pd.DataFrame(rows), split)


def faces_of(data: Path, split: str) -> VotedFaces:
    """Return the faces of a split; the public test, `val`, without copies of test pictures.

    Raises:
        BadTable: The file is not such a set.
        InputError: The split has no faces.
    """
    faces = load_arrays(data)
    faces = validation_faces(faces) if split == "val" else faces.split(split)
    if not len(faces):
        raise InputError(say("error.benchmark_empty", name=data.name, split=split))
    return faces


def read_votes(
    faces: VotedFaces, recognizers: Sequence[Recognizer], on_progress: OnProgress | None
) -> Iterator[tuple[dict[str, Any], Vote]]:
    """Let every network read the faces once each way; yield what `votes_of` does.

    Raises:
        CardMismatch: A model takes other pictures.
    """
    crops = faces.images[..., None]
    networks = networks_of(recognizers)
    for name, network in networks.items():
        rule = network.card.crop
        if (rule.side_px, rule.channels) != crops.shape[2:]:
            raise CardMismatch(say("error.benchmark_input", id=name, px=rule.side_px))
    total, done = len(networks) * len(crops), 0
    read: dict[tuple[str, bool], Scores] = {}
    for name, network in networks.items():
        parts: list[tuple[Scores, Scores]] = []
        for start in range(0, len(crops), _PART):
            parts.append(network.classify_both(crops[start : start + _PART]))
            done += len(parts[-1][0])
            if on_progress:
                on_progress(done, total)
        for flip, held in zip((False, True), zip(*parts, strict=True), strict=True):
            read[name, flip] = Scores(np.concatenate([one.probs for one in held]), held[0].labels)
    yield from votes_of(recognizers, read)
