"""What a camera showed and what was read, as files: the result of a job."""

import logging
import queue
import shutil
import threading
import time
from contextlib import suppress
from dataclasses import asdict, replace
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd

from .. import limits
from ..analysis import network_hashes, provenance_of
from ..errors import EmotionError, StorageError
from ..export import timeline_files
from ..files import atomic_write
from ..jobs import Job, delete_job, end_job, write_process, write_status
from ..media.encode import write_video
from ..texts import say
from ..timeline import TimelineBuilder
from ..types import Frame, FrameReading, VideoInfo
from .tools import LiveTools

#: The kind of job that a recording is.
RECORDING = "camera"
#: Frames that may wait for the encoder: two seconds of a camera.
_WAITING_MAX = 60


class Recording:
    """What a camera shows and what is read, written into the folder of a job.

    Frames go to the encoder in a thread of its own; when it falls behind, frames are left out and
    the others keep their times.

    Args:
        job: Its folder takes the result.
        tools: Who reads.

    Raises:
        StorageError: It cannot begin; then the job is gone.
    """

    def __init__(self, job: Job, tools: LiveTools) -> None:
        self.job = job
        self._tools = tools
        self._began_s = time.monotonic()
        self._builder = TimelineBuilder(labels=tools.recognizer.labels)
        self._models: dict[str, str] = {}
        self._changes: list[dict[str, Any]] = []
        self._first_s = self._last_s = 0.0
        self._frames: queue.Queue[Frame | None] = queue.Queue(maxsize=_WAITING_MAX)
        self._written: list[int] = []  # of each frame of the video, which the camera's it is
        self._problem = ""
        try:
            write_process(job.folder, is_shared=True)
            write_status(job.folder, state="running")
        except StorageError:
            delete_job(job)  # or it would stand in the line for ever
            raise
        self._thread = threading.Thread(target=self._encode, name="recording", daemon=True)
        self._thread.start()

    @property
    def seconds(self) -> float:
        """How long it has been running."""
        return time.monotonic() - self._began_s

    def add_frame(self, frame: Frame) -> None:
        """Take a frame as it is shown."""
        try:
            self._frames.put_nowait(timed := self._timed(frame))
            self._last_s = timed.time_s
        except queue.Full:
            return

    def add_reading(self, seen: FrameReading, tools: LiveTools) -> None:
        """Take a reading and who read it; one from before the beginning is left out."""
        frame = self._timed(seen.frame)
        if frame.time_s < 0:
            return
        if tools is not self._tools or not self._changes:
            self._changes.append({"from_s": round(frame.time_s, 3), **_described(tools)})
        self._tools = tools
        self._models.update(network_hashes(tools.recognizer))
        self._builder.add(replace(seen, frame=frame), model_id=tools.recognizer.id)

    def has_to_end(self) -> bool:
        """Return whether it was cancelled, has reached a limit, or cannot be written."""
        return bool(self._problem or self.limit()) or self.is_cancelled()

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

    def finish(self, *, ended_by: str = "") -> None:
        """Write what is still waiting, and the timeline; then the job is over, whatever happens.

        Args:
            ended_by: What ended it, where it is no limit; empty: somebody wished it.
        """
        try:
            self._finish(self.limit() or ended_by)
        except Exception as error:
            logging.exception("a recording could not be ended")
            with suppress(StorageError):
                end_job(self.job.folder, "failed", message=_told(error))

    def _finish(self, ended_by: str) -> None:
        self._frames.put(None)
        self._thread.join(timeout=60)
        if not self.job.folder.exists():
            return
        if self.is_cancelled():
            end_job(self.job.folder, "cancelled")
            return
        table = self._builder.table()
        if self._written:  # what the video shows at the moment of a reading
            table["frame"] = np.searchsorted(self._written, table["frame"], side="right") - 1
            table = table[table["frame"] >= 0].reset_index(drop=True)
        if self._problem:
            raise StorageError(self._problem)
        self._write_tables(table)
        summary = {
            "frames": len(self._written),
            "people": int(table["tracker_id"].nunique()),
            "seconds": round(self._last_s, 3),
            "video_start_s": self._first_s,
            "ended_by": ended_by,
            "readers": len(self._changes),
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
                    self._written.append(frame.index)
                    frame = self._frames.get()
        except Exception as error:  # whatever it is, the camera goes on
            logging.exception("a recording could not be written")
            self._problem = _told(error)
            while frame is not None:  # who adds frames waits for nobody
                frame = self._frames.get()

    def _write_tables(self, table: pd.DataFrame) -> None:
        tools = self._tools
        provenance = provenance_of(
            tools.recognizer,
            tools.detector,
            options=_options_of(tools),
            threshold=tools.options.reading.threshold,
            input_sha256="",
        )
        provenance = replace(provenance, models={**provenance.models, **self._models})
        about: dict[str, Any] = {
            "source": "camera",
            "seconds": round(self._last_s, 3),
            "annotated_start_s": self._first_s,
            # the provenance is that of the end
            **({"read_with": self._changes} if len(self._changes) > 1 else {}),
        }
        for end, content in timeline_files(table, provenance, about=about).items():
            atomic_write(self.job.folder / "result" / f"camera.{end}", content)


def _options_of(tools: LiveTools) -> dict[str, Any]:
    return {**asdict(tools.options), "drawing": asdict(tools.drawing)}


def _described(tools: LiveTools) -> dict[str, Any]:
    """Return who reads and how, as far as the page can change it meanwhile."""
    threshold = tools.options.reading.threshold
    return {
        "model_id": tools.recognizer.id,
        "prior": tools.recognizer.prior,
        "detector": tools.detector.name,
        "threshold": tools.recognizer.threshold if threshold is None else threshold,
        "options": _options_of(tools),
    }


def _told(error: Exception) -> str:
    """Return what people are told of an error, which only some errors have words for."""
    return str(error) if isinstance(error, EmotionError) else say("error.live_failed")
