"""What the views of a data set share: its tables, loaded once, and its jobs."""

from contextlib import suppress
from dataclasses import replace
from typing import Any

import pandas as pd
import streamlit as st

from emotion_core import jobs
from emotion_core.datasets.cleaning import apply_recipe, label_rows
from emotion_core.datasets.sources import Source
from emotion_core.texts import say
from emotion_core.workbench.export import thumbnails
from emotion_core.workbench.index import load_index
from emotion_core.workbench.store import Dataset, load_dataset
from emotion_core.workbench.tasks import PREFIX, start_task, tasks_of

from . import visitor
from .drawer import show_progress
from .errors import error_box, plain

#: So many sources are held open at once, for everybody.
_OPEN = 8
#: Pictures stay in memory for so long.
KEPT_S = 3600


def labelled(dataset: Dataset) -> pd.DataFrame:
    """Return the index with `label`, as decisions have it, and `given`, as the source has it."""
    table = _labelled(dataset.id, (dataset.stamp("index"), _recipe_stamp(dataset)))
    new = {path: one.label for path, one in dataset.decisions.current().items() if one.label}
    if not new:
        return table
    changed = table["path"].map(new)
    return table.assign(label=table["label"].where(changed.isna(), changed))


def cleaned(dataset: Dataset) -> pd.DataFrame:
    """Return the index with the recipe applied."""
    stamps = (dataset.stamp("index"), dataset.decisions.stamp(), _recipe_stamp(dataset))
    return _cleaned(dataset.id, stamps)


def change_recipe(dataset: Dataset, **changes: Any) -> None:
    """Keep a changed recipe, when it is another one."""
    held = dataset.recipe()
    new = replace(held, **changes)
    if new != held and new.to_yaml() != held.to_yaml():
        dataset.save_recipe(new)


def thumbnail(dataset: Dataset, path: str) -> bytes | None:
    """Return a small JPEG of a picture; None where it cannot be read."""
    with suppress(LookupError):  # which is not kept: the drive may be back in a moment
        return _thumbnail(dataset.id, dataset.stamp("index"), path)
    return None


def large_picture(dataset: Dataset, path: str) -> bytes | None:
    """Return a picture as JPEG of at most 640 px; None where it cannot be read."""
    return thumbnails(source_of(dataset), [path], side_px=640).get(path)


def source_of(dataset: Dataset) -> Source:
    """Return the pictures of a data set, opened once; nobody closes it."""
    return _source(dataset.id, dataset.stamp("index"))


def let_go(dataset: Dataset) -> None:
    """Close the source of a data set that is to be deleted, and forget its pictures."""
    _source.clear(dataset.id, dataset.stamp("index"))
    _thumbnail.clear()


def task_button(
    dataset: Dataset,
    kind: str,
    label: str,
    *,
    help_text: str | None = None,
    is_first: bool = True,
    **settings: Any,
) -> jobs.Job | None:
    """Show a button that starts a job on a data set, or the job's progress while it is under way.

    Args:
        dataset: Whose job.
        kind: Of the job, as `tasks.start_task` takes it.
        label: On the button.
        help_text: Beside it.
        is_first: Whether it is what people should press next.
        settings: Of the job.

    Returns:
        The newest job of that kind when it is over; None before the first one is.
    """
    mine = [job for job in tasks_of(dataset, visitor.owner()) if job.kind == PREFIX + kind]
    newest = mine[0] if mine else None
    if newest is not None and not newest.is_over:
        st.fragment(_show_progress, run_every=1.0)(newest.id)
        return None
    key = f"task-{kind}-{dataset.id}"
    if st.button(label, key=key, help=help_text, type="primary" if is_first else "secondary"):
        start_task(kind, dataset, owner=visitor.owner(), settings=settings)
        st.rerun()
    if newest is not None and newest.state == "failed":
        st.error(plain(newest.message))
    elif newest is not None and newest.state == "interrupted":
        st.info(say("dataset.interrupted"))
    return newest


def shown_progress(dataset: Dataset, kind: str) -> bool:
    """Show the progress of a job when it is under way; return whether it is."""
    for job in tasks_of(dataset, visitor.owner()):
        if job.kind == PREFIX + kind and not job.is_over:
            st.fragment(_show_progress, run_every=1.0)(job.id)
            return True
    return False


def _show_progress(job_id: str) -> None:
    with error_box():
        job = next((job for job in jobs.list_jobs(visitor.owner()) if job.id == job_id), None)
        if job is None or job.is_over:
            st.rerun()
        show_progress(job)


def _recipe_stamp(dataset: Dataset) -> int:
    path = dataset.folder / "recipe.yaml"
    return path.stat().st_mtime_ns if path.is_file() else 0


# Stamps only tell one state of a data set from another, for the cache.


@st.cache_resource(max_entries=3, show_spinner=False)
def _labelled(dataset_id: str, stamps: tuple[int, ...]) -> pd.DataFrame:  # noqa: ARG001
    dataset = load_dataset(dataset_id)
    index = load_index(dataset)
    label = label_rows(index, dataset.recipe().labels)
    return index.assign(label=label, given=label)


@st.cache_resource(max_entries=3, show_spinner=False)
def _cleaned(dataset_id: str, stamps: tuple[int, ...]) -> pd.DataFrame:  # noqa: ARG001
    dataset = load_dataset(dataset_id)
    return apply_recipe(dataset.recipe(), load_index(dataset))


@st.cache_data(max_entries=4000, ttl=KEPT_S, show_spinner=False)
def _thumbnail(dataset_id: str, stamp: int, path: str) -> bytes:
    return thumbnails(_source(dataset_id, stamp), [path])[path]


@st.cache_resource(
    max_entries=_OPEN, ttl=KEPT_S, show_spinner=False, on_release=lambda source: source.close()
)
def _source(dataset_id: str, stamp: int) -> Source:  # noqa: ARG001
    return load_dataset(dataset_id).open()
