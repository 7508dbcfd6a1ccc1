"""The training loop: resumable after any epoch, the best epoch kept."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from .. import metrics
from ..datasets.fer2013 import VotedFaces, clean_training_faces, emotion_targets, majority_labels
from ..errors import TrainingError
from ..files import write_json
from .checkpoint import TrainingState, load_checkpoint, save_checkpoint
from .feed import FaceFeed
from .recipe import Recipe
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
    validation = faces.split("val")
    validation = validation.rows(majority_labels(validation.votes) >= 0)
    if not len(training) or not len(validation):
        raise TrainingError(
            f"There are {len(training)} faces to train on and {len(validation)} to validate with; "
            "both are needed."
        )
    targets = emotion_targets(training.votes)
    write_json(folder / "recipe.json", {**recipe.as_dict(), "data": faces.content_hash()})
    model, best, state = _start_or_resume(recipe, targets.shape[1], len(training), folder)
    while state.epoch < recipe.epochs:
        started = time.monotonic()
        feed = FaceFeed(
            training.images,
            targets,
            batch=recipe.batch,
            augmentation=recipe.augmentation,
            seed=recipe.seed,
            epoch=state.epoch,
        )
        _seed_dropout(model, recipe.seed, state.epoch)
        result = model.fit(
            feed, initial_epoch=state.epoch, epochs=state.epoch + 1, shuffle=False, verbose=0
        )
        row = _finish_epoch(model, state, result.history["loss"][-1], validation)
        row["seconds"] = round(time.monotonic() - started, 1)
        if row["val_accuracy"] >= state.best_score:
            state.best_score, state.best_epoch = row["val_accuracy"], state.epoch
            with averaged_weights(model):
                best = model.get_weights()
        save_checkpoint(folder / "checkpoints", model, best, state)
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


@contextmanager
def averaged_weights(model: Any) -> Iterator[None]:
    """Within the block the model has the moving average of its weights, if there is one."""
    if not model.optimizer.use_ema:
        yield
        return
    current = [keras.ops.convert_to_numpy(v) for v in model.trainable_variables]
    model.optimizer.finalize_variable_values(model.trainable_variables)
    try:
        yield
    finally:
        for variable, value in zip(model.trainable_variables, current, strict=True):
            variable.assign(value)


def _start_or_resume(
    recipe: Recipe, classes: int, n: int, folder: Path
) -> tuple[Any, list[Any], TrainingState]:
    held = load_checkpoint(folder / "checkpoints")
    if held is not None:
        return held
    model = _build(recipe, classes, precision=recipe.precision)
    model.compile(_optimizer(recipe, n), "categorical_crossentropy", jit_compile=False)
    return model, model.get_weights(), TrainingState()


def _build(recipe: Recipe, classes: int, *, precision: str) -> Any:
    before = keras.mixed_precision.dtype_policy()
    keras.utils.set_random_seed(recipe.seed)
    keras.mixed_precision.set_dtype_policy(precision)
    try:
        return build_network(recipe.network, classes=classes, **recipe.options)
    finally:
        keras.mixed_precision.set_dtype_policy(before)


def _optimizer(recipe: Recipe, n: int) -> Any:
    steps = max(1, n // min(recipe.batch, n))
    warmup = round(steps * recipe.warmup_epochs)
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0,
        max(1, steps * recipe.epochs - warmup),
        warmup_target=recipe.learning_rate,
        warmup_steps=warmup,
    )
    optimizer = keras.optimizers.SGD(
        schedule,
        momentum=recipe.momentum,
        nesterov=True,
        weight_decay=recipe.weight_decay,
        use_ema=recipe.average > 0,
        ema_momentum=recipe.average or 0.99,
    )
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


def _seed_dropout(model: Any, seed: int, epoch: int) -> None:
    # what a checkpoint does not hold follows from (seed, epoch), so that a resumed run is the same
    for number, layer in enumerate(model.layers):
        generator = getattr(layer, "seed_generator", None)
        if generator is not None:
            generator.state.assign(np.array([seed * 1000 + number, epoch], np.uint32))


def _finish_epoch(
    model: Any, state: TrainingState, loss: float, validation: VotedFaces
) -> dict[str, float]:
    if not np.isfinite(loss):
        raise TrainingError(
            f"The loss is {loss} in epoch {state.epoch + 1}: the training has diverged. "
            "Resume with a lower learning rate."
        )
    with averaged_weights(model):
        probs = predict_probs(model, validation.images)
    truth = majority_labels(validation.votes)
    state.epoch += 1
    row = {
        "epoch": state.epoch,
        "loss": round(float(loss), 5),
        "val_accuracy": round(metrics.accuracy(probs, truth), 5),
        "val_mean_recall": round(metrics.mean_recall(probs, truth), 5),
        "val_ece": round(metrics.expected_calibration_error(probs, truth), 5),
    }
    state.history.append(row)
    return row
