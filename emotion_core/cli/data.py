"""`data fer2013`"""

from pathlib import Path
from typing import Annotated

import typer

from ..datasets.fer2013 import clean_training_faces, read_csv, save_arrays
from ..files import work_folder
from .shared import refusals

app = typer.Typer(help="Labelled faces.", no_args_is_help=True)


@app.callback()
def _keep_the_subcommand_name() -> None:
    """Labelled faces."""


@app.command()
def fer2013(
    csv: Annotated[Path, typer.Option(help="fer2013.csv of the FER2013 challenge.")],
    votes: Annotated[Path, typer.Option(help="fer2013new.csv of FER+.")],
    out: Annotated[
        Path | None, typer.Option(help="The arrays; in the work folder if left out.")
    ] = None,
) -> None:
    """Join FER2013 with the FER+ votes into the arrays that models are trained on."""
    with refusals():
        faces = read_csv(csv, votes)
        target = out or work_folder() / "datasets" / "fer2013.npz"
        save_arrays(faces, target)
    print(f"{len(faces)} faces, {len(clean_training_faces(faces))} to train on")
    print(f"sha256 of the content: {faces.content_hash()}")
    print(target)
