"""YuNet (Wu et al. 2023, Machine Intelligence Research 20) in OpenCV's own reader."""

from typing import Any

import cv2
import numpy as np

from ..download import FetchedFile
from ..types import Faces, Image
from .contract import finish_faces
from .fetched import require_file

NET = FetchedFile(
    name="face_detection_yunet_2023mar.onnx",
    url="https://media.githubusercontent.com/media/opencv/opencv_zoo/main/models/"
    "face_detection_yunet/face_detection_yunet_2023mar.onnx",
    checksum="sha256:8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4",
    size_bytes=232_589,
)
FILES = (NET,)


class YuNet:
    """YuNet with five landmarks (eyes, nose, mouth corners).

    Args:
        min_confidence: Weaker faces are dropped, 0..1.
        max_side_px: The picture is shrunk to this longest side.

    Raises:
        ModelError: Its file has not been fetched.
    """

    def __init__(self, *, min_confidence: float = 0.7, max_side_px: int = 640) -> None:
        path = require_file("yunet", NET)
        self.name = "yunet"
        self.min_confidence = min_confidence
        self._max_side = max_side_px
        held, none = np.frombuffer(path.read_bytes(), np.uint8), np.empty(0, np.uint8)
        self._net = cv2.FaceDetectorYN.create(
            "onnx", held, none, (320, 320), min_confidence, 0.3, 5000
        )

    def detect(self, image: Image) -> Faces:
        """Return the faces of `image`."""
        height, width = image.shape[:2]
        scale = min(1.0, self._max_side / max(height, width))
        size = max(1, round(width * scale)), max(1, round(height * scale))
        self._net.setInputSize(size)
        bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        _, rows = self._net.detect(cv2.resize(bgr, size, interpolation=cv2.INTER_AREA))
        return decode(rows, image, scale=scale)


def decode(rows: Any, image: Image, *, scale: float) -> Faces:
    """Return the faces that the net's answer tells of.

    Args:
        rows: (n, 15): left, top, width, height, five landmarks, confidence, in pixels of the
            picture as the net saw it; None where it found nobody.
        image: The picture.
        scale: How much smaller the net saw it.
    """
    if rows is None:
        return Faces.empty()
    found = np.array(rows, np.float32)
    found[:, :14] /= scale
    xyxy = np.hstack([found[:, :2], found[:, :2] + found[:, 2:4]])
    landmarks = found[:, 4:14].reshape(-1, 5, 2)
    return finish_faces(xyxy, found[:, 14], image, landmarks=landmarks)
