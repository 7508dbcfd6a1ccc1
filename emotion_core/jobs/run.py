"""What a worker holds on to: a slot, its progress, and whether it should stop."""

import logging
import os
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from filelock import FileLock, Timeout

from .. import limits
from ..errors import EmotionError, JobCancelled, StorageError
from ..files import atomic_write, work_folder, write_json
from ..texts import say
from .store import (
    Job,
    end_job,
    is_first_in_line,
    line_of,
    load_folder,
    write_process,
)

#: The status is written at most so often.
_WRITE_S = 0.25
_LOOK_S = 0.3
#: So often the watch looks whether anything moves.
_WATCH_S = 1.0
#: A disk that is full has so long to become less so, before what a job made is given up.
_END_S = 300.0
#: The rate is that of about the last so many seconds.
_RATE_S = 5.0


class JobRun:
    """A job while it runs, in its worker: wait for a slot, tell the progress, end with a state.

    Used as a context; how the block ends decides the state. An `EmotionError` makes it fail with
    its message, `JobCancelled` cancel it, and any other error is logged.

    Args:
        folder: The job's folder.
    """

    def __init__(self, folder: Path) -> None:
        self.job: Job = load_folder(folder)
        self.input = folder / "input"
        self.result = folder / "result"
        self.summary: dict[str, Any] = {}
        self._folder = folder
        self._slot: FileLock | None = None
        self._status: dict[str, Any] = {"state": "waiting", "done": 0, "total": None, "rate": 0.0}
        self._written_s = self._looked_s = 0.0
        self._moved_s = time.monotonic()
        self._patience_s = limits.JOB_QUIET_S
        self._marks: list[tuple[float, int]] = []
        self._over = threading.Event()

    def __enter__(self) -> "JobRun":
        write_process(self._folder)
        write_json(self._folder / "status.json", self._status)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        self._over.set()
        state, message = "done", ""
        if isinstance(error, JobCancelled):
            state = "cancelled"
        elif isinstance(error, EmotionError):
            state, message = "failed", str(error)
        elif error is not None:
            logging.error("the job failed", exc_info=(type(error), error, trace))
            state, message = "failed", say("error.job_failed", kind=type(error).__name__)
        known = {**self._status, "message": message, "summary": self.summary}
        known.pop("state")
        self._end(state, known)
        if self._slot:
            self._slot.release()
        return isinstance(error, Exception)

    def _end(self, state: str, known: dict[str, Any]) -> None:
        """Note the end. Results that are done wait for room where a full disk has none for that."""
        give_up_s = time.monotonic() + _END_S
        while True:
            try:
                end_job(self._folder, state, **known)
                return
            except StorageError:
                if state != "done" or time.monotonic() > give_up_s:
                    raise
            time.sleep(_LOOK_S)

    def wait_for_slot(self) -> None:
        """Wait until this job is the first in line and one of the slots is free.

        Raises:
            JobCancelled: Somebody asked it to stop meanwhile.
        """
        folder = work_folder("slots")
        while self._slot is None:
            if is_first_in_line(self._folder):
                self._slot = _free_slot(folder, line_of(self.job.kind))
            if self._slot is None:
                self._check(always=True)
                time.sleep(_LOOK_S)
        self._status["state"] = "running"
        write_json(self._folder / "status.json", self._status)
        self._moved_s = time.monotonic()
        threading.Thread(target=self._watch, daemon=True).start()

    def progress(
        self,
        done: int,
        total: int | None,
        *,
        preview: bytes | None = None,
        quiet_s: float = limits.JOB_STALL_S,
    ) -> None:
        """Tell how far the work is.

        Where it has parts, each counts from 0, and the time left is that of the part.

        Args:
            done: Finished steps.
            total: All steps, or None.
            preview: A picture of it as JPEG.
            quiet_s: For so long the step that follows may tell nothing; after that it hangs.

        Raises:
            JobCancelled: Somebody asked it to stop.
        """
        now_s = self._moved_s = time.monotonic()
        self._patience_s = quiet_s
        is_new = total != self._status["total"] or done < self._status["done"]
        if is_new:
            self._marks = []  # another part has begun
        if not self._marks or now_s - self._marks[-1][0] > _RATE_S / 10:
            recent = [mark for mark in self._marks if now_s - mark[0] < _RATE_S]
            self._marks = recent or self._marks[-1:]  # a step may take longer
            self._marks.append((now_s, done))
        passed_s = now_s - self._marks[0][0]
        rate = (done - self._marks[0][1]) / passed_s if passed_s > 0 else 0.0
        self._status.update(done=done, total=total, rate=round(rate, 2))
        with suppress(StorageError):  # a disk that is full now is no reason to end the work
            if preview is not None:
                atomic_write(self._folder / "preview.jpg", preview)
            # what begins or ends a part may be all that is told for long
            if is_new or done == total or now_s - self._written_s > _WRITE_S:
                self._written_s = now_s
                write_json(self._folder / "status.json", self._status)
        self._check()

    def _check(self, *, always: bool = False) -> None:
        now_s = time.monotonic()
        if not always and now_s - self._looked_s < _LOOK_S:
            return
        self._looked_s = now_s
        if (self._folder / "cancel").exists() or not self._folder.exists():
            raise JobCancelled(say("error.job_cancelled"))

    def _watch(self) -> None:
        """End the process when nothing moves: a decoder that hangs cannot be told to stop."""
        quiet_s, moved_s, looked_s = 0.0, self._moved_s, time.monotonic()
        while not self._over.wait(_WATCH_S):
            # while the machine or the process slept nothing could move
            passed_s = min(time.monotonic() - looked_s, 2 * _WATCH_S)
            quiet_s = quiet_s + passed_s if moved_s == self._moved_s else 0.0
            moved_s, looked_s = self._moved_s, time.monotonic()
            if quiet_s > self._patience_s:
                message = say("error.job_stalled", seconds=round(self._patience_s))
                try:
                    end_job(self._folder, "failed", message=message)
                finally:  # on a full disk, too, its place in the line is for the next one
                    os._exit(1)


def _free_slot(folder: Path, line: str) -> FileLock | None:
    """Take a free slot of a line; the system frees it when the process ends, however it ends."""
    slots = limits.slots("MIEN_JOB_SLOTS", otherwise=(os.cpu_count() or 1) // 2)
    for number in range(slots):
        lock = FileLock(folder / f"{line}-{number}.lock", timeout=0)
        try:
            lock.acquire()
        except Timeout:
            continue
        return lock
    return None
