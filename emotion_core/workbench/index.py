"""The index of a data set: every picture is measured once, with all cores, and never again until
it changes."""

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .. import limits
from ..analysis import find_faces
from ..datasets.cleaning import apply_recipe
from ..datasets.drawn import write_drawn_dataset
from ..datasets.duplicates import find_groups
from ..datasets.measures import content_hash, measure_picture
from ..datasets.sources import Source
from ..errors import EmotionError, InputError, StorageError, TooLarge
from ..faces import DEFAULT_DETECTOR, Detector, load_detector
from ..files import atomic_path
from ..media.photo import inspect_photo
from ..texts import say
from ..types import Faces, Image
from .store import Dataset

#: Called with (pictures done, pictures in all); what it raises ends the work.
OnProgress = Callable[[int, int], None]
#: Changes when measures change their meaning; older ones are taken anew.
_VERSION = 1
_AT_ONCE = 256
#: After so many pictures what is measured is written, so that a kill costs no more.
_PART_ROWS = 2048
_UNMEASURED: dict[str, Any] = {
    "width": 0, "height": 0, "aspect_ratio": 0.0, "mode": "", "format": "", "sha256": "",
    "phash": 0, "thumb": b"", "brightness": 0.0, "contrast": 0.0, "sharpness": 0.0,
    "entropy": 0.0, "face_count": -1, "face_size_px": 0.0, "face_confidence": 0.0,
    "is_readable": False, "error": "",
}  # fmt: skip
_KEY = ["path", "bytes", "changed_ns"]


def build_index(
    dataset: Dataset,
    *,
    with_faces: bool = True,
    on_progress: OnProgress | None = None,
    threads: int | None = None,
) -> int:
    """Measure every picture of a data set that is new or has changed, and note it in its index.

    Stopped or killed, it goes on where it was when it is called again.

    Args:
        dataset: Whose pictures.
        with_faces: Also search for faces; takes several times as long.
        on_progress: Called after some pictures each.
        threads: None takes one per core.

    Returns:
        How many pictures had to be measured.

    Raises:
        InputError: The source cannot be read.
        StorageError: The index cannot be written.
    """
    if dataset.drawn and not Path(dataset.spec.path).exists():
        _draw(dataset, on_progress)
    source = dataset.open()
    try:
        items = source.items()
        known = _known(dataset, items, with_faces=with_faces)
        new = items[~items["path"].isin(known["path"])]
        gone = _count_rows(dataset) != len(items)
        if not len(new) and not gone and _same_items(dataset, items):
            return 0
        parts = dataset.folder / "parts"

        def tell(done: int) -> None:
            if on_progress:
                on_progress(len(known) + done, len(items))

        measured = _measure_all(
            source,
            new,
            parts,
            with_faces=with_faces,
            on_progress=tell,
            threads=threads or os.cpu_count() or 1,
        )
    finally:
        source.close()
    measures = pd.concat([known, measured], ignore_index=True).drop_duplicates("path")
    columns = [c for c in items.columns if c not in _KEY]
    table = items[["path", *columns]].merge(measures, on="path", validate="one_to_one")
    table = table.drop(columns=["exact", "group"], errors="ignore")
    table = table.join(find_groups(table))
    write_table(table, dataset.folder / "index.parquet")
    shutil.rmtree(parts, ignore_errors=True)
    return len(new)


def load_index(dataset: Dataset) -> pd.DataFrame:
    """Return the index: columns as in `measures.INDEX_COLUMNS`, votes, `thumb`, and `exact` and
    `group` of `duplicates.find_groups`.

    Raises:
        InputError: The pictures have not been measured.
        StorageError: The index is damaged.
    """
    table = dataset.table("index")
    if table is None:
        raise InputError(say("error.no_index", name=dataset.name))
    return table


def load_cleaned(dataset: Dataset) -> pd.DataFrame:
    """Return the index with the data set's recipe applied, as `cleaning.apply_recipe` gives it."""
    return apply_recipe(dataset.recipe(), load_index(dataset))


def read_picture_of(source: Source, path: str) -> Image:
    """Return a picture of a data set, uint8 RGB (height, width, 3), upright.

    Raises:
        InputError: It cannot be read.
    """
    return inspect_photo(source.read(path), name=path).image


def face_or_whole(image: Image, detector: Detector | None) -> tuple[Faces, bool]:
    """Return the largest face of a picture, and whether it is the whole picture for want of one.

    A picture whose shorter side is under `limits.FACE_CROP_FROM_PX` is a face already.
    """
    if detector is not None and min(image.shape[:2]) >= limits.FACE_CROP_FROM_PX:
        faces = find_faces(image, detector)
        if len(faces):
            return faces[[largest_face(faces)]], False
    return Faces.whole(image), True


def largest_face(faces: Faces) -> int:
    """Return the row of the face with the largest box."""
    sides = faces.xyxy[:, 2:] - faces.xyxy[:, :2]
    return int(np.prod(sides, axis=1).argmax())


