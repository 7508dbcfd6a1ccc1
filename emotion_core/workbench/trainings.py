"""Runs from beginning to end: started as a job or on the command line, worked on, promoted."""

import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .. import limits
from ..card_text import write_card
from ..cards import KERAS_FILE, NETWORK_FILE, Card, read_card
from ..classify import measure_latency
from ..datasets.cleaning import fingerprint_of
from ..datasets.naming import in_label_order
from ..errors import EmotionError, InputError, JobCancelled, StorageError, TrainingError
from ..files import atomic_write, write_json
from ..jobs import (
    Job,
    JobRun,
    cancel_job,
    delete_job,
    list_jobs,
    load_job,
    new_job,
    owner_hash,
    start_job,
)
from ..registry import ADDER_FILE, list_models, model_being_added
from ..runs import (
    DONE,
    FAILED,
    PAUSED,
    Run,
    alone_in,
    is_busy,
    load_run,
    new_run,
    note_dataset,
    note_end,
    note_job,
)
from ..serving import open_network
from ..texts import say
from ..training.recipe import NAME, Recipe, parse_recipe
from ..training.weights import weights_path
from .index import build_index, load_index, write_table
from .store import Dataset, load_dataset, recipe_hash
from .teachers import check_teachers, start_of, teacher_of
from .training_data import check_rows, prepare_data, training_rows, validation_again

if TYPE_CHECKING:
    from ..training.examples import TrainingData
    from ..training.formats import Exported

KIND, EXPORT = "train", "model-export"
#: Forms that a finished model is written in besides its own, keys of `formats.FORMATS`; how the
#: file's name ends. A SavedModel is a folder.
FORMS = {"litert-int8": ".int8.tflite", "onnx": ".onnx", "savedmodel": ""}
#: Faces that a finished network reads at once: their pictures may lie on the disk.
_READ_AT_ONCE = 256
OnProgress = Callable[[int, int], None]
OnEpoch = Callable[[dict[str, float]], None]


class OtherBackend(Exception):
    """A run is trained, but Keras runs on a backend that cannot write its files.

    On TensorFlow the run goes on where it stands, and writes them.
    """


def begin_run(dataset: Dataset, recipe: Recipe, *, owner: str, name: str = "") -> Run:
    """Make the run of a recipe on a data set, after checking all that can be known before.

    Args:
        dataset: What it is trained on; measured before.
        recipe: What is trained, and how.
        owner: Whose it is.
        name: A name for people; empty takes the recipe's title.

    Raises:
        TrainingError: Weights are missing, teachers or targets do not fit, or there is nothing to
            train on or to validate with.
        ModelError, CardMismatch, ModelNotTrusted: A model that it takes from cannot be loaded.
        BadTable, InputError: The data set is not measured, or cannot be split.
        StorageError: The run's folder cannot be made.
    """
    weights_path(recipe)
    if recipe.loss.given_weight:
        raise TrainingError(say("error.no_given_labels", recipe=recipe.name))
    rows = training_rows(dataset, recipe)
    for split in ("train", "val"):
        if not (rows["split"] == split).any():
            raise TrainingError(say("error.no_split_rows", split=split, name=dataset.name))
    if rows["label"].nunique() < 2:
        raise TrainingError(say("error.few_labels", n=rows["label"].nunique()))
    check_rows(rows, recipe)
    labels = in_label_order(rows["label"])
    check_teachers(recipe, labels)
    start_of(recipe, labels)
    return new_run(
        name or recipe.title or recipe.name,
        owner_hash=owner_hash(owner),
        recipe=recipe.as_dict(),
        dataset=_as_it_is(dataset),
    )


def _as_it_is(dataset: Dataset) -> dict[str, Any]:
    return {
        "id": dataset.id,
        "name": dataset.name,
        "fingerprint": fingerprint_of(load_index(dataset)),
        "recipe_sha256": recipe_hash(dataset),
    }


