"""Trainings as folders: what was asked for, how far it is, what came of it.

runs/<id>/run.json       recipe, data set, seed, code, environment
          history.json   a row per finished epoch
          end.json       how it ended, and why
          stop           a flag: end now, with the best epoch so far
          checkpoints/   what it goes on from
          validation.parquet   what the finished network answers on the validation split
          report.json    its figures
          tensorboard/   the history as events
          model/<name>/  the model, with its card
"""

import os
import platform
import re
import secrets
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock, Timeout

from . import __version__
from .errors import InputError, StorageError, TrainingError, os_reason
from .files import read_json, work_folder, write_json
from .texts import say

_ID = re.compile(r"[0-9a-f]{16}")
#: How a run can have ended; before that it has no end.
DONE, FAILED, PAUSED = "done", "failed", "paused"
_PACKAGES = ("keras", "tensorflow", "jax", "numpy", "opencv-python", "opencv-python-headless")
#: A worker waits so long for who only looks whether there is one.
_LOOK_S = 0.5


@dataclass(frozen=True)
class Run:
    """One training as it stands.

    Attributes:
        id: 16 hex digits.
        name: A name for people.
        folder: Where it lies.
        recipe: The recipe as plain values.
        dataset: What it is trained on: `id`, `name`, `fingerprint`, `recipe_sha256`.
        created_s: When it was begun, in seconds since 1970.
        job: The job that works on it, or last did.
        environment: Versions and machine at its beginning.
        state: Empty before it has ended; then `done`, `failed` or `paused`.
        message: Why it ended, where it failed.
        best_epoch: The epoch that is kept; 0 before the first.
        history: One row per finished epoch.
    """

    id: str
    name: str
    folder: Path
    recipe: dict[str, Any]
    dataset: dict[str, Any]
    created_s: float
    job: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    state: str = ""
    message: str = ""
    best_epoch: int = 0
    history: list[dict[str, float]] = field(default_factory=list)

    @property
    def epochs(self) -> int:
        """Epochs of all stages, at most."""
        return sum(int(stage["epochs"]) for stage in self.recipe["stages"])

    @property
    def owner_hash(self) -> str:
        """Whose it is, as `jobs.owner_hash` gives it."""
        return str((read_json(self.folder / "run.json") or {}).get("owner", ""))

    @property
    def model_folder(self) -> Path:
        """Where its model is written."""
        return self.folder / "model" / str(self.recipe["name"])

    @property
    def seconds(self) -> float:
        """How long its finished epochs took."""
        return sum(row["seconds"] for row in self.history)

    def report(self) -> dict[str, Any] | None:
        """Return its figures, or None before it is done."""
        return read_json(self.folder / "report.json")

    def answers(self) -> pd.DataFrame | None:
        """Return what it answers on validation, or None before it is done.

        Columns `path`, `truth` (a label), `is_clear` and `prob_<label>`, calibrated.

        Raises:
            StorageError: The table is damaged.
        """
        path = self.folder / "validation.parquet"
        try:
            return pd.read_parquet(path) if path.is_file() else None
        except (OSError, ValueError) as error:
            raise StorageError(say("error.dataset_damaged", file=path.name)) from error

    def model_files(self) -> dict[str, Path]:
        """Return the files of its model by name; none before it is done."""
        folder = self.model_folder
        return {path.name: path for path in sorted(folder.glob("*"))} if folder.is_dir() else {}

    def should_stop(self) -> bool:
        """Return whether somebody wants it to end with what it has."""
        return (self.folder / "stop").exists()


def runs_folder() -> Path:
    """Return the folder of all runs, made with mode 0700."""
    return work_folder("runs")


def new_run(
    name: str, *, owner_hash: str, recipe: Mapping[str, Any], dataset: Mapping[str, Any]
) -> Run:
    """Make the folder of a training.

    Args:
        name: A name for people.
        owner_hash: Whose it is, as `jobs.owner_hash` gives it.
        recipe: The recipe as plain values.
        dataset: What it is trained on.

    Raises:
        StorageError: The folder cannot be made.
    """
    # a letter first: a table may read 7726e581 as a number
    folder = runs_folder() / (secrets.choice("abcdef") + secrets.token_hex(8)[1:])
    try:
        folder.mkdir(mode=0o700)
    except OSError as error:
        reason = os_reason(error)
        raise StorageError(say("error.no_run_folder", reason=reason)) from error
    held = {
        "name": name,
        "owner": owner_hash,
        "created_s": time.time(),
        "recipe": dict(recipe),
        "dataset": dict(dataset),
        "environment": environment(),
    }
    write_json(folder / "run.json", held)
    return load_run(folder.name)


