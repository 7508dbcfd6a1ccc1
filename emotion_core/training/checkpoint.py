"""Checkpoints that survive a kill at any moment: written beside, synced, renamed; two are kept."""

import json
import os
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import keras

from ..errors import StorageError, TrainingError
from ..files import sha256_of

_MODEL, _STATE = "model.keras", "state.json"
_WEIGHTS = {"best": "best.weights.h5", "average": "average.weights.h5"}


@dataclass
class TrainingState:
    """Where a training stands.

    Attributes:
        epoch: Finished epochs.
        best_epoch: The epoch (from 1) whose weights are kept; 0 before the first.
        best_score: Its validation accuracy.
        averaged_steps: Steps that the moving average of the weights has seen.
        history: One row per finished epoch.
    """

    epoch: int = 0
    best_epoch: int = 0
    best_score: float = -1.0
    averaged_steps: int = 0
    history: list[dict[str, float]] = field(default_factory=list)


@dataclass(frozen=True)
class Checkpoint:
    """What a training goes on from.

    Attributes:
        model: The compiled Keras model with its optimiser.
        best: Weights of the best epoch, as `model.get_weights()` gives them.
        average: Moving average of the weights, likewise.
        state: Where the training stands.
    """

    model: Any
    best: list[Any]
    average: list[Any]
    state: TrainingState


def save_checkpoint(folder: Path, checkpoint: Checkpoint) -> Path:
    """Write a checkpoint as `folder/epoch-NNNN` and drop all but the two newest.

    Args:
        folder: The run's folder of checkpoints; made when missing.
        checkpoint: What is written.

    Raises:
        StorageError: The checkpoint cannot be written; the earlier ones stay as they were.
    """
    model, state = checkpoint.model, checkpoint.state
    final = folder / f"epoch-{state.epoch:04d}"
    partial = folder / f".partial-{state.epoch:04d}"
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        model.save(partial / _MODEL)
        current = model.get_weights()
        for kind, name in _WEIGHTS.items():
            model.set_weights(getattr(checkpoint, kind))
            model.save_weights(partial / name)
        model.set_weights(current)
        hashes = {name: sha256_of(partial / name) for name in (_MODEL, *_WEIGHTS.values())}
        text = json.dumps({"state": asdict(state), "sha256": hashes}, indent=2)
        (partial / _STATE).write_text(text, encoding="utf-8")
        for path in (*partial.iterdir(), partial):
            _sync(path)
        shutil.rmtree(final, ignore_errors=True)
        os.replace(partial, final)
        _sync(folder)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise StorageError(
            f"The checkpoint of epoch {state.epoch} was not written to {folder}: "
            f"{error.strerror or error}. Free some space and resume; earlier ones are intact."
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
            if any(sha256_of(path / name) != value for name, value in held["sha256"].items()):
                continue
        except (OSError, ValueError, KeyError):
            continue
        model = keras.models.load_model(path / _MODEL)
        current = model.get_weights()
        weights = {}
        for kind, name in _WEIGHTS.items():
            model.load_weights(path / name)
            weights[kind] = model.get_weights()
        model.set_weights(current)
        return Checkpoint(model, **weights, state=TrainingState(**held["state"]))
    if found:
        raise TrainingError(
            f"No checkpoint in {folder} is intact. Move the folder away to start anew."
        )
    return None


def _checkpoints(folder: Path) -> list[Path]:
    return sorted(folder.glob("epoch-*")) if folder.is_dir() else []


def _sync(path: Path) -> None:
    if os.name == "nt" and path.is_dir():
        return  # Windows has no handle to sync a folder by
    # Windows syncs only what is open for writing; a folder can only be opened for reading
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
