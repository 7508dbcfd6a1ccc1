"""How far the balanced prior should go: the figures of a model over its strength, on validation.

python -m benchmarks.prior --data fer2013.npz [--model vgg-s]
"""

import argparse
from pathlib import Path

import numpy as np

from emotion_core import metrics
from emotion_core.datasets.fer2013 import (
    emotion_targets,
    load_arrays,
    majority_labels,
    subtle_labels,
    validation_faces,
)
from emotion_core.registry import DEFAULT_MODEL, load_model

STRENGTHS = (0.0, 0.3, 0.5, 0.7, 1.0)


def main() -> None:
    """Print a row per strength."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    chosen = parser.parse_args()
    faces = validation_faces(load_arrays(chosen.data))
    model = load_model(chosen.model, prior="data")
    probs, prior = model.classify(faces.images[..., None]).probs, np.array(model.card.prior)
    truth, subtle = majority_labels(faces.votes), subtle_labels(faces.votes)
    targets = emotion_targets(faces.votes)
    clear, voted, faint = truth >= 0, targets.any(axis=1), subtle >= 0
    print(f"{model.id}, n {clear.sum()}, subtle faces n {faint.sum()}")
    print(f"{'strength':>8} {'accuracy':>9} {'recall':>7} {'subtle':>7} {'ECE':>6} {'NLL':>6}")
    for strength in STRENGTHS:
        read = metrics.balance(probs, prior, strength=strength)
        shown = (
            metrics.accuracy(read[clear], truth[clear]),
            metrics.mean_recall(read[clear], truth[clear]),
            metrics.accuracy(read[faint], subtle[faint]),
            metrics.expected_calibration_error(read[clear], truth[clear]),
        )
        accuracy, recall, found, error = (f"{one:.1%}" for one in shown)
        likelihood = metrics.negative_log_likelihood(read[voted], targets[voted])
        print(f"{strength:8} {accuracy:>9} {recall:>7} {found:>7} {error:>6} {likelihood:6.3f}")


if __name__ == "__main__":
    main()
