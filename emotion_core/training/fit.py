"""The training loop: stage by stage, resumable after any epoch, the best epoch kept."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from ..errors import TrainingError
from ..files import write_json
from .augment_workers import FaceChanger, face_changer
from .average import WeightAverage
from .checkpoint import (
    Checkpoint,
    TrainingState,
    has_checkpoint,
    load_checkpoint,
    save_checkpoint,
)
from .examples import Examples, TrainingData, label_prior
from .feed import FaceFeed, Teacher
from .hardware import feed_processes, policy_for, strategy, wants_xla
from .jax_steps import JaxSteps
from .measure import measure_epoch
from .rates import RateControl, is_stalled
from .recipe import EMOTION, GIVEN, Recipe, Stage, is_better, parse_recipe
from .stages import compile_stage, set_trainable
from .tensorboard_log import log_epoch
from .weights import Start, load_weights, put_weights
from .zoo import build_network

OnEpoch = Callable[[dict[str, float]], None]
OnStep = Callable[[int, int], None]
Measure = Callable[[Any], dict[str, float]]
HISTORY_FILE = "history.json"


class _Stop(Exception):
    """The training was asked to end with what it has."""


class OtherRun(TrainingError):
    """The folder of a training holds one of another recipe or other data."""


def train(
    recipe: Recipe,
    data: TrainingData,
    folder: Path,
    *,
    teacher: Teacher | None = None,
    start: Start | None = None,
    on_epoch: OnEpoch | None = None,
    on_step: OnStep | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> tuple[Any, TrainingState]:
    """Train a network, or go on where `folder` stands; validation chooses the best epoch.

    Args:
        recipe: What is trained, and how.
        data: The test split is not looked at.
        folder: The run's folder: recipe.json, checkpoints, history.json.
        teacher, start, on_epoch, on_step, should_stop: As `fit_network`.

    Returns:
        A float32 model with the weights of the best epoch, and the final state.

    Raises:
        TrainingError: The recipe is impossible, or was another when the folder was begun; weights
            are missing; or the loss is no longer a number.
        StorageError: A checkpoint cannot be written.
    """
    _claim_folder(folder, recipe, data)
    return fit_network(
        recipe,
        data.train,
        folder,
        measure=lambda model: measure_epoch(model, data.val, recipe.trained_outputs),
        teacher=teacher,
        start=start,
        on_epoch=on_epoch,
        on_step=on_step,
        should_stop=should_stop,
    )


def fit_network(
    recipe: Recipe,
    examples: Examples,
    folder: Path,
    *,
    measure: Measure | None = None,
    teacher: Teacher | None = None,
    start: Start | None = None,
    on_epoch: OnEpoch | None = None,
    on_step: OnStep | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> tuple[Any, TrainingState]:
    """Train a network on faces, or go on where `folder` stands.

    Args:
        recipe: What is trained, and how.
        examples: What is trained on.
        folder: Holds the checkpoints and history.json.
        measure: Gives figures for the history row of a finished epoch. The epoch with the best
            `recipe.monitor` is kept; without such a figure it is the last.
        teacher: Answers for the recipe's teachers; needed where it names some.
        start: The model that the recipe starts from, where it names one.
        on_epoch: Called with the history row of every finished epoch.
        on_step: Called after every step with (steps done, steps at most), over all epochs. What
            it raises ends the training, which can be resumed after its last finished epoch.
        should_stop: Asked after every step; when it says so, the training ends with the best
            epoch so far; resumed, it goes on after its last finished one.

    Returns:
        A float32 model with the weights of the best epoch, and the final state.

    Raises:
        TrainingError: The recipe is impossible, weights or teachers are missing, or the loss is no
            longer a number.
        StorageError: A checkpoint cannot be written.
    """
    if recipe.teachers and teacher is None:
        raise TrainingError(f"The recipe {recipe.name!r} has teachers, and nobody asks them.")
    with strategy():
        loop = _Loop(
            recipe, examples, folder, measure, teacher, start, on_epoch, on_step, should_stop
        )
        with face_changer(feed_processes()) as change:
            loop.run(change)
    final = build_model(recipe, examples.targets.shape[1])
    put_weights(final, loop.served)
    return final, loop.state


def check_network(recipe: Recipe, classes: int) -> None:
    """Try whether a recipe's network can be built and has the layers that its stages train.

    Raises:
        TrainingError: There is no such network, an option is none of its own, or a stage trains
            more layers than there are.
    """
    model = build_model(recipe, classes)
    for stage in recipe.stages:
        set_trainable(model, stage)


def build_model(recipe: Recipe, classes: int, *, given: int = 0, precision: str = "float32") -> Any:
    """Return the recipe's network with seeded random weights, ready to answer.

    With `given`, it has the head for so many labels that others gave, too.
    """
    before = keras.mixed_precision.dtype_policy()
    keras.utils.set_random_seed(recipe.seed)
    keras.mixed_precision.set_dtype_policy(precision)
    try:
        model = build_network(
            recipe.network,
            input_px=recipe.crop.side_px,
            channels=recipe.crop.channels,
            classes=classes,
            outputs=recipe.trained_outputs if given else recipe.outputs,
            given=given,
            head=recipe.head,
            **recipe.options,
        )
    finally:
        keras.mixed_precision.set_dtype_policy(before)
    model.compile(jit_compile=wants_xla())
    return model


class _Loop:
    """One training while it runs."""

    def __init__(
        self,
        recipe: Recipe,
        examples: Examples,
        folder: Path,
        measure: Measure | None,
        teacher: Teacher | None,
        start: Start | None,
        on_epoch: OnEpoch | None,
        on_step: OnStep | None,
        should_stop: Callable[[], bool] | None,
    ) -> None:
        self._recipe, self._examples, self._folder = recipe, examples, folder
        self._measure, self._teacher, self._on_epoch = measure, teacher, on_epoch
        self._steps, self._batch = recipe.steps_of(len(examples))
        self._watch = _Watch(on_step, should_stop)
        self._jax_steps: JaxSteps | None = None
        classes = examples.targets.shape[1]
        given = 0
        if GIVEN in recipe.trained_outputs:
            (labels,) = examples.outputs((GIVEN,))
            given = labels.shape[1]
        self._model = build_model(
            recipe, classes, given=given, precision=policy_for(recipe.precision)
        )
        self._held = load_checkpoint(folder / "checkpoints")
        if self._held is None:
            load_weights(self._model, recipe, start=start)
            current = self._model.get_weights()
            if start is not None and start.has_head:  # the model answers at its data's prior
                current = self._at_data_prior(current, back=True)
            self._held = Checkpoint(current, (), current, current, TrainingState())
        put_weights(self._model, self._held.weights)
        self.best, self.state = list(self._held.best), self._held.state
        self._average = WeightAverage(recipe.average, self._held.average, self.state.averaged_steps)

    @property
    def served(self) -> list[Any]:
        """The best weights without those of the head that exists in training alone."""
        pairs = zip(self._model.weights, self._at_data_prior(self.best), strict=True)
        return [value for held, value in pairs if held.path.split("/")[0] != GIVEN]

    def run(self, change: FaceChanger) -> None:
        """Go through what is left of the stages."""
        stages = self._recipe.stages
        while self.state.stage < len(stages):
            stage = stages[self.state.stage]
            self._begin(stage)
            try:
                while not self._is_through(stage):
                    self._epoch(stage, change)
            except _Stop:  # the checkpoint stays, so that it can still be resumed
                break
            self.state.stage += 1
        self.state.is_over = True
        write_json(self._folder / HISTORY_FILE, asdict(self.state))

    def _rows(self) -> list[dict[str, float]]:
        """The history of the present stage."""
        return [row for row in self.state.history if row["stage"] == self.state.stage + 1]

    def _is_through(self, stage: Stage) -> bool:
        rows = self._rows()
        return len(rows) >= stage.epochs or is_stalled(stage, rows)

    def _begin(self, stage: Stage) -> None:
        """Freeze, compile, and take over the optimiser or the best weights so far."""
        is_resumed = bool(self._rows())
        if not is_resumed and self.state.history:
            put_weights(self._model, self.best)
            self._average.restart(self.best)
        compile_stage(self._model, self._recipe, stage, self._examples)
        optimizer = self._model.optimizer  # in half precision Keras wraps it
        optimizer.build(self._model.trainable_variables)
        if is_resumed and self._held is not None:
            for variable, value in zip(optimizer.variables, self._held.optimizer, strict=True):
                variable.assign(value)
        self._held = None
        self._jax_steps = JaxSteps(self._model) if keras.backend.backend() == "jax" else None

    def _epoch(self, stage: Stage, change: FaceChanger) -> None:
        started = time.monotonic()
        recipe, state, model = self._recipe, self.state, self._model
        rows = self._rows()
        rate = RateControl(
            stage,
            first_step=len(rows) * self._steps,
            steps_per_epoch=self._steps,
            history=rows,
        )
        self._watch.begin(state.epoch * self._steps, recipe.epochs * self._steps)
        _seed_dropout(model, recipe.seed, state.epoch * self._steps)
        later = recipe.stages[state.stage + 1 :]
        feed = FaceFeed(
            self._examples,
            recipe,
            epoch=state.epoch,
            epochs_left=stage.epochs - len(rows) + sum(one.epochs for one in later),
            teacher=self._teacher,
            change=change,
        )
        loss = self._learn(feed, rate)
        fitted_s = time.monotonic() - started
        if not np.isfinite(loss):
            raise TrainingError(
                f"The loss is {loss} in epoch {state.epoch + 1}: the training has diverged. "
                "Take a lower learning rate."
            )
        state.averaged_steps = self._average.steps
        state.epoch += 1
        row = {"epoch": state.epoch, "stage": state.stage + 1, "loss": round(loss, 5)}
        with self._shown_weights() as weights:
            if self._measure:
                row.update(self._measure(model))
            self._keep_best(row, weights)
        row["rate"] = float(f"{rate.rate:.4g}")
        row["images_per_s"] = round(self._steps * self._batch / fitted_s, 1)
        row["seconds"] = round(time.monotonic() - started, 1)
        state.history.append(row)
        self._save()
        log_epoch(self._folder / "tensorboard", row)
        if self._on_epoch:
            self._on_epoch(row)

    def _learn(self, feed: FaceFeed, rate: RateControl) -> float:
        """Go through the batches of an epoch; returns their mean loss."""
        average = self._average if self._recipe.average else None
        if self._jax_steps is not None:
            return self._jax_steps.run(feed, rate, average, self._watch.on_train_batch_end)
        result = self._model.fit(
            feed,
            initial_epoch=self.state.epoch,
            epochs=self.state.epoch + 1,
            shuffle=False,
            verbose=0,
            callbacks=[rate, *([average] if average else []), self._watch],
        )
        return float(result.history["loss"][-1])

    @contextmanager
    def _shown_weights(self) -> Iterator[list[Any]]:
        """Within the block the model has the weights that are measured; yields those to keep."""
        current = self._model.get_weights()
        kept = self._average.values if self._recipe.average else current
        self._model.set_weights(self._at_data_prior(kept))
        try:
            yield kept
        finally:
            self._model.set_weights(current)

    def _at_data_prior(self, values: list[Any], *, back: bool = False) -> list[Any]:
        """Return weights with which the network answers at the prior of the training data, or the
        way back from such weights.

        With adjusted logits it learns to answer as if labels were less uneven; the difference is a
        constant in the bias of its last layer.
        """
        strength = self._recipe.loss.logit_adjustment
        if not strength or EMOTION not in self._recipe.outputs:
            return values
        shift = np.log(label_prior(self._examples.targets)) * (-strength if back else strength)
        paths = [held.path for held in self._model.weights]
        return [
            value + shift.astype(np.float32) if path == f"{EMOTION}/bias" else value
            for path, value in zip(paths, values, strict=True)
        ]

    def _keep_best(self, row: dict[str, float], weights: list[Any]) -> None:
        monitor = self._recipe.monitor
        score = row.get(monitor)
        if score is None or is_better(monitor, score, self.state.best_score):
            self.state.best_score, self.state.best_epoch = score, self.state.epoch
            self.best = [np.array(one) for one in weights]

    def _save(self) -> None:
        optimizer = [ops.convert_to_numpy(one) for one in self._model.optimizer.variables]
        average = self._average.values if self._recipe.average else []
        held = Checkpoint(self._model.get_weights(), optimizer, self.best, average, self.state)
        save_checkpoint(self._folder / "checkpoints", held)
        write_json(self._folder / HISTORY_FILE, asdict(self.state))


class _Watch(keras.callbacks.Callback):  # type: ignore[misc]
    """Tells every step, and ends the epoch when somebody wants it to."""

    def __init__(self, on_step: OnStep | None, should_stop: Callable[[], bool] | None) -> None:
        super().__init__()
        self._on_step, self._should_stop = on_step, should_stop
        self._first = self._total = 0

    def begin(self, first: int, total: int) -> None:
        """Note where the epoch begins."""
        self._first, self._total = first, total

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        del logs
        if self._on_step:
            self._on_step(self._first + batch + 1, self._total)
        if self._should_stop and self._should_stop():
            raise _Stop


def _claim_folder(folder: Path, recipe: Recipe, data: TrainingData) -> None:
    """Write what the run is, or check that it is what was learned so far."""
    path = folder / "recipe.json"
    # the same faces may be learned by other labels
    settings = {**_plain(recipe), "data": data.content_hash, "labels": list(data.labels)}
    if path.is_file() and has_checkpoint(folder / "checkpoints"):
        held = json.loads(path.read_text(encoding="utf-8"))
        known, labels = held.pop("data", None), held.pop("labels", settings["labels"])
        # a run of an older version lacks the settings that are new, and had them at their defaults
        if {**_plain(parse_recipe(held)), "data": known, "labels": labels} != settings:
            raise OtherRun(
                f"{folder} holds a run of another recipe or other data. Move it away to start "
                "anew, or give the recipe another name."
            )
    write_json(path, settings)


def _plain(recipe: Recipe) -> dict[str, Any]:
    """Return what a recipe does, without what it is called."""
    named = ("title", "source")
    return {name: value for name, value in recipe.as_dict().items() if name not in named}


def _seed_dropout(model: Any, seed: int, step: int) -> None:
    # what a checkpoint does not hold follows from (seed, step), so that a resumed run is the same
    nested = [inner for layer in model.layers for inner in getattr(layer, "layers", [layer])]
    for number, layer in enumerate(nested):
        generator = getattr(layer, "seed_generator", None)
        if generator is not None:
            generator.state.assign(np.array([seed * 1000 + number, step], np.uint32))
