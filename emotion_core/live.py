"""A camera as it runs: a slot for the newest frame, one thread that reads, and recordings."""

import logging
import queue
import shutil
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pandas as pd

from . import limits
from .analysis import VideoOptions, provenance_of, read_frames
from .cards import NETWORK_FILE
from .classify import Recognizer
from .draw import DrawOptions, draw_reading
from .errors import EmotionError, StorageError
from .export import timeline_files
from .faces import Detector
from .files import atomic_write
from .jobs import Job, end_job, write_process, write_status
from .media.encode import write_video
from .texts import say
from .timeline import TimelineBuilder
from .tracking import Tracker
from .types import Frame, FrameReading, Image, VideoInfo

#: The kind of job that a recording is.
RECORDING = "camera"
#: A frame waits for its own reading at most this long; later it shows the one before it.
_WAIT_S = 0.022
#: What the page's chart shows.
_HISTORY_S = 60.0
#: Rates are those of the last so many seconds.
_RATE_S = 3.0
#: Without a frame for so long, the camera has stopped.
_IDLE_S = 1.5
#: Frames that may wait for the encoder of a recording: two seconds of a camera.
_WAITING_MAX = 60
#: A reading older than this is not shown on a new frame.
_STALE_S = 1.0


@dataclass(frozen=True)
class LiveTools:
    """What reads and draws; it may be changed while the camera runs.

    Attributes:
        recognizer: A model or a committee.
        detector: Finds the faces.
        options: How frames are read.
        drawing: What is drawn.
    """

    recognizer: Recognizer
    detector: Detector
    options: VideoOptions
    drawing: DrawOptions


@dataclass(frozen=True)
class LiveState:
    """How a session is doing.

    Attributes:
        is_running: Whether frames come in.
        shown_fps: Frames per second that come in and go back to the page.
        read_fps: Frames per second that are read.
        read_ms: Time of one reading, the median of late.
        latest: The newest reading.
        history: Time in seconds and probabilities of the largest face, of the last minute.
        problem: Why nothing is read any more; empty otherwise.
    """

    is_running: bool
    shown_fps: float
    read_fps: float
    read_ms: float
    latest: FrameReading | None
    history: list[tuple[float, dict[str, float]]]
    problem: str

    @property
    def every(self) -> int:
        """Of how many frames one is read, since the machine manages no more."""
        return max(1, round(self.shown_fps / self.read_fps)) if self.read_fps else 1


