"""Data sets in every form that is read here, behind one contract. A new form is a class and a row
in `SOURCES`."""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..errors import BadTable, BrokenImage, InputError
from ..labels import FER2013, FERPLUS, canonical_name
from ..texts import say
from . import fer2013
from .archives import PICTURES
from .containers import Container, Folder, Stamp, open_container
from .naming import composed
from .picture_tables import (
    columns_of,
    exported_tables,
    picture_tables,
    picture_tables_of,
    split_called,
)
from .splits import SPLIT_ORDER, SPLIT_WORDS, TEST, TRAIN, VAL
from .tables import LABEL_COLUMNS, PATH_COLUMNS, column_of, header_of, place_in, read_table

#: Votes of several people stand in columns of this name and the label's.
VOTE = "vote_"
ITEM_COLUMNS = ("path", "raw_label", "split", "bytes", "changed_ns")
#: A table that names this share of the pictures is the one that says what they are.
_NEARLY_ALL = 0.95


class Source(Protocol):
    """A labelled data set.

    `items` gives one row per picture with `ITEM_COLUMNS`, and where several people judged a
    column `vote_<name>` per label with their number: `path` is its name, unique and without `..`;
    `raw_label` the label as the data set has it, missing where there is none; `split` one of
    `train`, `val`, `test`, or empty; `bytes` and `changed_ns` tell without reading whether it
    changed. `read` gives the encoded picture; several threads may call it.

    Attributes:
        name: How people call it.
        kind: Its key in `SOURCES`.
    """

    name: str
    kind: str

    def items(self) -> pd.DataFrame:
        """Return a row per picture, in a fixed order."""
        ...

    def read(self, path: str) -> bytes:
        """Return a picture as a file.

        Raises:
            InputError: It cannot be read.
        """
        ...

    def file_of(self, path: str) -> Path | None:
        """Return where a picture lies, or None where it is no file of its own."""
        ...

    def content_hash(self) -> str:
        """Return the hash of all that is in a table of faces; empty for pictures in files."""
        ...

    def close(self) -> None:
        """Let go of what is open."""
        ...


