"""Which data set is worked on: one's own are listed, others are uploaded, named or drawn."""

from pathlib import Path

import streamlit as st

from emotion_core.datasets.sources import SourceSpec
from emotion_core.errors import EmotionError
from emotion_core.files import path_under_roots, readable_roots
from emotion_core.jobs import delete_job
from emotion_core.texts import say
from emotion_core.workbench.store import Dataset, delete_dataset, list_datasets, new_dataset
from emotion_core.workbench.tasks import start_task, tasks_of

from . import visitor
from .dataset_data import let_go
from .names import short

_DRAWN = {"n": 1600, "seed": 0}
_UPLOADS = ["zip", "tar", "tgz", "gz", "bz2", "xz", "csv"]


def choose() -> Dataset | None:
    """Show one's data sets and the ways to a new one; return the chosen one."""
    mine = list_datasets(*visitor.owners())
    with st.expander(say("dataset.open"), expanded=not mine):
        _open_new()
    ids = [one.id for one in mine]
    wanted = st.session_state.get("dataset")
    if wanted and wanted not in ids:
        st.warning(say("error.no_dataset_here"))
    if not mine:
        return None
    st.session_state["dataset_choice"] = wanted if wanted in ids else ids[0]
    named = {one.id: title_of(one, mine) for one in mine}
    left, right = st.columns([4, 1], vertical_alignment="bottom")
    with left:
        chosen = st.selectbox(
            say("dataset.choose"),
            ids,
            format_func=lambda one: named[one],
            key="dataset_choice",
            on_change=_keep_choice,
        )
    st.session_state["dataset"] = chosen
    dataset = next(one for one in mine if one.id == chosen)
    with right, st.popover(say("dataset.delete"), width="stretch"):
        st.caption(say("dataset.delete_text"))
        jobs = tasks_of(dataset, visitor.owner())
        kept = sum(job.is_kept for job in jobs)
        if kept:
            st.warning(say("dataset.delete_kept", n=kept))
        if st.button(say("dataset.delete_really"), key="dataset_delete"):
            for job in jobs:
                delete_job(job)
            let_go(dataset)
            delete_dataset(dataset)
            del st.session_state["dataset"]
            st.rerun()
    return dataset


def _keep_choice() -> None:
    st.session_state["dataset"] = st.session_state["dataset_choice"]


def _open_new() -> None:
    upload = st.file_uploader(
        say("dataset.upload"),
        type=_UPLOADS,
        help=say("dataset.upload_help"),
        key=f"dataset-upload-{st.session_state.setdefault('dataset_round', 0)}",
    )
    typed = votes = ""
    if readable_roots():
        typed = st.text_input(say("dataset.path"), help=say("dataset.path_help"), key="ds_path")
        with st.popover(say("dataset.more_source")):
            votes = st.text_input(say("dataset.votes"), help=say("dataset.votes_help"))
            by_votes = st.checkbox(say("dataset.by_votes"), help=say("dataset.by_votes_help"))
    else:
        st.caption(say("dataset.no_roots"))
    faces = st.checkbox(say("dataset.faces"), value=True, help=say("dataset.faces_help"))
    with st.container(horizontal=True):
        is_open = st.button(
            say("dataset.start"), type="primary", disabled=not (upload or typed), key="ds_start"
        )
        is_drawn = st.button(say("dataset.draw"), help=say("dataset.draw_help"), key="ds_draw")
    owner = visitor.owner()
    if is_drawn or st.session_state.pop("dataset_drawn_wanted", False):
        _begin(new_dataset(say("dataset.drawn_name"), None, owner=owner, drawn=_DRAWN), faces)
    elif is_open and upload:
        _begin(new_dataset(upload.name, upload.getbuffer(), owner=owner), faces)
    elif is_open:
        path = path_under_roots(typed)
        joined = str(path_under_roots(votes)) if votes else ""
        spec = SourceSpec(str(path), votes=joined, by_votes=by_votes)
        _begin(new_dataset(Path(path).name, spec, owner=owner), faces)


def _begin(dataset: Dataset, with_faces: bool) -> None:
    try:
        start_task("index", dataset, owner=visitor.owner(), settings={"with_faces": with_faces})
    except EmotionError:
        delete_dataset(dataset)  # nobody measures it
        raise
    st.session_state["dataset"] = dataset.id
    st.session_state.pop("dataset_view", None)
    st.session_state["dataset_round"] += 1
    st.rerun()


def title_of(dataset: Dataset, everyone: list[Dataset]) -> str:
    """Return the name of a data set as it is shown, with a number where several bear it."""
    name = short(dataset.name)
    same = [one for one in everyone if short(one.name) == name]
    if len(same) == 1:
        return name
    number = len(same) - same.index(dataset)
    return say("dataset.numbered", name=name, number=number)
