"""Small things that tests are made of, instead of binary files."""

import io
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pandas as pd
from PIL import Image as PillowImage

from emotion_core.datasets.fer2013 import VotedFaces
from emotion_core.labels import UNCERTAIN, LabelSet
from emotion_core.types import (
    Affect,
    Faces,
    Frame,
    FrameReading,
    Image,
    Quality,
    Reading,
    Scores,
)

LABELS = LabelSet(["anger", "contempt", "disgust", "fear", "happy", "neutral", "sad", "surprise"])

TINY = {
    "name": "tiny",
    "network": "compact_vgg",
    "options": {"widths": [4, 8], "depths": [1, 1], "dropout": 0.1},
    "head": {"dropout": 0.1},
    "stages": [
        {"epochs": 4, "learning_rate": 0.05, "schedule": "cosine", "warmup_epochs": 0.5},
    ],
    "batch": 8,
    "average": 0.9,
    "precision": "float32",
    "augmentation": {"rotation_deg": 10, "flip": True, "gamma": 0.3, "noise": 0.2, "erase": 0.2},
}


def make_picture(width: int = 64, height: int = 48, *, seed: int = 0) -> Image:
    """A smooth colour picture in which no corner looks like another one."""
    random = np.random.default_rng(seed)
    corners = random.integers(0, 256, (3, 3, 3), dtype=np.uint8)
    return np.array(PillowImage.fromarray(corners).resize((width, height)), np.uint8)


def encode(image: Image, kind: str, **options: object) -> bytes:
    """The picture as a file of a kind that Pillow writes."""
    buffer = io.BytesIO()
    PillowImage.fromarray(image).save(buffer, kind, **options)
    return buffer.getvalue()


def make_faces(*boxes: tuple[float, float, float, float]) -> Faces:
    """Faces with falling confidence."""
    n = len(boxes)
    return Faces(
        np.array(boxes, np.float32).reshape(n, 4),
        np.linspace(0.9, 0.7, n).astype(np.float32),
    )


def make_scores(*rows: dict[str, float], labels: LabelSet = LABELS) -> Scores:
    """Scores from the probabilities that matter; the rest is shared by the other labels."""
    probs = np.zeros((len(rows), len(labels)), np.float32)
    for i, row in enumerate(rows):
        rest = (1 - sum(row.values())) / (len(labels) - len(row))
        probs[i] = [row.get(name, rest) for name in labels]
    return Scores(probs, labels)


def make_reading(
    *boxes: tuple[float, float, float, float], label: str = "happy", prob: float = 0.9
) -> Reading:
    """A reading in which every face looks like `label`; under 0.5 the model abstains."""
    n = len(boxes)
    scores = make_scores(*[{label: prob}] * n)
    abstained = prob < 0.5
    return Reading(
        faces=make_faces(*boxes),
        scores=scores,
        affect=Affect(np.full(n, 0.32, np.float32), np.full(n, -0.001, np.float32)),
        top_label=(label,) * n,
        label=(UNCERTAIN if abstained else label,) * n,
        confidence=np.full(n, prob, np.float32),
        abstained=np.full(n, abstained),
    )


def make_voted_faces(n: int = 40, *, seed: int = 0) -> VotedFaces:
    """Faces of two kinds, bright above or bright below, with clear votes; three splits."""
    random = np.random.default_rng(seed)
    kind = np.arange(n) % 2
    images = random.integers(0, 90, (n, 48, 48), dtype=np.uint8)
    for row in range(n):
        half = slice(0, 24) if kind[row] else slice(24, 48)
        images[row, half] += 120
    votes = np.zeros((n, 10), np.uint8)
    votes[np.arange(n), kind] = 10  # neutral and happy in the order of FER+
    usage = np.array([0, 0, 0, 0, 1, 1, 2, 2], np.int8)[np.arange(n) % 8]
    return VotedFaces(images, np.where(kind, 3, 6).astype(np.int8), votes, usage)


def write_faces(folder: Path, n: int = 60, *, unlabelled: int = 0) -> Path:
    """Faces of two labels that a network can tell apart, in folders; some without a label."""
    faces = make_voted_faces(n + unlabelled)
    for number, (image, votes) in enumerate(zip(faces.images, faces.votes, strict=True)):
        label = "happy" if votes.argmax() == 1 else "neutral"
        place = "" if not unlabelled else "train" if number < n else "test_kaggle"
        target = folder / place / (label if number < n else "") / f"{number}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(encode(np.repeat(image[..., None], 3, axis=2), "PNG"))
    return folder


