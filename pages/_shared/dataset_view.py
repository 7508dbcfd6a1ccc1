"""One data set: its views, one at a time."""

import streamlit as st

from emotion_core.datasets.naming import name_labels
from emotion_core.errors import UnknownLabels
from emotion_core.labels import CANONICAL
from emotion_core.texts import say
from emotion_core.workbench.review import read_queue
from emotion_core.workbench.store import Dataset

from . import (
    dataset_copies,
    dataset_export,
    dataset_labels,
    dataset_map,
    dataset_overview,
    dataset_pictures,
    dataset_review,
)
from .choice import one_of
from .dataset_data import change_recipe, shown_progress, task_button
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
        task_button(dataset, "index", say("dataset.measure"))
        st.caption(say("dataset.measuring"))
        return
    if shown_progress(dataset, "index"):
        return
    if _asks_labels(dataset):
        return
    waiting = len(read_queue(dataset))
    view = one_of(
        list(VIEWS),
        key=f"view-{dataset.id}",
        shown=lambda name: _view_title(name, waiting),
    )
    VIEWS[view](dataset)


def _view_title(name: str, waiting: int) -> str:
    if name == "review" and waiting:
        return say("dataset.view_waiting", n=waiting)
    return say(f"dataset.view_{name}")


def _asks_labels(dataset: Dataset) -> bool:
    """Ask what unknown label names mean; return whether there is anything to ask."""
    answers = dict(dataset.recipe().labels)
    index = dataset.table("index", ["raw_label"])
    raw = [] if index is None else index["raw_label"].dropna().unique()
    try:
        name_labels(raw, answers)
    except UnknownLabels as error:
        unknown = error.names
    else:
        return False
    st.subheader(say("dataset.unknown_title"))
    st.markdown(say("dataset.unknown_text"))
    with st.form(f"labels-{dataset.id}"):
        for name in unknown:
            # the name itself keeps it, the empty one leaves its pictures out
            choices = [None, *CANONICAL, name, ""]
            answers[name] = st.selectbox(
                plain(name),
                choices,
                format_func=lambda choice, name=name: _meaning(choice, name),
                key=f"means-{dataset.id}-{name}",
            )
        is_sent = st.form_submit_button(say("dataset.unknown_send"), type="primary")
    if is_sent and None not in answers.values():
        change_recipe(dataset, labels=answers)
        st.rerun()
    elif is_sent:
        st.warning(say("dataset.unknown_all"))
    return True


def _meaning(choice: str | None, name: str) -> str:
    if choice is None:
        return say("dataset.choose_meaning")
    if choice == "":
        return say("dataset.leave_out")
    return say("dataset.keep_name", name=name) if choice == name else say(f"label.{choice}")
