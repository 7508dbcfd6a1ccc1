"""FER2013 faces with the votes of FER+.

Faces: Goodfellow et al. 2013 (arXiv 1307.0414). Votes and the majority rule: Barsoum et al. 2016
(arXiv 1608.01041).
"""

import csv
import hashlib
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .. import limits
from ..errors import BadTable, InputError, os_reason
from ..files import atomic_path
from ..labels import CANONICAL, FERPLUS, UNCERTAIN
from .tables import delimiter_of, is_sign_line

#: The eight emotions that FER+ votes on, in canonical order.
EMOTIONS = tuple(name for name in CANONICAL if name != UNCERTAIN)
SIDE_PX = 48
SPLITS = {"train": 0, "val": 1, "test": 2}
_USAGES = {"Training": 0, "PublicTest": 1, "PrivateTest": 2}
_VOTE_COLUMNS = (
    "neutral",
    "happiness",
    "surprise",
    "sadness",
    "anger",
    "disgust",
    "fear",
    "contempt",
    "unknown",
    "NF",
)
#: Names of columns, which may be in upper or lower case.
_AS_PUBLISHED = {name.lower(): name for name in ("emotion", "pixels", "Usage", *_VOTE_COLUMNS)}
_COLUMN_OF = [FERPLUS.index(name) for name in EMOTIONS]
#: Pictures whose grey values spread less than this show nothing (13 of 35,887).
_BLANK_SPREAD = 3.0
#: Pictures whose votes are another picture's: row 5274 shows nearly nothing, and FER+ gives it the
#: name and the votes of row 6968.
_FOREIGN_VOTES = {"ef425a58258fe16705cc50bcaa75eff91fe299928aa13871d45d8e8f17987629"}


@dataclass(frozen=True)
class VotedFaces:
    """Grey faces with the votes that people gave them.

    Attributes:
        images: uint8 (n, 48, 48), grey.
        labels: int8 (n,), the class id in `labels.FER2013`.
        votes: uint8 (n, 10), votes for `labels.FERPLUS`.
        usage: int8 (n,), 0 train, 1 val (FER2013's public test), 2 test (its private test).
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int8]
    votes: NDArray[np.uint8]
    usage: NDArray[np.int8]

    def __post_init__(self) -> None:
        n = len(self.images)
        shapes = (self.labels.shape, self.votes.shape, self.usage.shape)
        if self.images.shape != (n, SIDE_PX, SIDE_PX) or shapes != ((n,), (n, 10), (n,)):
            raise BadTable(
                f"The arrays of a FER2013 set do not fit together: images {self.images.shape}, "
                f"labels, votes and usage {shapes}. Build them anew with 'data fer2013'."
            )
        for name, highest in (("labels", 6), ("usage", 2), ("images", 255), ("votes", 255)):
            held = getattr(self, name)
            if held.dtype.kind not in "iu" or (n and not 0 <= held.min() <= held.max() <= highest):
                raise BadTable(
                    f"The {name} of a FER2013 set are whole numbers from 0 to {highest}; these are "
                    f"{held.dtype}, or there are others. Build them anew with 'data fer2013'."
                )

    def __len__(self) -> int:
        return len(self.images)

    def rows(self, mask: NDArray[np.bool_]) -> "VotedFaces":
        """Return the faces for which `mask`, bool (n,), is true."""
        return VotedFaces(self.images[mask], self.labels[mask], self.votes[mask], self.usage[mask])

    def split(self, name: str) -> "VotedFaces":
        """Return one split: `train`, `val` or `test`."""
        return self.rows(self.usage == SPLITS[name])

    def content_hash(self) -> str:
        """Return the SHA-256 over images, labels, votes and usage, independent of any file."""
        digest = hashlib.sha256()
        for array in (self.images, self.labels, self.votes, self.usage):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()


def load_arrays(path: Path) -> VotedFaces:
    """Read an `.npz` with the keys images, labels, ferplus_votes and usage.

    Raises:
        BadTable: The file is missing, unreadable or lacks a key.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as held:
            unpacked = sum(entry.file_size for entry in held.zip.infolist())
            if unpacked > limits.ARCHIVE_MAX_RATIO * path.stat().st_size:
                raise ValueError(f"it would unpack to {unpacked / path.stat().st_size:.0f} times")
            return VotedFaces(held["images"], held["labels"], held["ferplus_votes"], held["usage"])
    except (
        OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, MemoryError,
        zipfile.BadZipFile, zlib.error,
    ) as error:  # fmt: skip
        raise BadTable(
            f"{path} is not a FER2013 set: {error}. "
            "Build it with: python -m emotion_core data fer2013 --csv … --votes …"
        ) from error


