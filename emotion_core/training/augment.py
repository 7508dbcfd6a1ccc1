"""Random changes of grey training faces, the same on every machine for (seed, epoch, index)."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Augmentation:
    """How far a training face may be changed; all zeros and `flip=False` change nothing.

    Attributes:
        rotation_deg: Largest rotation to either side.
        scale: Largest relative change of size.
        shift: Largest shift, as a share of the side.
        flip: Whether half of the faces are mirrored.
        gamma: Largest |log2| of the exponent that grey values are raised to.
        blur: Share of faces that are shrunk and enlarged again (to 1/3 of their side at most).
        noise: Share of faces that get Gaussian noise (standard deviation up to 12).
        erase: Share of faces of which a rectangle (up to 0.35 of the side) is painted over.
    """

    rotation_deg: float = 15.0
    scale: float = 0.15
    shift: float = 0.08
    flip: bool = True
    gamma: float = 0.6
    blur: float = 0.15
    noise: float = 0.15
    erase: float = 0.3


def augment_face(
    face: NDArray[np.uint8], settings: Augmentation, *, seed: tuple[int, int, int]
) -> NDArray[np.uint8]:
    """Return a randomly changed copy of a face.

    Args:
        face: uint8 (h, h), grey.
        settings: How far the changes go.
        seed: (seed of the run, epoch, index of the face).
    """
    random = np.random.default_rng(seed)
    changed = _warp(face, settings, random)
    if settings.gamma:
        exponent = 2.0 ** random.uniform(-settings.gamma, settings.gamma)
        table = 255.0 * (np.arange(256) / 255.0) ** exponent
        changed = np.take(table.astype(np.uint8), changed)
    if random.random() < settings.blur:
        changed = _blur(changed, random)
    if random.random() < settings.noise:
        noisy = changed + random.normal(0, random.uniform(2, 12), changed.shape)
        changed = np.clip(noisy, 0, 255).astype(np.uint8)
    if random.random() < settings.erase:
        changed = _erase(changed, random)
    return changed


def _warp(
    face: NDArray[np.uint8], settings: Augmentation, random: np.random.Generator
) -> NDArray[np.uint8]:
    side = face.shape[0]
    centre = (side - 1) / 2
    angle = random.uniform(-settings.rotation_deg, settings.rotation_deg)
    scale = 1 + random.uniform(-settings.scale, settings.scale)
    matrix = cv2.getRotationMatrix2D((centre, centre), angle, scale)
    matrix[:, 2] += random.uniform(-settings.shift, settings.shift, 2) * side
    if settings.flip and random.random() < 0.5:
        matrix = matrix @ np.array([[-1, 0, side - 1], [0, 1, 0], [0, 0, 1]], np.float64)
    warped = cv2.warpAffine(
        face, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(warped, np.uint8)


def _blur(face: NDArray[np.uint8], random: np.random.Generator) -> NDArray[np.uint8]:
    side = face.shape[0]
    small = max(4, round(side * random.uniform(1 / 3, 0.8)))
    shrunk = cv2.resize(face, (small, small), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(shrunk, (side, side), interpolation=cv2.INTER_LINEAR), np.uint8)


def _erase(face: NDArray[np.uint8], random: np.random.Generator) -> NDArray[np.uint8]:
    side = face.shape[0]
    height, width = random.integers(side // 8, max(side // 8 + 1, int(side * 0.35)), 2)
    top, left = random.integers(0, side - height), random.integers(0, side - width)
    erased = face.copy()
    erased[top : top + height, left : left + width] = random.integers(0, 256)
    return erased
