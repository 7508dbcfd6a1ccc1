"""Which data set a command works on: what several commands ask for alike."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from ..datasets.cleaning import clean_rows
from ..datasets.outputs import removed_counts
from ..datasets.sources import VOTE, SourceSpec
from ..errors import BadTable, StorageError
from ..labels import CANONICAL, canonical_name
from ..texts import say
from ..workbench.index import build_index, check_readable, load_index
from ..workbench.store import Dataset, dataset_at
from .shared import counting, quiet_natives

_NAMES_SHOWN = 20

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


def _named(text: str) -> str:
    """Refuse what has not the form of an answer, before any picture is measured."""
    name, equals, _ = text.partition("=")
    if not (name and equals):
        raise typer.BadParameter(f"{text} is no answer. Write --label NAME=MEANING.")
    return text


Labels = Annotated[
    list[str] | None,
    typer.Option(
        "--label",
        metavar="NAME=MEANING",
        parser=_named,
        help="What a label means that is not known; NAME= leaves its pictures out.",
    ),
]


def measured(
    source: Path, kind: str, votes: Path | None, by_votes: bool, *, with_faces: bool | None = None
) -> tuple[Dataset, int]:
    """Return the data set of a source with its index, and how many pictures were measured now.

    None searches for faces where a rule of the data set's own recipe needs them.

    Raises:
        InputError: None of its pictures can be read.
    """
    dataset = dataset_at(SourceSpec(str(source), kind, str(votes) if votes else "", by_votes))
    with quiet_natives() as terminal, counting("pictures", terminal) as tell:
        with_faces = dataset.recipe().needs_faces if with_faces is None else with_faces
        new = build_index(dataset, with_faces=with_faces, on_progress=tell)
    check_readable(dataset, load_index(dataset))
    return dataset, new


def check_apart(sources: Iterable[Path | None], *targets: Path | None) -> None:
    """Check that no file that a command writes is what it reads from, lies in it, or is another
    one that it writes.

    A table of answers among the pictures would be read as their labels by the next command.

    Raises:
        StorageError: One is.
    """
    held = [source.resolve() for source in sources if source is not None]
    written: set[Path] = set()
    for target in filter(None, targets):
        place = target.resolve()
        for source in held:
            if place.is_relative_to(source):
                text = "error.in_source" if place != source else "error.is_source"
                raise StorageError(say(text, name=target, source=source))
        if place in written:
            raise StorageError(say("error.one_target", name=target))
        written.add(place)


def tell_removed(dataset: Dataset) -> None:
    """Print what the recipe of a data set leaves out, by reason; nothing where it leaves none."""
    removed = removed_counts(clean_rows(dataset.recipe(), load_index(dataset)))
    if removed:
        told = ", ".join(f"{reason} {n}" for reason, n in removed.items())
        print(f"left out: {told}", flush=True)


def keep_labels(dataset: Dataset, labels: list[str] | None) -> None:
    """Note in the recipe of a data set what its labels mean.

    Raises:
        BadTable: As `answers`; then none is noted.
    """
    if labels:
        said = answers(dataset, labels)
        held = dataset.recipe()
        dataset.save_recipe(replace(held, labels={**held.labels, **said}))


def answers(dataset: Dataset, labels: list[str] | None) -> dict[str, str]:
    """Return what `--label NAME=MEANING` says, by the names that the source has.

    NAME may also be what the source's names mean, as messages call them.

    Raises:
        BadTable: One is about no label of the data set's, or means none that is known.
    """
    index = load_index(dataset)
    votes = [name.removeprefix(VOTE) for name in index.columns if name.startswith(VOTE)]
    names = sorted({*index["raw_label"].dropna().astype(str), *votes})
    before = dataset.recipe().labels
    said: dict[str, str] = {}
    for text in labels or []:
        name, _, meaning = text.partition("=")
        meant = [raw for raw in names if before.get(raw, canonical_name(raw)) == name]
        named = [name] if name in names else meant
        if not named:
            shown = ", ".join(names[:_NAMES_SHOWN]) + (" …" if len(names) > _NAMES_SHOWN else "")
            raise BadTable(say("error.no_answer_name", name=name, names=shown or "-"))
        if meaning and meaning not in names and canonical_name(meaning) is None:
            known = ", ".join(CANONICAL)
            raise BadTable(say("error.no_answer_meaning", name=name, meaning=meaning, known=known))
        said.update(dict.fromkeys(named, meaning))
    return said
