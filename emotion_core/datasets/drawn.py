"""A small data set of drawn faces, with planted faults, to try everything that reads data sets.

The faces are parametric: brows, eyes and mouth carry the expression; head, skin, hair, pose, light
and clutter only vary. Nothing in it shows a person.
"""

import csv
import io
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import StorageError
from ..files import atomic_write
from ..labels import CANONICAL, UNCERTAIN
from ..types import Image

EMOTIONS = tuple(name for name in CANONICAL if name != UNCERTAIN)
SIDE_PX = 96
#: Drawn at this many times the size and shrunk, so that lines are smooth.
_FACTOR = 3
#: Shares of the planted faults.
_DUPLICATES, _NEAR, _WRONG, _BLANK, _BROKEN = 0.03, 0.03, 0.06, 0.005, 0.005
#: Share of the exact copies that stand under another label than what they copy.
_CONFLICTS = 0.35


@dataclass(frozen=True)
class Expression:
    """What a drawn face does, each about -1..1; 0 is at rest.

    Attributes:
        brow_raise: Brows up (+) or down (-).
        brow_tilt: Inner ends up (+, worried) or down (-, angry).
        eye_open: Wide (+) or narrow (-).
        mouth_curve: Corners up (+) or down (-).
        mouth_open: 0 closed to 1 open.
        mouth_width: Wide (+) or pursed (-).
        lopsided: One corner of the mouth up alone.
        nose_wrinkle: 0 to 1.
    """

    brow_raise: float = 0.0
    brow_tilt: float = 0.0
    eye_open: float = 0.0
    mouth_curve: float = 0.0
    mouth_open: float = 0.0
    mouth_width: float = 0.0
    lopsided: float = 0.0
    nose_wrinkle: float = 0.0


#: After the action units that Ekman and Friesen 1978 name for each emotion, much simplified.
EXPRESSIONS = {
    "anger": Expression(-0.8, -0.9, -0.2, -0.4, 0.1, 0.1, 0.0, 0.3),
    "contempt": Expression(0.1, 0.0, -0.3, 0.1, 0.0, 0.0, 0.9, 0.0),
    "disgust": Expression(-0.5, -0.3, -0.6, -0.5, 0.2, 0.0, 0.0, 1.0),
    "fear": Expression(0.8, 0.8, 0.8, -0.4, 0.4, 0.5, 0.0, 0.0),
    "happy": Expression(0.1, 0.0, -0.3, 1.0, 0.3, 0.6, 0.0, 0.0),
    "neutral": Expression(),
    "sad": Expression(0.0, 0.9, -0.4, -0.8, 0.0, -0.2, 0.0, 0.0),
    "surprise": Expression(1.0, 0.1, 1.0, 0.0, 1.0, -0.3, 0.0, 0.0),
}


@dataclass(frozen=True)
class Planted:
    """One planted fault.

    Attributes:
        file: Path in the data set.
        kind: `duplicate`, `near duplicate`, `wrong label`, `blank` or `broken`.
        detail: The file it copies, or the label it should have.
    """

    file: str
    kind: str
    detail: str = ""


def draw_face(label: str, random: np.random.Generator) -> Image:
    """Draw a face that looks like a label.

    Args:
        label: A key of `EXPRESSIONS`.
        random: Decides strength, person, pose, light and clutter.

    Returns:
        uint8 RGB (96, 96, 3).
    """
    strength = random.uniform(0.8, 1.1)
    values = {
        name: strength * value + random.normal(0, 0.08)
        for name, value in vars(EXPRESSIONS[label]).items()
    }
    side = SIDE_PX * _FACTOR
    canvas = _clutter(side, random)
    _head(canvas, Expression(**values), random)
    turned = cv2.warpAffine(
        canvas, _pose(side, random), (side, side), borderMode=cv2.BORDER_REFLECT
    )
    small = cv2.resize(turned, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA)
    return _lit(small, random)


