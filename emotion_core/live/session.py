"""One camera: frames come in, readings go on them, whatever is slower."""

import logging
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace

import av
import numpy as np

from ..analysis import read_frames
from ..draw import draw_reading
from ..errors import EmotionError
from ..jobs import Job
from ..media.sizes import has_form, in_size
from ..texts import say
from ..tracking import Tracker
from ..types import Frame, FrameReading, Image
from .recording import Recording
from .tools import LiveTools

#: A frame waits for its own reading at most this long; later it shows the one before it.
_WAIT_S = 0.022
#: What the page's chart shows.
_HISTORY_S = 60.0
#: Rates are those of the last so many seconds.
_RATE_S = 3.0
#: Without a frame for so long, the camera has stopped.
_IDLE_S = 1.5
#: ... and for so long, it does not come back: its recording ends. A network stumbles for less.
_GONE_S = 15.0
#: A reading older than this is not shown on a new frame.
_STALE_S = 1.0


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
        self._given = -1
        self._shown_s: deque[float] = deque(maxlen=300)
        self._read_s: deque[tuple[float, float]] = deque(maxlen=300)
        self._history: deque[tuple[float, dict[str, float]]] = deque(maxlen=2000)
        self._problem = ""
        self._picture: Image | None = None
        self._size_hw: tuple[int, int] | None = None
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
            image = self._in_one_size(image)
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

    def _in_one_size(self, image: Image) -> Image:
        """Return a frame as large as the largest of its form: browsers send fewer pixels for a
        while when a machine or a line is busy, and people and recordings go on.

        A recording keeps its form: in it, frames of a phone that was turned stand between bars.
        """
        height, width = image.shape[:2]
        held = self._size_hw or (height, width)
        is_better = width > held[1] or not has_form(image, *held)
        if self._size_hw is None or (is_better and self._recording is None):
            self._size_hw = held = height, width
        return in_size(image, *held)

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

    def stop_recording(self, *, ended_by: str = "") -> None:
        """End the recording and write its files.

        Args:
            ended_by: What ended it, for who did not; empty: somebody wished it.
        """
        with self._changed:
            recording, self._recording = self._recording, None
        if recording:
            recording.finish(ended_by=ended_by)

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
        """End a recording that has to end."""
        with self._changed:
            recording = self._recording
            if recording is None or not recording.has_to_end():
                return
            self._recording = None
        recording.finish()

    def _frames(self, tools: LiveTools) -> Iterator[Frame]:
        """Give the newest frame, each once, until the tools change or the session closes."""
        while (frame := self._next(tools, self._given)) is not None:
            self._given = frame.index  # also where it cannot be read: it would fail again
            yield frame

    def _next(self, tools: LiveTools, after: int) -> Frame | None:
        """Wait for a newer frame; None when these tools have nothing more to read."""
        gone_s = time.monotonic() + _GONE_S
        while True:
            with self._changed:
                has_come = self._changed.wait_for(
                    lambda: self._is_over(tools) or (self._index > after + 1), timeout=_IDLE_S
                )
                if self._is_over(tools):
                    return None
                if has_come:
                    return self._newest
            if time.monotonic() > gone_s:  # what was recorded is complete
                self.stop_recording(ended_by="camera")

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