def save_arrays(faces: VotedFaces, path: Path) -> None:
    """Write the faces as a compressed `.npz` that `load_arrays` reads."""
    with atomic_path(path) as temporary, temporary.open("wb") as handle:
        np.savez_compressed(
            handle,
            images=faces.images,
            labels=faces.labels,
            ferplus_votes=faces.votes,
            usage=faces.usage,
        )


def read_csv(faces_csv: Path, votes_csv: Path | None = None) -> VotedFaces:
    """Join the published `fer2013.csv` with `fer2013new.csv`, row by row.

    The names in the votes table skip pictures, so only the order of the rows joins the two. Names
    of columns may be in upper or lower case, separated as `tables.read_table` says.

    Args:
        faces_csv: Columns emotion, pixels (2,304 grey values, separated by spaces) and, unless
            all rows are for training, Usage.
        votes_csv: Columns Usage, Image name and the ten vote counts; None leaves all votes zero.

    Raises:
        BadTable: A column is missing, a value is impossible or the tables do not fit together.
    """
    images, labels, usage = _read_faces(faces_csv)
    if votes_csv is None:
        return VotedFaces(images, labels, np.zeros((len(images), len(FERPLUS)), np.uint8), usage)
    votes, votes_usage = _read_votes(votes_csv)
    if not np.array_equal(usage, votes_usage):
        raise BadTable(
            f"{faces_csv.name} ({len(usage)} rows) and {votes_csv.name} ({len(votes_usage)} rows) "
            "do not list the same rows in the same order. Use both as they were published."
        )
    return VotedFaces(images, labels, votes, usage)


def _rows(path: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as handle:
            begins = 0
            if is_sign_line(first := handle.readline()):
                begins, first = handle.tell(), handle.readline()
            sign = delimiter_of(first)
            handle.seek(begins)
            reader = csv.DictReader(handle, delimiter=sign, skipinitialspace=True)
            cells = [cell.strip() for cell in reader.fieldnames or []]
            reader.fieldnames = [_AS_PUBLISHED.get(cell.lower(), cell) for cell in cells]
            missing = [c for c in columns if c not in reader.fieldnames]
            if missing:
                raise BadTable(f"{path.name} has no column {', '.join(missing)}.")
            return list(reader)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {os_reason(error)}.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadTable(f"{path.name} is not a CSV table: {error}.") from error


def _usage_of(row: dict[str, str], path: Path, line: int) -> int:
    if "Usage" not in row:
        return SPLITS["train"]
    if row["Usage"] not in _USAGES:
        raise BadTable(f"{path.name}, line {line}: the usage {row['Usage']!r} is not known.")
    return _USAGES[row["Usage"]]


def _read_faces(
    path: Path,
) -> tuple[NDArray[np.uint8], NDArray[np.int8], NDArray[np.int8]]:
    rows = _rows(path, ("emotion", "pixels"))
    images = np.empty((len(rows), SIDE_PX * SIDE_PX), np.uint8)
    labels = np.empty(len(rows), np.int8)
    usage = np.empty(len(rows), np.int8)
    for i, row in enumerate(rows):
        try:
            images[i] = _pixels(row["pixels"] or "")
            labels[i] = int(row["emotion"])
        except (TypeError, ValueError, OverflowError) as error:
            raise BadTable(f"{path.name}, line {i + 2}: {error}.") from error
        if not 0 <= labels[i] < 7:
            raise BadTable(f"{path.name}, line {i + 2}: emotion {labels[i]} is not 0 to 6.")
        usage[i] = _usage_of(row, path, i + 2)
    return images.reshape(-1, SIDE_PX, SIDE_PX), labels, usage


def _pixels(text: str) -> NDArray[np.uint8]:
    values = np.array(text.split(), np.uint8)
    if len(values) != SIDE_PX * SIDE_PX:
        raise ValueError(f"{len(values)} pixels instead of {SIDE_PX * SIDE_PX}")
    return values


def _read_votes(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.int8]]:
    rows = _rows(path, ("Usage", *_VOTE_COLUMNS))
    votes = np.empty((len(rows), 10), np.uint8)
    usage = np.empty(len(rows), np.int8)
    for i, row in enumerate(rows):
        try:
            votes[i] = [int(row[column]) for column in _VOTE_COLUMNS]
        except (TypeError, ValueError, OverflowError) as error:
            raise BadTable(f"{path.name}, line {i + 2}: {error}.") from error
        usage[i] = _usage_of(row, path, i + 2)
    return votes, usage


