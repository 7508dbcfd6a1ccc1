"""Random changes of training faces, the same on every machine for (seed, epoch, index)."""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import TrainingError
from .settings import number

Face = NDArray[np.uint8]


@dataclass(frozen=True)
class Augmentation:
    """How far a training face may be changed; as it stands, nothing is.

    What lies beyond the edge repeats it. The settings down to `channel_shift` are those of Keras'
    `ImageDataGenerator`, which the student systems used.

    Attributes:
        rotation_deg: Largest rotation to either side.
        shift: Largest shift along each axis, as a share of the side.
        shear_deg: Largest shear.
        zoom: Largest relative change of width and of height, each by itself.
        scale: Largest relative change of size, width and height together.
        flip: Whether half of the faces are mirrored.
        brightness: Lowest and highest factor of the grey values; empty for none.
        channel_shift: Largest number that is added to all grey values; no value leaves the range
            that the face had.
        light: How much brighter one side of the face may be than its middle, and the other darker,
            as from a lamp beside it; a corner up to 1.4 times as much.
        gamma: Largest |log2| of the exponent that grey values are raised to.
        blur: Share of faces that are shrunk and enlarged again (to 1/3 of their side at most).
        noise: Share of faces that get Gaussian noise (standard deviation up to 12).
        erase: Share of faces of which a rectangle (sides from 1/8 to under 0.35 of the face's) is
            painted over (Zhong et al. 2017, arXiv 1708.04896).
        six_way: Seed 000's choice: Gaussian noise, salt and pepper, Poisson noise, a 5×5 blur, a
            Gaussian blur (12 % each) or none, and then always another colour saturation.
    """

    rotation_deg: float = number(0.0, low=0, high=180)
    shift: float = number(0.0, low=0, high=1)
    shear_deg: float = number(0.0, low=0, high=60)
    zoom: float = number(0.0, low=0, high=0.9)
    scale: float = number(0.0, low=0, high=0.9)
    flip: bool = False
    brightness: tuple[float, ...] = ()
    channel_shift: float = number(0.0, low=0, high=255)
    light: float = number(0.0, low=0, high=1)
    gamma: float = number(0.0, low=0, high=3)
    blur: float = number(0.0, low=0, high=1)
    noise: float = number(0.0, low=0, high=1)
    erase: float = number(0.0, low=0, high=1)
    six_way: bool = False

    def __post_init__(self) -> None:
        factors = self.brightness
        is_range = len(factors) == 2 and 0 < factors[0] <= factors[1] < math.inf
        if factors and not is_range:
            raise TrainingError(
                f"The augmentation's brightness is {list(factors)}; it has to be two "
                "factors above zero, the lower first."
            )


def augment_face(face: Face, settings: Augmentation, *, seed: tuple[int, ...]) -> Face:
    """Return a randomly changed copy of a face.

    Args:
        face: uint8 (h, h, c); 1 channel is grey, 3 are RGB.
        settings: How far the changes go.
        seed: (seed of the run, epoch, index of the face), and how often it was drawn before in
            the epoch, where it was.

    Returns:
        uint8 (h, h, c).
    """
    random = np.random.default_rng(seed)
    changed = _warp(face, settings, random)
    if settings.brightness:
        low, high = settings.brightness
        changed = _look_up(changed, np.arange(256) * random.uniform(low, high))
    if settings.channel_shift:
        darkest, lightest = int(changed.min()), int(changed.max())
        shift = random.uniform(-settings.channel_shift, settings.channel_shift)
        changed = _look_up(changed, np.clip(np.arange(256) + shift, darkest, lightest))
    if settings.light:
        changed = _light(changed, random.uniform(0, settings.light), random)
    if settings.gamma:
        exponent = 2.0 ** random.uniform(-settings.gamma, settings.gamma)
        changed = _look_up(changed, 255.0 * (np.arange(256) / 255.0) ** exponent)
    if settings.blur and random.random() < settings.blur:
        changed = _blur(changed, random)
    if settings.noise and random.random() < settings.noise:
        changed = _to_bytes(changed + random.normal(0, random.uniform(2, 12), changed.shape))
    if settings.erase and random.random() < settings.erase:
        changed = _erase(changed, random)
    if settings.six_way:
        changed = _six_way(changed, random)
    return changed.reshape(face.shape)