class LiveSession:
    """One camera. `show` is called for each frame, from whatever thread brings it.

    A slot holds the newest frame alone, so that a slow machine reads fewer frames and no delay
    grows.

    Args:
        tools: What reads and draws at first.
    """

    def __init__(self, tools: LiveTools) -> None:
        self._tools = tools
        self._changed = threading.Condition()
        self._newest: Frame | None = None
        self._latest: FrameReading | None = None
        self._is_open = True
        self._index = 0
        self._shown_s: deque[float] = deque(maxlen=300)
        self._read_s: deque[tuple[float, float]] = deque(maxlen=300)
        self._history: deque[tuple[float, dict[str, float]]] = deque(maxlen=2000)
        self._problem = ""
        self._picture: Image | None = None
        self._recording: Recording | None = None
        self._thread = threading.Thread(target=self._work, name="live", daemon=True)
        self._thread.start()

    def show(self, image: Image) -> Image:
        """Take a new frame and return it with the newest reading drawn on it.

        Args:
            image: uint8 RGB (height, width, 3).
        """
        now_s = time.monotonic()
        with self._changed:
            frame = Frame(image, self._index, now_s)
            self._index += 1
            self._newest = frame
            self._shown_s.append(now_s)
            self._changed.notify_all()
            self._changed.wait_for(
                lambda: self._latest is not None and self._latest.frame.index >= frame.index,
                timeout=_WAIT_S,
            )
            latest, tools, recording = self._latest, self._tools, self._recording
        picture = image
        if latest is not None and now_s - latest.frame.time_s < _STALE_S:
            picture = draw_reading(image, latest.reading, options=tools.drawing)
        self._picture = picture
        if recording:
            recording.add_frame(replace(frame, image=picture))
        return picture

    def on_frame(self, frame: av.VideoFrame) -> av.VideoFrame:
        """Answer a frame of WebRTC with the picture that the page shows."""
        picture = self.show(frame.to_ndarray(format="rgb24"))
        answer = av.VideoFrame.from_ndarray(picture, format="rgb24")
        answer.pts, answer.time_base = frame.pts, frame.time_base
        return answer

    def change(self, tools: LiveTools) -> None:
        """Go on with other tools; people keep their numbers."""
        with self._changed:
            self._tools = tools
            self._problem = ""

    def state(self) -> LiveState:
        """Return how the session is doing."""
        now_s = time.monotonic()
        with self._changed:
            shown, read = list(self._shown_s), list(self._read_s)
            latest, problem = self._latest, self._problem
            history = [row for row in self._history if now_s - row[0] <= _HISTORY_S]
        is_running = bool(shown) and now_s - shown[-1] < _IDLE_S
        took = [ms for at_s, ms in read if now_s - at_s < _RATE_S]
        return LiveState(
            is_running=is_running,
            shown_fps=_rate(shown, now_s) if is_running else 0.0,
            read_fps=_rate([at_s for at_s, _ in read], now_s) if is_running else 0.0,
            read_ms=float(np.median(took)) if took else 0.0,
            latest=latest if is_running else None,
            history=[(at_s - now_s, probs) for at_s, probs in history],
            problem=problem,
        )

    def snapshot(self) -> Image | None:
        """Return the picture as it was shown last, uint8 RGB."""
        return self._picture

    @property
    def recording(self) -> "Recording | None":
        """What is recorded now."""
        return self._recording

    def record(self, job: Job) -> None:
        """Begin to record into the folder of a job."""
        with self._changed:
            self._recording = Recording(job, self._tools)

    def stop_recording(self) -> None:
        """End the recording and write its files."""
        with self._changed:
            recording, self._recording = self._recording, None
        if recording:
            recording.finish()

    def close(self) -> None:
        """Stop reading, and end a recording."""
        self.stop_recording()
        with self._changed:
            self._is_open = False
            self._changed.notify_all()
        self._thread.join(timeout=5)

    def _work(self) -> None:
        """Read frames until the session is closed; begin the chain anew when tools change."""
        tracker = Tracker()
        while self._is_open:
            tools = self._tools
            options = replace(tools.options, batch=1, every=1)
            frames = self._frames(tools)
            try:
                readings = read_frames(
                    frames, tools.detector, tools.recognizer, options=options, tracker=tracker
                )
                with closing(readings):
                    for seen in readings:
                        self._take(seen, tools)
            except Exception as error:  # one frame must not end the camera
                logging.exception("a frame could not be read")
                known = isinstance(error, EmotionError)
                self._problem = str(error) if known else say("error.live_failed")
                self._end_recording_when_over()
                time.sleep(0.5)

    def _end_recording_when_over(self) -> None:
        """End a recording that was cancelled or has reached a limit."""
        with self._changed:
            recording = self._recording
            if recording is None or not (recording.is_cancelled() or recording.limit()):
                return
            self._recording = None
        recording.finish()

    def _frames(self, tools: LiveTools) -> Iterator[Frame]:
        """Give the newest frame, each once, until the tools change or the session closes."""
        given = self._latest.frame.index if self._latest else -1
        while (frame := self._next(tools, given)) is not None:
            given = frame.index
            yield frame

    def _next(self, tools: LiveTools, after: int) -> Frame | None:
        """Wait for a newer frame; None when these tools have nothing more to read."""
        while True:
            with self._changed:
                has_come = self._changed.wait_for(
                    lambda: self._is_over(tools) or (self._index > after + 1), timeout=_IDLE_S
                )
                if self._is_over(tools):
                    return None
                if has_come:
                    return self._newest
            self.stop_recording()  # the camera is gone, and what was recorded is complete

    def _is_over(self, tools: LiveTools) -> bool:
        return not self._is_open or self._tools is not tools

    def _take(self, seen: FrameReading, tools: LiveTools) -> None:
        now_s = time.monotonic()
        with self._changed:
            self._latest, self._problem = seen, ""
            self._read_s.append((now_s, 1000 * (now_s - seen.frame.time_s)))
            probs = _probs_of_largest(seen)
            if probs:
                self._history.append((seen.frame.time_s, probs))
            self._changed.notify_all()
            if self._recording:
                self._recording.add_reading(seen, tools)
        self._end_recording_when_over()


