"""A model of one's own from a file."""

import streamlit as st

from emotion_core.cards import SYSTEMS
from emotion_core.errors import InputError
from emotion_core.jobs import Job, load_job
from emotion_core.texts import say
from emotion_core.training.recipes import recipe_names
from emotion_core.workbench.imports import ENDINGS, PIXELS, ImportRequest, id_of, start_import

from . import resources, visitor
from .drawer import follow
from .errors import plain

_OUTPUTS = {"emotion": ("emotion",), "affect": ("affect",), "both": ("emotion", "affect")}


def show() -> None:
    """Ask for a file and what has to be known of it; follow the job that reads it."""
    if not visitor.is_own_machine():
        st.info(say("training.bring_shared"))
        return
    st.caption(say("training.bring_about"))
    upload = st.file_uploader(
        say("training.bring_file"),
        type=[ending.rsplit(".", 1)[1] for ending in ENDINGS],
        help=say("training.bring_file_help"),
        key="bring_file",
    )
    request = _ask(upload.name if upload else "")
    # who trusts one file has said nothing of the next
    key = f"bring_trust-{upload.file_id if upload else ''}"
    is_trusted = st.checkbox(say("training.bring_trust"), key=key)
    is_ready = upload is not None and is_trusted and not _is_reading()
    if st.button(
        say("training.bring_start"), type="primary", key="bring_start", disabled=not is_ready
    ):
        assert upload is not None
        content = upload.getbuffer()
        job = start_import(request, content, is_trusted=is_trusted, owner=visitor.owner())
        st.session_state["bring_job"] = job.id
        st.rerun()  # My jobs begins to move
    follow("bring_job", _show_model)


def _is_reading() -> bool:
    try:
        return not load_job(st.session_state.get("bring_job", ""), visitor.owner()).is_over
    except InputError:  # none was begun, or it is off the list
        return False


def _ask(file: str) -> ImportRequest:
    left, right = st.columns(2, gap="large")
    with left:
        name = st.text_input(say("training.bring_name"), placeholder=id_of(file), key="bring_name")
        labels = st.text_input(
            say("training.bring_labels"),
            value="anger, disgust, fear, happy, sad, surprise, neutral",
            key="bring_labels",
        )
        answers = st.selectbox(
            say("training.bring_outputs"),
            list(_OUTPUTS),
            format_func=lambda one: say(f"training.bring_{one}"),
            key="bring_outputs",
        )
        coordinates = SYSTEMS[0]
        if answers != "emotion":
            coordinates = st.selectbox(
                say("training.bring_coordinates"), SYSTEMS, key="bring_coordinates"
            )
    with right:
        side = st.number_input(say("training.bring_side"), 8, 1024, 224, step=1, key="bring_side")
        channels = st.selectbox(
            say("training.bring_channels"),
            [3, 1],
            format_func=lambda n: say("training.bring_grey" if n == 1 else "training.bring_rgb"),
            key="bring_channels",
        )
        pixels = st.selectbox(
            say("training.bring_pixels"),
            PIXELS,
            help=say("training.bring_pixels_help"),
            key="bring_pixels",
        )
        recipe = st.selectbox(
            say("training.bring_recipe"),
            ["", *recipe_names()],
            format_func=lambda one: one or say("training.bring_whole"),
            key="bring_recipe",
        )
    return ImportRequest(
        file=file,
        id=name.strip() or id_of(file),
        labels=tuple(one.strip() for one in labels.split(",") if one.strip()),
        side_px=int(side),
        channels=int(channels),
        pixels=pixels,
        outputs=_OUTPUTS[answers],
        coordinates=coordinates,
        recipe=recipe,
    )


def _show_model(job: Job) -> None:
    if st.session_state.get("brought") != job.id:
        st.session_state["brought"] = job.id
        resources.models.clear()
    st.success(say("training.bring_done", model=plain(str((job.summary or {}).get("model")))))
