"""Does the crop rule fit? FER2013 faces are pasted into larger pictures, found and read again.

    python -m benchmarks.crop_fit --data fer2013.npz [--split val|test] [--fit]

The accuracy end to end is set beside the accuracy on the crops as given, over the faces that were
found; misses are counted apart. `--fit` (validation only) also says which margin and shift turn
the detector's boxes into the crops they came from.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from emotion_core.analysis import find_faces
from emotion_core.classify import LiteRTClassifier
from emotion_core.crops import crop_faces
from emotion_core.datasets.fer2013 import VotedFaces, load_arrays, majority_labels
from emotion_core.faces import Detector, load_detector
from emotion_core.registry import DEFAULT_MODEL, load_model
from emotion_core.types import Image


def paste(
    face: NDArray[np.uint8], random: np.random.Generator
) -> tuple[Image, NDArray[np.float64]]:
    """Return a picture of 320 to 640 px with the face at 96 to 200 px, and the face's box."""
    height, width = random.integers(320, 481), random.integers(320, 641)
    corners = random.integers(0, 256, (2, 2, 3)).astype(np.uint8)
    ground = cv2.resize(corners, (int(width), int(height)), interpolation=cv2.INTER_LINEAR)
    side = int(random.integers(96, 201))
    left, top = int(random.integers(0, width - side)), int(random.integers(0, height - side))
    large = cv2.resize(face, (side, side), interpolation=cv2.INTER_CUBIC)
    ground[top : top + side, left : left + side] = large[..., None]
    return ground, np.array([left, top, left + side, top + side], float)


@dataclass(frozen=True)
class Fit:
    """What came out.

    Attributes:
        n: Faces that were pasted.
        missed: Share that was not found.
        given: Accuracy on the crops as given, over the faces that were found.
        found: Accuracy end to end, over the same faces.
        ratios: float (m, 3): true side, shift_x and shift_y in multiples of the box's side.
    """

    n: int
    missed: float
    given: float
    found: float
    ratios: NDArray[np.float64]


def measure(faces: VotedFaces, model: LiteRTClassifier, detector: Detector) -> Fit:
    """Paste, find and read all faces that have a majority label."""
    faces = faces.rows(majority_labels(faces.votes) >= 0)
    truth = majority_labels(faces.votes)
    random = np.random.default_rng(0)
    crops, rows, ratios = [], [], []
    for row in range(len(faces)):
        picture, box = paste(faces.images[row], random)
        seen = find_faces(picture, detector)
        centres = (seen.xyxy[:, :2] + seen.xyxy[:, 2:]) / 2
        inside = ((centres > box[:2]) & (centres < box[2:])).all(axis=1)
        if not inside.any():
            continue
        face = seen[inside][:1]
        rows.append(row)
        crops.append(crop_faces(picture, face, model.card.crop)[0])
        side = (face.xyxy[0, 2:] - face.xyxy[0, :2]).max()
        centre = (box[:2] + box[2:]) / 2 - (face.xyxy[0, :2] + face.xyxy[0, 2:]) / 2
        ratios.append([(box[2] - box[0]) / side, *(centre / side)])
    given = model.classify(faces.images[rows][..., None]).probs.argmax(axis=1)
    read = model.classify(np.stack(crops)).probs.argmax(axis=1)
    return Fit(
        len(faces),
        1 - len(rows) / len(faces),
        float(np.mean(given == truth[rows])),
        float(np.mean(read == truth[rows])),
        np.array(ratios),
    )


def main() -> None:
    """Print the table."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--data", type=Path, required=True)
    arguments.add_argument("--split", choices=["val", "test"], default="val")
    arguments.add_argument("--model", default=DEFAULT_MODEL)
    arguments.add_argument("--limit", type=int, default=None)
    arguments.add_argument("--fit", action="store_true")
    chosen = arguments.parse_args()
    faces = load_arrays(chosen.data).split(chosen.split)
    faces = faces.rows(np.arange(len(faces)) < (chosen.limit or len(faces)))
    fit = measure(faces, load_model(chosen.model), load_detector())
    print(f"{chosen.split}: n {fit.n}, missed {fit.missed:.1%}")
    print(f"given crops {fit.given:.1%}, end to end {fit.found:.1%}")
    if chosen.fit:
        margin, shift_x, shift_y = np.median(fit.ratios, axis=0)
        spread = np.std(fit.ratios, axis=0)
        print(f"margin {margin:.3f} ± {spread[0]:.3f}, shift_x {shift_x:.3f} ± {spread[1]:.3f}")
        print(f"shift_y {shift_y:.3f} ± {spread[2]:.3f}")


if __name__ == "__main__":
    main()
