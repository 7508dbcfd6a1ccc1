"""Haar cascades (Viola and Jones 2001), as the older student systems use them."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..types import Faces, Image
from .contract import finish_faces

#: cascade file, scale factor, neighbours
_CASCADES = {
    "alt2": ("haarcascade_frontalface_alt2.xml", 1.1, 3),
    "default": ("haarcascade_frontalface_default.xml", 1.3, 5),
    "alt": ("haarcascade_frontalface_alt.xml", 1.1, 3),
    "alt_tree": ("haarcascade_frontalface_alt_tree.xml", 1.1, 3),
}


def _read(path: Path) -> Any:
    # OpenCV itself opens no path with other letters than English ones on Windows
    held = cv2.FileStorage(path.read_text(encoding="utf-8"), cv2.FILE_STORAGE_MEMORY)
    cascade = cv2.CascadeClassifier()
    cascade.read(held.getFirstTopLevelNode())
    return cascade


class Haar:
    """One of OpenCV's four frontal cascades.

    A cascade does not say how sure it is: every face has confidence 1, and there are no
    landmarks.

    Args:
        cascade: `alt2` (scale 1.1, 3 neighbours), `default` (1.3, 5), `alt` or `alt_tree`.
        min_confidence: Taken for the sake of the contract; without effect.
    """

    def __init__(self, *, cascade: str = "alt2", min_confidence: float = 0.0) -> None:
        self.min_confidence = min_confidence
        file, self._scale, self._neighbours = _CASCADES[cascade]
        self.name = "haar" if cascade == "alt2" else f"haar-{cascade}"
        self._cascade = _read(Path(cv2.__file__).parent / "data" / file)

    def detect(self, image: Image) -> Faces:
        """Return the faces of `image`."""
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        found = self._cascade.detectMultiScale(
            grey, scaleFactor=self._scale, minNeighbors=self._neighbours
        )
        if not len(found):
            return Faces.empty()
        xywh = np.asarray(found, np.float32)
        xyxy = np.hstack([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]])
        return finish_faces(xyxy, np.ones(len(xyxy), np.float32), image)
