"""The values that flow between rooms. Shapes are checked once, where a value is made."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import BadArgument
from .labels import LabelSet

#: An upright picture: uint8 RGB, shape (height, width, 3).
Image = NDArray[np.uint8]


def check_image(image: Image) -> Image:
    """Return `image` when it is an upright RGB picture.

    Raises:
        BadArgument: It is not uint8 of shape (height, width, 3) with at least one pixel.
    """
    if not isinstance(image, np.ndarray):
        raise BadArgument(
            f"A picture is uint8 RGB (height, width, 3); this is a {type(image).__name__}. Files "
            "are read by read_photo."
        )
    is_picture = image.ndim == 3 and image.shape[2] == 3 and image.size > 0
    if not is_picture or image.dtype != np.uint8:
        raise BadArgument(
            f"A picture is uint8 RGB (height, width, 3); this is {image.dtype} {image.shape}."
        )
    return image


@dataclass(frozen=True)
class Frame:
    """One picture of a video.

    Attributes:
        image: uint8 RGB (height, width, 3), upright.
        index: Position in the video, from 0.
        time_s: Presentation time in seconds from the start of the video.
    """

    image: Image
    index: int
    time_s: float


@dataclass(frozen=True)
class VideoInfo:
    """What is known of a video before it is decoded.

    Attributes:
        width: Upright width in px.
        height: Upright height in px.
        frame_rate: Average frames per second, exact.
        duration_s: Length in seconds, or None when the file does not say.
        frame_count: Number of frames, or None when the file does not say.
        rotation: 0, 90, 180 or 270 degrees that the decoder has to turn.
        has_audio: Whether there is sound.
    """

    width: int
    height: int
    frame_rate: Fraction
    duration_s: float | None
    frame_count: int | None
    rotation: int
    has_audio: bool


@dataclass(frozen=True)
class Faces:
    """The faces of one picture, most confident first.

    Attributes:
        xyxy: float32 (n, 4), left, top, right, bottom in px.
        confidence: float32 (n,), of the detector, 0..1.
        landmarks: float32 (n, m, 2), x and y in px, or None. The first two points are the eye on
            the left and the eye on the right of the picture.
        tracker_id: int64 (n,), one number per person, or None.
    """

    xyxy: NDArray[np.float32]
    confidence: NDArray[np.float32]
    landmarks: NDArray[np.float32] | None = None
    tracker_id: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        n = len(self.xyxy)
        if self.xyxy.shape != (n, 4) or self.confidence.shape != (n,):
            raise BadArgument(
                f"Faces need xyxy (n, 4) and confidence (n,), got {self.xyxy.shape} "
                f"and {self.confidence.shape}."
            )
        if self.landmarks is not None and (
            self.landmarks.ndim != 3 or self.landmarks.shape[::2] != (n, 2)
        ):
            raise BadArgument(f"Landmarks need shape ({n}, m, 2), got {self.landmarks.shape}.")
        if self.tracker_id is not None and self.tracker_id.shape != (n,):
            raise BadArgument(f"Tracker ids need shape ({n},), got {self.tracker_id.shape}.")

    def __len__(self) -> int:
        return len(self.xyxy)

    def __getitem__(self, rows: "slice | NDArray[Any] | Sequence[int]") -> "Faces":
        """Return the faces that `rows` selects (a slice, indexes or a mask)."""
        chosen = rows if isinstance(rows, slice) else np.asarray(rows)
        return Faces(
            self.xyxy[chosen],
            self.confidence[chosen],
            None if self.landmarks is None else self.landmarks[chosen],
            None if self.tracker_id is None else self.tracker_id[chosen],
        )

    @classmethod
    def empty(cls) -> "Faces":
        """Return no faces."""
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))

    @classmethod
    def whole(cls, image: Image) -> "Faces":
        """Return one face that fills the picture, with confidence 0: nobody detected it."""
        height, width = image.shape[:2]
        return cls(np.array([[0, 0, width, height]], np.float32), np.zeros(1, np.float32))

    @property
    def largest(self) -> int:
        """The row of the face with the largest box; there has to be one."""
        sides = self.xyxy[:, 2:] - self.xyxy[:, :2]
        return int(np.prod(sides, axis=1).argmax())


@dataclass(frozen=True)
class Scores:
    """How much each face looks like each label.

    Attributes:
        probs: float32 (n, k), rows that sum to 1.
        labels: The k names in order.
        affect: Valence and arousal where a network answered them itself, n points, or None.
    """

    probs: NDArray[np.float32]
    labels: LabelSet
    affect: "Affect | None" = None

    def __post_init__(self) -> None:
        if self.probs.ndim != 2 or self.probs.shape[1] != len(self.labels):
            raise BadArgument(f"Scores need probs (n, {len(self.labels)}), got {self.probs.shape}.")
        if self.affect is not None and len(self.affect) != len(self.probs):
            raise BadArgument("Scores need a point of valence and arousal for each face, or none.")
        if len(self.probs) and not np.allclose(self.probs.sum(axis=1), 1, atol=1e-4):
            raise BadArgument("The probabilities of a face do not sum to 1.")

    def __len__(self) -> int:
        return len(self.probs)

    @property
    def is_flat(self) -> NDArray[np.bool_]:
        """bool (n,), whether no label leads: a point of valence and arousal is near none."""
        return flat_rows(self.probs)

    def __getitem__(self, rows: "slice | NDArray[Any]") -> "Scores":
        """Return the scores of the faces that `rows` selects."""
        affect = None if self.affect is None else self.affect[rows]
        return Scores(self.probs[rows], self.labels, affect)


def flat_rows(probs: NDArray[Any]) -> NDArray[np.bool_]:
    """Return bool (n,), whether all probabilities of a row, float (n, k), are the same."""
    return np.asarray(np.ptp(probs, axis=1) < 1e-6, np.bool_)


def leading(probs: NDArray[Any]) -> NDArray[np.int64]:
    """Return the class that leads each row, int64 (n,); -1 where none does."""
    return np.where(flat_rows(probs), -1, probs.argmax(axis=1)).astype(np.int64)


@dataclass(frozen=True)
class Affect:
    """Estimated valence and arousal of each face.

    Attributes:
        valence: float32 (n,), -1 (unpleasant) to 1 (pleasant).
        arousal: float32 (n,), -1 (calm) to 1 (excited).
    """

    valence: NDArray[np.float32]
    arousal: NDArray[np.float32]

    def __post_init__(self) -> None:
        if self.valence.ndim != 1 or self.valence.shape != self.arousal.shape:
            raise BadArgument(
                f"Valence {self.valence.shape} and arousal {self.arousal.shape} differ."
            )

    def __len__(self) -> int:
        return len(self.valence)

    def __getitem__(self, rows: "slice | NDArray[Any]") -> "Affect":
        """Return the points of the faces that `rows` selects."""
        return Affect(self.valence[rows], self.arousal[rows])


@dataclass(frozen=True)
class Reading:
    """What was read from one picture.

    Attributes:
        faces: The faces, n of them.
        scores: Their distributions over the labels.
        affect: Their estimated valence and arousal.
        top_label: Per face the label that leads.
        label: The same, or `uncertain` where the model abstains.
        confidence: float32 (n,), how strongly the leading label leads: its probability, or in a
            hard vote its share of all members.
        abstained: bool (n,), whether the confidence is under the threshold, or no label leads.
        is_whole_picture: The picture was read as one face, since none was found.
    """

    faces: Faces
    scores: Scores
    affect: Affect
    top_label: tuple[str, ...]
    label: tuple[str, ...]
    confidence: NDArray[np.float32]
    abstained: NDArray[np.bool_]
    is_whole_picture: bool = False

    def __post_init__(self) -> None:
        parts: tuple[Any, ...] = (
            self.scores,
            self.affect,
            self.top_label,
            self.label,
            self.confidence,
            self.abstained,
        )
        if any(len(part) != len(self.faces) for part in parts):
            raise BadArgument("Every part of a reading needs one entry per face.")

    def __len__(self) -> int:
        return len(self.faces)


@dataclass(frozen=True)
class Quality:
    """How well each face can be seen.

    Attributes:
        size_px: float32 (n,), the shorter side of its box.
        sharpness: float32 (n,), variance of the Laplacian of the face at 64 px, grey.
        brightness: float32 (n,), mean grey value, 0..255.
        pose_deg: float32 (n, 3), yaw, pitch and roll of the head; NaN without landmarks.
    """

    size_px: NDArray[np.float32]
    sharpness: NDArray[np.float32]
    brightness: NDArray[np.float32]
    pose_deg: NDArray[np.float32]

    def __post_init__(self) -> None:
        n = len(self.size_px)
        if {self.sharpness.shape, self.brightness.shape} != {(n,)} or self.pose_deg.shape != (n, 3):
            raise BadArgument("Every part of a quality needs one entry per face.")

    def __len__(self) -> int:
        return len(self.size_px)

    def __getitem__(self, rows: "slice | NDArray[Any] | Sequence[int]") -> "Quality":
        """Return the faces that `rows` selects (a slice, indexes or a mask)."""
        chosen = rows if isinstance(rows, slice) else np.asarray(rows)
        return Quality(
            self.size_px[chosen],
            self.sharpness[chosen],
            self.brightness[chosen],
            self.pose_deg[chosen],
        )


@dataclass(frozen=True)
class FrameReading:
    """What was read from one frame of a video.

    Attributes:
        frame: The frame.
        reading: Its faces and what they look like.
        quality: How well each of the faces can be seen.
        is_held: The frame itself was skipped, and shows the reading of an earlier one.
    """

    frame: Frame
    reading: Reading
    quality: Quality
    is_held: bool = False


@dataclass(frozen=True)
class CropRule:
    """How a face is cut out for a network; the same in training and in use.

    Attributes:
        margin: Side of the crop, in multiples of the longer side of the box.
        shift_y: How far the crop lies below the box's centre, in the same unit.
        align: Whether the crop is turned so that the eyes are level.
        side_px: Side of the square that the network takes.
        channels: 1 = grey (ITU-R BT.601 luma), 3 = RGB.
    """

    margin: float
    shift_y: float = 0.0
    align: bool = False
    side_px: int = 48
    channels: int = 1


@dataclass(frozen=True)
class Provenance:
    """Where a result comes from; it stands in a JSON beside every export.

    Attributes:
        models: Model id and SHA-256 of its weights, one pair per member.
        options: The options of the reading.
        versions: Name and version of what computed it.
        input_sha256: SHA-256 of the input's bytes.
    """

    models: dict[str, str]
    options: dict[str, Any]
    versions: dict[str, str] = field(default_factory=dict)
    input_sha256: str = ""
