"""Jobs as folders: who owns them, how far they are, what they made.

jobs/<id>/job.json      what was asked for; written once
          status.json   how far it is; written by the worker, and by whoever finds it dead
          cancel, keep  flags
          input/        what was uploaded; deleted when the job ends
          result/       what was made; deleted at expiry unless kept
          log.txt       what the worker said
"""

import hashlib
import os
import re
import secrets
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from .. import limits
from ..errors import InputError, StorageError, os_reason
from ..files import read_json, work_folder, write_json
from ..native import TENSORFLOW
from ..texts import say

#: States in which nothing moves any more.
OVER = ("done", "failed", "cancelled", "interrupted")
_ID = re.compile(r"[0-9a-f]{16}")
_PROJECT = Path(__file__).resolve().parent.parent.parent
#: A process is looked up again by its number and when it began, to within this.
_SAME_START = 1.0
#: glibc keeps what it once had. With these, a picture of Full HD goes back to the system at once,
#: also one in the 3 MB of a codec: the peak of a video is 50 MB lower and grows little with time.
WORKER_ENVIRONMENT = {"MALLOC_ARENA_MAX": "2", "MALLOC_MMAP_THRESHOLD_": "1000000"}
_OWN_LINES = ("train",)
#: What a session of its own is on Windows: Ctrl-C and the end of the console do not reach it.
_ON_ITS_OWN = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0) | getattr(
    subprocess, "CREATE_NO_WINDOW", 0
)


@dataclass(frozen=True)
class Job:
    """One job as it stands.

    Attributes:
        id: 16 hex digits.
        kind: What the worker does, such as `video`.
        title: A name for people, such as the uploaded file's.
        folder: Where it lies.
        settings: What was asked for.
        created_s: When it was started, in seconds since 1970.
        state: `waiting`, `running`, or one of `OVER`.
        done: Steps that are finished.
        total: Steps in all, or None when nobody knows.
        rate: Steps per second.
        ended_s: When it ended, or None.
        message: Why it failed; empty otherwise.
        summary: What the worker tells of its result.
        is_kept: Whether the result outlives its expiry.
        is_stopping: Whether it was asked to stop.
    """

    id: str
    kind: str
    title: str
    folder: Path
    settings: dict[str, Any]
    created_s: float
    state: str = "waiting"
    done: int = 0
    total: int | None = None
    rate: float = 0.0
    ended_s: float | None = None
    message: str = ""
    summary: dict[str, Any] | None = None
    is_kept: bool = False
    is_stopping: bool = False

    @property
    def is_over(self) -> bool:
        """Whether nothing moves any more."""
        return self.state in OVER

    @property
    def share(self) -> float | None:
        """How much is done, 0..1, or None when nobody knows."""
        return min(1.0, self.done / self.total) if self.total else None

    @property
    def left_s(self) -> float | None:
        """The estimated time left, or None when nobody knows."""
        if not self.total or not self.rate:
            return None
        return max(0, self.total - self.done) / self.rate

    @property
    def expires_s(self) -> float | None:
        """When the result is deleted, or None: it is kept, or not over yet."""
        if self.is_kept or self.ended_s is None:
            return None
        return self.ended_s + limits.JOB_EXPIRY_S

    def results(self) -> dict[str, Path]:
        """Return the files that were made, by name."""
        folder = self.folder / "result"
        return {path.name: path for path in sorted(folder.glob("*"))} if folder.is_dir() else {}

    def log(self, chars: int = 4_000) -> str:
        """Return the end of what its worker said; empty where it said nothing."""
        try:
            return (self.folder / "log.txt").read_text("utf-8", errors="replace")[-chars:]
        except OSError:
            return ""

    def preview(self) -> bytes | None:
        """Return the newest preview as JPEG, or None."""
        try:
            return (self.folder / "preview.jpg").read_bytes()
        except OSError:
            return None


def jobs_folder() -> Path:
    """Return the folder of all jobs, made with mode 0700."""
    return work_folder("jobs")


def new_job(kind: str, title: str, *, owner: str, settings: Mapping[str, Any]) -> Job:
    """Make the folder of a job that waits; `start_job` sets it going.

    Args:
        kind: What the worker does.
        title: A name for people.
        owner: Whose it is; only a hash of it is written.
        settings: What is asked for, as plain values.

    Raises:
        InputError: So many jobs of the owner wait or run already that this is one too many.
        StorageError: The folder cannot be made.
    """
    under_way = sum(not job.is_over for job in list_jobs(owner))
    if under_way >= limits.JOBS_UNDER_WAY:
        raise InputError(say("error.jobs_enough", n=under_way))
    job_id = secrets.token_hex(8)
    folder = jobs_folder() / job_id
    try:
        for part in (folder, folder / "input", folder / "result"):
            part.mkdir(mode=0o700)
    except OSError as error:
        reason = os_reason(error)
        raise StorageError(say("error.no_job_folder", reason=reason)) from error
    created_s = time.time()
    # until a worker has it, who makes it: what is uploaded may take long to write
    write_process(folder, is_shared=True)
    write_json(
        folder / "job.json",
        {
            "kind": kind,
            "title": title,
            "owner": owner_hash(owner),
            "settings": dict(settings),
            "created_s": created_s,
        },
    )
    return Job(job_id, kind, title, folder, dict(settings), created_s)


