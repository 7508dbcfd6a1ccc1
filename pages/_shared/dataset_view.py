"""One data set: its views, one at a time."""

import streamlit as st

from emotion_core.errors import StorageError
from emotion_core.texts import say
from emotion_core.workbench.review import read_queue
from emotion_core.workbench.store import Dataset
from emotion_core.workbench.tasks import PREFIX, tasks_of

from . import (
    dataset_copies,
    dataset_export,
    dataset_labels,
    dataset_map,
    dataset_meanings,
    dataset_overview,
    dataset_pictures,
    dataset_review,
    visitor,
)
from .choice import one_of
from .dataset_data import shown_progress, task_button
from .errors import plain

#: A new view is a module with a function `show`, and a row.
VIEWS = {
    "overview": dataset_overview.show,
    "pictures": dataset_pictures.show,
    "copies": dataset_copies.show,
    "labels": dataset_labels.show,
    "map": dataset_map.show,
    "review": dataset_review.show,
    "export": dataset_export.show,
}


def show(dataset: Dataset) -> None:
    """Show a data set: its measuring while that is under way, questions, then the chosen view."""
    if not dataset.has_index:
        with_faces = not any(
            job.kind == f"{PREFIX}index" and not job.settings.get("with_faces", True)
            for job in tasks_of(dataset, visitor.owner())
        )
        task_button(dataset, "index", say("dataset.measure"), with_faces=with_faces)
        st.caption(say("dataset.measuring"))
        return
    if shown_progress(dataset, "index"):
        return
    try:
        if dataset_meanings.asks(dataset):
            return
    except StorageError as error:  # the index is damaged
        st.error(plain(str(error)))
        task_button(dataset, "index", say("dataset.measure"))
        return
    waiting = len(read_queue(dataset))
    view = one_of(
        list(VIEWS),
        key="dataset_view",
        shown=lambda name: _view_title(name, waiting),
    )
    VIEWS[view](dataset)


def _view_title(name: str, waiting: int) -> str:
    if name == "review" and waiting:
        return say("dataset.view_waiting", n=waiting)
    return say(f"dataset.view_{name}")