def make_video(
    path: Path,
    frames: list[Image],
    *,
    pts: list[int] | None = None,
    rate: int = 25,
    sound: Path | None = None,
    sound_step: int = 1,
    b_frames: int = 0,
    pixel_ratio: Fraction | None = None,
    options: Mapping[str, str] | None = None,
    codec: str = "libx264",
) -> Path:
    """A file with the given presentation times in units of 1/1000 s; AVI counts frames.

    With `sound_step` 0 every second packet of the sound has the time of the one before it.
    """
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        unit = Fraction(1, rate if path.suffix == ".avi" else 1000)
        stream.time_base = stream.codec_context.time_base = unit
        if codec == "libx264":
            stream.options = {"crf": "12", "preset": "ultrafast", "bf": str(b_frames)}
        stream.options |= options or {}
        if pixel_ratio:
            stream.codec_context.sample_aspect_ratio = pixel_ratio
        if sound:
            _copy_sound(sound, container, step=sound_step)
        for i, image in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts = pts[i] if pts else i // (unit * rate)
            frame.time_base = unit
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def _copy_sound(source: Path, container: av.container.OutputContainer, *, step: int) -> None:
    with av.open(str(source)) as other:
        stream = container.add_stream_from_template(other.streams.audio[0])
        held = 0
        for number, packet in enumerate(other.demux(audio=0)):
            if packet.size:
                held = packet.pts if step or number % 2 == 0 else held
                packet.pts = packet.dts = held
                packet.stream = stream
                container.mux(packet)


def make_sound(
    path: Path,
    *,
    codec: str = "aac",
    onset_s: float = 0.5,
    seconds: float = 2.4,
    rate: int = 44_100,
) -> Path:
    """Silence, and a loud tone from `onset_s` on."""
    wave = np.sin(np.arange(round(seconds * rate)) * 2 * np.pi * 440 / rate) * 0.8
    wave[: round(onset_s * rate)] = 0
    with av.open(str(path), "w", format="matroska") as container:
        stream = container.add_stream(codec, rate=rate, layout="mono")
        for start in range(0, len(wave), 1024):
            part = wave[None, start : start + 1024].astype(np.float32)
            if codec == "pcm_s16le":
                part = (part * 32767).astype(np.int16)
            kind = "s16" if codec == "pcm_s16le" else "fltp"
            frame = av.AudioFrame.from_ndarray(part, format=kind, layout="mono")
            frame.sample_rate, frame.pts = rate, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def make_frame_reading(
    index: int,
    time_s: float,
    people: dict[int, tuple[tuple[float, float, float, float], str]],
    *,
    is_held: bool = False,
) -> FrameReading:
    """What was read from one frame: the box and the label of each person by number."""
    n = len(people)
    frame = Frame(make_picture(8, 8), index, time_s)
    scores = make_scores(*[{label: 0.9} for _, label in people.values()])
    labels = tuple(label for _, label in people.values())
    faces = replace(
        make_faces(*[box for box, _ in people.values()]), tracker_id=np.array([*people], np.int64)
    )
    reading = Reading(
        faces=faces,
        scores=scores,
        affect=Affect(np.full(n, 0.3, np.float32), np.full(n, -0.1, np.float32)),
        top_label=labels,
        label=labels,
        confidence=np.full(n, 0.9, np.float32),
        abstained=np.zeros(n, bool),
    )
    size = np.full(n, 40, np.float32)
    quality = Quality(size, size, size, np.full((n, 3), np.nan, np.float32))
    return FrameReading(frame, reading, quality, is_held)


def make_class_folders(
    root: Path, counts: dict[str, int], *, side: int = 40, kind: str = "PNG"
) -> Path:
    """`<label>/<number>.png` of pictures that all differ; a label may hold slashes."""
    number = 0
    for label, n in counts.items():
        folder = root / label
        folder.mkdir(parents=True, exist_ok=True)
        for i in range(n):
            image = make_picture(side, side, seed=number)
            (folder / f"{i}.{kind.lower()}").write_bytes(encode(image, kind))
            number += 1
    return root


def make_index(rows: list[dict[str, object]]) -> pd.DataFrame:
    """An index as the workbench has it, of pictures in order, from what matters of each."""
    whole: dict[str, object] = {
        "raw_label": "happy", "split": "", "bytes": 1, "width": 100, "height": 100,
        "aspect_ratio": 1.0, "mode": "RGB", "format": "PNG", "brightness": 120.0,
        "contrast": 40.0, "sharpness": 90.0, "entropy": 6.0, "face_count": 1,
        "face_size_px": 60.0, "face_confidence": 0.9, "is_readable": True, "error": "",
    }  # fmt: skip
    table = pd.DataFrame(
        [{"path": f"{i}.png", "sha256": f"{i:064x}", **whole, **row} for i, row in enumerate(rows)]
    )
    for column in ("exact", "group"):
        held = table[column] if column in table else pd.Series(pd.NA, table.index)
        table[column] = held.astype("Int64")
    kinds = dict.fromkeys(("path", "raw_label", "split", "sha256"), "str")
    return table.astype(kinds)


def tiny(epochs: int = 4, stage: dict | None = None, **changes: object) -> dict:
    """A recipe of a few seconds."""
    stages = [{**TINY["stages"][0], "epochs": epochs, **(stage or {})}]  # type: ignore[index]
    return {**TINY, "stages": stages, **changes}
