"""`sweep` and `survey`: many trainings one after another, and what they came to"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from ..export import to_csv
from ..files import atomic_write
from ..training.recipe import Recipe
from ..training.recipes import load_recipe
from ..workbench.store import COMMAND_LINE, Dataset
from ..workbench.sweeps import run_all, surveyed, varied, write_submissions
from .shared import cancellable, complain, refusals
from .source import ByVotes, Data, Kind, Labels, Votes, keep_labels, measured, tell_removed
from .train import need_keras, print_epoch, show_table

Out = Annotated[Path | None, typer.Option(help="The ranked table as CSV.")]
Settings = Annotated[
    list[str] | None, typer.Option("--set", help="SETTING=VALUE of all trainings.")
]
Ray = Annotated[
    str,
    typer.Option(
        "--ray",
        metavar="ADDRESS",
        help="Side by side on a Ray cluster: its address, auto, or local to start one here.",
    ),
]
_STOPPED = "Stopped. Finished trainings are kept; give the command again to go on."


def sweep(
    recipe: Annotated[list[str], typer.Argument(help="Names of shipped recipes, or YAML files.")],
    data: Data,
    vary: Annotated[
        list[str] | None, typer.Option(help="SETTING=VALUE,VALUE…, such as batch=16,32.")
    ] = None,
    seeds: Annotated[str, typer.Option(help="Seeds of each combination, such as 0,1,2.")] = "",
    change: Settings = None,
    ray: Ray = "",
    out: Out = None,
    kind: Kind = "",
    votes: Votes = None,
    by_votes: ByVotes = False,
    label: Labels = None,
) -> None:
    """Train recipes with every combination of some settings, and rank them."""
    with refusals():
        need_keras()
        axes = [*(vary or []), *([f"seed={seeds}"] if seeds else [])]
        recipes = []
        for name in recipe:
            loaded = load_recipe(name, change or [])
            made = varied(loaded, axes)
            if axes and len(recipe) > 1:
                first = loaded.title or loaded.name
                made = [replace(one, title=f"{first}, {one.title}") for one in made]
            recipes += made
        _run(recipes, (data, kind, votes, by_votes), label, out, ray)


def survey(
    backbone: Annotated[
        list[str], typer.Argument(help="Networks of keras.applications, such as EfficientNetB0.")
    ],
    data: Data,
    recipe: Annotated[
        str, typer.Option(help="Input, augmentation, weights and batch are taken from it.")
    ] = "mobilenet-s",
    head_epochs: Annotated[int, typer.Option(min=1, help="Epochs of the head, at most.")] = 10,
    unfreeze: Annotated[
        int, typer.Option(min=1, help="Number of last layers to unfreeze after that.")
    ] = 7,
    tune_epochs: Annotated[int, typer.Option(min=0, help="Epochs of that.")] = 10,
    submissions: Annotated[
        Path | None, typer.Option(help="Folder for what each says of the unlabelled pictures.")
    ] = None,
    change: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="SETTING=VALUE of all trainings; network, options, head, stages, average and "
            "calm_epochs are the survey's own.",
        ),
    ] = None,
    ray: Ray = "",
    out: Out = None,
    kind: Kind = "",
    votes: Votes = None,
    by_votes: ByVotes = False,
    label: Labels = None,
) -> None:
    """Compare backbones as seed 003 did: a head on the frozen one, then its last layers."""
    with refusals():
        need_keras()
        recipes = surveyed(
            load_recipe(recipe, change or []),
            backbone,
            head_epochs=head_epochs,
            unfreeze=unfreeze,
            tune_epochs=tune_epochs,
        )
        dataset, table = _run(recipes, (data, kind, votes, by_votes), label, out, ray)
        if submissions:
            for path in write_submissions(dataset, table, submissions):
                print(path)


def _run(
    recipes: Sequence[Recipe],
    source: tuple[Path, str, Path | None, bool],
    labels: list[str] | None,
    out: Path | None,
    ray_address: str,
) -> tuple[Dataset, pd.DataFrame]:
    with cancellable(_STOPPED):
        dataset, _ = measured(*source)
        keep_labels(dataset, labels)
        tell_removed(dataset)
        table: pd.DataFrame = run_all(
            dataset,
            recipes,
            owner=COMMAND_LINE,
            on_trial=lambda run: print(f"run {run.id}: {run.name}", flush=True),
            on_epoch=print_epoch,
            on_failure=lambda title, reason: complain(f"{title}: {reason}"),
            ray_address=ray_address,
        )
    if out:
        atomic_write(out, to_csv(table))
    show_table(table)
    return dataset, table
