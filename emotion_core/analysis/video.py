"""Videos as a chain of stages over bounded batches of frames.

    frames → batches → detect → track → classify → smooth → readings

Every stage takes an iterator of batches and gives one, and knows nothing of the others. Running
stages side by side is a matter of `ahead` between two of them.
"""

import math
from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np

from ..classify import Recognizer
from ..errors import BadArgument
from ..faces import Detector
from ..faces.contract import cut_off
from ..quality import face_quality
from ..tracking import Smoother, Tracker
from ..types import Faces, Frame, FrameReading, Image, Quality, Reading, check_image
from .picture import ReadOptions, find_faces, make_reading, read_faces


@dataclass(frozen=True)
class VideoOptions:
    """How videos are read.

    Attributes:
        reading: How each of their pictures is read; `whole_if_none` has no meaning here.
        every: Read every n-th frame only; the others show the last reading.
        detect_every: Search for faces in every n-th of those; between, faces move on as they moved
            for 0.2 s, then stay; with searches further apart than that, they stay at once.
        smooth_s: Probabilities are the median over so many last seconds; 0 = raw.
        hysteresis: A new label has to lead the old one by so much, and a person's confidence to
            pass the threshold by as much, at most half of what is left to either side, before the
            model abstains or answers again; 0 = raw.
        gap_s: How long a person may be unseen and keep the number.
        region: The part of the picture that is searched: left, top, right, bottom as shares of
            width and height; None is all of it.
        batch: Frames that go through a stage together, at most; fewer of large pictures.

    Raises:
        BadArgument: A number is out of its range.
    """

    reading: ReadOptions = field(default_factory=ReadOptions)
    every: int = 1
    detect_every: int = 1
    smooth_s: float = 0.4
    hysteresis: float = 0.2
    gap_s: float = 1.0
    region: tuple[float, float, float, float] | None = None
    batch: int = 8

    def __post_init__(self) -> None:
        object.__setattr__(self, "reading", self.reading.decided(flip=False))
        if min(self.every, self.detect_every, self.batch) < 1:
            raise BadArgument("every, detect_every and batch count from 1.")
        if not all(0 <= one < math.inf for one in (self.smooth_s, self.hysteresis, self.gap_s)):
            raise BadArgument("smooth_s, hysteresis and gap_s are numbers from 0.")
        if self.region is not None:
            left, top, right, bottom = self.region
            if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
                raise BadArgument(f"The region {self.region} is not a part of the picture.")


@dataclass(frozen=True)
class _Seen:
    """A frame on its way through the chain.

    Attributes:
        frame: The frame.
        faces: Its faces; None where nobody was looked for.
        quality: How well they can be seen.
        reading: What they look like, once that is read.
        is_held: The frame is skipped and shows the reading before it.
    """

    frame: Frame
    faces: Faces | None = None
    quality: Quality | None = None
    reading: Reading | None = None
    is_held: bool = False


#: Three batches are on their way at once; eight pictures of 640×480 or one of Full HD each.
_BATCH_MAX_PX = 8 * 640 * 480

_Batches = Generator[list[_Seen]]
T = TypeVar("T")


def read_frames(
    frames: Iterable[Frame],
    detector: Detector,
    recognizer: Recognizer,
    *,
    options: VideoOptions | None = None,
    tracker: Tracker | None = None,
    ahead_by: int = 0,
) -> Generator[FrameReading]:
    """Read the frames of a video, or of a camera, in order.

    Args:
        frames: Frames with rising times.
        detector: Finds the faces.
        recognizer: A model or a committee.
        options: How to read; None takes the defaults.
        tracker: Goes on with its people, where options change on the way; None begins anew.
        ahead_by: Batches that searching may be ahead of classifying, in a thread of its own; 0
            does one after the other. For files; a camera would only show older frames.

    Yields:
        One `FrameReading` per frame.

    Raises:
        BadArgument: The picture of a frame is not uint8 RGB. Swapped colours (BGR, as OpenCV reads
            them) cannot be told; they only read worse.
    """
    options = options or VideoOptions()
    batches = in_batches(frames, options)
    found = detect(batches, detector, options)
    tracked = track(found, tracker or Tracker(max_gap_s=options.gap_s))
    if ahead_by:
        tracked = ahead(tracked, depth=ahead_by)
    read = classify(tracked, recognizer, options)
    return hold(smooth(read, recognizer, options))