class Recording:
    """What a camera shows and what is read, written into the folder of a job.

    Frames go to the encoder in a thread of its own; when it falls behind, frames are left out and
    the others keep their times.

    Args:
        job: Its folder takes the result.
        tools: Who reads.
    """

    def __init__(self, job: Job, tools: LiveTools) -> None:
        self.job = job
        self._tools = tools
        self._began_s = time.monotonic()
        self._builder = TimelineBuilder(labels=tools.recognizer.labels)
        self._models: dict[str, str] = {}
        self._first_index: int | None = None
        self._first_s = 0.0
        self._frames: queue.Queue[Frame | None] = queue.Queue(maxsize=_WAITING_MAX)
        self._written = 0
        self._problem = ""
        self._size_wh: tuple[int, int] | None = None
        write_process(job.folder, is_shared=True)
        write_status(job.folder, state="running")
        self._thread = threading.Thread(target=self._encode, name="recording", daemon=True)
        self._thread.start()

    @property
    def seconds(self) -> float:
        """How long it has been running."""
        return time.monotonic() - self._began_s

    def add_frame(self, frame: Frame) -> None:
        """Take a frame as it is shown."""
        try:
            self._frames.put_nowait(self._timed(frame))
        except queue.Full:
            return

    def add_reading(self, seen: FrameReading, tools: LiveTools) -> None:
        """Take a reading and who read it; one from before the beginning is left out."""
        frame = self._timed(seen.frame)
        if frame.time_s < 0:
            return
        if self._first_index is None:
            self._first_index = frame.index
        self._tools = tools
        members = tools.recognizer.members
        self._models.update({m.card.id: m.card.files[NETWORK_FILE] for m in members})
        frame = replace(frame, index=frame.index - self._first_index)
        self._builder.add(replace(seen, frame=frame), model_id=tools.recognizer.id)

    def is_cancelled(self) -> bool:
        """Return whether somebody asked the job to stop."""
        return (self.job.folder / "cancel").exists() or not self.job.folder.exists()

    def limit(self) -> str:
        """Return what ends the recording by itself: `time`, `disk`, or nothing yet."""
        if self.seconds > limits.RECORDING_MAX_S:
            return "time"
        try:
            free = shutil.disk_usage(self.job.folder).free
        except OSError:  # somebody deleted it, which `is_cancelled` says
            return ""
        return "disk" if free < limits.RECORDING_SPARE_BYTES else ""

    def finish(self) -> None:
        """Write what is still waiting, and the timeline; then the job is over."""
        ended_by = self.limit()
        self._frames.put(None)
        self._thread.join(timeout=60)
        if not self.job.folder.exists():
            return
        if self.is_cancelled():
            end_job(self.job.folder, "cancelled")
            return
        table = self._builder.table()
        try:
            if self._problem:
                raise StorageError(self._problem)
            self._write_tables(table)
        except StorageError as error:
            end_job(self.job.folder, "failed", message=str(error))
            return
        summary = {
            "frames": self._written,
            "people": int(table["tracker_id"].nunique()),
            "seconds": self.seconds,
            "video_start_s": self._first_s,
            "ended_by": ended_by,
        }
        end_job(self.job.folder, "done", summary=summary)

    def _timed(self, frame: Frame) -> Frame:
        return replace(frame, time_s=frame.time_s - self._began_s)

    def _encode(self) -> None:
        first = self._frames.get()
        if first is None:
            return
        self._first_s = first.time_s
        height, width = first.image.shape[:2]
        info = VideoInfo(width, height, Fraction(30), None, None, 0, has_audio=False)
        frame: Frame | None = first
        try:
            with write_video(self.job.folder / "result" / "camera.annotated.mp4", info) as video:
                while frame is not None:
                    video.write(frame)
                    self._written += 1
                    frame = self._frames.get()
        except Exception as error:  # whatever it is, the camera goes on
            logging.exception("a recording could not be written")
            known = isinstance(error, EmotionError)
            self._problem = str(error) if known else say("error.live_failed")
            while frame is not None:  # who adds frames waits for nobody
                frame = self._frames.get()

    def _write_tables(self, table: pd.DataFrame) -> None:
        tools = self._tools
        provenance = provenance_of(
            tools.recognizer,
            tools.detector,
            options={**asdict(tools.options), "drawing": asdict(tools.drawing)},
            threshold=tools.options.reading.threshold,
            input_sha256="",
        )
        provenance = replace(provenance, models={**provenance.models, **self._models})
        about: dict[str, Any] = {"source": "camera", "seconds": round(self.seconds, 3)}
        for end, content in timeline_files(table, provenance, about=about).items():
            atomic_write(self.job.folder / "result" / f"camera.{end}", content)


class LiveSlots:
    """How many cameras may run at once, and who waits; one object for the whole server.

    Args:
        slots: Sessions that may run.
    """

    #: Who has not asked again for so long has gone.
    _GONE_S = 6.0

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self._lock = threading.Lock()
        self._running: dict[str, float] = {}
        self._waiting: dict[str, float] = {}

    def ask(self, session: str) -> int:
        """Return 0 when the session may run, else its place in the line; asked every second."""
        now_s = time.monotonic()
        with self._lock:
            for table in (self._running, self._waiting):
                for gone in [who for who, at_s in table.items() if now_s - at_s > self._GONE_S]:
                    del table[gone]
            if session not in self._running:
                self._waiting[session] = now_s
                place = list(self._waiting).index(session) + 1
                if place > self.slots - len(self._running):
                    return place
                del self._waiting[session]
            self._running[session] = now_s
            return 0

    def leave(self, session: str) -> None:
        """Free the slot, or the place in the line."""
        with self._lock:
            self._running.pop(session, None)
            self._waiting.pop(session, None)


def _rate(times_s: list[float], now_s: float) -> float:
    recent = [at_s for at_s in times_s if now_s - at_s < _RATE_S]
    if len(recent) < 2:
        return 0.0
    return (len(recent) - 1) / max(1e-3, recent[-1] - recent[0])


def _probs_of_largest(seen: FrameReading) -> dict[str, float]:
    if not len(seen.reading):
        return {}
    row = int(seen.quality.size_px.argmax())
    scores = seen.reading.scores
    return {name: float(p) for name, p in zip(scores.labels, scores.probs[row], strict=True)}