def environment() -> dict[str, str]:
    """Return what a training runs with: versions, this library's first; processor, cores."""
    found = {
        "mien": __version__,
        "python": platform.python_version(),
        "system": platform.platform(terse=True),
    }
    for package in _PACKAGES:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return {**found, "processor": platform.machine(), "cores": str(os.cpu_count() or 1)}


def list_runs(*owner_hashes: str) -> list[Run]:
    """Return the runs of some owners, the newest first; without one, everybody's."""
    folders = [folder for folder in runs_folder().iterdir() if _ID.fullmatch(folder.name)]
    mine = [run for folder in folders if (run := _read(folder, owner_hashes)) is not None]
    return sorted(mine, key=lambda run: -run.created_s)


def load_run(run_id: str, *owner_hashes: str) -> Run:
    """Return a run of some owners; without one, as for a job that was started by one, anybody's.

    Raises:
        InputError: There is none of that id that belongs to one of them.
    """
    run = _read(runs_folder() / run_id, owner_hashes) if _ID.fullmatch(run_id) else None
    if run is None:
        raise InputError(say("error.no_such_run", id=run_id))
    return run


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Hold the folder of a training for this process; the system lets go when the process ends.

    Raises:
        TrainingError: Another process works there.
    """
    lock = _lock_of(folder)
    try:
        lock.acquire(timeout=_LOOK_S)
    except Timeout as error:
        raise TrainingError(say("error.run_busy", folder=folder)) from error
    try:
        yield
    finally:
        lock.release()


def is_busy(folder: Path) -> bool:
    """Return whether a process works in the folder of a training now."""
    if not folder.is_dir():  # the lock would make it anew
        return False
    lock = _lock_of(folder)
    try:
        lock.acquire(timeout=0)
    except (Timeout, OSError):
        return folder.is_dir()
    lock.release()
    return False


def _lock_of(folder: Path) -> FileLock:
    return FileLock(folder / "worker.lock")


def note_job(run: Run, job_id: str) -> None:
    """Note which job works on a run; it has no end any more.

    Raises:
        InputError: The run was deleted.
        StorageError: That cannot be noted.
    """
    if not run.folder.is_dir():
        raise InputError(say("error.no_run"))
    try:
        for name in ("end.json", "stop"):
            (run.folder / name).unlink(missing_ok=True)
    except OSError as error:
        reason = os_reason(error)
        raise StorageError(say("error.job_unnoted", reason=reason)) from error
    write_json(run.folder / "job.json", {"id": job_id})


def note_dataset(run: Run, dataset: Mapping[str, Any]) -> None:
    """Note the data set as it is when a run's first epoch begins: it may have waited long."""
    path = run.folder / "run.json"
    write_json(path, {**(read_json(path) or {}), "dataset": dict(dataset)})


def note_end(run: Run, state: str, message: str = "") -> None:
    """Note how a run ended: `done`, `failed` or `paused`, and why; a wish to stop ends with it."""
    (run.folder / "stop").unlink(missing_ok=True)
    write_json(run.folder / "end.json", {"state": state, "message": message, "at_s": time.time()})


def request_stop(run: Run) -> None:
    """Ask a run to end now with the best epoch so far; one that was deleted has ended.

    Raises:
        StorageError: That cannot be noted.
    """
    try:
        with suppress(FileNotFoundError):
            (run.folder / "stop").touch()
    except OSError as error:
        reason = os_reason(error)
        raise StorageError(say("error.job_unnoted", reason=reason)) from error


def delete_run(run: Run) -> None:
    """Delete a run with all that it made, a promoted copy of its model excepted.

    Raises:
        TrainingError: A process works on it, and would make its folder anew.
    """
    if not run.folder.is_dir():
        return
    with alone_in(run.folder):
        shutil.rmtree(run.folder, ignore_errors=True)
    shutil.rmtree(run.folder, ignore_errors=True)  # Windows kept the lock's file till here


def _read(folder: Path, owner_hashes: Sequence[str] = ()) -> Run | None:
    held = read_json(folder / "run.json")
    if held is None or (owner_hashes and held["owner"] not in owner_hashes):
        return None
    history = read_json(folder / "history.json") or {}
    end = read_json(folder / "end.json") or {}
    return Run(
        id=folder.name,
        name=held["name"],
        folder=folder,
        recipe=held["recipe"],
        dataset=held["dataset"],
        created_s=held["created_s"],
        job=(read_json(folder / "job.json") or {}).get("id", ""),
        environment=held["environment"],
        state=end.get("state", ""),
        message=end.get("message", ""),
        best_epoch=int(history.get("best_epoch", 0)),
        history=history.get("history", []),
    )
