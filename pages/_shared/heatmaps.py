"""Where a network looked: a job takes the gradients, the page shows the heat."""

from collections.abc import Callable, Sequence

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from emotion_core.draw import draw_heat
from emotion_core.errors import EmotionError
from emotion_core.jobs import Job, delete_job, load_job
from emotion_core.texts import say
from emotion_core.workbench.heatmaps import Heatmaps, read_heatmaps

from . import visitor
from .drawer import describe
from .errors import plain

_SHOWN_PX = 144


def offer(
    key: str,
    start: Callable[[], Job],
    captions: Sequence[str],
    *,
    faces: NDArray[np.uint8] | None = None,
    started: Callable[[], Job | None] = lambda: None,
) -> None:
    """Show a button; once it was clicked, the job's progress, then the faces with their heat.

    Args:
        key: What is looked at; the answer is kept under it as long as the page is open.
        start: Starts the job.
        captions: A word under each face.
        faces: uint8 (n, h, w, c) where the page holds the faces; else the job's result does.
        started: Returns the job that was started for the same before the page was loaded anew.
    """
    held = st.session_state.setdefault("heatmaps", {})
    if key not in held and (job := started()) is not None:
        held[key] = job.id
    answer = held.get(key)
    if isinstance(answer, str):
        st.fragment(_follow, run_every=1.0)(key, answer, faces)
        return
    if isinstance(answer, Heatmaps):
        _show(answer, captions)
        return
    if st.button(say("heatmap.ask"), help=say("heatmap.help"), key=f"heatmap-{key}"):
        held[key] = start().id
        st.rerun()
    if answer is not None:
        st.error(plain(str(answer)))


def _follow(key: str, job_id: str, faces: NDArray[np.uint8] | None) -> None:
    """Wait for the job; what it found is kept for the visit, and the job deleted."""
    held = st.session_state["heatmaps"]
    try:
        job = load_job(job_id, visitor.owner())
        if not job.is_over:
            st.caption(say("heatmap.under_way") if job.state == "running" else plain(describe(job)))
            return
        held[key] = (
            read_heatmaps(job, faces) if job.state == "done" else EmotionError(describe(job))
        )
        delete_job(job)
    except EmotionError as error:
        held[key] = error
    st.rerun()


def _show(looks: Heatmaps, captions: Sequence[str]) -> None:
    st.caption(say("heatmap.about"))
    with st.container(horizontal=True):
        for face, heat, caption in zip(looks.faces, looks.heat, captions, strict=True):
            st.image(
                draw_heat(face, heat),
                width=_SHOWN_PX,
                caption=plain(caption),
                alt=say("heatmap.alt", caption=caption),
            )
