"""Checkpoints that survive a kill at any moment: written beside, synced, renamed; two are kept."""

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import StorageError, TrainingError, os_reason
from ..files import sha256_of

Weights = Sequence[NDArray[Any]]
_STATE = "state.json"
_PARTS = ("weights", "optimizer", "best", "average")


@dataclass
class TrainingState:
    """Where a training stands.

    Attributes:
        epoch: Finished epochs.
        stage: The stage that the next epoch belongs to.
        best_epoch: The epoch (from 1) whose weights are kept; 0 before the first.
        best_score: Its monitored figure; None before the first.
        averaged_steps: Steps that the moving average of the weights has seen.
        is_over: Whether the training has ended, by its epochs, early or when asked to.
        history: One row per finished epoch.
    """

    epoch: int = 0
    stage: int = 0
    best_epoch: int = 0
    best_score: float | None = None
    averaged_steps: int = 0
    is_over: bool = False
    history: list[dict[str, float]] = field(default_factory=list)


@dataclass(frozen=True)
class Checkpoint:
    """What a training goes on from; all weights as `model.get_weights()` gives them.

    Attributes:
        weights: Of the network.
        optimizer: The optimiser's variables.
        best: Weights of the best epoch.
        average: Moving average of the weights; empty where none is kept.
        state: Where the training stands.
    """

    weights: Weights
    optimizer: Weights
    best: Weights
    average: Weights
    state: TrainingState


def save_checkpoint(folder: Path, checkpoint: Checkpoint) -> Path:
    """Write a checkpoint as `folder/epoch-NNNN` and drop all but the two newest.

    Args:
        folder: The run's folder of checkpoints; made when missing.
        checkpoint: What is written.

    Raises:
        StorageError: The checkpoint cannot be written; the earlier ones stay as they were.
    """
    state = checkpoint.state
    final = folder / f"epoch-{state.epoch:04d}"
    partial = folder / f".partial-{state.epoch:04d}"
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        for part in _PARTS:
            arrays = {f"{n:05d}": array for n, array in enumerate(getattr(checkpoint, part))}
            with _file(partial, part).open("wb") as handle:
                np.savez(handle, **arrays)  # type: ignore[arg-type]
        hashes = {part: sha256_of(_file(partial, part)) for part in _PARTS}
        text = json.dumps({"state": asdict(state), "sha256": hashes}, indent=2)
        (partial / _STATE).write_text(text, encoding="utf-8")
        for path in (*partial.iterdir(), partial):
            _sync(path)
        shutil.rmtree(final, ignore_errors=True)
        os.replace(partial, final)
        _sync(folder)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        needed_mb = (
            sum(array.nbytes for part in _PARTS for array in getattr(checkpoint, part)) / 1e6
        )
        raise StorageError(
            f"The checkpoint of epoch {state.epoch} was not written to {folder}: "
            f"{os_reason(error)}. It needs {needed_mb:.0f} MB. Free some space and resume; "
            "earlier ones are intact."
        ) from error
    for old in _checkpoints(folder)[:-2]:
        shutil.rmtree(old, ignore_errors=True)
    return final


def load_checkpoint(folder: Path) -> Checkpoint | None:
    """Read the newest intact checkpoint.

    Returns:
        The checkpoint, or None where there is none.

    Raises:
        TrainingError: There are checkpoints, but none of them is intact.
    """
    found = _checkpoints(folder)
    for path in reversed(found):
        try:
            held = json.loads((path / _STATE).read_text(encoding="utf-8"))
            if any(sha256_of(_file(path, part)) != held["sha256"][part] for part in _PARTS):
                continue
            arrays = {part: _arrays(_file(path, part)) for part in _PARTS}
            return Checkpoint(**arrays, state=TrainingState(**held["state"]))
        except (OSError, ValueError, KeyError, TypeError):
            continue
    if found:
        raise TrainingError(
            f"No checkpoint in {folder} is intact. Move the folder away to start anew."
        )
    return None


def has_checkpoint(folder: Path) -> bool:
    """Return whether a folder holds a checkpoint, intact or not."""
    return bool(_checkpoints(folder))


def _file(folder: Path, part: str) -> Path:
    return folder / f"{part}.npz"


def _arrays(path: Path) -> list[NDArray[Any]]:
    with np.load(path, allow_pickle=False) as held:
        return [held[name] for name in sorted(held.files)]


def _checkpoints(folder: Path) -> list[Path]:
    found = folder.glob("epoch-*") if folder.is_dir() else ()
    # by number: from the 10,000th on there are five digits
    return sorted(found, key=lambda path: (len(path.name), path.name))


def _sync(path: Path) -> None:
    if os.name == "nt" and path.is_dir():
        return  # Windows has no handle to sync a folder by
    # Windows syncs only what is open for writing; a folder can only be opened for reading
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
