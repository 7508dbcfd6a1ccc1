"""The index of a data set: every picture is measured once, with all cores, and never again until
it changes."""

import os
import shutil
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import (
    BrokenExecutor,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
)
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock, Timeout

from .. import limits
from ..analysis import find_faces
from ..datasets.cleaning import apply_recipe
from ..datasets.containers import read_file
from ..datasets.drawn import write_drawn_dataset
from ..datasets.duplicates import find_groups
from ..datasets.measures import content_hash, measure_picture
from ..datasets.sources import VOTE, Source
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
_VERSION = 2
_AT_ONCE = 32
#: And no more than this of an archive, whose files wait in memory.
_BATCH_BYTES = 16_000_000
#: Processes need two seconds to start; so many pictures are measured meanwhile.
_PROCESSES_FROM = 1500
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
    workers: int | None = None,
) -> int:
    """Measure every picture of a data set that is new or has changed, and note it in its index.

    Stopped or killed, it goes on where it was when it is called again.

    Args:
        dataset: Whose pictures.
        with_faces: Also search for faces; takes several times as long.
        on_progress: Called after some pictures each.
        workers: None takes one per core.

    Returns:
        How many pictures had to be measured.

    Raises:
        InputError: The source cannot be read.
        StorageError: The index cannot be written.
        EmotionError: A process that measured was ended from outside; what is measured is kept.
    """
    with _alone(dataset, on_progress):
        return _build(dataset, with_faces, on_progress, workers or os.cpu_count() or 1)


@contextmanager
def _alone(dataset: Dataset, on_progress: OnProgress | None) -> Iterator[None]:
    """Wait until nobody else measures the data set; who comes second finds it done."""
    dataset.check_there()
    lock = FileLock(dataset.folder / "index.lock")
    while not lock.is_locked:
        try:
            lock.acquire(timeout=1)
        except Timeout:
            if on_progress:
                on_progress(0, 1)
    try:
        yield
    finally:
        lock.release()


def _build(dataset: Dataset, with_faces: bool, on_progress: OnProgress | None, workers: int) -> int:
    drawn = 0  # pictures, each of which is drawn first and measured then
    if dataset.drawn and not Path(dataset.spec.path).exists():
        drawn = _draw(dataset, on_progress)
    source = dataset.open()
    try:
        items = source.items()
        if _is_current(dataset, items, with_faces=with_faces):
            return 0
        known = _known(dataset, items, with_faces=with_faces)
        new = items[~items["path"].isin(known["path"])]
        parts = dataset.folder / "parts"

        def tell(done: int) -> None:
            if on_progress:
                on_progress(drawn + len(known) + done, drawn + len(items))

        measured = _measure_all(
            source,
            new,
            parts,
            with_faces=with_faces,
            on_progress=tell,
            workers=workers,
        )
    finally:
        source.close()
    if _is_as_before(dataset, items, measured, with_faces=with_faces):
        shutil.rmtree(parts, ignore_errors=True)
        return 0
    measures = pd.concat([known, measured], ignore_index=True).drop_duplicates("path")
    columns = [c for c in items.columns if c not in _KEY]
    table = items[["path", *columns]].merge(measures, on="path", validate="one_to_one")
    table = table.drop(columns=["exact", "group"], errors="ignore")
    table = table.join(find_groups(table))
    dataset.check_there()
    write_table(table, dataset.folder / "index.parquet")
    shutil.rmtree(parts, ignore_errors=True)
    return len(new)


def load_index(dataset: Dataset, columns: list[str] | None = None) -> pd.DataFrame:
    """Return the index: columns as in `measures.INDEX_COLUMNS`, votes, `thumb`, and `exact` and
    `group` of `duplicates.find_groups`; or some of them, which is quick also where it is large.

    Raises:
        InputError: The pictures have not been measured.
        StorageError: The index is damaged.
    """
    table = dataset.table("index", columns)
    if table is None:
        raise InputError(say("error.no_index", name=dataset.name))
    return table


