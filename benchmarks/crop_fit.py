"""Does the crop rule fit? FER2013 faces are pasted into larger pictures, found and read again.

    python -m benchmarks.crop_fit --data fer2013.npz [--split val|test] [--rules]

The accuracy end to end is set beside the accuracy on the crops as given, over the faces that were
found; misses are counted apart. `--rules` compares crop rules instead of taking the card's.
"""

import argparse
from dataclasses import dataclass, replace
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
from emotion_core.types import CropRule, Faces, Image


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
class Pasted:
    """Faces that were pasted into pictures.

    Attributes:
        n: How many.
        pictures: The pictures in which the face was found.
        faces: The face that was found in each.
        given: uint8 (m, 48, 48, 1), the crops that were pasted there.
        truth: int64 (m,), their majority labels.
    """

    n: int
    pictures: list[Image]
    faces: list[Faces]
    given: NDArray[np.uint8]
    truth: NDArray[np.int64]

    @property
    def missed(self) -> float:
        """Share of the faces that was not found."""
        return 1 - len(self.pictures) / self.n

    def accuracy_given(self, model: LiteRTClassifier) -> float:
        """Return the accuracy on the crops as given."""
        return float((model.classify(self.given).probs.argmax(axis=1) == self.truth).mean())

    def accuracy_found(self, model: LiteRTClassifier, rule: CropRule) -> float:
        """Return the accuracy on the crops that a rule cuts out around the detector's boxes."""
        pairs = zip(self.pictures, self.faces, strict=True)
        crops = np.stack([crop_faces(picture, faces, rule)[0] for picture, faces in pairs])
        return float((model.classify(crops).probs.argmax(axis=1) == self.truth).mean())


def paste_all(faces: VotedFaces, detector: Detector) -> Pasted:
    """Paste and find all faces that have a majority label."""
    faces = faces.rows(majority_labels(faces.votes) >= 0)
    random = np.random.default_rng(0)
    pictures, found, rows = [], [], []
    for row in range(len(faces)):
        picture, box = paste(faces.images[row], random)
        seen = find_faces(picture, detector)
        centres = (seen.xyxy[:, :2] + seen.xyxy[:, 2:]) / 2
        inside = ((centres > box[:2]) & (centres < box[2:])).all(axis=1)
        if inside.any():
            pictures.append(picture)
            found.append(seen[inside][:1])
            rows.append(row)
    truth = majority_labels(faces.votes)[rows]
    return Pasted(len(faces), pictures, found, faces.images[rows][..., None], truth)


def main() -> None:
    """Print the table."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--data", type=Path, required=True)
    arguments.add_argument("--split", choices=["val", "test"], default="val")
    arguments.add_argument("--model", default=DEFAULT_MODEL)
    arguments.add_argument("--every", type=int, default=1, help="take every n-th face")
    arguments.add_argument("--rules", action="store_true")
    chosen = arguments.parse_args()
    faces = load_arrays(chosen.data).split(chosen.split)
    faces = faces.rows(np.arange(len(faces)) % chosen.every == 0)
    model = load_model(chosen.model)
    pasted = paste_all(faces, load_detector())
    print(f"{chosen.split}: n {pasted.n}, missed {pasted.missed:.1%}")
    print(f"given crops {pasted.accuracy_given(model):.1%}")
    rules = [model.card.crop]
    if chosen.rules:
        rules = [
            replace(model.card.crop, margin=margin, shift_y=shift, align=align)
            for margin in (1.1, 1.2, 1.3, 1.4)
            for shift in (-0.1, -0.05, 0.0, 0.05)
            for align in (False, True)
        ]
    for rule in rules:
        accuracy = pasted.accuracy_found(model, rule)
        print(f"margin {rule.margin} shift {rule.shift_y:5} align {rule.align!s:5} {accuracy:.1%}")


if __name__ == "__main__":
    main()