def start_run(run: Run, *, owner: str) -> Job:
    """Start the job that works on a run, or goes on with it.

    Raises:
        InputError: The run was deleted, or the owner has too many jobs under way.
        StorageError: It cannot be started.
    """
    job = new_job(KIND, run.name, owner=owner, settings={"run": run.id})
    earlier = run.job
    try:
        note_job(run, job.id)
    except BaseException:
        delete_job(job)  # or it would stand in the line for ever
        raise
    start_job(job)
    with suppress(InputError):  # one training is one line among the jobs
        delete_job(load_job(earlier, owner))
    return job


def job_of(run: Run, owner: str) -> Job | None:
    """Return the job that works on a run or last did, or None: it is deleted, or there is none."""
    try:
        return load_job(run.job, owner) if run.job else None
    except InputError:
        return None


def state_of(run: Run, job: Job | None) -> str:
    """Return how a run stands: `waiting`, `running`, `done`, `failed`, `paused` or `interrupted`.

    All that rest but `done` can be resumed from the last finished epoch. One without a job runs on
    the command line.
    """
    if job is not None and not job.is_over:
        return job.state
    if run.state:
        return run.state
    if is_busy(run.folder):
        return "running"
    # a job that ended before it came to the run, or without a word, could note nothing in it
    ends = {"failed": FAILED, "cancelled": PAUSED}
    return ends.get(job.state, "interrupted") if job is not None else "interrupted"


def pause_run(job: Job) -> None:
    """End the job of a run at once; the run can be resumed after its last finished epoch."""
    cancel_job(job)


def run_job(run: JobRun) -> None:
    """Work on the run of a job, in its worker."""
    training = load_run(run.job.settings["run"])

    def tell(done: int, total: int) -> None:
        run.progress(done, total, quiet_s=limits.TRAINING_QUIET_S)

    card = work_on(training, on_progress=tell, on_epoch=_print_row)
    run.summary.update(run=training.id, model=card.id)


def work_on(
    run: Run, *, on_progress: OnProgress | None = None, on_epoch: OnEpoch | None = None
) -> Card:
    """Train what a run asks for, from its last finished epoch on, and write model and report.

    How it ended is noted in the run; what nobody foresaw ends it without a note, and the job's
    log says what it was.

    Args:
        run: The run.
        on_progress: Called with (faces done, faces in all), first of those that are cut out, then
            of those that are learned, where a face counts once for every epoch.
        on_epoch: Called with the history row of every finished epoch.

    Raises:
        EmotionError: It is done already or another process works on it, its data set is gone or
            has changed, or the training fails.
        JobCancelled: `on_progress` raised it; the run is paused.
        OtherBackend: It is trained, on a backend that cannot write the files.
    """
    with alone_in(run.folder):
        run = load_run(run.id)  # another worker may have ended it meanwhile
        if run.state == DONE:
            raise TrainingError(say("error.run_is_done", name=run.name))
        return _to_its_end(run, on_progress, on_epoch)


def _to_its_end(run: Run, on_progress: OnProgress | None, on_epoch: OnEpoch | None) -> Card:
    (run.folder / "end.json").unlink(missing_ok=True)
    try:
        card = _train(run, on_progress, on_epoch)
    except (JobCancelled, KeyboardInterrupt):
        note_end(run, PAUSED)
        raise
    except EmotionError as error:
        note_end(run, FAILED, str(error))
        raise
    note_end(run, DONE)
    shutil.rmtree(run.folder / "checkpoints", ignore_errors=True)
    return card