def load_unlabelled(dataset: Dataset) -> pd.DataFrame:
    """Return `path` and `is_readable` of the pictures that nobody labelled: one about which people
    differ is none of them.

    Raises:
        InputError, StorageError: As `load_index`.
    """
    votes = _vote_columns(dataset)
    index = load_index(dataset, ["path", "is_readable", "raw_label", *votes])
    is_unlabelled = index["raw_label"].isna() & ~index[votes].gt(0).any(axis=1)
    return index.loc[is_unlabelled, ["path", "is_readable"]]


def load_readings(dataset: Dataset, name: str) -> pd.DataFrame | None:
    """Return what a job read of the pictures, `map` or `noise`; None before it has run.

    Pictures that were replaced since are left out.
    """
    table = dataset.table(name)
    if table is None or "sha256" not in table:  # of an older version
        return table
    index = load_index(dataset, ["path", "sha256"])
    return table.merge(index, on=["path", "sha256"]).drop(columns="sha256")


def load_cleaned(dataset: Dataset) -> pd.DataFrame:
    """Return the index with the data set's recipe applied, as `cleaning.apply_recipe` gives it."""
    return apply_recipe(dataset.recipe(), load_index(dataset))


def check_readable(dataset: Dataset, table: pd.DataFrame) -> None:
    """Check that a picture of an index can be read.

    Raises:
        InputError: None can, as where a table's paths are wrong.
    """
    if len(table) and not table["is_readable"].any():
        first = table.iloc[0]
        raise InputError(
            say("error.all_unreadable", name=dataset.name, path=first["path"], why=first["error"])
        )


def read_picture_of(source: Source, path: str, *, least_px: int | None = None) -> Image:
    """Return a picture of a data set, uint8 RGB (height, width, 3), upright.

    With `least_px`, a large one may come smaller, its shorter side no less than that.

    Raises:
        InputError: It cannot be read.
    """
    return inspect_photo(source.read(path), name=path, least_px=least_px).image


def face_or_whole(image: Image, detector: Detector | None) -> tuple[Faces, bool]:
    """Return the largest face of a picture, and whether it is the whole picture for want of one.

    A picture whose shorter side is under `limits.FACE_CROP_FROM_PX` is a face already.
    """
    if detector is not None and min(image.shape[:2]) >= limits.FACE_CROP_FROM_PX:
        faces = find_faces(image, detector)
        if len(faces):
            return faces[[faces.largest]], False
    return Faces.whole(image), True


def _draw(dataset: Dataset, on_progress: OnProgress | None) -> int:
    def tell(done: int, total: int) -> None:
        if on_progress:
            on_progress(done, 2 * total)

    target = Path(dataset.spec.path)
    partial = target.with_name(".drawing")
    shutil.rmtree(partial, ignore_errors=True)
    n = int(dataset.drawn["n"])
    write_drawn_dataset(partial, n=n, seed=dataset.drawn["seed"], on_progress=tell)
    partial.rename(target)
    return n


def _known(dataset: Dataset, items: pd.DataFrame, *, with_faces: bool) -> pd.DataFrame:
    """Return the measures, from the index and from parts of a stopped run, that still hold."""
    tables: list[pd.DataFrame] = []
    with suppress(StorageError):  # a damaged one is measured again
        index = dataset.table("index")
        tables = [] if index is None else [index]
    for path in sorted((dataset.folder / "parts").glob("*")):
        try:
            tables.append(pd.read_parquet(path))
        except (OSError, ValueError):
            continue
    columns = [*_KEY, "version", *_UNMEASURED]
    usable = [table[columns] for table in tables if set(columns) <= set(table.columns)]
    if not usable:
        return _typed(pd.DataFrame(columns=columns))
    held = pd.concat(usable, ignore_index=True).drop_duplicates("path", keep="last")
    return held[_holds(held, with_faces=with_faces)].merge(items[_KEY], on=_KEY)


#: What decides whether a row was measured as it would be now, besides its key.
_JUDGED = ("version", "face_count", "is_readable", "sha256")