def start_job(job: Job) -> None:
    """Start the worker of a job: a process that does not end with this one.

    Raises:
        StorageError: No process can be started.
    """
    command = [sys.executable, "-m", "emotion_core.worker", job.kind, str(job.folder)]
    try:
        with (job.folder / "log.txt").open("ab") as log:
            process = subprocess.Popen(
                command,
                cwd=_PROJECT,
                env={**WORKER_ENVIRONMENT, **os.environ, **TENSORFLOW, **_folders_named()},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                creationflags=_ON_ITS_OWN,
            )
    except OSError as error:
        delete_job(job)
        reason = os_reason(error)
        raise StorageError(say("error.no_job_folder", reason=reason)) from error
    try:
        write_process(job.folder, process.pid)
    except StorageError:
        process.kill()
        process.wait()
        delete_job(job)  # or it would stand in the line for ever
        raise
    # whoever starts a process has to take note of its end, or it stays in the system's table
    threading.Thread(target=process.wait, daemon=True).start()


def _folders_named() -> dict[str, str]:
    """Return the variables that name a folder, as they are meant here: a worker works elsewhere."""
    named = {name: os.environ.get(name) for name in ("MIEN_HOME", "MIEN_MODELS")}
    return {name: str(Path(path).expanduser().absolute()) for name, path in named.items() if path}


def list_jobs(owner: str) -> list[Job]:
    """Return the jobs of an owner, the newest first."""
    mine = [job for folder in _folders() if (job := _read(folder, owner=owner)) is not None]
    return sorted(mine, key=lambda job: -job.created_s)


def load_job(job_id: str, owner: str) -> Job:
    """Return a job of an owner.

    Raises:
        InputError: There is none of that id that belongs to the owner.
    """
    job = _read(jobs_folder() / job_id, owner=owner) if _ID.fullmatch(job_id) else None
    if job is None:
        raise InputError(say("error.no_job"))
    return job


def load_folder(folder: Path) -> Job:
    """Return the job of a folder, whoever owns it.

    Raises:
        InputError: There is no job in the folder.
    """
    job = _read(folder)
    if job is None:
        raise InputError(say("error.no_job"))
    return job


def line_of(kind: str) -> str:
    """Return which line a kind of job waits in; a training takes hours, so it has its own."""
    return kind if kind in _OWN_LINES else "work"


def place_in_line(job: Job) -> int:
    """Return how many jobs, of anybody, wait before this one in its line, plus one."""
    line = line_of(job.kind)
    waiting = [other for other in _everybodys() if other.state == "waiting"]
    return 1 + sum(line_of(other.kind) == line and _order(other) < _order(job) for other in waiting)


def cancel_job(job: Job) -> None:
    """Ask a job to stop. It does so within a moment, and leaves no result.

    Raises:
        StorageError: That cannot be noted.
    """
    _flag(job, "cancel")


def keep_job(job: Job, *, is_kept: bool = True) -> None:
    """Keep the result of a job until it is deleted by hand, or let it expire again.

    Raises:
        StorageError: That cannot be noted.
    """
    _flag(job, "keep", is_set=is_kept)


def _flag(job: Job, name: str, *, is_set: bool = True) -> None:
    flag = job.folder / name
    try:
        with suppress(FileNotFoundError):  # somebody else has deleted the job meanwhile
            flag.touch() if is_set else flag.unlink()
    except OSError as error:
        reason = os_reason(error)
        raise StorageError(say("error.job_unnoted", reason=reason)) from error


def delete_job(job: Job) -> None:
    """Delete a job with all that it made; a running one is ended first."""
    if not job.is_over:
        with suppress(StorageError):  # room is what it makes
            cancel_job(job)
        _end_process(job.folder)
    shutil.rmtree(job.folder, ignore_errors=True)


def sweep_jobs() -> None:
    """Delete what has expired, whoever owns it, and note which workers are gone."""
    now_s = time.time()
    for folder in _folders():
        job = _read(folder)
        expires_s = _changed_s(folder) + limits.JOB_EXPIRY_S if job is None else job.expires_s
        if expires_s is not None and expires_s < now_s:
            shutil.rmtree(folder, ignore_errors=True)


def is_first_in_line(folder: Path) -> bool:
    """Return whether no older job waits."""
    job = _read(folder)
    return job is not None and place_in_line(job) == 1


def write_status(folder: Path, **values: Any) -> None:
    """Change what is known of a job's progress: `state`, `done`, `total`, `rate` …"""
    status = read_json(folder / "status.json") or {}
    write_json(folder / "status.json", {**status, **values})


