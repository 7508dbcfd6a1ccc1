"""The SSD face detector of OpenCV's samples (ResNet-10, 300 px), which seed 000 uses."""

import cv2
import numpy as np

from ..download import FetchedFile
from ..types import Faces, Image
from .contract import Floats, finish_faces
from .fetched import require_file

_BASE = "https://raw.githubusercontent.com/opencv"
WEIGHTS = FetchedFile(
    name="res10_300x300_ssd_iter_140000.caffemodel",
    url=f"{_BASE}/opencv_3rdparty/dnn_samples_face_detector_20170830/"
    "res10_300x300_ssd_iter_140000.caffemodel",
    checksum="sha256:2a56a11a57a4a295956b0660b4a3d76bbdca2206c4961cea8efe7d95c7cb2f2d",
    size_bytes=10_666_211,
)
NETWORK = FetchedFile(
    name="deploy.prototxt",
    url=f"{_BASE}/opencv/4.11.0/samples/dnn/face_detector/deploy.prototxt",
    checksum="sha256:dcd661dc48fc9de0a341db1f666a2164ea63a67265c7f779bc12d6b3f2fa67e9",
    size_bytes=28_104,
)
FILES = (WEIGHTS, NETWORK)
#: Mean of the training pictures, in the order B, G, R.
_MEAN = (104.0, 177.0, 123.0)


class Ssd:
    """ResNet-10 SSD, without landmarks.

    Args:
        min_confidence: Weaker faces are dropped; seed 000 takes 0.8.

    Raises:
        ModelError: Its two files have not been fetched.
    """

    def __init__(self, *, min_confidence: float = 0.8) -> None:
        weights, network = require_file("ssd", WEIGHTS), require_file("ssd", NETWORK)
        self.name = "ssd"
        self.min_confidence = min_confidence
        # by their bytes: OpenCV opens no path with other letters than English ones on Windows
        held = [np.frombuffer(path.read_bytes(), np.uint8) for path in (network, weights)]
        self._net = cv2.dnn.readNetFromCaffe(*held)

    def detect(self, image: Image) -> Faces:
        """Return the faces of `image`."""
        self._net.setInput(cv2.dnn.blobFromImage(image, 1.0, (300, 300), _MEAN, swapRB=True))
        return decode(self._net.forward(), image, min_confidence=self.min_confidence)


def decode(rows: Floats, image: Image, *, min_confidence: float) -> Faces:
    """Turn the net's rows, float32 (1, 1, n, 7), into faces.

    A row is picture, class, confidence, left, top, right, bottom; places are shares of the side.
    """
    found = rows.reshape(-1, 7)
    found = found[found[:, 2] >= min_confidence]
    height, width = image.shape[:2]
    xyxy = found[:, 3:] * np.array([width, height, width, height], np.float32)
    return finish_faces(xyxy, found[:, 2], image)
