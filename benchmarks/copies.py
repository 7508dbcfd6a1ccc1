"""What copies are worth: FER2013's own test, for a network that remembers its training faces.

    python -m benchmarks.copies --data fer2013.npz [--model fer2013-l] [--split val|test]

Some test pictures are, byte for byte, in FER2013's training split as it is published. The shipped
models learn from none of them; a network that learned from all of the split has seen them with a
label. "Copies remembered" is the accuracy that the model would have if it gave those labels back.

Others have a near copy there, by the rule of the studio's duplicates: cut, compressed or lit a
little otherwise. The models have learned from these; the last figures leave them out, too.
"""

import argparse
from collections import defaultdict
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from emotion_core.datasets.duplicates import find_groups
from emotion_core.datasets.fer2013 import EMOTIONS, VotedFaces, load_arrays, majority_labels
from emotion_core.datasets.measures import content_hash, measure_picture
from emotion_core.labels import FER2013
from emotion_core.metrics import wilson_interval
from emotion_core.registry import load_model


def remembered(faces: VotedFaces, split: VotedFaces) -> NDArray[np.int64]:
    """Return the label that the copies in the training split bear, or -1; int64 (n,)."""
    seen: dict[bytes, list[int]] = defaultdict(list)
    train = faces.split("train")
    for image, label in zip(train.images, train.labels, strict=True):
        seen[image.tobytes()].append(int(label))
    labels = [seen.get(image.tobytes(), []) for image in split.images]
    return np.array([np.bincount(one).argmax() if one else -1 for one in labels])


def resembling(faces: VotedFaces, split: VotedFaces) -> NDArray[np.bool_]:
    """Return which faces have a copy or a near copy in the training split; bool (n,)."""
    train = faces.split("train").images
    everything = np.concatenate([train, split.images])
    table = pd.DataFrame([measure_picture(np.repeat(one[..., None], 3, 2)) for one in everything])
    table["sha256"] = [content_hash(one.tobytes()) for one in everything]
    table["is_readable"] = True
    group = find_groups(table)["group"]
    known = set(group[: len(train)].dropna())
    return group[len(train) :].isin(known).to_numpy()


def main() -> None:
    """Print how many copies there are and what they are worth."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default="fer2013-l")
    parser.add_argument("--split", choices=("val", "test"), default="test")
    chosen = parser.parse_args()
    faces = load_arrays(chosen.data)
    split = faces.split(chosen.split)
    model = load_model(chosen.model, prior="data")
    probs = model.classify(split.images[..., None]).probs
    columns = np.array([model.labels.index(name) for name in FER2013])
    answer, truth = probs[:, columns].argmax(axis=1), split.labels.astype(np.int64)
    known = remembered(faces, split)
    copied = known >= 0
    print(
        f"{chosen.split}, n {len(split)}: {copied.sum()} have a copy in the training split, "
        f"{(known == truth)[copied].mean():.1%} of them with its label"
    )
    rows = {
        "all": answer == truth,
        "without a copy": (answer == truth)[~copied],
        "with a copy": (answer == truth)[copied],
        "all, copies remembered": np.where(copied, known, answer) == truth,
    }
    near = resembling(faces, split)
    rows["without a near copy"] = (answer == truth)[~near]
    votes = majority_labels(split.votes)
    if tuple(model.labels) == EMOTIONS:
        told, clear = probs.argmax(axis=1), votes >= 0
        rows["by votes"] = (told == votes)[clear]
        rows["by votes, without a near copy"] = (told == votes)[clear & ~near]
    for name, right in rows.items():
        low, high = wilson_interval(int(right.sum()), len(right))
        print(f"{name:30} {right.mean():.1%} ({low:.1%} to {high:.1%}), n {len(right)}")


if __name__ == "__main__":
    main()
