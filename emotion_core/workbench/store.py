"""The data sets somebody works on, as folders: who owns them, where they come from, what was
decided.

datasets/<id>/dataset.json     name, owner, source; written once
              source/          what was uploaded or drawn; absent where the source lies elsewhere
              index.parquet    what is measured of every picture
              recipe.yaml      rules, copies, labels, split
              decisions.jsonl  decisions of people
              *.parquet        what jobs found: doubtful labels, map
"""

import json
import re
import secrets
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock

from .. import limits
from ..datasets.cleaning import DatasetRecipe, load_recipe, with_decisions
from ..datasets.decisions import DecisionLog
from ..datasets.sources import Source, SourceSpec, open_source
from ..errors import InputError, StorageError, os_reason, reason_of, said_of
from ..files import atomic_write, work_folder, write_json
from ..jobs import owner_hash
from ..texts import say

_ID = re.compile(r"[0-9a-f]{16}")
_NOTES = "dataset.json"
_UPLOADS = re.compile(r"(\.tar)?\.(zip|tar|tgz|gz|bz2|xz|csv|npz)$", re.I)
#: Who works on the command line.
COMMAND_LINE = "command line"


@dataclass(frozen=True)
class Dataset:
    """One data set that somebody works on.

    Attributes:
        id: 16 hex digits.
        name: A name for people.
        folder: Where the work on it lies.
        spec: Where its pictures come from.
        created_s: When the work began, in seconds since 1970.
        drawn: Number of pictures and seed, where the studio draws it itself; empty otherwise.
    """

    id: str
    name: str
    folder: Path
    spec: SourceSpec
    created_s: float
    drawn: Mapping[str, int]

    @property
    def decisions(self) -> DecisionLog:
        """What people decided about its pictures."""
        return DecisionLog(self.folder / "decisions.jsonl")

    @property
    def has_index(self) -> bool:
        """Whether its pictures have been measured."""
        return (self.folder / "index.parquet").is_file()

    def check_there(self) -> None:
        """Refuse to go on with a data set that was deleted: what is written makes its folder anew.

        Raises:
            InputError: It was, such as in another tab.
        """
        if not (self.folder / _NOTES).is_file():
            raise InputError(say("error.no_dataset_here"))

    def open(self) -> Source:
        """Open its source; close it after use.

        Raises:
            InputError: It is gone, or of no form that is read here.
        """
        return open_source(self.spec)

    def recipe(self) -> DatasetRecipe:
        """Return its recipe, decisions included.

        Raises:
            BadTable: The recipe on the disk is damaged.
        """
        path = self.folder / "recipe.yaml"
        held = load_recipe(path) if path.is_file() else DatasetRecipe()
        return with_decisions(held, self.decisions.current())

    def save_recipe(self, recipe: DatasetRecipe) -> None:
        """Keep a recipe; its decisions stay in their log.

        Raises:
            InputError: The data set has been deleted.
            StorageError: It cannot be written.
        """
        self.check_there()
        atomic_write(self.folder / "recipe.yaml", with_decisions(recipe, {}).to_yaml())

    def table(self, name: str, columns: list[str] | None = None) -> pd.DataFrame | None:
        """Return what a job found, such as `noise`, or some columns of it; None before it has run.

        Raises:
            StorageError: The table is damaged, or has no such column.
        """
        path = self.folder / f"{name}.parquet"
        try:
            return pd.read_parquet(path, columns=columns) if path.is_file() else None
        except (OSError, ValueError) as error:
            raise StorageError(say("error.dataset_damaged", file=path.name)) from error

    def stamp(self, name: str) -> int:
        """Return a number that changes when a table is written anew; 0 where there is none."""
        path = self.folder / f"{name}.parquet"
        return path.stat().st_mtime_ns if path.is_file() else 0