def _warp(face: Face, settings: Augmentation, random: np.random.Generator) -> Face:
    """Turn, shear, zoom, shift and mirror in one step around the centre."""
    side = face.shape[0]
    angle, shear = np.deg2rad(
        [_around(random, settings.rotation_deg), _around(random, settings.shear_deg)]
    )
    scale = 1 + _around(random, settings.scale)
    zoom_x, zoom_y = (1 + _around(random, settings.zoom) for _ in range(2))
    shift = [_around(random, settings.shift) * side for _ in range(2)]
    is_mirrored = settings.flip and random.random() < 0.5
    cos, sin = np.cos(angle), np.sin(angle)
    turn = np.array([[cos, sin], [-sin, cos]]) @ np.array([[1, np.sin(shear)], [0, np.cos(shear)]])
    linear = turn @ np.diag([scale * zoom_x, scale * zoom_y])
    if is_mirrored:
        linear = np.diag([-1.0, 1.0]) @ linear
    if not any(shift) and np.allclose(linear, np.eye(2)):
        return face
    centre = np.full(2, (side - 1) / 2)
    matrix = np.column_stack([linear, centre - linear @ centre + shift])
    warped = cv2.warpAffine(
        face, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(warped, np.uint8).reshape(face.shape)


def _around(random: np.random.Generator, most: float) -> float:
    return float(random.uniform(-most, most)) if most else 0.0


def _look_up(face: Face, table: NDArray[np.floating]) -> Face:
    return np.asarray(cv2.LUT(face, _to_bytes(table)), np.uint8).reshape(face.shape)


def _to_bytes(values: NDArray[np.floating]) -> Face:
    return np.asarray(np.clip(values, 0, 255), np.uint8)


def _light(face: Face, strength: float, random: np.random.Generator) -> Face:
    angle = random.uniform(0, 2 * np.pi)
    along = np.linspace(-1, 1, face.shape[0])
    slope = along[None, :] * np.cos(angle) + along[:, None] * np.sin(angle)
    return _to_bytes(face.reshape(*face.shape[:2], -1) * (1 + strength * slope)[..., None])


def _blur(face: Face, random: np.random.Generator) -> Face:
    side = face.shape[0]
    small = max(4, round(side * random.uniform(1 / 3, 0.8)))
    shrunk = cv2.resize(face, (small, small), interpolation=cv2.INTER_AREA)
    grown = cv2.resize(shrunk, (side, side), interpolation=cv2.INTER_LINEAR)
    return np.asarray(grown, np.uint8).reshape(face.shape)


def _erase(face: Face, random: np.random.Generator) -> Face:
    side = face.shape[0]
    height, width = random.integers(side // 8, max(side // 8 + 1, int(side * 0.35)), 2)
    top, left = random.integers(0, side - height), random.integers(0, side - width)
    erased = face.copy()
    erased[top : top + height, left : left + width] = random.integers(0, 256)
    return erased


def _six_way(face: Face, random: np.random.Generator) -> Face:
    """Noise or blur by seed 000's shares and parameters, then its colour jitter."""
    which = random.choice(6, p=[0.12] * 5 + [0.40])
    changed = _SIX_WAYS[which](face, random) if which < 5 else face
    saturation = random.uniform(0.4, 1.3)
    if face.shape[-1] != 3:
        return changed
    grey = changed @ np.array([0.299, 0.587, 0.114])
    return _to_bytes(grey[..., None] + (changed - grey[..., None]) * saturation)


def _gaussian(face: Face, random: np.random.Generator) -> Face:
    return _to_bytes(face + random.normal(0, np.sqrt(0.002) * 255, face.shape))


def _salt_and_pepper(face: Face, random: np.random.Generator) -> Face:
    spotted = face.copy()
    spots = int(np.ceil(0.02 * 0.5 * face.shape[0] * face.shape[1]))
    for low, high in ((0.6, 1.0), (0.0, 0.4)):
        rows, columns = random.integers(0, face.shape[0], (2, spots))
        spotted[rows, columns] = random.uniform(low, high) * 255
    return spotted


def _poisson(face: Face, random: np.random.Generator) -> Face:
    levels = 2.0 ** np.ceil(np.log2(max(2, len(np.unique(face)))))
    return _to_bytes(random.poisson(face / 255.0 * levels) / levels * 255)


def _ring_blur(face: Face, _: np.random.Generator) -> Face:
    """Pillow's BLUR: the mean of the sixteen pixels around a 3×3 square."""
    kernel = np.ones((5, 5))
    kernel[1:4, 1:4] = 0
    return np.asarray(cv2.filter2D(face, -1, kernel / 16), np.uint8).reshape(face.shape)


def _gaussian_blur(face: Face, _: np.random.Generator) -> Face:
    return np.asarray(cv2.GaussianBlur(face, (0, 0), 1.0), np.uint8).reshape(face.shape)


_SIX_WAYS = (_gaussian, _salt_and_pepper, _poisson, _ring_blur, _gaussian_blur)
