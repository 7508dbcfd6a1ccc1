"""Cutting faces out of pictures by a model's crop rule."""

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from .types import CropRule, Faces, Image

#: Crops are sampled at up to this many times their final side before they are averaged down.
_FACTOR_MAX = 8


def shrink_to(image: Image, max_side_px: int) -> Image:
    """Return the picture with its longer side at most `max_side_px`; a small one as it is."""
    height, width = image.shape[:2]
    scale = max_side_px / max(height, width)
    if scale >= 1:
        return image
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def rule_for(rule: CropRule, *, is_whole: bool) -> CropRule:
    """Return the rule as it stands, or without margin for a picture that is a face as a whole."""
    return replace(rule, margin=1.0, shift_y=0.0) if is_whole else rule


def crop_faces(image: Image, faces: Faces, rule: CropRule) -> NDArray[np.uint8]:
    """Cut out every face as the network wants it.

    The crop is a square around the box; what lies beyond the picture repeats its edge.

    Args:
        image: uint8 RGB (height, width, 3).
        faces: Where the faces are.
        rule: Margin, shift, alignment, side and channels.

    Returns:
        uint8 (n, side_px, side_px, channels); one channel is grey.
    """
    crops = np.empty((len(faces), rule.side_px, rule.side_px, rule.channels), np.uint8)
    for row in range(len(faces)):
        source, face = _bounded(image, faces[[row]], rule)
        eyes = None if face.landmarks is None else face.landmarks[0, :2]
        crops[row] = _crop_face(source, face.xyxy[0], eyes, rule)
    return crops


def _bounded(image: Image, face: Faces, rule: CropRule) -> tuple[Image, Faces]:
    """Shrink the picture for a huge face, which would be sampled at its full size otherwise."""
    side = (face.xyxy[0, 2:] - face.xyxy[0, :2]).max() * rule.margin
    if side <= _FACTOR_MAX * rule.side_px:
        return image, face
    ratio = _FACTOR_MAX * rule.side_px / side
    smaller = shrink_to(image, max(1, round(max(image.shape[:2]) * ratio)))
    return smaller, scale_faces(face, image, smaller)


def scale_faces(faces: Faces, source: Image, target: Image) -> Faces:
    """Return the faces of one picture in the pixels of a smaller or larger copy of it."""
    ratio = np.array(
        [target.shape[1] / source.shape[1], target.shape[0] / source.shape[0]], np.float32
    )
    xyxy = (faces.xyxy.reshape(-1, 2, 2) * ratio).reshape(-1, 4)
    points = None if faces.landmarks is None else faces.landmarks * ratio
    return Faces(xyxy, faces.confidence, points, faces.tracker_id)


def _crop_face(
    image: Image, box: NDArray[np.float32], eyes: NDArray[np.float32] | None, rule: CropRule
) -> NDArray[np.uint8]:
    left, top, right, bottom = map(float, box)
    longer = max(right - left, bottom - top)
    side = longer * rule.margin
    centre_x, centre_y = (left + right) / 2, (top + bottom) / 2 + longer * rule.shift_y
    half_out = (rule.side_px - 1) / 2
    angle = _eye_angle(eyes) if rule.align and eyes is not None else 0.0
    scale = side / rule.side_px
    # shrinking by more than 2 would alias: take the crop larger first, then average it down
    factor = max(1, int(scale))
    out = rule.side_px * factor
    step = side / out
    cos, sin = np.cos(angle) * step, np.sin(angle) * step
    half = half_out * factor + (factor - 1) / 2
    matrix = np.array(
        [
            [cos, -sin, centre_x - 0.5 - cos * half + sin * half],
            [sin, cos, centre_y - 0.5 - sin * half - cos * half],
        ]
    )
    patch = cv2.warpAffine(
        image,
        matrix,
        (out, out),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    if rule.channels == 1:
        patch = cv2.cvtColor(patch, cv2.COLOR_RGB2GRAY)
    if factor > 1:
        patch = cv2.resize(patch, (rule.side_px, rule.side_px), interpolation=cv2.INTER_AREA)
    return np.asarray(patch, np.uint8).reshape(rule.side_px, rule.side_px, rule.channels)


def _eye_angle(eyes: NDArray[np.float32]) -> float:
    """Return the angle of the line from the left to the right eye in radians, at most 45°."""
    dx, dy = (eyes[1] - eyes[0]).tolist()
    return float(np.clip(np.arctan2(dy, max(dx, 1e-6)), -np.pi / 4, np.pi / 4))