def new_dataset(
    name: str,
    source: SourceSpec | bytes | memoryview | None,
    *,
    owner: str,
    drawn: Mapping[str, int] | None = None,
) -> Dataset:
    """Begin work on a data set.

    Args:
        name: A name for people; of an upload, the file's.
        source: Where it lies; or the content of an uploaded archive or table; or None for faces
            that a job draws.
        owner: Whose it is; only a hash of it is written.
        drawn: Number `n` and `seed` of the faces to draw.

    Raises:
        InputError: The upload is of no form that is read here; then nothing is left.
        StorageError: It cannot be written.
    """
    folder = _root() / secrets.token_hex(8)
    _make(folder)
    try:
        if isinstance(source, SourceSpec):
            spec = source
        elif source is None:
            spec = SourceSpec(str(folder / "source" / "drawn"), "folders")
        else:
            ending = _UPLOADS.search(name)
            target = folder / "source" / f"upload{ending.group().lower() if ending else ''}"
            atomic_write(target, source)
            spec = SourceSpec(str(target))
            with said_of(target.name, name), closing(open_source(spec)) as opened:
                spec = replace(spec, kind=opened.kind)
        return _write(folder, name, spec, owner=owner, drawn=drawn or {})
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def dataset_at(spec: SourceSpec) -> Dataset:
    """Return the work of the command line on a source; it is begun when it is new.

    Raises:
        InputError: There is no such source.
        StorageError: The work folder cannot be written, or what is noted there cannot be read.
    """
    try:
        path = Path(spec.path).expanduser().resolve()
        votes = str(Path(spec.votes).expanduser().resolve()) if spec.votes else ""
        is_there = path.exists()
    except (OSError, RuntimeError) as error:  # a folder that is closed, a user that is none
        raise InputError(
            say("error.unreadable_file", name=Path(spec.path).name[:60], reason=reason_of(error))
        ) from error
    spec = SourceSpec(str(path), spec.kind, votes, spec.by_votes)
    if not is_there:
        raise InputError(say("error.unreadable_file", name=path.name, reason="no such file"))
    key = sha256(json.dumps(spec.as_dict()).encode()).hexdigest()[:16]
    folder = _root() / key
    with FileLock(_root() / f".{key}.lock"):  # two commands may meet a source for the first time
        held = _read(folder)
        if held is not None:
            return held
        if (folder / _NOTES).exists():  # of a newer version, or damaged: decisions lie beside it
            told = say("error.dataset_notes_damaged", name=path.name, folder=folder)
            raise StorageError(told)
        if not folder.is_dir():
            _make(folder)
        return _write(folder, path.name, spec, owner=COMMAND_LINE, drawn={})


def list_datasets(*owners: str) -> list[Dataset]:
    """Return the data sets of some owners, the newest first; without one, everybody's."""
    folders = [folder for folder in _root().iterdir() if _ID.fullmatch(folder.name)]
    mine = [found for folder in folders if (found := _read(folder, owners)) is not None]
    return sorted(mine, key=lambda one: -one.created_s)


def load_dataset(dataset_id: str, *owners: str) -> Dataset:
    """Return a data set of some owners; without one, as for a job of one, anybody's.

    Raises:
        InputError: There is none of that id that belongs to one of them.
    """
    found = _read(_root() / dataset_id, owners) if _ID.fullmatch(dataset_id) else None
    if found is None:
        raise InputError(say("error.no_dataset_here"))
    return found


def recipe_hash(dataset: Dataset) -> str:
    """Return the SHA-256 of a data set's recipe with its decisions."""
    return sha256(dataset.recipe().to_yaml().encode()).hexdigest()


def delete_dataset(dataset: Dataset) -> None:
    """Delete the work on a data set, and what was uploaded or drawn for it; no other source.

    Raises:
        StorageError: Something of it stays, such as an archive that Windows has open.
    """
    with suppress(FileNotFoundError):  # another tab deletes it, too
        _delete(dataset.folder, dataset.name)


def _delete(folder: Path, name: str) -> None:
    # its notes last: as long as something stays, it is listed and can be deleted again
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        elif path.name != _NOTES:
            with suppress(OSError):
                path.unlink()
    if any(path.name != _NOTES for path in folder.iterdir()):
        raise StorageError(say("error.dataset_stays", name=name))
    shutil.rmtree(folder, ignore_errors=True)


def sweep_datasets() -> None:
    """Delete what a process left that was killed while it wrote an upload: nobody sees it."""
    for folder in _root().iterdir():
        with suppress(OSError):  # somebody else deletes it, too
            is_old = time.time() - folder.stat().st_mtime > limits.JOB_EXPIRY_S
            if is_old and _ID.fullmatch(folder.name) and not _is_noted(folder):
                shutil.rmtree(folder, ignore_errors=True)


def _is_noted(folder: Path) -> bool:
    # decisions outlast notes that were lost
    return any((folder / name).exists() for name in (_NOTES, "decisions.jsonl"))


def _root() -> Path:
    return work_folder("datasets")


def _make(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700)
    except OSError as error:
        reason = os_reason(error)
        raise StorageError(say("error.no_dataset_folder", reason=reason)) from error


def _write(
    folder: Path, name: str, spec: SourceSpec, *, owner: str, drawn: Mapping[str, int]
) -> Dataset:
    created_s = time.time()
    held = {
        "name": name,
        "owner": owner_hash(owner),
        "source": spec.as_dict(),
        "created_s": created_s,
        "drawn": dict(drawn),
    }
    write_json(folder / _NOTES, held)
    return Dataset(folder.name, name, folder, spec, created_s, drawn)


def _read(folder: Path, owners: Sequence[str] = ()) -> Dataset | None:
    try:
        held: dict[str, Any] = json.loads((folder / _NOTES).read_text(encoding="utf-8"))
        if owners and held["owner"] not in map(owner_hash, owners):
            return None
        spec = SourceSpec(**held["source"])
        created_s, drawn = float(held["created_s"]), dict(held["drawn"])
        return Dataset(folder.name, str(held["name"]), folder, spec, created_s, drawn)
    except (OSError, ValueError, KeyError, TypeError):
        return None
