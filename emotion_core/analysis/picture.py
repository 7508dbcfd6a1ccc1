"""Single pictures: find the faces, read them together."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .. import limits
from ..affect import COORDINATES, affect_of
from ..classify import Recognizer
from ..crops import crop_faces, rule_for, scale_faces, shrink_to
from ..errors import BadArgument
from ..faces import Detector
from ..labels import UNCERTAIN
from ..types import Faces, Image, Reading, Scores, check_image
from ..voting import Vote


@dataclass(frozen=True)
class ReadOptions:
    """How pictures are read.

    Attributes:
        flip: Average over each face and its mirror image (test-time augmentation); None does so
            in pictures, and not in the frames of a video.
        threshold: Abstain under this confidence; None takes the recogniser's own.
        whole_if_none: Read the whole picture as one face when none is found.
        system: Coordinates of the affect estimate, a key of `affect.COORDINATES`; it has no
            meaning for a network that answers valence and arousal itself.

    Raises:
        BadArgument: The threshold or the system is none.
    """

    flip: bool | None = None
    threshold: float | None = None
    whole_if_none: bool = False
    system: str = "rays"

    def __post_init__(self) -> None:
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise BadArgument(f"The threshold {self.threshold} does not lie between 0 and 1.")
        if self.system not in COORDINATES:
            raise BadArgument(
                f"The coordinates {self.system!r} are none of {', '.join(COORDINATES)}."
            )

    def decided(self, *, flip: bool) -> "ReadOptions":
        """Return the options with `flip` as given, where it is None."""
        return replace(self, flip=flip) if self.flip is None else self


def read_picture(
    image: Image,
    detector: Detector,
    recognizer: Recognizer,
    *,
    options: ReadOptions | None = None,
) -> Reading:
    """Find the faces of one picture and read their expressions.

    Args:
        image: uint8 RGB (height, width, 3), upright.
        detector: Finds the faces.
        recognizer: A model or a committee.
        options: How to read; None takes the defaults.

    Returns:
        One entry per face in each of its fields, the surest face first; none where nobody is found.

    Raises:
        BadArgument: The picture is not uint8 RGB. Swapped colours (BGR, as OpenCV reads them)
            cannot be told; they only read worse.
    """
    return next(read_batches([[image]], detector, recognizer, options=options))[0]


def read_batches(
    batches: Iterable[Sequence[Image]],
    detector: Detector,
    recognizer: Recognizer,
    *,
    options: ReadOptions | None = None,
) -> Iterator[list[Reading]]:
    """Read batches of pictures; all faces of a batch go through the network together.

    Yields:
        One list per batch with a reading per picture, in order.
    """
    options = (options or ReadOptions()).decided(flip=True)
    for images in batches:
        found = [find_faces(check_image(image), detector) for image in images]
        yield read_faces(images, found, recognizer, options=options)


def read_faces(
    images: Sequence[Image],
    found: Sequence[Faces],
    recognizer: Recognizer,
    *,
    options: ReadOptions,
) -> list[Reading]:
    """Read faces that are found already, those of all pictures together."""
    if not images:
        return []
    is_whole = [not len(faces) and options.whole_if_none for faces in found]
    found = [
        Faces.whole(image) if whole else faces
        for image, faces, whole in zip(images, found, is_whole, strict=True)
    ]
    vote = _classify(images, found, is_whole, recognizer, flip=bool(options.flip))
    return _split_readings(vote, found, is_whole, recognizer, options)


def find_faces(image: Image, detector: Detector) -> Faces:
    """Detect faces on a picture that is shrunk to `limits.DETECT_MAX_SIDE_PX` where needed.

    Returns:
        Faces in px of the picture as it was given.
    """
    small = shrink_to(image, limits.DETECT_MAX_SIDE_PX)
    faces = detector.detect(small)
    if small is image:
        return faces
    return scale_faces(faces, small, image)


def make_reading(
    faces: Faces,
    scores: Scores,
    class_id: NDArray[np.int64],
    confidence: NDArray[np.float32],
    abstained: NDArray[np.bool_],
    *,
    system: str,
    is_whole: bool = False,
) -> Reading:
    """Put a reading together; `class_id` says which label leads each face, where one does."""
    abstained = abstained | scores.is_flat
    top = tuple(scores.labels[int(i)] for i in class_id)
    label = tuple(UNCERTAIN if a else t for a, t in zip(abstained, top, strict=True))
    affect = affect_of(scores, system=system)
    return Reading(faces, scores, affect, top, label, confidence, abstained, is_whole)


def _classify(
    images: Sequence[Image],
    found: Sequence[Faces],
    is_whole: Sequence[bool],
    recognizer: Recognizer,
    *,
    flip: bool,
) -> Vote:
    scores: list[Scores] = []
    for member in recognizer.members:
        rule = member.card.crop
        crops = [
            crop_faces(image, faces, rule_for(rule, is_whole=whole))
            for image, faces, whole in zip(images, found, is_whole, strict=True)
        ]
        scores.append(member.classify(np.concatenate(crops), flip=flip))
    return recognizer.fuse(scores)


def _split_readings(
    vote: Vote,
    found: Sequence[Faces],
    is_whole: Sequence[bool],
    recognizer: Recognizer,
    options: ReadOptions,
) -> list[Reading]:
    threshold = recognizer.threshold if options.threshold is None else options.threshold
    readings = []
    start = 0
    for faces, whole in zip(found, is_whole, strict=True):
        rows = slice(start, start + len(faces))
        start += len(faces)
        confidence = vote.confidence[rows]
        readings.append(
            make_reading(
                faces,
                vote.scores[rows],
                vote.class_id[rows],
                confidence,
                confidence < threshold,
                system=options.system,
                is_whole=whole,
            )
        )
    return readings
