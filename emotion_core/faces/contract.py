"""What every detector promises, and the maths that several of them share."""

import threading
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .. import limits
from ..types import Faces, Image

Floats = NDArray[np.float32]


class Detector(Protocol):
    """Finds faces in one upright RGB picture.

    `detect` returns boxes inside the picture, most confident first, none smaller than
    `limits.FACE_MIN_PX`, none twice; `Faces.empty()` when there is nobody. It never changes the
    picture.

    Attributes:
        name: Its key in the registry.
        min_confidence: Weaker faces are dropped, 0..1.
    """

    name: str
    min_confidence: float

    def detect(self, image: Image) -> Faces:
        """Return the faces of `image`, uint8 RGB (height, width, 3)."""
        ...


class OneAtATime:
    """A detector that several threads may share: each waits for the other.

    Neither LiteRT nor OpenCV's networks bear two calls at once, and Streamlit starts a new run of a
    page while the old one still computes.
    """

    def __init__(self, detector: Detector) -> None:
        self._detector, self._lock = detector, threading.Lock()
        self.name, self.min_confidence = detector.name, detector.min_confidence

    def detect(self, image: Image) -> Faces:
        """Return the faces of `image`, uint8 RGB (height, width, 3)."""
        with self._lock:
            return self._detector.detect(image)


def finish_faces(
    xyxy: Floats,
    confidence: Floats,
    image: Image,
    *,
    landmarks: Floats | None = None,
    overlap: float = 0.4,
) -> Faces:
    """Turn raw boxes into `Faces` that keep the contract.

    Args:
        xyxy: float (n, 4) in px, in any order, also beyond the picture.
        confidence: float (n,), 0..1.
        image: The picture the boxes belong to.
        landmarks: float (n, m, 2) in px, or None.
        overlap: Of two boxes with a higher intersection over union, the weaker one goes.
    """
    boxes, large = cut_off(np.nan_to_num(np.asarray(xyxy, np.float32).reshape(-1, 4)), image)
    order = large[np.argsort(-confidence[large], kind="stable")][: 4 * limits.FACES_MAX]
    kept = order[suppress(boxes[order], overlap)][: limits.FACES_MAX]
    return Faces(
        boxes[kept],
        np.clip(confidence[kept], 0, 1).astype(np.float32),
        None if landmarks is None else landmarks[kept].astype(np.float32),
    )


def cut_off(boxes: Floats, image: Image) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """Return boxes cut off at the edges of a picture, and the rows of those that are still faces.

    Args:
        boxes: float (n, 4), xyxy in px.
        image: The picture that they belong to.
    """
    height, width = image.shape[:2]
    inside = np.clip(boxes, 0, [width, height, width, height]).astype(np.float32)
    sides = inside[:, 2:] - inside[:, :2]
    return inside, np.flatnonzero(sides.min(axis=1, initial=np.inf) >= limits.FACE_MIN_PX)


def suppress(boxes: Floats, overlap: float) -> NDArray[np.intp]:
    """Return the rows that greedy non-maximum suppression keeps.

    Args:
        boxes: float (n, 4), xyxy, best first.
        overlap: Intersection over union above which the later box goes.
    """
    kept: list[int] = []
    alive = np.ones(len(boxes), bool)
    for row in range(len(boxes)):
        if alive[row]:
            kept.append(row)
            alive &= box_iou(boxes[row], boxes) <= overlap
    return np.array(kept, np.intp)


def box_iou(box: Floats, boxes: Floats) -> Floats:
    """Return intersection over union of one box (4,) with many (n, 4), float32 (n,)."""
    top_left = np.maximum(box[:2], boxes[:, :2])
    bottom_right = np.minimum(box[2:], boxes[:, 2:])
    shared = np.prod(np.maximum(bottom_right - top_left, 0), axis=1)
    area = np.prod(box[2:] - box[:2])
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    return np.asarray(shared / np.maximum(area + areas - shared, 1e-6), np.float32)


def sigmoid(x: Floats) -> Floats:
    """Return 1 / (1 + exp(-x)), safe for large |x|."""
    return np.asarray(1 / (1 + np.exp(-np.clip(x, -80, 80))), np.float32)