def _draw(dataset: Dataset, on_progress: OnProgress | None) -> None:
    target = Path(dataset.spec.path)
    partial = target.with_name(".drawing")
    shutil.rmtree(partial, ignore_errors=True)
    write_drawn_dataset(
        partial, n=dataset.drawn["n"], seed=dataset.drawn["seed"], on_progress=on_progress
    )
    partial.rename(target)


def _known(dataset: Dataset, items: pd.DataFrame, *, with_faces: bool) -> pd.DataFrame:
    """Return the measures, from the index and from parts of a stopped run, that still hold."""
    files = [dataset.folder / "index.parquet", *sorted((dataset.folder / "parts").glob("*"))]
    tables = []
    for path in files:
        try:
            tables.append(pd.read_parquet(path))
        except (OSError, ValueError):
            continue
    columns = [*_KEY, "version", *_UNMEASURED]
    usable = [table[columns] for table in tables if set(columns) <= set(table.columns)]
    if not usable:
        return pd.DataFrame(columns=columns)
    held = pd.concat(usable, ignore_index=True).drop_duplicates("path", keep="last")
    held = held[held["version"] == _VERSION]
    if with_faces:
        held = held[(held["face_count"] >= 0) | ~held["is_readable"]]
    return held.merge(items[_KEY], on=_KEY)


def _count_rows(dataset: Dataset) -> int:
    held = dataset.table("index")
    return -1 if held is None else len(held)


def _same_items(dataset: Dataset, items: pd.DataFrame) -> bool:
    """Whether paths, labels, splits and votes are those of the index, in the same order."""
    held = dataset.table("index")
    columns = list(items.columns)
    return held is not None and set(columns) <= set(held) and items.equals(held[columns])


def _measure_all(
    source: Source,
    items: pd.DataFrame,
    parts: Path,
    *,
    with_faces: bool,
    on_progress: Callable[[int], None],
    threads: int,
) -> pd.DataFrame:
    parts.mkdir(exist_ok=True)
    local = threading.local()
    rows: list[dict[str, Any]] = []
    unwritten = 0

    def measure(item: tuple[Any, ...]) -> dict[str, Any]:
        detector = None
        if with_faces:
            if not hasattr(local, "detector"):
                local.detector = load_detector(DEFAULT_DETECTOR)
            detector = local.detector
        return _measure(source, item, detector)

    def write_part() -> None:
        nonlocal unwritten
        if unwritten:
            number = len(list(parts.iterdir()))
            write_table(pd.DataFrame(rows[-unwritten:]), parts / f"{number:06d}.parquet")
            unwritten = 0

    with ThreadPoolExecutor(threads, thread_name_prefix="measure") as pool:
        try:
            for batch in _batches(items):
                found = list(pool.map(measure, batch))
                rows += found
                unwritten += len(found)
                if unwritten >= _PART_ROWS:
                    write_part()
                on_progress(len(rows))
        except EmotionError:  # cancelled: what is measured is kept for the next time
            write_part()
            raise
    return pd.DataFrame(rows, columns=[*_KEY, "version", *_UNMEASURED])


def _batches(items: pd.DataFrame) -> Iterator[list[tuple[Any, ...]]]:
    rows = items[_KEY]
    for start in range(0, len(rows), _AT_ONCE):
        yield list(rows.iloc[start : start + _AT_ONCE].itertuples(index=False, name=None))


def _measure(source: Source, item: tuple[Any, ...], detector: Detector | None) -> dict[str, Any]:
    path, size_bytes, changed_ns = item
    row = {"path": path, "bytes": size_bytes, "changed_ns": changed_ns, "version": _VERSION}
    row |= _UNMEASURED
    try:
        if size_bytes > limits.PHOTO_MAX_BYTES:
            limit = limits.PHOTO_MAX_BYTES // 1_000_000
            raise TooLarge(say("error.too_many_bytes", name=path, limit_mb=limit))
        content = source.read(path)
        row["sha256"] = content_hash(content)
        photo = inspect_photo(content, name=path)
    except InputError as error:
        return row | {"error": str(error)}
    row |= asdict(measure_picture(photo.image))
    row |= {"mode": photo.mode, "format": photo.format, "is_readable": True}
    return row if detector is None else row | _face_measures(photo.image, detector)


def _face_measures(image: Image, detector: Detector) -> dict[str, Any]:
    faces = find_faces(image, detector)
    if not len(faces):
        return {"face_count": 0}
    row = largest_face(faces)
    sides = faces.xyxy[row, 2:] - faces.xyxy[row, :2]
    return {
        "face_count": len(faces),
        "face_size_px": round(float(sides.min()), 1),
        "face_confidence": round(float(faces.confidence[row]), 3),
    }


def write_table(table: pd.DataFrame, target: Path) -> None:
    """Write a table as Parquet, whole or not at all."""
    kept = table.astype({"phash": "uint64"}) if "phash" in table else table
    try:
        with atomic_path(target) as temporary:
            kept.to_parquet(temporary, index=False, compression="zstd")
    except ValueError as error:
        raise StorageError(say("error.dataset_damaged", file=target.name)) from error
