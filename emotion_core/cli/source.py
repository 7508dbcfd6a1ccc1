"""Which data set a command works on: what several commands ask for alike."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from ..datasets.cleaning import clean_rows
from ..datasets.outputs import removed_counts
from ..datasets.sources import SourceSpec
from ..errors import BadTable
from ..workbench.index import build_index, load_index
from ..workbench.store import Dataset, dataset_at
from .shared import counting, quiet_natives

Source = Annotated[
    Path,
    typer.Argument(
        help="A folder, a ZIP or TAR, a CSV, or an .npz of labelled faces.", show_default=False
    ),
]
Data = Annotated[
    Path,
    typer.Option(help="A folder, a ZIP or TAR, a CSV, or an .npz of faces.", show_default=False),
]
Kind = Annotated[
    str, typer.Option(help="folders, table, fer2013 or arrays; found out if left out.")
]
Votes = Annotated[Path | None, typer.Option(help="fer2013new.csv of FER+, beside FER2013's CSV.")]
ByVotes = Annotated[bool, typer.Option("--by-votes", help="Label by the majority of the votes.")]
Labels = Annotated[
    list[str] | None,
    typer.Option(
        "--label", help="NAME=MEANING of a label that is not known; NAME= leaves its pictures out."
    ),
]


def measured(
    source: Path, kind: str, votes: Path | None, by_votes: bool, *, with_faces: bool | None = None
) -> tuple[Dataset, int]:
    """Return the data set of a source with its index, and how many pictures were measured now.

    None searches for faces where a rule of the data set's own recipe needs them.
    """
    dataset = dataset_at(SourceSpec(str(source), kind, str(votes) if votes else "", by_votes))
    with quiet_natives() as terminal, counting("pictures", terminal) as tell:
        with_faces = dataset.recipe().needs_faces if with_faces is None else with_faces
        return dataset, build_index(dataset, with_faces=with_faces, on_progress=tell)


def tell_removed(dataset: Dataset) -> None:
    """Print what the recipe of a data set leaves out, by reason; nothing where it leaves none."""
    removed = removed_counts(clean_rows(dataset.recipe(), load_index(dataset)))
    if removed:
        told = ", ".join(f"{reason} {n}" for reason, n in removed.items())
        print(f"left out: {told}", flush=True)


def keep_labels(dataset: Dataset, labels: list[str] | None) -> None:
    """Note in the recipe of a data set what its unknown labels mean."""
    if labels:
        held = dataset.recipe()
        dataset.save_recipe(replace(held, labels={**held.labels, **answers(labels)}))


def answers(labels: list[str] | None) -> dict[str, str]:
    """Return what `--label NAME=MEANING` says, by name.

    Raises:
        BadTable: One is not of this form.
    """
    pairs = [text.partition("=") for text in labels or []]
    wrong = [name for name, equals, _ in pairs if not equals or not name]
    if wrong:
        raise BadTable(f"--label {wrong[0]} is no answer. Write --label NAME=MEANING.")
    return {name: meaning for name, _, meaning in pairs}
