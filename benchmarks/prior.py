"""How far the balanced prior should go: figures over its strength.

    python -m benchmarks.prior --data fer2013.npz [--model vgg-s]
    python -m benchmarks.prior --data fer2013.npz --out-of-fold [--epochs 10]

The first reads a shipped model on validation. The second trains `vgg-xs` five times, each on four
fifths of the training faces, and reads the fifth that it never saw: less good a network, but
enough faces of the rare expressions to decide by. Finished folds are kept in the work folder.
"""

import argparse
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emotion_core import calibration, metrics
from emotion_core.datasets.fer2013 import (
    EMOTIONS,
    VotedFaces,
    clean_training_faces,
    emotion_targets,
    load_arrays,
    majority_labels,
    subtle_labels,
    validation_faces,
)
from emotion_core.registry import DEFAULT_MODEL, load_model
from emotion_core.training.crossfit import out_of_fold_probs
from emotion_core.training.recipes import changed_recipe, load_recipe

from .ablations import ALONE, BASE, folder_of

STRENGTHS = (0.0, 0.3, 0.5, 0.7, 1.0)
FOLDS = 5


@dataclass(frozen=True)
class Read:
    """Faces with votes for emotions, and what a network says of them at the data's prior, before
    its temperature and after it."""

    name: str
    faces: VotedFaces
    raw: NDArray[np.float32]
    probs: NDArray[np.float32]
    prior: NDArray[np.float64]


def read_validation(faces: VotedFaces, model_id: str) -> Read:
    """Let a shipped model read the public test."""
    faces = _voted(validation_faces(faces))
    model = load_model(model_id, prior="data")
    probs = model.classify(faces.images[..., None]).probs
    raw = calibration.scale_temperature(probs, 1 / model.card.temperature)
    return Read(f"{model.id} on validation", faces, raw, probs, np.array(model.card.prior))


def read_out_of_fold(faces: VotedFaces, epochs: int) -> Read:
    """Let networks read the training faces that they never saw."""
    faces = _voted(clean_training_faces(faces))
    targets = emotion_targets(faces.votes)
    recipe = changed_recipe(load_recipe(BASE), [*ALONE, f"stages.0.epochs={epochs}"])
    recipe = replace(recipe, name=f"out-of-fold-{epochs}")
    fold = np.empty(len(faces), np.int64)
    # dealt by chance, every label evenly; copies of a picture go where its first one goes
    order = np.lexsort((np.random.default_rng(0).random(len(faces)), targets.argmax(axis=1)))
    fold[order] = np.arange(len(faces)) % FOLDS
    pictures = faces.images.reshape(len(faces), -1)
    _, first, picture = np.unique(pictures, axis=0, return_index=True, return_inverse=True)
    fold = fold[first][picture]
    raw = out_of_fold_probs(
        recipe,
        faces.images[..., None],
        targets,
        fold,
        folder_of(recipe, faces.content_hash()),
        on_epoch=lambda done, total: print(f"epoch {done} of {total}", flush=True),
    )
    clear = majority_labels(faces.votes) >= 0
    temperature, _, _ = calibration.calibrate(raw, targets.argmax(axis=1), clear)
    probs = calibration.scale_temperature(raw, temperature)
    return Read(f"{BASE}, {epochs} epochs, out of fold", faces, raw, probs, targets.mean(axis=0))


def _voted(faces: VotedFaces) -> VotedFaces:
    return faces.rows(emotion_targets(faces.votes).any(axis=1))


def print_table(read: Read) -> None:
    """Print a row per strength."""
    votes = read.faces.votes
    truth, subtle, targets = majority_labels(votes), subtle_labels(votes), emotion_targets(votes)
    clear, faint = truth >= 0, subtle >= 0
    counts = np.bincount(truth[clear], minlength=len(EMOTIONS))
    print(f"{read.name}, n {clear.sum()}, subtle faces n {faint.sum()}; of a label " + ", ".join(
        f"{name} {n}" for name, n in zip(EMOTIONS, counts, strict=True)
    ))  # fmt: skip
    names = "accuracy", "recall", "subtle", "ECE", "NLL", "before T"
    print(f"{'strength':>8}" + "".join(f"{name:>9}" for name in names))
    for strength in STRENGTHS:
        at = calibration.balance(read.probs, read.prior, strength=strength)
        shown = (
            metrics.accuracy(at[clear], truth[clear]),
            metrics.mean_recall(at[clear], truth[clear]),
            metrics.accuracy(at[faint], subtle[faint]),
            metrics.expected_calibration_error(at[clear], truth[clear]),
        )
        before = calibration.balance(read.raw, read.prior, strength=strength)
        likelihoods = (metrics.negative_log_likelihood(one, targets) for one in (at, before))
        told = [f"{one:.1%}" for one in shown] + [f"{one:.3f}" for one in likelihoods]
        print(f"{strength:8}" + "".join(f"{one:>9}" for one in told))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--out-of-fold", action="store_true")
    parser.add_argument("--epochs", type=int, default=10)
    chosen = parser.parse_args()
    faces = load_arrays(chosen.data)
    if chosen.out_of_fold:
        print_table(read_out_of_fold(faces, chosen.epochs))
    else:
        print_table(read_validation(faces, chosen.model))


if __name__ == "__main__":
    main()
