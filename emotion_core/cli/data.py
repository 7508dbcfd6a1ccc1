"""`data index|report|clean|split|crop|noise|drawn|fer2013|fetch`"""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from ..datasets.cleaning import FOLDS as FOLDS_IN_A_SPLIT
from ..datasets.cleaning import DatasetRecipe, SplitChoice, load_recipe
from ..datasets.drawn import write_drawn_dataset
from ..datasets.fer2013 import clean_training_faces, read_csv, save_arrays
from ..datasets.kaggle import DATASETS, fetch_dataset
from ..datasets.splits import RULES
from ..errors import InputError
from ..export import to_csv
from ..files import atomic_write, check_target, work_folder
from ..texts import say
from ..workbench.export import CROP_SIDE_PX, crop_dataset, export_dataset, report_dataset
from ..workbench.index import load_index
from ..workbench.label_noise import FOLDS, judge_labels
from ..workbench.store import Dataset
from .shared import cancellable, counting, quiet_natives, refusals
from .source import (
    ByVotes,
    Kind,
    Labels,
    Source,
    Votes,
    answers,
    check_apart,
    keep_labels,
    measured,
)

app = typer.Typer(help="Labelled faces.", no_args_is_help=True)

RecipeFile = Annotated[
    Path | None, typer.Option("--recipe", help="recipe.yaml, as the page saves it.")
]
Changed = Annotated[
    bool, typer.Option("--changed", help="Apply the recipe although the source has changed.")
]
Out = Annotated[Path, typer.Option(help="Folder for the results.")]
#: What a command says that measures pictures before anything else.
_CANCELLED = "Cancelled. What is measured is kept; start again to go on."
SplitRule = Annotated[
    str | None,
    typer.Option(help=f"{', '.join(RULES)}, or given; left out, the recipe's, or default."),
]