def _holds(table: pd.DataFrame, *, with_faces: bool) -> pd.Series:
    """Whether each row was measured as it would be now."""
    has_faces = (table["face_count"] >= 0) | ~table["is_readable"]
    # what could not be read may be readable now; what is too large cannot
    was_read = (table["sha256"] != "") | (table["bytes"] > limits.PHOTO_MAX_BYTES)
    return (table["version"] == _VERSION) & was_read & (has_faces | (not with_faces))


def _is_current(dataset: Dataset, items: pd.DataFrame, *, with_faces: bool) -> bool:
    """Whether the index is that of the items: paths, stamps, labels, splits, votes and order."""
    index = _index_of(dataset, items, *_JUDGED)
    return index is not None and bool(_holds(index, with_faces=with_faces).all())


def _is_as_before(
    dataset: Dataset, items: pd.DataFrame, measured: pd.DataFrame, *, with_faces: bool
) -> bool:
    """Whether what was tried again can still not be read, and the index has all else."""
    if measured["is_readable"].any():
        return False
    index = _index_of(dataset, items, *_JUDGED, "error")
    if index is None:
        return False
    again = index["path"].isin(measured["path"])
    if not _holds(index[~again], with_faces=with_faces).all():
        return False
    held = index[again].set_index("path")["error"]
    return held.equals(measured.set_index("path")["error"].reindex(held.index).astype(held.dtype))


def _index_of(dataset: Dataset, items: pd.DataFrame, *columns: str) -> pd.DataFrame | None:
    """Return the items' columns and others of the index; None where they are not the items'."""
    try:
        index = dataset.table("index", [*items.columns, *columns])
    except StorageError:  # damaged, or of other columns
        return None
    if index is None or not items.equals(index[list(items.columns)]):
        return None
    votes_of_before = set(_vote_columns(dataset)) - set(items.columns)
    return None if votes_of_before else index


def _vote_columns(dataset: Dataset) -> list[str]:
    """Return the names of an index's votes; none where it cannot be read."""
    # not at the top: reading faces goes without it
    from pyarrow.parquet import read_schema

    try:
        held: list[str] = read_schema(dataset.folder / "index.parquet").names
    except (OSError, ValueError):
        return []
    return [one for one in held if one.startswith(VOTE)]


def _measure_all(
    source: Source,
    items: pd.DataFrame,
    parts: Path,
    *,
    with_faces: bool,
    on_progress: Callable[[int], None],
    workers: int,
) -> pd.DataFrame:
    parts.mkdir(exist_ok=True)
    rows: list[dict[str, Any]] = []
    written = 0

    def write_part() -> None:
        nonlocal written
        if len(rows) > written:
            number = len(list(parts.iterdir()))
            write_table(_typed(pd.DataFrame(rows[written:])), parts / f"{number:06d}.parquet")
            written = len(rows)

    with _pool(len(items), workers) as pool:
        waiting: deque[Future[list[dict[str, Any]]]] = deque()
        try:
            for batch in _batches(source, items):
                waiting.append(pool.submit(_measure_batch, batch, with_faces))
                if len(waiting) <= 2 * workers:
                    continue
                rows += waiting.popleft().result()
                if len(rows) - written >= _PART_ROWS:
                    write_part()
                on_progress(len(rows))
            for last in waiting:
                rows += last.result()
                on_progress(len(rows))
        except (EmotionError, KeyboardInterrupt):  # what is measured is kept for the next time
            write_part()  # first: who asked it to stop does not wait long
            pool.shutdown(cancel_futures=True)
            raise
        except BrokenExecutor as error:  # the system ends who takes too much memory
            write_part()
            raise EmotionError(say("error.measuring_ended", name=source.name)) from error
    return _typed(pd.DataFrame(rows, columns=[*_KEY, "version", *_UNMEASURED]))


def _typed(table: pd.DataFrame) -> pd.DataFrame:
    """Return measures with hashes of 64 bits: what pandas takes them for hangs on their values,
    and joined with signed ones they would become floats, which hold 53."""
    return table.astype({"phash": "uint64"})


