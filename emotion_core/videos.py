"""Videos from file to results: what the video page's job and the video command share."""

import math
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from . import limits
from .analysis import ReadOptions, VideoOptions, ahead, provenance_of, read_frames
from .cards import DEFAULT_PRIOR
from .classify import Recognizer
from .draw import DrawOptions, draw_reading
from .errors import BadArgument, InputError, StorageError, TooLarge, said_of
from .export import TIMELINE_ENDS, check_free, timeline_files
from .faces import DEFAULT_DETECTOR, Detector, load_detector
from .files import atomic_path, atomic_write, check_writable, safe_stem, sha256_of
from .jobs import Job, delete_job, new_job, start_job
from .media.encode import write_video
from .media.sample import sample_video
from .media.video import iter_frames, probe_video
from .registry import DEFAULT_MODEL
from .serving import load_recognizer
from .texts import say
from .timeline import TimelineBuilder
from .types import Frame, FrameReading, Image, VideoInfo

#: What its jobs are.
KIND = "video"
#: The files of a result behind its stem.
ANNOTATED = "annotated.mp4"
TIMELINE = "timeline.parquet"
#: Pictures that may wait to be drawn: enough to keep all stages busy, 12 MB of Full HD.
_AHEAD = 2
#: A frame is found from this much earlier on: files with a second between frames are rare.
_LOOK_BACK_S = 1.0