def write_process(folder: Path, pid: int | None = None, *, is_shared: bool = False) -> None:
    """Note which process works on a job; None is this one.

    A shared process does other things besides, so nobody may end it for the job's sake.
    """
    pid = os.getpid() if pid is None else pid
    try:
        began = _began(psutil.Process(pid))
    except psutil.Error:
        began = 0.0
    write_json(folder / "process.json", {"pid": pid, "began": began, "is_shared": is_shared})


def end_job(folder: Path, state: str, **known: Any) -> None:
    """Note that a job is over, and delete what was uploaded for it; unless it is done, also what
    it made.

    Args:
        folder: The job's folder.
        state: One of `OVER`.
        known: What else is known now: `message`, `summary`, `done` …
    """
    shutil.rmtree(folder / "input", ignore_errors=True)
    with suppress(OSError):  # it may not be there; on Windows a page may be reading it
        (folder / "preview.jpg").unlink()
    if state != "done":
        shutil.rmtree(folder / "result", ignore_errors=True)
    write_status(folder, **{**known, "state": state, "ended_s": time.time()})


def _folders() -> list[Path]:
    return [folder for folder in jobs_folder().iterdir() if _ID.fullmatch(folder.name)]


def _everybodys() -> list[Job]:
    return [job for folder in _folders() if (job := _read(folder)) is not None]


def _order(job: Job) -> tuple[float, str]:
    return job.created_s, job.id


def _read(folder: Path, *, owner: str | None = None) -> Job | None:
    asked = read_json(folder / "job.json")
    if asked is None or not asked.keys() >= _ASKED:  # damaged, or of another version
        return None
    if owner is not None and asked["owner"] != owner_hash(owner):
        return None
    status = read_json(folder / "status.json") or {}
    if status.get("state") not in OVER:
        status = _look_after(folder)
    return Job(
        id=folder.name,
        kind=asked["kind"],
        title=asked["title"],
        folder=folder,
        settings=asked["settings"],
        created_s=asked["created_s"],
        is_kept=(folder / "keep").exists(),
        is_stopping=(folder / "cancel").exists(),
        **{key: status[key] for key in _STATUS & status.keys()},
    )


_ASKED = {"kind", "title", "owner", "settings", "created_s"}
_STATUS = {"state", "done", "total", "rate", "ended_s", "message", "summary"}


def _look_after(folder: Path) -> dict[str, Any]:
    """End a job that does not stop when asked; note when its worker is gone. Return its status."""
    asked_s = _asked_to_stop_s(folder)
    is_deaf = asked_s is not None and time.time() - asked_s > limits.JOB_STOP_S
    if is_deaf:
        _end_process(folder)
    # a process that does other things besides goes on without the job
    is_gone = is_deaf or _process(folder) is None
    status = read_json(folder / "status.json") or {}
    if not is_gone or status.get("state") in OVER:  # it may have ended while we looked
        return status
    state = "interrupted" if asked_s is None else "cancelled"
    try:
        end_job(folder, state)
    except StorageError:  # the disk is full; it can be deleted all the same, and noted later
        return {**status, "state": state, "ended_s": _changed_s(folder)}
    return read_json(folder / "status.json") or {}


def _asked_to_stop_s(folder: Path) -> float | None:
    try:
        return (folder / "cancel").stat().st_mtime
    except OSError:
        return None


def _changed_s(folder: Path) -> float:
    try:
        return folder.stat().st_mtime
    except OSError:  # gone meanwhile
        return time.time()


def _process(folder: Path) -> psutil.Process | None:
    """Return the living process of a job."""
    held = read_json(folder / "process.json")
    if held is None:
        return None
    try:
        process = psutil.Process(int(held["pid"]))
        is_it = abs(_began(process) - float(held["began"])) < _SAME_START
        return process if is_it and process.status() != psutil.STATUS_ZOMBIE else None
    except (psutil.Error, KeyError):
        return None


def _began(process: psutil.Process) -> float:
    """Return when a process began: ticks since the machine did, where the system tells them.

    The time of day that psutil makes of them moves whenever somebody sets the clock.
    """
    try:
        stat = Path(f"/proc/{process.pid}/stat").read_text(encoding="utf-8", errors="replace")
        return float(stat.rpartition(")")[2].split()[19])  # proc(5), field 22
    except (OSError, IndexError, ValueError):
        return float(process.create_time())


def _end_process(folder: Path) -> None:
    process = _process(folder)
    held = read_json(folder / "process.json") or {}
    if process is None or held.get("is_shared") or process.pid == os.getpid():
        return
    try:
        below = process.children(recursive=True)
    except psutil.Error:  # somebody else has just ended it
        below = []
    for one in [*below, process]:
        with suppress(psutil.Error):
            one.kill()
    psutil.wait_procs([process], timeout=3)


def owner_hash(owner: str) -> str:
    """Return what is written of an owner: nobody can find the token by it."""
    return hashlib.sha256(owner.encode()).hexdigest()