def in_batches(frames: Iterable[Frame], options: VideoOptions) -> _Batches:
    """Gather frames; every n-th will be read. Large pictures make small batches."""
    batch: list[_Seen] = []
    for number, frame in enumerate(frames):
        batch.append(_Seen(frame, is_held=number % options.every != 0))
        height, width = check_image(frame.image).shape[:2]
        if len(batch) >= min(options.batch, _BATCH_MAX_PX // (height * width)):
            yield batch
            batch = []
    if batch:
        yield batch


def detect(batches: _Batches, detector: Detector, options: VideoOptions) -> _Batches:
    """Search for faces where it is their turn."""
    number = 0
    for batch in batches:
        for i, seen in enumerate(batch):
            if seen.is_held:
                continue
            if number % options.detect_every == 0:
                batch[i] = replace(seen, faces=_search(seen.frame.image, detector, options))
            number += 1
        yield batch


def track(batches: _Batches, tracker: Tracker) -> _Batches:
    """Number the people, and move their faces on where nobody was looked for."""
    looked_s = 0.0
    for batch in batches:
        for i, seen in enumerate(batch):
            if seen.is_held:
                continue
            if seen.faces is None:
                carried = tracker.carry(seen.frame.time_s, since_s=looked_s)
                faces = _inside(carried, seen.frame.image)
            else:
                faces = tracker.update(seen.faces, seen.frame.time_s)
                looked_s = seen.frame.time_s
            batch[i] = replace(seen, faces=faces, quality=face_quality(seen.frame.image, faces))
        yield batch


def _inside(faces: Faces, image: Image) -> Faces:
    """Cut boxes off at the edges, as detectors do; who has all but left the picture is gone."""
    boxes, large = cut_off(faces.xyxy, image)
    return replace(faces, xyxy=boxes)[large]


def classify(batches: _Batches, recognizer: Recognizer, options: VideoOptions) -> _Batches:
    """Read all faces of a batch together."""
    for batch in batches:
        rows = [i for i, seen in enumerate(batch) if seen.faces is not None]
        readings = read_faces(
            [batch[i].frame.image for i in rows],
            [faces for seen in batch if (faces := seen.faces) is not None],
            recognizer,
            options=replace(options.reading, whole_if_none=False),
        )
        for i, reading in zip(rows, readings, strict=True):
            batch[i] = replace(batch[i], reading=reading)
        yield batch


def smooth(batches: _Batches, recognizer: Recognizer, options: VideoOptions) -> _Batches:
    """Smooth each person's probabilities over time."""
    threshold = options.reading.threshold
    smoother = Smoother(
        window_s=options.smooth_s,
        hysteresis=options.hysteresis,
        threshold=recognizer.threshold if threshold is None else threshold,
        max_gap_s=options.gap_s,
    )
    is_raw = not options.smooth_s and not options.hysteresis
    for batch in batches:
        for i, seen in enumerate(batch):
            if seen.reading is not None and not is_raw:
                reading = _smoothed(seen.reading, smoother, seen.frame.time_s, options)
                batch[i] = replace(seen, reading=reading)
        yield batch


def hold(batches: _Batches) -> Generator[FrameReading]:
    """Give skipped frames the reading before them, and take the batches apart."""
    last: _Seen | None = None
    for batch in batches:
        for seen in batch:
            last = seen if last is None or not seen.is_held else last
            if last.reading is None or last.quality is None:
                raise ValueError("A frame was held before one was read.")
            yield FrameReading(seen.frame, last.reading, last.quality, seen.is_held)


def ahead(items: Generator[T], *, depth: int) -> Generator[T]:
    """Run a stage in a thread of its own, at most `depth` items ahead of who takes them.

    What it raises is raised here. When this iterator is closed early, the stage is closed too.
    """
    end = object()
    with ThreadPoolExecutor(1, thread_name_prefix="stage") as thread:
        waiting = deque(thread.submit(next, items, end) for _ in range(depth))
        try:
            while (item := waiting.popleft().result()) is not end:
                waiting.append(thread.submit(next, items, end))
                yield item  # type: ignore[misc]
        finally:
            for later in waiting:
                later.cancel()
            thread.submit(items.close)


def _search(image: Image, detector: Detector, options: VideoOptions) -> Faces:
    if options.region is None:
        return find_faces(image, detector)
    height, width = image.shape[:2]
    shares = np.array(options.region, np.float32)
    left, top, right, bottom = np.round(shares * [width, height, width, height]).astype(int)
    left, top = min(left, width - 1), min(top, height - 1)
    part = image[top : max(bottom, top + 1), left : max(right, left + 1)]
    faces = find_faces(np.ascontiguousarray(part), detector)
    shift = np.array([left, top], np.float32)
    points = None if faces.landmarks is None else faces.landmarks + shift
    return Faces(faces.xyxy + np.tile(shift, 2), faces.confidence, points)


def _smoothed(
    reading: Reading, smoother: Smoother, time_s: float, options: VideoOptions
) -> Reading:
    """Return a reading with the smoothed scores of its people."""
    labels = reading.scores.labels
    winners = np.array([labels.index(name) for name in reading.top_label], np.int64)
    people = reading.faces.tracker_id
    if people is None:
        return reading
    now = smoother.update(reading.scores, winners, reading.confidence, people, time_s)
    return make_reading(
        reading.faces,
        now.scores,
        now.class_id,
        now.confidence,
        now.abstained,
        system=options.reading.system,
    )
