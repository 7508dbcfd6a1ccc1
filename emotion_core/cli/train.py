"""`train RECIPE`"""

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from ..datasets.fer2013 import load_arrays
from ..errors import TrainingError
from ..files import work_folder
from ..texts import say
from ..training.recipe import load_recipe
from .shared import refusals


def train(
    recipe: Annotated[str, typer.Argument(help="Name of a shipped recipe, or a YAML file.")],
    data: Annotated[Path | None, typer.Option(help="Arrays made by 'data fer2013'.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of models; it gets one of the recipe's name.")
    ] = None,
) -> None:
    """Train a network, or go on where it was stopped, and write a model folder.

    The run lies in the work folder under runs/. Started again, it goes on after the last finished
    epoch.
    """
    with refusals():
        if find_spec("keras") is None:
            raise TrainingError(say("error.no_keras"))
        settings = load_recipe(recipe)
        faces = load_arrays(data or work_folder() / "datasets" / "fer2013.npz")
        # heavy: Keras and its backend are imported only by this command, and only now
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        from ..training.export import write_model
        from ..training.fit import train as train_network

        run = work_folder() / "runs" / settings.name
        model, state = train_network(settings, faces, run, on_epoch=_print_epoch)
        folder = (out or run) / settings.name
        card = write_model(settings, model, state, faces, folder)
    print(f"{card.id}: {card.metrics['test']['accuracy']:.1%} of the private test")
    print(folder)


def _print_epoch(row: dict[str, float]) -> None:
    print("  ".join(f"{name} {value:g}" for name, value in row.items()), flush=True)
