"""`data fer2013|drawn`"""

from pathlib import Path
from typing import Annotated

import typer

from ..datasets.drawn import write_drawn_dataset
from ..datasets.fer2013 import clean_training_faces, read_csv, save_arrays
from ..files import work_folder
from .shared import progress_bar, refusals

app = typer.Typer(help="Labelled faces.", no_args_is_help=True)


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


@app.command()
def drawn(
    out: Annotated[Path, typer.Option(help="A new folder.")],
    n: Annotated[int, typer.Option(min=10, help="Pictures.")] = 1600,
    seed: Annotated[int, typer.Option(help="Decides everything.")] = 0,
) -> None:
    """Draw a small data set with planted faults, to try things on; no person is in it."""
    with refusals(), progress_bar() as progress:
        row = progress.add_task("faces", total=n)
        planted = write_drawn_dataset(
            out, n=n, seed=seed, on_progress=lambda done, _: progress.update(row, completed=done)
        )
    print(f"{n} pictures, {len(planted)} of them with a planted fault: {out / 'planted.csv'}")
