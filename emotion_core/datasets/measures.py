"""What is measured of every picture of a data set."""

import hashlib
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ..types import Image

#: Measures are taken on a copy with at most this longer side, so that sizes compare.
_SIDE_PX = 128
_HASH_PX = 32
_THUMB_PX = 16

#: What each column of the index means: the data dictionary.
INDEX_COLUMNS = {
    "path": "name of the picture in the data set",
    "raw_label": "the label as the data set has it; missing where there is none",
    "split": "train, val or test as the data set has it; empty where it has none",
    "bytes": "size of the file",
    "changed_ns": "when the file was written last, in ns since 1970; 0 where nobody knows",
    "width": "width in px, upright",
    "height": "height in px, upright",
    "aspect_ratio": "width by height",
    "mode": "colour mode of the file, such as RGB, L or CMYK",
    "format": "format of the file by its content",
    "sha256": "SHA-256 of the file: equal ones are exact copies",
    "phash": "perceptual hash of 64 bits: near copies differ in few of them",
    "brightness": "mean grey value, 0 to 255",
    "contrast": "standard deviation of the grey values",
    "sharpness": "variance of the Laplacian of the grey picture, at most 128 px large",
    "entropy": "Shannon entropy of the grey values in bits, 0 to 8",
    "face_count": "faces that the detector finds; -1 where it was not asked",
    "face_size_px": "shorter side of the largest face's box; 0 without a face",
    "face_confidence": "how sure the detector is of the largest face, 0 to 1",
    "is_readable": "whether the picture can be decoded",
    "error": "why not; empty where it can",
}


@dataclass(frozen=True)
class PictureMeasures:
    """What one picture measures; the fields are columns of the index.

    Attributes:
        width: Upright, in px.
        height: Upright, in px.
        aspect_ratio: Width by height.
        phash: 64 bits, see `perceptual_hash`.
        thumb: 16×16 grey values, row by row, to tell near copies from mere likeness.
        brightness: Mean grey value, 0..255.
        contrast: Standard deviation of the grey values.
        sharpness: Variance of the Laplacian (Pech-Pacheco et al. 2000).
        entropy: Shannon entropy of the grey values in bits.
    """

    width: int
    height: int
    aspect_ratio: float
    phash: int
    thumb: bytes
    brightness: float
    contrast: float
    sharpness: float
    entropy: float


def measure_picture(image: Image) -> PictureMeasures:
    """Measure a picture, uint8 RGB (height, width, 3), upright."""
    height, width = image.shape[:2]
    grey = _shrunk(np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8))
    mean, deviation = cv2.meanStdDev(grey)
    _, spread = cv2.meanStdDev(cv2.Laplacian(grey, cv2.CV_16S))
    counts = cv2.calcHist([grey], [0], None, [256], [0, 256])[:, 0]
    shares = counts[counts > 0] * np.float32(1 / grey.size)
    thumb = cv2.resize(grey, (_THUMB_PX, _THUMB_PX), interpolation=cv2.INTER_AREA)
    return PictureMeasures(
        width=width,
        height=height,
        aspect_ratio=round(width / height, 4),
        phash=perceptual_hash(grey),
        thumb=thumb.tobytes(),
        brightness=round(float(mean[0, 0]), 2),
        contrast=round(float(deviation[0, 0]), 2),
        sharpness=round(float(spread[0, 0]) ** 2, 2),
        entropy=round(max(0.0, float(-(shares * np.log2(shares)).sum())), 3),
    )


def _shrunk(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a grey picture with its longer side at most `_SIDE_PX`; a small one as it is.

    Whole blocks are averaged first, which is ten times as quick as averaging over fractions.
    """
    height, width = grey.shape
    step = max(height, width) // _SIDE_PX
    if step > 1:
        whole = grey[: max(1, height // step) * step, : max(1, width // step) * step]
        size = max(1, width // step), max(1, height // step)
        grey = np.asarray(cv2.resize(whole, size, interpolation=cv2.INTER_AREA), np.uint8)
    ratio = _SIDE_PX / max(grey.shape)
    if ratio >= 1:
        return grey
    size = max(1, round(grey.shape[1] * ratio)), max(1, round(grey.shape[0] * ratio))
    return np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_LINEAR), np.uint8)


def perceptual_hash(grey: NDArray[np.uint8]) -> int:
    """Return the DCT hash of a grey picture (Zauner 2010, pHash), 64 bits.

    The picture is shrunk to 32×32; each bit says whether one of the 8×8 lowest frequencies of its
    cosine transform lies above their median.
    """
    small = cv2.resize(grey, (_HASH_PX, _HASH_PX), interpolation=cv2.INTER_AREA)
    low = cv2.dct(small.astype(np.float32))[:8, :8].reshape(-1)
    bits = np.packbits(low > np.sort(low)[31:33].mean())  # np.median takes three times as long
    return int.from_bytes(bits.tobytes(), "big")


def content_hash(content: bytes) -> str:
    """Return the SHA-256 of a file's content as 64 hex digits."""
    return hashlib.sha256(content).hexdigest()
