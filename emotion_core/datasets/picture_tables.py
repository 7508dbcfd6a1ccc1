"""Which tables of a folder or an archive say what its pictures are."""

import json
import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import PurePosixPath

from ..errors import BadTable, InputError
from ..texts import say
from .containers import Container
from .splits import SPLIT_WORDS, TRAIN
from .tables import CARD_FILE, CARD_SCHEMA, LABEL_COLUMNS, PATH_COLUMNS, read_table


def picture_tables_of(container: Container) -> list[str]:
    """Return the CSV that names pictures and labels, or several that are called by their splits.

    Raises:
        BadTable: There is none, or nobody can say which of several counts.
    """
    found = picture_tables(container)
    splits = [name for name in found if split_called(name)]
    if len(found) > 1 and TRAIN in map(split_called, splits):
        return splits
    if len(found) > 1:
        raise BadTable(say("error.many_tables", name=container.name, files=", ".join(found)))
    if not found:
        raise BadTable(say("error.no_dataset", name=container.name))
    return found


def picture_tables(container: Container) -> list[str]:
    """Return the CSVs that name pictures and labels, of the folders that lie least deep; those that
    an export wrote beside its pictures only where there are no others."""
    files = container.files()
    names = [name for name in files if name.lower().endswith(".csv")]
    exported = exported_tables(container, files) if names else set()
    own = [name for name in names if name not in exported]
    return _least_deep(container, own) or _least_deep(container, names)


def _least_deep(container: Container, names: Iterable[str]) -> list[str]:
    found: list[str] = []
    for name in sorted(names, key=lambda name: (name.count("/"), name)):
        if found and name.count("/") > found[0].count("/"):
            break
        columns = columns_of(container, name)
        if columns & set(PATH_COLUMNS) and columns & set(LABEL_COLUMNS):
            found.append(name)
    return found


def exported_tables(container: Container, files: Iterable[str]) -> set[str]:
    """Return what of some files the cards of exported data sets among them name as theirs."""
    found: set[str] = set()
    for name in files:
        path = PurePosixPath(name)
        if path.name != CARD_FILE:
            continue
        with suppress(InputError, ValueError, KeyError, TypeError, RecursionError):
            card = json.loads(container.read(name))
            if card["schema"] == CARD_SCHEMA:
                found |= {str(path.parent / one) for one in card["files"]}
    return found


def split_called(table: str) -> str:
    """Return the split that a table is called by, or a folder that it lies in; empty for none."""
    path = PurePosixPath(table.lower())
    words = [path.stem, *re.split(r"[^a-z0-9]+", path.stem), *path.parts[:-1]]
    return next((SPLIT_WORDS[word] for word in words if word in SPLIT_WORDS), "")


def columns_of(container: Container, name: str) -> set[str]:
    """Return the names of a table's columns, in lower case; none where it is no table."""
    try:
        rows = read_table(container.read(name), name, limit=1)
        return {str(column).lower() for column in rows.columns}
    except InputError:
        return set()
