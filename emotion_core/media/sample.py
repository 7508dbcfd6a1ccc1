"""Samples that need no file of ours: a portrait, and a clip that is made of it."""

from collections.abc import Iterator
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import cv2
import numpy as np

from ..errors import InputError
from ..texts import say
from ..types import Frame, Image, VideoInfo
from .encode import write_video
from .photo import decode_photo

_SIZE = (640, 480)
_RATE = 25
_SOUND_RATE = 44_100
#: What is seen for how many seconds; a soft tone changes its pitch with each.
_SCENES = {"pan": 2.0, "zoom": 2.0, "dim": 1.6, "blank": 1.0, "two": 2.4}


def sample_photo() -> bytes:
    """Return the built-in sample as a file: scikit-image's portrait of the astronaut Eileen
    Collins (NASA, public domain).

    Raises:
        InputError: scikit-image, which carries it, is not installed.
    """
    package = find_spec("skimage")
    if package is None or not package.submodule_search_locations:
        raise InputError(say("error.no_sample"))
    return (Path(package.submodule_search_locations[0]) / "data" / "astronaut.png").read_bytes()


def sample_video(target: Path) -> Path:
    """Write the sample clip: nine seconds of the portrait, 640×480 at 25 frames per second.

    The camera pans over it, comes closer, the light goes down, nobody is there, and two people
    stand side by side. A soft tone runs along.

    Returns:
        `target`, an MP4.

    Raises:
        InputError: The portrait is not installed.
        StorageError: The file cannot be written.
    """
    info = VideoInfo(*_SIZE, Fraction(_RATE), None, None, 0, has_audio=True)
    with TemporaryDirectory() as folder:
        sound = Path(folder) / "tone.mka"
        _write_tone(sound)
        with write_video(target, info, sound_of=sound) as video:
            for frame in _sample_frames():
                video.write(frame)
    return target


def _sample_frames() -> Iterator[Frame]:
    portrait = decode_photo(sample_photo(), name="astronaut.png")
    index = 0
    for scene, seconds in _SCENES.items():
        count = round(seconds * _RATE)
        for i in range(count):
            yield Frame(_picture(portrait, scene, i / count), index, index / _RATE)
            index += 1


def _picture(portrait: Image, scene: str, share: float) -> Image:
    """Return one picture of a scene; `share` runs from 0 to 1 through it."""
    if scene == "blank":
        return np.full((_SIZE[1], _SIZE[0], 3), 40, np.uint8)
    if scene == "two":
        half = _view(portrait, centre=(225, 120), width=300, size=(_SIZE[0] // 2, _SIZE[1]))
        return np.ascontiguousarray(np.hstack([half, half[:, ::-1]]))
    centre, width = (225.0, 140.0), 420.0
    if scene == "pan":
        centre = (150 + 150 * share, 140.0)
    if scene == "zoom":
        width = 420 - 180 * share
    view = _view(portrait, centre=centre, width=width, size=_SIZE)
    if scene == "dim":
        view = (view * (1 - 0.75 * share)).astype(np.uint8)
    return view


def _view(
    portrait: Image, *, centre: tuple[float, float], width: float, size: tuple[int, int]
) -> Image:
    scale = size[0] / width
    matrix = np.array(
        [
            [scale, 0, size[0] / 2 - scale * centre[0]],
            [0, scale, size[1] / 2 - scale * centre[1]],
        ]
    )
    view = cv2.warpAffine(
        portrait, matrix, size, flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REFLECT
    )
    return np.asarray(view, np.uint8)


def _write_tone(path: Path) -> None:
    pitches = np.repeat(
        [220.0, 247.0, 196.0, 0.0, 262.0],
        [round(seconds * _SOUND_RATE) for seconds in _SCENES.values()],
    )
    wave = np.sin(2 * np.pi * np.cumsum(pitches) / _SOUND_RATE) * 0.05
    with av.open(str(path), "w", format="matroska") as container:
        stream = container.add_stream("aac", rate=_SOUND_RATE, layout="mono")
        for start in range(0, len(wave), 1024):
            part = wave[None, start : start + 1024].astype(np.float32)
            frame = av.AudioFrame.from_ndarray(part, format="fltp", layout="mono")
            frame.sample_rate, frame.pts = _SOUND_RATE, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