def _train(run: Run, on_progress: OnProgress | None, on_epoch: OnEpoch | None) -> Card:
    # heavy: Keras and its backend are imported only by jobs and commands, and only now
    from ..training.export import write_model
    from ..training.fit import OtherRun, check_network, train
    from ..training.hardware import is_accelerated, writes_litert

    recipe = parse_recipe(run.recipe)
    dataset = load_dataset(run.dataset["id"])
    needs_faces = recipe.sees == "whole"  # whose size says how much is around them
    if not dataset.has_index or needs_faces:
        build_index(dataset, with_faces=needs_faces, on_progress=on_progress)
    rows = training_rows(dataset, recipe)
    total = recipe.epochs * int((rows["split"] == "train").sum())

    def tell_steps(done: int, steps: int) -> None:
        if on_progress:
            on_progress(round(done / steps * total), total)

    if not run.history:
        check_network(recipe, rows["label"].nunique())
        note_dataset(run, _as_it_is(dataset))
    data = prepare_data(dataset, recipe, on_progress=on_progress)
    tell_steps(len(run.history), recipe.epochs)
    try:
        model, state = train(
            recipe,
            data,
            run.folder,
            teacher=teacher_of(recipe, data.labels, on_gpu=is_accelerated()),
            start=start_of(recipe, data.labels),
            on_epoch=on_epoch,
            on_step=tell_steps,
            should_stop=run.should_stop,
        )
    except OtherRun as error:  # its recipe is as it was
        told = say("error.run_data_changed", name=run.name, dataset=dataset.name)
        raise TrainingError(told) from error
    if not state.best_epoch:
        raise TrainingError(say("error.stopped_too_soon"))
    if not writes_litert():
        raise OtherBackend
    if on_progress:
        on_progress(total, total)
    card = write_model(recipe, model, state, data, run.model_folder)
    _write_report(run, card, data)
    return card


def _write_report(run: Run, card: Card, data: "TrainingData") -> None:
    """Keep what the model as it is served answers on validation; every diagram is drawn from it."""
    network = open_network(run.model_folder, card)
    starts = range(0, len(data.val), _READ_AT_ONCE)
    parts = [network.classify(data.val.images[at : at + _READ_AT_ONCE]).probs for at in starts]
    probs = np.concatenate(parts)
    labels = np.array(data.labels, object)
    table = pd.DataFrame({"path": data.val.names, "truth": labels[data.val.truth]})
    table["is_clear"] = data.val.clear
    for column, name in enumerate(data.labels):
        table[f"prob_{name}"] = probs[:, column]
    write_table(table, run.folder / "validation.parquet")
    file = run.model_folder / (NETWORK_FILE if NETWORK_FILE in card.files else KERAS_FILE)
    report = {
        "metrics": card.metrics,
        "latency": measure_latency(network),
        "parameters": card.parameters,
        "model_mb": round(file.stat().st_size / 1e6, 2),
        "threshold": card.threshold,
        "temperature": card.temperature,
    }
    write_json(run.folder / "report.json", report)


def export_run(run: Run, kind: str, target: Path) -> "Exported":
    """Write the model of a finished run in another form, checked on its validation faces.

    Args:
        run: A run that is done.
        kind: A key of `formats.FORMATS`.
        target: The file or folder that is made.

    Raises:
        TrainingError: The run is not done, there is no such form, or it answers differently.
        StorageError: It cannot be written.
    """
    path = run.model_folder / KERAS_FILE
    if run.state != DONE or not path.is_file():
        raise TrainingError(say("error.run_not_done", name=run.name))
    # heavy: as in _train
    import keras

    from ..training import zoo  # noqa: F401 – its layers are registered by being imported
    from ..training.formats import export_as

    model = keras.models.load_model(path, compile=False)
    model.compile(jit_compile=False)
    _, faces = validation_again(run)
    return export_as(kind, model, target, faces, outputs=tuple(run.recipe["outputs"]))


def start_export(run: Run, form: str, *, owner: str) -> Job:
    """Start a job that writes the model of a finished run in another form, or return the same one
    that is under way.

    Args:
        run: A run that is done.
        form: A key of `FORMS`.
        owner: Whose job it is.

    Raises:
        StorageError: It cannot be started.
    """
    asked = {"run": run.id, "form": form}
    for job in list_jobs(owner):
        if (job.kind, job.settings, job.is_over) == (EXPORT, asked, False):
            return job
    job = new_job(EXPORT, run.name, owner=owner, settings=asked)
    start_job(job)
    return job