def _pool(n: int, workers: int) -> Executor:
    """Return who measures n pictures: processes, a third quicker than threads, or for a few
    pictures threads, which start at once."""
    if n < _PROCESSES_FROM:
        return ThreadPoolExecutor(workers, thread_name_prefix="measure")
    return ProcessPoolExecutor(workers, get_context("spawn"), initializer=_end_with_parent)


def _end_with_parent() -> None:
    """End this process when the one that it works for is gone, however that ended; Ctrl-C is for
    that one to answer."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        parent = parent_process()
        if parent is not None:
            parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@dataclass(frozen=True)
class _Task:
    """A picture to be measured.

    Attributes:
        path: Its name.
        size_bytes: Of the file.
        changed_ns: When it was written.
        content: The file's content, or where the worker finds it; empty where it cannot be read.
        error: Why not.
    """

    path: str
    size_bytes: int
    changed_ns: int
    content: bytes | Path
    error: str = ""


def _batches(source: Source, items: pd.DataFrame) -> Iterator[list[_Task]]:
    batch: list[_Task] = []
    held_bytes = 0
    for row in items[_KEY].itertuples(index=False, name=None):
        batch.append(_read_task(source, *row))
        held_bytes += len(content) if isinstance(content := batch[-1].content, bytes) else 0
        if len(batch) == _AT_ONCE or held_bytes > _BATCH_BYTES:
            yield batch
            batch, held_bytes = [], 0
    if batch:
        yield batch


def _read_task(source: Source, path: str, size_bytes: int, changed_ns: int) -> _Task:
    try:
        if size_bytes > limits.PHOTO_MAX_BYTES:
            limit = limits.PHOTO_MAX_BYTES // 1_000_000
            raise TooLarge(say("error.too_many_bytes", name=path, limit_mb=limit))
        content = source.file_of(path) or source.read(path)
        return _Task(path, size_bytes, changed_ns, content)
    except InputError as error:
        return _Task(path, size_bytes, changed_ns, b"", str(error))


_local = threading.local()


def _measure_batch(tasks: list[_Task], with_faces: bool) -> list[dict[str, Any]]:
    detector = None
    if with_faces:
        if not hasattr(_local, "detector"):
            _local.detector = load_detector(DEFAULT_DETECTOR)
        detector = _local.detector
    return [_measure(task, detector) for task in tasks]


def _measure(task: _Task, detector: Detector | None) -> dict[str, Any]:
    row: dict[str, Any] = {"path": task.path, "bytes": task.size_bytes}
    row |= {"changed_ns": task.changed_ns, "version": _VERSION} | _UNMEASURED
    if task.error:
        return row | {"error": task.error}
    try:
        content = read_file(task.content) if isinstance(task.content, Path) else task.content
        row["sha256"] = content_hash(content)
        photo = inspect_photo(content, name=task.path)
    except InputError as error:
        return row | {"error": str(error)}
    row |= vars(measure_picture(photo.image))
    row |= {"mode": photo.mode, "format": photo.format, "is_readable": True}
    return row if detector is None else row | _face_measures(photo.image, detector)


def _face_measures(image: Image, detector: Detector) -> dict[str, Any]:
    faces = find_faces(image, detector)
    if not len(faces):
        return {"face_count": 0}
    row = faces.largest
    sides = faces.xyxy[row, 2:] - faces.xyxy[row, :2]
    return {
        "face_count": len(faces),
        "face_size_px": round(float(sides.min()), 1),
        "face_confidence": round(float(faces.confidence[row]), 3),
    }


def write_table(table: pd.DataFrame, target: Path) -> None:
    """Write a table as Parquet, whole or not at all."""
    try:
        with atomic_path(target) as temporary:
            table.to_parquet(temporary, index=False, compression="zstd")
    except ValueError as error:
        raise StorageError(say("error.dataset_damaged", file=target.name)) from error