@dataclass(frozen=True)
class VideoTask:
    """All that decides what is made of a video.

    Attributes:
        model_ids: One model, or a committee with its leader first.
        vote: `soft` or `hard`.
        prior: How frequent expressions are taken for, one of `cards.PRIORS`.
        detector: Name of the detector.
        min_confidence: Of the detector; None is its own default.
        options: How the frames are read.
        drawing: What is drawn.
        has_video: Whether the annotated video is written.
        start_s: Begin with the first frame at or after this time.
        end_s: End before this time; None goes on to the end.
        has_caps: Whether the limits for uploads to a shared server hold.

    Raises:
        BadArgument: Start or end is no finite number.
    """

    model_ids: tuple[str, ...] = (DEFAULT_MODEL,)
    vote: str = "soft"
    prior: str = DEFAULT_PRIOR
    detector: str = DEFAULT_DETECTOR
    min_confidence: float | None = None
    options: VideoOptions = field(default_factory=VideoOptions)
    drawing: DrawOptions = field(default_factory=DrawOptions)
    has_video: bool = True
    start_s: float = 0.0
    end_s: float | None = None
    has_caps: bool = False

    def __post_init__(self) -> None:
        if not math.isfinite(self.start_s) or not math.isfinite(self.end_s or 0.0):
            raise BadArgument(f"From {self.start_s} s to {self.end_s} s is no range of a video.")

    def as_dict(self) -> dict[str, Any]:
        """Return the task as plain values, for a file."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "VideoTask":
        """Make a task of what `as_dict` gave."""
        options = dict(values["options"])
        region = options.pop("region")
        reading = ReadOptions(**options.pop("reading"))
        return cls(
            **{
                **values,
                "model_ids": tuple(values["model_ids"]),
                "options": VideoOptions(
                    reading=reading, region=tuple(region) if region else None, **options
                ),
                "drawing": DrawOptions(**values["drawing"]),
            }
        )


@dataclass(frozen=True)
class Progress:
    """How far a video is.

    Attributes:
        done: Frames that are finished.
        total: Frames in all, or None when the file does not say.
        preview: uint8 RGB, the frame as it was drawn last; None between two previews.
        is_reading: False once all frames are read and the files are being finished.
    """

    done: int
    total: int | None
    preview: Image | None = None
    is_reading: bool = True


OnProgress = Callable[[Progress], None]


@dataclass(frozen=True)
class VideoResult:
    """What was made of a video.

    Attributes:
        files: The files that were written, by the ends of their names.
        frames: Frames that were read or shown.
        people: Persons that were followed.
        start_s: Time of the first frame, which is 0 in the annotated video.
        seconds: How long it took, without loading the models.
    """

    files: dict[str, Path]
    frames: int
    people: int
    start_s: float
    seconds: float


def analyse_video(
    source: Path,
    out: Path,
    task: VideoTask,
    *,
    stem: str,
    on_progress: OnProgress | None = None,
    preview_s: float = 1.0,
) -> VideoResult:
    """Read a video and write its results into a folder, each file whole or not at all.

    Args:
        source: The video.
        out: Folder for `<stem>.annotated.mp4`, `<stem>.timeline.csv` and the others.
        task: What to make of it.
        stem: Begins the names of the files.
        on_progress: Called after every frame; what it raises ends the work, and nothing stays.
        preview_s: A preview comes about so often.

    Raises:
        InputError: The video cannot be read, or nothing of it lies in the chosen range.
        ModelError: The models or the detector cannot be loaded.
        StorageError: A file cannot be written, or would overwrite one that is no earlier result.
    """
    info = probe_video(source)
    _check_range(task, info, source.name)
    ends = (*TIMELINE_ENDS, ANNOTATED) if task.has_video else TIMELINE_ENDS
    is_again = check_free(out, stem, ends, kind="video")
    recognizer = load_recognizer(task.model_ids, vote=task.vote, prior=task.prior)
    detector = load_detector(task.detector, min_confidence=task.min_confidence)
    builder = TimelineBuilder(model_id=recognizer.id, labels=recognizer.labels)
    tell = _Teller(on_progress, _frames_expected(info, task), preview_s=preview_s)
    started = time.monotonic()
    written: dict[str, Path] = {}
    if not task.has_video:  # which tries the folder itself
        check_writable(out)
    # the video takes its place when all tables are on the disk, they take theirs when it has
    with ExitStack() as tables, ExitStack() as stack:
        # held, so that it can be moved away meanwhile
        original = stack.enter_context(source.open("rb"))
        writer = None
        if task.has_video:
            written[ANNOTATED] = out / f"{stem}.{ANNOTATED}"
            writing = write_video(written[ANNOTATED], info, sound_of=source, end_s=task.end_s)
            writer = stack.enter_context(writing)
        readings = stack.enter_context(closing(_read(source, task, detector, recognizer)))
        tally = _Tally()
        for drawn, seen in readings:
            tally.count(drawn, seen)
            _check_caps(task, source.name, seconds=drawn.time_s, frames=tally.frames)
            builder.add(seen)
            if writer:
                writer.write(drawn)
            tell.frame(tally.frames, drawn.image)
        if not tally.frames:
            raise InputError(say("error.empty_range", name=source.name))
        tell.finishing()
        table = builder.table()
        about = {
            **asdict(info),
            "frame_rate": str(info.frame_rate),
            "frames_read": tally.frames_read,
            "annotated_start_s": tally.first_s,
        }
        provenance = provenance_of(
            recognizer,
            detector,
            options=task.as_dict(),
            threshold=task.options.reading.threshold,
            input_sha256=sha256_of(original, on_read=tell.finishing),
        )
        for end, content in timeline_files(table, provenance, about=about).items():
            written[end] = out / f"{stem}.{end}"
            tables.enter_context(atomic_path(written[end])).write_bytes(content)
    if is_again and not task.has_video:  # what is left of the earlier reading shows another one
        (out / f"{stem}.{ANNOTATED}").unlink(missing_ok=True)
    people = int(table["tracker_id"].nunique())
    seconds = time.monotonic() - started
    return VideoResult(written, tally.frames, people, tally.first_s, seconds)


@dataclass
class _Tally:
    """What was counted of a video: frames that were read or shown, and those that were read."""

    frames: int = 0
    frames_read: int = 0
    first_s: float = 0.0

    def count(self, drawn: Frame, seen: FrameReading) -> None:
        if not self.frames:
            self.first_s = drawn.time_s
        self.frames += 1
        self.frames_read += not seen.is_held


class _Teller:
    """Tells how far a video is, every `preview_s` with the frame as it was drawn."""

    def __init__(
        self, on_progress: OnProgress | None, total: int | None, *, preview_s: float
    ) -> None:
        self._on_progress, self._total, self._preview_s = on_progress, total, preview_s
        self._done, self._shown_s = 0, 0.0

    def frame(self, done: int, image: Image) -> None:
        self._done = done
        now_s = time.monotonic()
        is_preview = now_s - self._shown_s >= self._preview_s
        if is_preview:
            self._shown_s = now_s
        self._tell(Progress(done, self._total, image if is_preview else None))

    def finishing(self) -> None:
        self._tell(Progress(self._done, self._total, is_reading=False))

    def _tell(self, progress: Progress) -> None:
        if self._on_progress:
            self._on_progress(progress)


def start_video_job(
    name: str,
    content: "bytes | memoryview | Path | None",
    task: VideoTask,
    *,
    owner: str,
    upload_id: str = "",
    has_caps: bool = False,
) -> Job:
    """Start a job that reads a video.

    Args:
        name: How the video is called.
        content: The uploaded file, which is deleted when the job ends; or a path, which is read
            where it lies; or None for the sample.
        task: What to make of it.
        owner: Whose job it is.
        upload_id: Which upload it is, kept in the job's settings.
        has_caps: Whether the limits for uploads to a shared server hold.

    Raises:
        InputError: The video cannot be read; then no job is left.
        TooLarge: It is over a limit for uploads.
        StorageError: It cannot be written.
    """
    path = str(content) if isinstance(content, Path) else None
    has_caps = has_caps and isinstance(content, bytes | memoryview)
    task = replace(task, has_caps=has_caps)
    settings = {
        "task": task.as_dict(),
        "stem": safe_stem(name, otherwise="video"),
        "path": path,
        "upload_id": upload_id,
    }
    job = new_job(KIND, name, owner=owner, settings=settings)
    try:
        source = job.folder / "input" / f"upload{Path(name).suffix.lower()[:8]}"
        if isinstance(content, Path):
            source = content
        elif content is None:
            sample_video(source)
        else:
            atomic_write(source, content)
        with said_of(source.name, name):
            info = probe_video(source)
        _check_range(task, info, name)
        _check_caps(
            task,
            name,
            seconds=info.duration_s or 0.0,
            frames=info.frame_count or 0,
            size_bytes=len(content) if isinstance(content, bytes | memoryview) else 0,
        )
    except BaseException:
        delete_job(job)
        raise
    start_job(job)
    return job


def _check_caps(
    task: VideoTask, name: str, *, seconds: float, frames: int, size_bytes: int = 0
) -> None:
    """Hold an upload to its limits; a file may say too little, so they hold while reading too."""
    is_over = (
        size_bytes > limits.VIDEO_UPLOAD_MAX_BYTES
        or seconds > limits.VIDEO_UPLOAD_MAX_S
        or frames > limits.VIDEO_UPLOAD_MAX_FRAMES
    )
    if task.has_caps and is_over:
        raise TooLarge(
            say(
                "error.video_upload",
                name=name,
                limit_mb=limits.VIDEO_UPLOAD_MAX_BYTES // 1_000_000,
                limit_min=round(limits.VIDEO_UPLOAD_MAX_S / 60),
                limit_frames=f"{limits.VIDEO_UPLOAD_MAX_FRAMES:,}",
            )
        )


def load_timeline(path: Path) -> pd.DataFrame:
    """Return the timeline of a result, as `timeline.timeline_table` gave it.

    Raises:
        StorageError: The file is gone or damaged.
    """
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise StorageError(say("error.no_result", name=path.name)) from error


def frame_at(path: Path, time_s: float) -> Image | None:
    """Return the picture that a video shows at a time, uint8 RGB, the last one also behind its
    end; None where it begins later."""
    look_back_s = _LOOK_BACK_S
    while True:
        start_s, shown = max(0.0, time_s - look_back_s), None
        for frame in iter_frames(path, start_s=start_s):
            if frame.time_s > time_s + 1e-3:
                break
            shown = frame.image
        if shown is not None or start_s == 0:
            return shown
        look_back_s *= 4  # a screen that stands still has seconds between its frames


def _read(
    source: Path, task: VideoTask, detector: Detector, recognizer: Recognizer
) -> Generator[tuple[Frame, FrameReading]]:
    """Give each frame as it is shown, with what was read.

    Searching and classifying run in threads of their own, drawing in that of the caller.
    """
    every = task.options.every
    options = task.options
    if not task.has_video:  # frames that are neither read nor shown are not even converted
        options = replace(options, every=1)
    frames = iter_frames(
        source, every=1 if task.has_video else every, start_s=task.start_s, end_s=task.end_s
    )
    readings = ahead(
        read_frames(frames, detector, recognizer, options=options, ahead_by=1), depth=_AHEAD
    )
    try:
        for seen in readings:
            yield _drawn(seen, task) if task.has_video else seen.frame, seen
    finally:
        readings.close()


def _drawn(seen: FrameReading, task: VideoTask) -> Frame:
    if not len(seen.reading):
        return seen.frame
    return replace(
        seen.frame, image=draw_reading(seen.frame.image, seen.reading, options=task.drawing)
    )


def _check_range(task: VideoTask, info: VideoInfo, name: str) -> None:
    is_empty = task.end_s is not None and task.end_s <= task.start_s
    is_beyond = info.duration_s is not None and task.start_s >= info.duration_s
    if is_empty or is_beyond:
        raise InputError(say("error.empty_range", name=name))


def _frames_expected(info: VideoInfo, task: VideoTask) -> int | None:
    duration = info.duration_s
    lasting = round(duration * info.frame_rate) if duration else None
    count = info.frame_count or lasting
    if count is None:
        return None
    if lasting and count < lasting / 2:  # written in pieces, a video counts its first one alone
        count = lasting
    if duration and (task.start_s or task.end_s is not None):
        end_s = min(duration, task.end_s if task.end_s is not None else duration)
        count = round(count * max(0.0, end_s - task.start_s) / duration)
    if not task.has_video:
        count = -(-count // task.options.every)
    return max(1, count)
