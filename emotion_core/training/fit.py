"""The training loop: resumable after any epoch, the best epoch kept."""

import json
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from .. import metrics
from ..datasets.fer2013 import (
    VotedFaces,
    clean_training_faces,
    emotion_targets,
    majority_labels,
    validation_faces,
)
from ..errors import TrainingError
from ..files import write_json
from .average import WeightAverage
from .checkpoint import Checkpoint, TrainingState, load_checkpoint, save_checkpoint
from .feed import FaceFeed
from .recipe import Recipe
from .schedule import CosineCycles
from .zoo import build_network

OnEpoch = Callable[[dict[str, float]], None]


def train(
    recipe: Recipe, faces: VotedFaces, folder: Path, *, on_epoch: OnEpoch | None = None
) -> tuple[Any, TrainingState]:
    """Train a network, or go on where `folder` stands.

    The training split is cleaned first; the validation split chooses the best epoch by the
    majority rule. The test split is not looked at.

    Args:
        recipe: What is trained, and how.
        faces: All three splits.
        folder: The run's folder: recipe.json, checkpoints, history.json.
        on_epoch: Called with the history row of every finished epoch.

    Returns:
        A float32 model with the weights of the best epoch, and the final state.

    Raises:
        TrainingError: The set has no faces to train or validate on, the recipe is impossible, or
            the loss is no longer a number.
        StorageError: A checkpoint cannot be written.
    """
    training = clean_training_faces(faces)
    validation = validation_faces(faces)
    validation = validation.rows(majority_labels(validation.votes) >= 0)
    if not len(training) or not len(validation):
        raise TrainingError(
            f"There are {len(training)} faces to train on and {len(validation)} to validate with; "
            "both are needed."
        )
    targets = emotion_targets(training.votes)
    _claim_folder(folder, recipe, faces)
    truth = majority_labels(validation.votes)

    def measure(model: Any) -> dict[str, float]:
        probs = predict_probs(model, validation.images)
        return {
            "val_accuracy": round(metrics.accuracy(probs, truth), 5),
            "val_mean_recall": round(metrics.mean_recall(probs, truth), 5),
            "val_ece": round(metrics.expected_calibration_error(probs, truth), 5),
        }

    return fit_network(recipe, training.images, targets, folder, measure=measure, on_epoch=on_epoch)


def fit_network(
    recipe: Recipe,
    images: NDArray[np.uint8],
    targets: NDArray[np.float32],
    folder: Path,
    *,
    measure: Callable[[Any], dict[str, float]] | None = None,
    on_epoch: OnEpoch | None = None,
) -> tuple[Any, TrainingState]:
    """Train a network on grey faces, or go on where `folder` stands.

    Args:
        recipe: What is trained, and how.
        images: uint8 (n, h, h), grey.
        targets: float32 (n, k), rows that sum to 1.
        folder: Holds the checkpoints and history.json.
        measure: Gives figures for the history row of a finished epoch. The epoch with the highest
            `val_accuracy` is the best one; without that figure it is the last.
        on_epoch: Called with the history row of every finished epoch.

    Returns:
        A float32 model with the weights of the best epoch, and the final state.

    Raises:
        TrainingError: The recipe is impossible, or the loss is no longer a number.
        StorageError: A checkpoint cannot be written.
    """
    held = load_checkpoint(folder / "checkpoints")
    if held is None:
        held = _start(recipe, targets.shape[1], len(images))
    else:
        _renew_optimizer(recipe, held.model, len(images))
    model, best, state = held.model, held.best, held.state
    average = WeightAverage(recipe.average, held.average, state.averaged_steps)
    while state.epoch < recipe.epochs:
        started = time.monotonic()
        feed = FaceFeed(
            images,
            targets,
            batch=recipe.batch,
            augmentation=recipe.augmentation_of(state.epoch),
            seed=recipe.seed,
            epoch=state.epoch,
        )
        _seed_dropout(model, recipe.seed, state.epoch)
        result = model.fit(
            feed,
            initial_epoch=state.epoch,
            epochs=state.epoch + 1,
            shuffle=False,
            verbose=0,
            callbacks=[average],
        )
        state.averaged_steps = average.steps
        row = _finish_epoch(state, result.history["loss"][-1])
        if measure:
            with average.applied(model):
                row.update(measure(model))
        row["seconds"] = round(time.monotonic() - started, 1)
        score = row.get("val_accuracy", float(state.epoch))
        if score >= state.best_score:
            state.best_score, state.best_epoch = score, state.epoch
            best = average.values
        save_checkpoint(folder / "checkpoints", Checkpoint(model, best, average.values, state))
        write_json(folder / "history.json", asdict(state))
        if on_epoch:
            on_epoch(row)
    final = _build(recipe, targets.shape[1], precision="float32")
    final.set_weights(best)
    return final, state