@dataclass(frozen=True)
class SourceSpec:
    """Where a data set comes from.

    Attributes:
        path: A folder, an archive, a CSV or an `.npz`.
        kind: A key of `SOURCES`; empty finds out.
        votes: `fer2013new.csv` of FER+, joined by row to a FER2013 table; empty for none.
        by_votes: Label each picture by the majority rule of FER+ instead of as given.
    """

    path: str
    kind: str = ""
    votes: str = ""
    by_votes: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return the spec as plain values, for a file."""
        return asdict(self)


class _InContainer:
    """Pictures that are files of a folder or an archive."""

    def __init__(self, container: Container, name: str) -> None:
        self.name, self._container = name, container

    def read(self, path: str) -> bytes:
        """Return a picture as a file."""
        return self._container.read(path)

    def file_of(self, path: str) -> Path | None:
        """Return where a picture lies, or None where it is no file of its own."""
        return self._container.file_of(path)

    def content_hash(self) -> str:
        """Return nothing: each picture has a hash of its own."""
        return ""

    def close(self) -> None:
        """Let go of the folder or archive."""
        self._container.close()


class ClassFolders(_InContainer):
    """Pictures in a folder per label, under folders of splits or without them.

    Pictures that lie directly in the root or in the folder of a split have no label.
    """

    kind = "folders"

    def __init__(self, container: Container) -> None:
        super().__init__(container, container.name)

    def items(self) -> pd.DataFrame:
        """Return a row per picture, sorted by path."""
        rows = [
            (path, *_place(path), stamp.size_bytes, stamp.changed_ns)
            for path, stamp in self._container.files().items()
            if path.lower().endswith(PICTURES)
        ]
        return _item_table(rows, self.name)


class PictureTable(_InContainer):
    """A CSV that names a picture and its label in each row, such as `image_path,emotion`.

    Several tables are the splits that they are called by. A picture that stands in several rows
    has several opinions; they become votes, and the label that leads them, none in a tie. An
    unnamed index column is passed over.
    """

    kind = "table"

    def __init__(self, container: Container, *tables: str) -> None:
        name = container.name if len(tables) > 1 else PurePosixPath(tables[0]).name
        super().__init__(container, name)
        self._tables = tables

    def items(self) -> pd.DataFrame:
        """Return a row per picture, in the order in which the tables name them first."""
        told = pd.concat(map(self._told_by, self._tables), ignore_index=True)
        try:
            files = self._container.files()
        except InputError:  # some folder beside them is closed; they are looked at by their names
            files = {}
        if not set(told["path"]) <= files.keys():
            names = {composed(name): name for name in files}
            told["path"] = [names.get(composed(path), path) for path in told["path"]]
        stamps = [files.get(path) or self._stamp_of(path) for path in told["path"]]
        told["bytes"] = [stamp.size_bytes for stamp in stamps]
        told["changed_ns"] = [stamp.changed_ns for stamp in stamps]
        return _checked(_opinions(told), self.name)

    def _told_by(self, table: str) -> pd.DataFrame:
        """Return picture, label and split of each row of a table."""
        name = PurePosixPath(table).name
        rows = read_table(self._container.read(table), name)
        path_column = column_of(rows, PATH_COLUMNS, name)
        label_column = column_of(rows, LABEL_COLUMNS, name)
        split_column = next((c for c in ("split", "usage", "set") if c in _lower(rows)), None)
        splits = _lower(rows)[split_column] if split_column else pd.Series("", rows.index)
        own = split_called(table) if len(self._tables) > 1 else ""
        base = str(PurePosixPath(table).parent)
        return pd.DataFrame(
            {
                "path": [place_in(base, text, name) for text in rows[path_column]],
                "raw_label": rows[label_column].map(_label_of),
                "split": [_split_of(str(word), name) or own for word in splits],
            }
        )

    def _stamp_of(self, path: str) -> Stamp:
        """Return the stamp of a picture that is not listed, as in a hidden or linked folder."""
        try:
            file = self._container.file_of(path)
            state = file.stat() if file else None
        except OSError:  # gone meanwhile
            state = None
        return Stamp(state.st_size, state.st_mtime_ns) if state else Stamp(0, 0)


class VotedRows:
    """FER2013 faces with or without the votes of FER+: the published tables, or arrays.

    A face is `row-00000` to its last one, in the order of the table, and reads as a grey BMP, so
    that equal pixels are equal files.
    """

    def __init__(
        self,
        load: Callable[[], fer2013.VotedFaces],
        *files: Path,
        kind: str,
        by_votes: bool,
    ) -> None:
        self.name, self.kind = files[0].name, kind
        self._faces, self._by_votes = load(), by_votes
        self._changed_ns = max(file.stat().st_mtime_ns for file in files)
        if by_votes and not self._faces.votes.any():
            raise BadTable(say("error.no_votes", name=self.name))

    def items(self) -> pd.DataFrame:
        """Return a row per face."""
        faces = self._faces
        words = np.array([TRAIN, VAL, TEST])
        raw = np.array(FER2013)[faces.labels].astype(object)
        if self._by_votes:
            best = fer2013.majority_labels(faces.votes)
            raw = np.where(best >= 0, np.array([*fer2013.EMOTIONS, ""])[best], "").astype(object)
            raw[best < 0] = pd.NA
        table = _item_table(
            [
                (f"row-{row:05d}", label, split, faces.images[row].nbytes, self._changed_ns)
                for row, (label, split) in enumerate(zip(raw, words[faces.usage], strict=True))
            ],
            self.name,
        )
        if faces.votes.any():
            for column, label in enumerate(FERPLUS):
                table[VOTE + label] = faces.votes[:, column].astype(np.int64)
        return table

    def read(self, path: str) -> bytes:
        """Return a face as a BMP."""
        try:
            return _bmp(self._faces.images[int(path.removeprefix("row-"))])
        except (ValueError, IndexError) as error:
            reason = "no such row"
            raise BrokenImage(say("error.unreadable_file", name=path, reason=reason)) from error

    def file_of(self, path: str) -> Path | None:  # noqa: ARG002
        """Return None: a face is a row of a table."""
        return None

    def content_hash(self) -> str:
        """Return the hash of all faces with their labels and votes."""
        return self._faces.content_hash()

    def close(self) -> None:
        """Nothing is open."""


def _open_folders(spec: SourceSpec) -> Source:
    return ClassFolders(open_container(Path(spec.path)))


def _open_table(spec: SourceSpec) -> Source:
    path = Path(spec.path)
    if path.suffix.lower() == ".csv":
        return PictureTable(Folder(path.parent), path.name)
    container = open_container(path)
    try:
        return PictureTable(container, *picture_tables_of(container))
    except InputError:
        container.close()
        raise


def _open_pixels(spec: SourceSpec) -> Source:
    files = [Path(one) for one in (spec.path, spec.votes) if one]
    load = partial(fer2013.read_csv, *files)
    return VotedRows(load, *files, kind="fer2013", by_votes=spec.by_votes)


def _open_arrays(spec: SourceSpec) -> Source:
    path = Path(spec.path)
    load = partial(fer2013.load_arrays, path)
    return VotedRows(load, path, kind="arrays", by_votes=spec.by_votes)


SOURCES: dict[str, Callable[[SourceSpec], Source]] = {
    "folders": _open_folders,
    "table": _open_table,
    "fer2013": _open_pixels,
    "arrays": _open_arrays,
}


def open_source(spec: SourceSpec) -> Source:
    """Open a data set; close it after use.

    Raises:
        InputError: There is nothing at the path, or it cannot be read.
        BadTable, BadArchive: It is damaged, or of no form that is read here.
    """
    kind = spec.kind or _kind_of(Path(spec.path))
    if kind and kind not in SOURCES:
        raise BadTable(say("error.no_source_kind", kind=kind, names=", ".join(SOURCES)))
    if spec.votes and kind != "fer2013":
        raise BadTable(say("error.no_votes_here", name=Path(spec.path).name))
    if spec.by_votes and kind not in ("fer2013", "arrays"):
        raise BadTable(say("error.no_votes", name=Path(spec.path).name))
    return SOURCES[kind](spec) if kind else _open_unknown(Path(spec.path))


def _kind_of(path: Path) -> str:
    """Return of which form a data set is, empty where one has to look inside."""
    suffix = path.suffix.lower()
    if suffix == ".npz":
        return "arrays"
    if suffix == ".csv":
        if not path.is_file():
            reason = "no such file"
            raise InputError(say("error.unreadable_file", name=path.name, reason=reason))
        return "fer2013" if "pixels" in header_of(path) else "table"
    return ""


def _open_unknown(path: Path) -> Source:
    """Open a folder or an archive as what lies in it."""
    container = open_container(path)
    try:
        if _kind_inside(container, path.name) == "folders":
            return ClassFolders(container)
        return PictureTable(container, *picture_tables_of(container))
    except BaseException:
        container.close()
        raise


def _kind_inside(container: Container, name: str) -> str:
    files = container.files()
    pictures = [one for one in files if one.lower().endswith(PICTURES)]
    labels = {_place(one)[0] for one in pictures} - {None}
    tables = [one for one in files if one.lower().endswith(".csv")]
    if len(labels) > 1:
        is_told = tables and _is_told_by_table(container, pictures)
        return "table" if is_told else "folders"
    # one folder of pictures is a label only where no table names others
    if picture_tables(container):
        return "table"
    if pictures:
        return "folders"
    columns = {one: columns_of(container, one) for one in tables}
    faces = [one for one in tables if {"emotion", "pixels"} <= columns[one]]
    # beside the table with all splits, Kaggle has one for training
    faces = [one for one in faces if "usage" in columns[one]] or faces
    if len(faces) == 1:
        raise BadTable(say("error.pixels_inside", name=name, file=faces[0]))
    raise BadTable(say("error.no_dataset", name=name))


def _is_told_by_table(container: Container, pictures: list[str]) -> bool:
    """Whether a table names nearly all of some pictures and says more than their folders do: their
    splits, or their labels where folders are called otherwise and name no split."""
    try:
        tables = picture_tables_of(container)
        # an export's tell of the folders as they were
        if exported_tables(container, container.files()).intersection(tables):
            return False
        items = PictureTable(container, *tables).items()
    except InputError:
        return False
    places = [_place(picture) for picture in pictures]
    are_known = all(label is None or canonical_name(label) for label, _ in places)
    if items["split"].eq("").all() and (are_known or any(split for _, split in places)):
        return False
    return bool(items["path"].isin(pictures).sum() >= _NEARLY_ALL * len(pictures))


def _place(path: str) -> tuple[str | None, str]:
    """Return label and split that the folders of a picture name."""
    folders = path.split("/")[:-1]
    words = [SPLIT_WORDS.get(folder.lower(), "") for folder in folders]
    split = next((word for word in words if word), "")
    label = composed(folders[-1]) if folders and not words[-1] else None
    return label, split


def _label_of(cell: str) -> Any:
    return composed(cell.strip()) or pd.NA


def _split_of(word: str, name: str) -> str:
    """Return which split a cell of a table names; empty where it is empty."""
    word = word.strip()
    if word and word.lower() not in SPLIT_WORDS:
        known = ", ".join(SPLIT_WORDS)
        raise BadTable(say("error.no_split_word", name=name, word=word, known=known))
    return SPLIT_WORDS.get(word.lower(), "")


def _opinions(told: pd.DataFrame) -> pd.DataFrame:
    """Turn several rows of one picture into votes, and take the label that leads.

    Of several splits it gets the one that judges: test before validation before training.
    """
    one = told.drop_duplicates("path")
    if len(one) == len(told):
        return one
    one = one.set_index("path")
    order = told["split"].map(SPLIT_ORDER).sort_values(kind="stable")
    one["split"] = told.loc[order.index].groupby("path")["split"].first()
    if told["raw_label"].isna().all():
        return one.reset_index()
    # two spellings of a label are one opinion, and go by the first
    told = told.assign(key=told["raw_label"].map(_same_word, na_action="ignore"))
    words = told["key"].map(told.groupby("key")["raw_label"].first())
    votes = pd.crosstab(told["path"], words).reindex(one.index, fill_value=0)
    most = votes.max(axis=1)
    is_tie = (votes.eq(most, axis=0).sum(axis=1) > 1) | (most == 0)
    one["raw_label"] = votes.idxmax(axis=1).astype(object).mask(is_tie, pd.NA)
    votes.columns = [VOTE + str(name) for name in votes.columns]
    return one.join(votes).reset_index()


def _same_word(word: str) -> str:
    return canonical_name(word) or word.casefold()


def _item_table(rows: Iterable[tuple[Any, ...]], name: str) -> pd.DataFrame:
    return _checked(pd.DataFrame(list(rows), columns=list(ITEM_COLUMNS)), name)


def _checked(table: pd.DataFrame, name: str) -> pd.DataFrame:
    if not len(table):
        raise BadTable(say("error.no_dataset", name=name))
    kinds = {"path": "str", "raw_label": "str", "split": "str", "bytes": "int64"}
    return table.astype({**kinds, "changed_ns": "int64"})


def _lower(table: pd.DataFrame) -> pd.DataFrame:
    return table.rename(columns=str.lower)


def _bmp(image: NDArray[np.uint8]) -> bytes:
    _, data = cv2.imencode(".bmp", image)
    return bytes(data)
