"""Pictures of one size, though the stream they come from changes its own on the way."""

import cv2
import numpy as np

from ..types import Image

#: Sides of one form may differ by so much in their ratio: they are even numbers.
_ROUNDING = 0.02


def has_form(image: Image, height: int, width: int) -> bool:
    """Return whether a picture has the form of a size, which may be larger or smaller."""
    own_height, own_width = image.shape[:2]
    return bool(abs(own_width * height - own_height * width) <= _ROUNDING * own_width * height)


def in_size(image: Image, height: int, width: int) -> Image:
    """Return a picture in a size, whole: between black bars where it has another form.

    Args:
        image: uint8 (h, w, channels); it comes back as it is where it has that size.
        height: In px.
        width: In px.
    """
    if image.shape[:2] == (height, width):
        return image
    if has_form(image, height, width):
        return np.asarray(cv2.resize(image, (width, height)), np.uint8)
    scale = min(height / image.shape[0], width / image.shape[1])
    new_height, new_width = (max(1, round(side * scale)) for side in image.shape[:2])
    top, left = (height - new_height) // 2, (width - new_width) // 2
    frame = np.zeros((height, width, *image.shape[2:]), np.uint8)
    inner = frame[top : top + new_height, left : left + new_width]
    inner[:] = cv2.resize(image, (new_width, new_height), interpolation=cv2.INTER_AREA)
    return frame