def predict_probs(model: Any, images: NDArray[np.uint8], *, flip: bool = False) -> Any:
    """Return the network's probabilities, float32 (n, k), for uint8 faces (n, h, h).

    With `flip`, the mean over each face and its mirror image.
    """
    pixels = images[..., None].astype(np.float32)
    probs = model.predict(pixels, batch_size=256, verbose=0)
    if flip:
        probs = (probs + model.predict(pixels[:, :, ::-1], batch_size=256, verbose=0)) / 2
    return np.asarray(probs, np.float32)


def _claim_folder(folder: Path, recipe: Recipe, faces: VotedFaces) -> None:
    """Write what the run is, or check that it is still the same."""
    path = folder / "recipe.json"
    settings = json.loads(json.dumps({**recipe.as_dict(), "data": faces.content_hash()}))
    for name in ("title", "crop"):  # they say how the model is used, not how it is trained
        del settings[name]
    if path.is_file() and json.loads(path.read_text(encoding="utf-8")) != settings:
        raise TrainingError(
            f"{folder} holds a run of another recipe or other data. Move it away to start anew, "
            "or give the recipe another name."
        )
    write_json(path, settings)


def _start(recipe: Recipe, classes: int, n: int) -> Checkpoint:
    model = _build(recipe, classes, precision=recipe.precision)
    _compile(model, _optimizer(recipe, n))
    return Checkpoint(model, model.get_weights(), model.get_weights(), TrainingState())


def _build(recipe: Recipe, classes: int, *, precision: str) -> Any:
    before = keras.mixed_precision.dtype_policy()
    keras.utils.set_random_seed(recipe.seed)
    keras.mixed_precision.set_dtype_policy(precision)
    try:
        return build_network(recipe.network, classes=classes, **recipe.options)
    finally:
        keras.mixed_precision.set_dtype_policy(before)


def _compile(model: Any, optimizer: Any) -> None:
    # XLA on the CPU takes a third more time a step than oneDNN without it
    model.compile(optimizer, "categorical_crossentropy", jit_compile=False)


def _renew_optimizer(recipe: Recipe, model: Any, n: int) -> None:
    # a saved optimiser forgets which weights it must not decay, so a new one takes over its state
    saved = [keras.ops.convert_to_numpy(variable) for variable in model.optimizer.variables]
    optimizer = _optimizer(recipe, n)
    optimizer.build(model.trainable_variables)
    for variable, value in zip(optimizer.variables, saved, strict=True):
        variable.assign(value)
    _compile(model, optimizer)


def _optimizer(recipe: Recipe, n: int) -> Any:
    steps = max(1, n // min(recipe.batch, n))
    schedule = CosineCycles(
        recipe.learning_rate,
        warmup_steps=round(steps * recipe.warmup_epochs),
        starts=[steps * epoch for epoch in (0, *recipe.restarts)],
        total_steps=steps * recipe.epochs,
        restart_scale=recipe.restart_scale,
    )
    optimizer = keras.optimizers.SGD(
        schedule,
        momentum=recipe.momentum,
        nesterov=True,
        weight_decay=recipe.weight_decay,
    )
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


def _seed_dropout(model: Any, seed: int, epoch: int) -> None:
    # what a checkpoint does not hold follows from (seed, epoch), so that a resumed run is the same
    for number, layer in enumerate(model.layers):
        generator = getattr(layer, "seed_generator", None)
        if generator is not None:
            generator.state.assign(np.array([seed * 1000 + number, epoch], np.uint32))


def _finish_epoch(state: TrainingState, loss: float) -> dict[str, float]:
    """Count the epoch and begin its row of the history."""
    if not np.isfinite(loss):
        raise TrainingError(
            f"The loss is {loss} in epoch {state.epoch + 1}: the training has diverged. "
            "Resume with a lower learning rate."
        )
    state.epoch += 1
    row = {"epoch": state.epoch, "loss": round(float(loss), 5)}
    state.history.append(row)
    return row