@app.command()
def index(
    source: Source,
    kind: Kind = "",
    votes: Votes = None,
    by_votes: ByVotes = False,
    no_faces: Annotated[
        bool, typer.Option("--no-faces", help="Search for no faces: several times as quick.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="A CSV of what was measured.")] = None,
) -> None:
    """Measure every picture; what has not changed since is not measured again."""
    with refusals(), cancellable(_CANCELLED):
        check_apart([source, votes], out)
        dataset, new = measured(source, kind, votes, by_votes, with_faces=not no_faces)
        table = load_index(dataset)
        if out:
            atomic_write(out, to_csv(table.drop(columns=["thumb", "version"])))
    print(f"{len(table)} pictures, {new} measured now, {(~table['is_readable']).sum()} unreadable")
    print(dataset.folder / "index.parquet")


@app.command()
def report(
    source: Source,
    out: Out,
    kind: Kind = "",
    votes: Votes = None,
    by_votes: ByVotes = False,
    label: Labels = None,
) -> None:
    """Write report.html, which opens offline, and report.json with all counts."""
    with refusals(), cancellable(_CANCELLED):
        dataset, _ = measured(source, kind, votes, by_votes, with_faces=True)
        keep_labels(dataset, label)
        for path in report_dataset(dataset, out).values():
            print(path)


@app.command()
def clean(
    source: Source,
    out: Out,
    recipe: RecipeFile = None,
    changed: Changed = False,
    kind: Kind = "",
    votes: Votes = None,
    by_votes: ByVotes = False,
    label: Labels = None,
) -> None:
    """Apply a recipe and write the cleaned tables, the split and the data card."""
    with refusals(), cancellable(_CANCELLED):
        chosen = _recipe_at(recipe)
        # faces are counted in the table that is written, as the page does
        dataset, _ = measured(source, kind, votes, by_votes, with_faces=True)
        chosen = _with_labels(chosen, dataset, recipe, label)
        _check_labelled(dataset)
        for path in export_dataset(dataset, out, recipe=chosen, allow_changed=changed).values():
            print(path)


@app.command()
def split(
    source: Source,
    out: Out,
    rule: SplitRule = None,
    share: Annotated[
        float | None, typer.Option(min=0.01, max=0.9, help="Share of validation rows.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Decides the choice.")] = None,
    folds: Annotated[
        int | None,
        typer.Option(min=0, max=FOLDS_IN_A_SPLIT[1], help="Also deal out so many folds."),
    ] = None,
    recipe: RecipeFile = None,
    changed: Changed = False,
    kind: Kind = "",
    votes: Votes = None,
    by_votes: ByVotes = False,
    label: Labels = None,
) -> None:
    """Split a data set; by default copies of a picture never stand on both sides.

    Without a recipe only unreadable pictures are removed, and by the default rule copies of
    pictures that the source puts into test.
    """
    with refusals(), cancellable(_CANCELLED):
        chosen = _recipe_at(recipe, DatasetRecipe(exact="leave", conflicts="leave"))
        held = chosen.split
        # share and seed were chosen for the recipe's rule
        if rule and rule != held.rule:
            held = SplitChoice(rule, folds=held.folds)
        held = SplitChoice(
            held.rule,
            held.share if share is None else share,
            held.seed if seed is None else seed,
            held.folds if folds is None else folds,
        )
        chosen = replace(chosen, split=held)
        dataset, _ = measured(source, kind, votes, by_votes, with_faces=chosen.needs_faces)
        chosen = _with_labels(chosen, dataset, recipe, label)
        _check_labelled(dataset)
        written = export_dataset(dataset, out, recipe=chosen, allow_changed=changed)
        for name in ("train.csv", "val.csv", "test.csv", "folds.csv"):
            if name in written:
                print(written[name])


@app.command()
def crop(
    source: Source,
    out: Annotated[Path, typer.Option(help="A ZIP.")],
    side: Annotated[int, typer.Option(min=16, max=512, help="Side in px.")] = CROP_SIDE_PX,
    recipe: RecipeFile = None,
    changed: Changed = False,
    kind: Kind = "",
    votes: Votes = None,
    by_votes: ByVotes = False,
    label: Labels = None,
) -> None:
    """Cut out the face of every picture by the default model's rule; say which have none."""
    with refusals(), cancellable(_CANCELLED):
        check_target(out)
        check_apart([source, votes, recipe], out)
        chosen = _recipe_at(recipe)
        dataset, _ = measured(source, kind, votes, by_votes, with_faces=chosen.needs_faces)
        chosen = _with_labels(chosen, dataset, recipe, label)
        _check_labelled(dataset)
        with quiet_natives() as terminal, counting("faces", terminal) as tell:
            n, skipped = crop_dataset(
                dataset,
                out,
                recipe=chosen,
                allow_changed=changed,
                side_px=side,
                on_progress=tell,
            )
    print(f"{n} faces, {skipped} pictures skipped (skipped.csv says why)")
    print(out)


@app.command()
def noise(
    source: Source,
    out: Annotated[Path, typer.Option(help="A CSV, the most doubtful labels first.")],
    folds: Annotated[int, typer.Option(min=2, max=10, help="Networks to train.")] = FOLDS,
    recipe: Annotated[
        str, typer.Option("--judge", help="Training recipe of the networks.")
    ] = "label-noise",
    kind: Kind = "",
    votes: Votes = None,
    by_votes: ByVotes = False,
    label: Labels = None,
) -> None:
    """Find labels that are probably wrong, by networks that never saw the picture they judge."""
    with refusals(), cancellable("Cancelled. Finished epochs are kept; start again to go on."):
        check_target(out)
        check_apart([source, votes], out)
        dataset, _ = measured(source, kind, votes, by_votes)
        keep_labels(dataset, label)
        with counting("pictures") as tell:
            ranked = judge_labels(dataset, recipe_name=recipe, folds=folds, on_progress=tell)
        atomic_write(out, to_csv(ranked))
    print(f"{ranked['is_issue'].sum()} of {len(ranked)} labels are probably wrong")
    print(out)


@app.command()
def fetch(
    name: Annotated[str, typer.Argument(help=f"{' or '.join(DATASETS)}.")],
) -> None:
    """Download a data set from Kaggle, with the account that kagglehub knows."""
    with refusals():
        print(fetch_dataset(name))


@app.command()
def fer2013(
    csv: Annotated[Path, typer.Option(help="fer2013.csv of the FER2013 challenge.")],
    votes: Annotated[Path, typer.Option(help="fer2013new.csv of FER+.")],
    out: Annotated[
        Path | None, typer.Option(help="The arrays; in the work folder if left out.")
    ] = None,
) -> None:
    """Join FER2013 with the FER+ votes into the arrays that models are trained on."""
    with refusals(), cancellable():
        target = out or work_folder() / "datasets" / "fer2013.npz"
        check_target(target)
        check_apart([csv, votes], target)
        faces = read_csv(csv, votes)
        save_arrays(faces, target)
    print(f"{len(faces)} faces, {len(clean_training_faces(faces))} to train on")
    print(f"sha256 of the content: {faces.content_hash()}")
    print(target)


@app.command()
def drawn(
    out: Annotated[Path, typer.Option(help="A new folder.")],
    n: Annotated[int, typer.Option(min=10, help="Pictures.")] = 1600,
    seed: Annotated[int, typer.Option(min=0, help="Decides everything.")] = 0,
) -> None:
    """Draw a small data set with planted faults, to try things on; no person is in it."""
    with refusals(), cancellable(), counting("faces") as tell:
        planted = write_drawn_dataset(out, n=n, seed=seed, on_progress=tell)
    print(f"{n} pictures, {len(planted)} of them with a planted fault: {out / 'planted.csv'}")


def _recipe_at(path: Path | None, otherwise: DatasetRecipe | None = None) -> DatasetRecipe:
    """Return the recipe of a file; without one the other, or what the page begins with."""
    return load_recipe(path) if path else otherwise or DatasetRecipe()


def _check_labelled(dataset: Dataset) -> None:
    if load_index(dataset)["raw_label"].isna().all():
        raise InputError(say("error.no_labels_to_split", name=dataset.name))


def _with_labels(
    chosen: DatasetRecipe, dataset: Dataset, path: Path | None, labels: list[str] | None
) -> DatasetRecipe:
    """Return a recipe with what labels mean; without a file that is noted for later commands."""
    if path:
        return replace(chosen, labels={**chosen.labels, **answers(dataset, labels)})
    keep_labels(dataset, labels)
    return replace(chosen, labels=dataset.recipe().labels)