def run_export(run: JobRun) -> None:
    """Do the work of such a job, in its worker."""
    training, form = load_run(run.job.settings["run"]), run.job.settings["form"]
    # a large network reads all validation faces again, and so does what is written
    run.progress(0, 1, quiet_s=limits.TRAINING_QUIET_S)
    target = run.result / f"{training.recipe['name']}{FORMS[form]}"
    made = export_run(training, form, target)
    if target.is_dir():
        shutil.make_archive(str(target), "zip", target)
        shutil.rmtree(target)
    run.summary.update(loss=made.accuracy_loss, n=made.n, difference=made.difference)
    run.progress(1, 1)


#: What runs are compared by.
COMPARED = ("val_accuracy", "val_macro_f1", "val_mean_recall", "val_ece", "val_loss", "val_mse")


def compare_runs(runs: Sequence[Run]) -> pd.DataFrame:
    """Return a row per run, the best validation accuracy first.

    Columns `run`, `name`, `data`, `recipe`, `seed`, `epochs`, `best_epoch`, those of `COMPARED`
    at the best epoch, `parameters`, `model_mb`, `ms_per_face`, `minutes` and `images_per_s`;
    missing where not known.
    """
    rows: list[dict[str, Any]] = []
    for run in runs:
        report = run.report() or {}
        best = next((row for row in run.history if row["epoch"] == run.best_epoch), {})
        speed = [row["images_per_s"] for row in run.history]
        rows.append(
            {
                "run": run.id,
                "name": run.name,
                "data": run.dataset["name"],
                "recipe": run.recipe["name"],
                "seed": run.recipe["seed"],
                "epochs": len(run.history),
                "best_epoch": run.best_epoch,
                **{name: best.get(name, np.nan) for name in COMPARED},
                "parameters": report.get("parameters", np.nan),
                "model_mb": report.get("model_mb", np.nan),
                "ms_per_face": report.get("latency", {}).get("median_ms", np.nan),
                "minutes": round(run.seconds / 60, 1),
                "images_per_s": round(float(np.median(speed)), 1) if speed else np.nan,
            }
        )
    table = pd.DataFrame(rows)
    if not rows:
        return table
    return table.sort_values(
        ["val_accuracy", "val_mse"], ascending=[False, True], ignore_index=True
    )


def promote_run(run: Run, model_id: str = "", *, threshold: float | None = None) -> Card:
    """Put the model of a finished run where every prediction page finds it.

    Args:
        run: A run that is done.
        model_id: The model's new name, which lists then show; empty takes the recipe's.
        threshold: Under this confidence it abstains; None keeps what validation gave.

    Raises:
        TrainingError: The run is not done, or the name is taken or no name.
        StorageError: The model cannot be written.
    """
    if run.state != DONE or not (run.model_folder / "card.json").is_file():
        raise TrainingError(say("error.run_not_done", name=run.name))
    name = model_id or str(run.recipe["name"])
    if not NAME.fullmatch(name):
        raise TrainingError(say("error.bad_model_name", name=name))
    if name.casefold() in {entry.id.casefold() for entry in list_models()}:
        raise TrainingError(say("error.model_exists", name=name))
    card = replace(read_card(run.model_folder / "card.json"), id=name)
    if name != run.recipe["name"]:
        card = replace(card, title=name)
    if threshold is not None:
        answers = run.answers()
        if answers is None:
            raise TrainingError(say("error.run_not_done", name=run.name))
        highest = answers.filter(regex="^prob_").max(axis=1)
        answered = round(float((highest >= threshold).mean()), 4)
        card = replace(
            card,
            threshold=threshold,
            balanced_threshold=threshold,
            threshold_rule=say("training.chosen_by_hand"),
            metrics={**card.metrics, "answered_at_threshold": answered},
        )
    try:
        with model_being_added(name) as folder:
            shutil.copytree(run.model_folder, folder, dirs_exist_ok=True)
            write_card(card, folder)
            atomic_write(folder / ADDER_FILE, run.owner_hash)
    except (OSError, StorageError) as error:
        raise TrainingError(say("error.not_promoted", name=name, reason=error)) from error
    return card


def _print_row(row: dict[str, float]) -> None:
    """Say in the job's log what an epoch came to."""
    print("  ".join(f"{name} {value:g}" for name, value in row.items()), flush=True)
