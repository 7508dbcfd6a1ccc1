"""How often the shipped models are right on given crops of FER2013, by FER+ labels.

    python -m benchmarks.accuracy --data fer2013.npz [--split val|test]

Labels follow the majority rule of FER+ (8 emotions). The figures are of the LiteRT files as they
are shipped, calibrated, at the prior of the training data.
"""

import argparse
from pathlib import Path

from emotion_core import metrics
from emotion_core.classify import Recognizer
from emotion_core.datasets.fer2013 import VotedFaces, load_arrays, majority_labels
from emotion_core.registry import list_models, load_committee, load_model


def row(name: str, recognizer: Recognizer, faces: VotedFaces, *, flip: bool) -> str:
    """Return one line of the table."""
    truth = majority_labels(faces.votes)
    crops = faces.images[..., None]
    vote = recognizer.fuse([m.classify(crops, flip=flip) for m in recognizer.members])
    hit = vote.class_id == truth
    low, high = metrics.wilson_interval(int(hit.sum()), len(hit))
    recall = metrics.mean_recall(vote.scores.probs, truth)
    error = metrics.expected_calibration_error(vote.scores.probs, truth)
    flipped = "yes" if flip else "no"
    return (
        f"{name:24} {flipped:6} {hit.mean():7.1%} ({low:.1%} to {high:.1%}) "
        f"{recall:7.1%} {error:6.1%}"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", choices=["val", "test"], default="val")
    chosen = parser.parse_args()
    faces = load_arrays(chosen.data).split(chosen.split)
    faces = faces.rows(majority_labels(faces.votes) >= 0)
    print(f"{chosen.split}, n {len(faces)}")
    print(
        f"{'model':24} {'mirror':6} {'accuracy':>8} {'95 % interval':18} {'recall':>7} {'ECE':>6}"
    )
    asked: list[tuple[str, Recognizer]] = [
        (entry.id, load_model(entry.id)) for entry in list_models() if not entry.problem
    ]
    asked.append(("committee, soft vote", load_committee(vote="soft")))
    asked.append(("committee, hard vote", load_committee(vote="hard")))
    for name, recognizer in asked:
        for flip in (False, True):
            print(row(name, recognizer, faces, flip=flip), flush=True)


if __name__ == "__main__":
    main()