def write_drawn_dataset(
    folder: Path,
    *,
    n: int = 1600,
    seed: int = 0,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[Planted]:
    """Write `train/<label>/<number>.png`, `test/<number>.png` without labels, and `planted.csv`.

    The same `n` and `seed` give the same files, byte for byte, under the same OpenCV.

    Args:
        folder: Where it goes; made if it is not there.
        n: Pictures, the planted ones included.
        seed: Decides everything.
        on_progress: Called with (pictures written, pictures in all).

    Returns:
        The planted faults.

    Raises:
        StorageError: The folder cannot be written, or holds something already.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise StorageError(
            f"{folder} is not empty, or a file. Choose another folder for the drawn faces."
        )
    try:
        return _write_drawn(folder, n, seed, on_progress)
    except BaseException:  # half a set would be taken for a whole one
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _write_drawn(
    folder: Path, n: int, seed: int, on_progress: Callable[[int, int], None] | None
) -> list[Planted]:
    planted: list[Planted] = []
    for done, (name, content, fault) in enumerate(_files(n, seed), start=1):
        atomic_write(folder / name, content)
        if fault:
            planted.append(fault)
        if on_progress:
            on_progress(done, n)
    table = io.StringIO(newline="")
    rows = csv.writer(table)
    rows.writerow(("file", "kind", "detail"))
    rows.writerows((fault.file, fault.kind, fault.detail) for fault in planted)
    atomic_write(folder / "planted.csv", table.getvalue())
    return planted


def _files(n: int, seed: int) -> Iterator[tuple[str, bytes, Planted | None]]:
    """Give name, content and fault of every file, in an order that a seed decides."""
    kinds = np.array(["plain", "duplicate", "near duplicate", "wrong label", "blank", "broken"])
    shares = [_DUPLICATES, _NEAR, _WRONG, _BLANK, _BROKEN]
    counts = [round(n * share) for share in shares]
    chosen = np.repeat(kinds, [n - sum(counts), *counts])
    chosen = np.random.default_rng((seed, n)).permutation(chosen)
    earlier: list[tuple[str, str, Image]] = []
    for i, kind in enumerate(chosen):
        random = np.random.default_rng((seed, i))
        label = str(random.choice(EMOTIONS))
        is_test = random.random() < 0.1 and kind == "plain"
        if kind.endswith("duplicate") and not earlier:
            kind = "plain"
        name = f"test/{i}.png" if is_test else f"train/{label}/{i}.png"
        detail = ""
        image = draw_face(label, random)
        if kind == "wrong label":
            detail = label
            name = f"train/{_other(label, random)}/{i}.png"
        elif kind.endswith("duplicate"):
            detail, label, image = earlier[int(random.integers(len(earlier)))]
            is_conflict = kind == "duplicate" and random.random() < _CONFLICTS
            name = f"train/{_other(label, random) if is_conflict else label}/{i}.png"
            if kind == "near duplicate":
                image = retouch(image, random)
        elif kind == "blank":
            image = np.full_like(image, int(random.integers(256)))
        content = _png(image)
        if kind == "broken":
            content = content[: len(content) // 3]
        if kind == "plain":
            earlier.append((name, label, image))
        yield name, content, None if kind == "plain" else Planted(name, str(kind), detail)


def _other(label: str, random: np.random.Generator) -> str:
    return str(random.choice([other for other in EMOTIONS if other != label]))


def _png(image: Image) -> bytes:
    ok, data = cv2.imencode(".png", image[:, :, ::-1])
    if not ok:
        raise StorageError("A drawn face could not be encoded.")
    return bytes(data)


def retouch(image: Image, random: np.random.Generator) -> Image:
    """Return a drawn face a little brighter or darker, and cut by two pixels."""
    cut = cv2.resize(image[2:-2, 2:-2], (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA)
    return np.asarray(np.clip(cut * random.uniform(0.85, 1.15), 0, 255), np.uint8)


def _clutter(side: int, random: np.random.Generator) -> Image:
    corners = random.integers(30, 226, (3, 3, 3)).astype(np.uint8)
    ground = cv2.resize(corners, (side, side), interpolation=cv2.INTER_CUBIC)
    for _ in range(int(random.integers(3, 9))):
        colour = tuple(map(int, random.integers(20, 236, 3)))
        start, end = random.integers(0, side, (2, 2)).tolist()
        cv2.line(ground, start, end, colour, int(random.integers(4, 40)))
    return np.asarray(ground, np.uint8)


def _head(canvas: Image, face: Expression, random: np.random.Generator) -> None:
    unit = canvas.shape[0] / 96
    skin = np.array([random.uniform(70, 235), 0, 0])
    skin[1] = skin[0] * random.uniform(0.68, 0.82)
    skin[2] = skin[0] * random.uniform(0.5, 0.68)
    dark = tuple(map(int, skin * 0.35))
    lips = tuple(map(int, skin * [0.85, 0.5, 0.5]))
    hair = tuple(map(int, np.array([90, 60, 40]) * random.uniform(0.2, 2.4)))
    wide, long = random.uniform(24, 29), random.uniform(31, 36)
    apart = random.uniform(10.5, 13)

    def at(x: float, y: float) -> tuple[int, int]:
        return round((48 + x) * unit), round((50 + y) * unit)

    def oval(x: float, y: float, a: float, b: float, colour: tuple[int, ...]) -> None:
        axes = max(1, round(a * unit)), max(1, round(b * unit))
        cv2.ellipse(canvas, at(x, y), axes, 0, 0, 360, colour, -1, cv2.LINE_AA)

    def stroke(points: NDArray[np.float64], colour: tuple[int, ...], width: float) -> None:
        pixels = np.array([at(x, y) for x, y in points], np.int32)
        cv2.polylines(canvas, [pixels], False, colour, max(1, round(width * unit)), cv2.LINE_AA)

    oval(0, -6, wide + 3, long + 2, hair)
    oval(0, 2, wide, long, tuple(map(int, skin)))
    if random.random() < 0.4:
        oval(0, -long + 6, wide, 9, hair)
    has_glasses = random.random() < 0.15
    for sign in (-1, 1):
        x = sign * apart
        height = 2.6 * (1 + 0.75 * np.clip(face.eye_open, -1, 1.2))
        oval(x, -6, 5, height, (245, 245, 245))
        oval(x, -6, 2.1, min(2.1, height), (40, 30, 25))
        inner, outer = sign * (apart - 6), sign * (apart + 6)
        lift = -13 - 4.5 * face.brow_raise
        brow = [(inner, lift - 3.6 * face.brow_tilt), (x, lift - 1.2), (outer, lift + 1.5)]
        stroke(np.array(brow), dark, 2.2)
        if has_glasses:
            cv2.circle(canvas, at(x, -6), round(8 * unit), dark, max(1, round(unit)), cv2.LINE_AA)
    stroke(np.array([(0, -4), (-2.2, 7), (2.4, 7.5)]), dark, 1.1)
    for step in range(round(3 * np.clip(face.nose_wrinkle, 0, 1))):
        stroke(np.array([(-4, -3 + 2.6 * step), (4, -3 + 2.6 * step)]), dark, 0.9)
    _mouth(stroke, oval, face, lips)


def _mouth(
    stroke: Callable[[NDArray[np.float64], tuple[int, ...], float], None],
    oval: Callable[[float, float, float, float, tuple[int, ...]], None],
    face: Expression,
    lips: tuple[int, ...],
) -> None:
    half = 9.5 * (1 + 0.4 * face.mouth_width)
    x = np.linspace(-1, 1, 15)
    bend = -5.5 * face.mouth_curve * (x**2 - 0.5) - 4 * face.lopsided * np.clip(x, 0, 1)
    line = np.stack([x * half, 17 + bend], axis=1)
    gap = 7.5 * max(0.0, face.mouth_open)
    if gap > 1:
        oval(0, 17 + 2.2 * face.mouth_curve + gap / 3, half * 0.8, gap, (60, 20, 25))
    stroke(line, lips, 2.4)


def _pose(side: int, random: np.random.Generator) -> NDArray[np.float64]:
    centre = (side / 2, side / 2)
    matrix = cv2.getRotationMatrix2D(centre, random.uniform(-20, 20), random.uniform(0.85, 1.2))
    matrix[:, 2] += random.uniform(-0.08, 0.08, 2) * side
    matrix[0, 1] += random.uniform(-0.12, 0.12)
    if random.random() < 0.5:
        matrix = matrix @ np.array([[-1, 0, side - 1], [0, 1, 0], [0, 0, 1.0]])
    return np.asarray(matrix, np.float64)


def _lit(image: Image, random: np.random.Generator) -> Image:
    slope = random.uniform(-0.45, 0.45, 2)
    y, x = np.mgrid[-1 : 1 : SIDE_PX * 1j, -1 : 1 : SIDE_PX * 1j]
    light = random.uniform(0.6, 1.3) * (1 + slope[0] * x + slope[1] * y)
    noisy = image * light[..., None] + random.normal(0, random.uniform(1, 9), image.shape)
    return np.asarray(np.clip(noisy, 0, 255), np.uint8)
