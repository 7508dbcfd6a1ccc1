"""`train RECIPE`, `resume RUN`, `compare`, `promote RUN`, `export RUN`"""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, NoReturn

import pandas as pd
import typer
from rich.console import Console
from rich.table import Table

from ..datasets.fer2013 import SIDE_PX, load_arrays
from ..errors import TrainingError
from ..export import to_csv
from ..files import atomic_write, work_folder
from ..native import BACKENDS, TENSORFLOW
from ..runs import Run, alone_in, list_runs, load_run
from ..texts import say
from ..training.recipe import AFFECT, Recipe
from ..training.recipes import load_recipe
from ..workbench.store import COMMAND_LINE
from ..workbench.teachers import start_of, teacher_of
from ..workbench.trainings import (
    OtherBackend,
    begin_run,
    compare_runs,
    export_run,
    promote_run,
    work_on,
)
from .shared import cancellable, counting, refusals, refuse_options
from .source import ByVotes, Kind, Labels, Votes, keep_labels, measured, tell_removed

_PAUSED = "Paused after the last finished epoch. Go on with: python -m emotion_core resume"
RunId = Annotated[str, typer.Argument(help="A run's id, as 'compare' lists it.")]


def train(
    recipe: Annotated[str, typer.Argument(help="Name of a shipped recipe, or a YAML file.")],
    data: Annotated[
        Path | None, typer.Option(help="A folder, a ZIP or TAR, a CSV, or an .npz.")
    ] = None,
    change: Annotated[
        list[str] | None, typer.Option("--set", help="SETTING=VALUE, such as stages.0.epochs=3.")
    ] = None,
    name: Annotated[str, typer.Option(help="A name of the run, for people.")] = "",
    kind: Kind = "",
    votes: Votes = None,
    by_votes: ByVotes = False,
    label: Labels = None,
    ferplus: Annotated[
        bool,
        typer.Option(
            "--ferplus", help="FER2013 by the rules of FER+, as the shipped models were trained."
        ),
    ] = False,
    fer2013: Annotated[
        bool, typer.Option("--fer2013", help="FER2013 by its own labels, cleaned alike.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(help="With --ferplus or --fer2013: folder that gets the model's folder."),
    ] = None,
) -> None:
    """Train a network on a data set and write its model, its card and its report.

    Ctrl-C pauses; `resume` goes on after the last finished epoch.
    """
    with refusals():
        need_keras()
        settings = load_recipe(recipe, change or [])
        if ferplus and fer2013:
            raise TrainingError(say("error.two_rules"))
        if ferplus or fer2013:
            refuse_options(
                "--ferplus and --fer2013",
                name=name, kind=kind, votes=votes, by_votes=by_votes, label=label,
            )  # fmt: skip
            source = data or work_folder() / "datasets" / "fer2013.npz"
            _train_published(settings, source, out, by_votes=ferplus)
            return
        refuse_options("a data set", out=out)
        if data is None:
            raise TrainingError(say("error.no_training_data"))
        with cancellable():
            dataset, _ = measured(data, kind, votes, by_votes)
            keep_labels(dataset, label)
            tell_removed(dataset)
        run = begin_run(dataset, settings, owner=COMMAND_LINE, name=name)
        _work(run)


def resume(run: RunId) -> None:
    """Go on with a run after its last finished epoch."""
    with refusals():
        need_keras()
        _work(load_run(run))


def compare(
    run: Annotated[list[str] | None, typer.Argument(help="Runs; none means all.")] = None,
    out: Annotated[Path | None, typer.Option(help="The table as CSV.")] = None,
) -> None:
    """Set runs side by side, the best first."""
    with refusals():
        runs = [load_run(one) for one in run] if run else list_runs()
        table = compare_runs(runs)
        if out:
            atomic_write(out, to_csv(table))
    show_table(table)


def promote(
    run: RunId,
    model_id: Annotated[str, typer.Option("--id", help="The model's name.")] = "",
) -> None:
    """Put the model of a finished run where photos, videos and the camera find it."""
    with refusals():
        card = promote_run(load_run(run), model_id)
    example = f"python -m emotion_core photo FILE --out FOLDER --model {card.id}"
    print(f"{card.id}: ready, for example: {example}")


def export(
    run: RunId,
    out: Annotated[Path, typer.Option(help="The file or folder that is made.")],
    form: Annotated[
        str, typer.Option("--format", help="keras, savedmodel, litert, litert-int8 or onnx.")
    ] = "litert-int8",
) -> None:
    """Write the model of a finished run in another form, checked against Keras."""
    with refusals():
        need_keras()
        made = export_run(load_run(run), form, out)
    print(f"differs from Keras by at most {made.difference:.2g}")
    if made.n:
        print(f"reads {made.accuracy_loss:+.2%} less of {made.n} validation faces right")
    print(made.path)


def _work(run: Run) -> None:
    print(f"run {run.id}: {run.name}", flush=True)
    try:
        with cancellable(f"{_PAUSED} {run.id}"), counting("faces") as tell:
            card = work_on(run, on_progress=tell, on_epoch=print_epoch)
    except OtherBackend:
        _write_with_tensorflow("resume", run.id)
    split = "test" if "test" in card.metrics else "validation"
    shown = card.metrics.get(split) or card.metrics.get(f"{split}_affect") or {}
    figures = [f"{key} {shown[key]}" for key in ("accuracy", "macro_f1", "mse") if key in shown]
    print(f"{split}, n {shown.get('n', 0)}: {', '.join(figures)}")
    print(run.model_folder)


def _train_published(recipe: Recipe, data: Path, out: Path | None, *, by_votes: bool) -> None:
    _check_published(recipe, by_votes=by_votes)
    faces = load_arrays(data)
    # heavy: Keras and its backend are imported only by this command, and only now
    from ..training.export import write_model
    from ..training.fer2013 import fer2013_data
    from ..training.ferplus import ferplus_data
    from ..training.fit import train as train_network
    from ..training.hardware import is_accelerated, writes_litert

    run = work_folder() / "runs" / recipe.name
    run.mkdir(parents=True, exist_ok=True)
    prepared = ferplus_data(faces) if by_votes else fer2013_data(faces)
    paused = "Paused after the last finished epoch. Give the command again to go on."
    with cancellable(paused), alone_in(run):
        teacher = teacher_of(recipe, prepared.labels, on_gpu=is_accelerated())
        model, state = train_network(
            recipe,
            prepared,
            run,
            teacher=teacher,
            start=start_of(recipe, prepared.labels),
            on_epoch=print_epoch,
        )
        folder = (out or run) / recipe.name
        if writes_litert():
            card = write_model(recipe, model, state, prepared, folder)
    if not writes_litert():
        _write_with_tensorflow(*sys.argv[1:])
    # the private test stands in the card, to be looked at once, when the model is settled on
    if "validation" in card.metrics:
        print(f"{card.id}: {card.metrics['validation']['accuracy']:.1%} of validation")
    print(folder)


def _check_published(recipe: Recipe, *, by_votes: bool) -> None:
    """Refuse a recipe that asks for what the arrays of FER2013 cannot give."""
    crop = recipe.crop
    if recipe.sees != "face" or (crop.side_px, crop.channels) != (SIDE_PX, 1):
        raise TrainingError(say("error.published_faces", name=recipe.name, side=SIDE_PX))
    asked = {
        "split": bool(recipe.split),
        "leave_out": bool(recipe.leave_out),
        "loss.soft_votes": by_votes and not recipe.loss.soft_votes,
        "outputs": AFFECT in recipe.outputs,
    }
    others = ", ".join(setting for setting, is_asked in asked.items() if is_asked)
    if others:
        raise TrainingError(say("error.published_choices", name=recipe.name, settings=others))


def _write_with_tensorflow(*arguments: str) -> NoReturn:
    """Give a command whose training is over again, on the backend that writes LiteRT files.

    It finds the finished epochs and only writes; this process ends as it ends.
    """
    command = [sys.executable, "-m", "emotion_core", *arguments]
    done = subprocess.run(command, env={**os.environ, **TENSORFLOW}, check=False)
    raise typer.Exit(done.returncode)


#: What a terminal of 80 columns holds; the CSV has all.
_SHOWN = ("rank", "run", "name", "epochs", "val_accuracy", "val_mse", "ms_per_face", "minutes")


def show_table(table: pd.DataFrame) -> None:
    """Print the main columns of a table of runs; what is not known is left empty."""
    table = table[[name for name in _SHOWN if name in table]].dropna(axis=1, how="all")
    shown = Table(box=None, pad_edge=False)
    for column in table.columns:
        shown.add_column(column, overflow="fold", no_wrap=column == "run")
    for row in table.itertuples(index=False):
        shown.add_row(*("" if value != value else f"{value}" for value in row))
    Console().print(shown)


def need_keras() -> None:
    """Refuse where Keras is missing, or is to run on what it cannot train on here.

    Raises:
        TrainingError: It is.
    """
    if find_spec("keras") is None:
        raise TrainingError(say("error.no_keras"))
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    if backend not in BACKENDS or find_spec(backend) is None:
        names = " or ".join(BACKENDS)
        raise TrainingError(say("error.no_backend", name=backend, names=names))


def print_epoch(row: dict[str, float]) -> None:
    """Print what an epoch came to."""
    print("  ".join(f"{name} {value:g}" for name, value in row.items()), flush=True)
