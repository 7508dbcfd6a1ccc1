"""Faces as worse cameras and worse light give them: how far a model's accuracy falls is its
robustness."""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

Face = NDArray[np.uint8]
_ROTATION_DEG, _JPEG_QUALITY, _SMALL_PX = 20.0, 20, 24
_NOISE_STD, _BLUR_SHARE = 20.0, 1 / 32
_GREY = 128


def degrade(faces: Face, name: str, *, first: int = 0) -> Face:
    """Return faces with one thing made worse, the same ones at every call.

    Args:
        faces: uint8 (n, h, h, c); 1 channel is grey, 3 are RGB.
        name: A key of `DEGRADATIONS`.
        first: The number of the first face, where they are some of many: what is drawn for a face
            follows from its number.

    Returns:
        uint8 (n, h, h, c).
    """
    change = DEGRADATIONS[name]
    changed = [change(face, row) for row, face in enumerate(faces, start=first)]
    return np.stack(changed).reshape(faces.shape) if changed else faces


def _brightness(factor: float) -> Callable[[Face, int], Face]:
    return lambda face, _: _bytes(face * factor)


def _blurred(face: Face, _: int) -> Face:
    return np.asarray(cv2.GaussianBlur(face, (0, 0), face.shape[0] * _BLUR_SHARE), np.uint8)


def _noisy(face: Face, row: int) -> Face:
    return _bytes(face + np.random.default_rng(row).normal(0, _NOISE_STD, face.shape))


def _covered(top: float, left: float, bottom: float, right: float) -> Callable[[Face, int], Face]:
    """Paint over a rectangle that is given in shares of the side."""

    def cover(face: Face, _: int) -> Face:
        rows, columns = (
            slice(round(start * face.shape[0]), round(end * face.shape[0]))
            for start, end in ((top, bottom), (left, right))
        )
        changed = face.copy()
        changed[rows, columns] = _GREY
        return changed

    return cover


def _turned(degrees: float) -> Callable[[Face, int], Face]:
    def turn(face: Face, _: int) -> Face:
        side = face.shape[0]
        matrix = cv2.getRotationMatrix2D(((side - 1) / 2, (side - 1) / 2), degrees, 1.0)
        turned = cv2.warpAffine(face, matrix, (side, side), borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(turned, np.uint8)

    return turn


def _jpeg(face: Face, _: int) -> Face:
    is_grey = face.shape[-1] == 1
    bgr = face if is_grey else np.ascontiguousarray(face[..., ::-1])
    _, held = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    kind = cv2.IMREAD_GRAYSCALE if is_grey else cv2.IMREAD_COLOR
    found = np.asarray(cv2.imdecode(held, kind), np.uint8)
    return found if is_grey else found[..., ::-1]


def _small(face: Face, _: int) -> Face:
    side = face.shape[0]
    shrunk = cv2.resize(face, (_SMALL_PX, _SMALL_PX), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(shrunk, (side, side), interpolation=cv2.INTER_LINEAR), np.uint8)


def _bytes(values: NDArray[np.floating]) -> Face:
    return np.asarray(np.clip(np.round(values), 0, 255), np.uint8)


#: What is made worse. A new one is a function of (face, row) and a row.
DEGRADATIONS: dict[str, Callable[[Face, int], Face]] = {
    "darker": _brightness(0.6),
    "brighter": _brightness(1.4),
    "blurred": _blurred,
    "noisy": _noisy,
    "left_covered": _covered(0, 0, 1, 0.5),
    "right_covered": _covered(0, 0.5, 1, 1),
    "eyes_covered": _covered(0, 0, 0.5, 1),
    "mouth_covered": _covered(0.5, 0, 1, 1),
    "turned_left": _turned(_ROTATION_DEG),
    "turned_right": _turned(-_ROTATION_DEG),
    "jpeg": _jpeg,
    "small": _small,
}