def emotion_targets(votes: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Turn votes into soft targets over `EMOTIONS`, float32 (n, 8).

    Single votes are dropped first, as the authors of FER+ do. A row of zeros means that no
    emotion is left, or that unknown and not-a-face outweigh every emotion.
    """
    kept = np.where(votes > 1, votes, 0).astype(np.float32)
    emotions = kept[:, _COLUMN_OF]
    total = emotions.sum(axis=1)
    usable = (total > 0) & (emotions.max(axis=1) > kept[:, 8:].max(axis=1))
    shares = emotions / np.maximum(total, 1)[:, None]
    return np.where(usable[:, None], shares, 0).astype(np.float32)


def majority_labels(votes: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return the class id in `EMOTIONS` by the majority rule of FER+, or -1; int64 (n,).

    Single votes are dropped; the winner needs more than half of what is left (unknown and
    not-a-face included) and has to be an emotion.
    """
    kept = np.where(votes > 1, votes, 0).astype(np.int64)
    emotions = kept[:, _COLUMN_OF]
    has_majority = 2 * emotions.max(axis=1) > kept.sum(axis=1)
    return np.where(has_majority, emotions.argmax(axis=1), -1)


def subtle_labels(votes: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return the emotion that a subtle face shows, its class id in `EMOTIONS`, or -1; int64 (n,).

    A face is subtle where 20 to 50 % of the votes say neutral and one other emotion alone leads;
    single votes, unknown and not-a-face are dropped.
    """
    emotions = np.where(votes > 1, votes, 0).astype(np.int64)[:, _COLUMN_OF]
    neutral = EMOTIONS.index("neutral")
    neutral_share = emotions[:, neutral] / np.maximum(emotions.sum(axis=1), 1)
    leads_alone = (emotions == emotions.max(axis=1, keepdims=True)).sum(axis=1) == 1
    leader = emotions.argmax(axis=1)
    is_subtle = (neutral_share >= 0.2) & (neutral_share <= 0.5) & leads_alone & (leader != neutral)
    return np.where(is_subtle, leader, -1)


def validation_faces(faces: VotedFaces) -> VotedFaces:
    """Return the validation split without byte-identical copies of test pictures."""
    tested = {image.tobytes() for image in faces.split("test").images}
    val = faces.split("val")
    return val.rows(np.array([image.tobytes() not in tested for image in val.images], bool))


def distinct_training_faces(faces: VotedFaces) -> VotedFaces:
    """Return the training faces without blank pictures and copies of the other splits' pictures."""
    keys = np.array([hashlib.sha256(image.tobytes()).hexdigest() for image in faces.images])
    in_train = faces.usage == SPLITS["train"]
    spread = faces.images.reshape(len(faces), -1).std(axis=1)
    return faces.rows(in_train & ~np.isin(keys, keys[~in_train]) & (spread >= _BLANK_SPREAD))


def clean_training_faces(faces: VotedFaces) -> VotedFaces:
    """Return the faces to train on by votes.

    Left out are blank pictures, rows without a usable emotion vote or with another picture's
    votes, the rows of the other two splits and every byte-identical copy of their pictures.
    """
    distinct = distinct_training_faces(faces)
    keys = [hashlib.sha256(image.tobytes()).hexdigest() for image in distinct.images]
    is_foreign = np.isin(keys, list(_FOREIGN_VOTES))
    return distinct.rows(emotion_targets(distinct.votes).any(axis=1) & ~is_foreign)
