"""The drawer with one's own jobs, on every page."""

import math
import time
from collections.abc import Callable
from functools import partial

import streamlit as st

from emotion_core import jobs
from emotion_core.errors import InputError
from emotion_core.live import RECORDING
from emotion_core.texts import say
from emotion_core.workbench.trainings import KIND

from . import visitor
from .errors import error_box, guarded, plain
from .job_views import DATASET, JOB_VIEWS, TRAINING, VIDEO
from .names import short


def show_drawer() -> None:
    """Show the jobs in the sidebar; while one moves, they are read anew every second."""
    with st.sidebar:
        st.subheader(say("jobs.title"))
        mine = jobs.list_jobs(visitor.owner())
        moving = any(not job.is_over for job in mine)
        st.fragment(_show_jobs, run_every=1.0 if moving else None)()


def has_page(job: jobs.Job) -> bool:
    """Return whether a page shows what a job does or came to."""
    is_lost = JOB_VIEWS[job.kind].is_shown_once
    return not is_lost and (job.state != "cancelled" or job.kind == KIND)


def open_job(job: jobs.Job) -> None:
    """Go to the page that shows a job."""
    shown, state = JOB_VIEWS[job.kind], st.session_state
    state["run"] = job.settings.get("run", state.get("run"))
    state["dataset"] = job.settings.get("dataset", state.get("dataset"))
    if shown.page == VIDEO:
        state["job"] = job.id
    elif shown.page == TRAINING and shown.view:
        state.update({"training_view": shown.view, "run": None, f"{shown.view}_job": job.id})
    elif shown.page == DATASET and (view := job.settings.get("view", shown.view)):
        state["dataset_view"] = view
    state["was_led"] = True
    st.switch_page(shown.page)


def follow(key: str, show: Callable[[jobs.Job], None]) -> None:
    """Show how the job that the visit holds under a key stands; once it is done, with `show`."""
    try:
        job = jobs.load_job(st.session_state.get(key, ""), visitor.owner())
    except InputError:
        return  # none was started, or it is deleted
    if job.is_over:
        show_end(job, show, describe)
    else:
        st.fragment(_follow, run_every=1.0)(job.id)


def show_end(
    job: jobs.Job, show: Callable[[jobs.Job], None], otherwise: Callable[[jobs.Job], str]
) -> None:
    """Show what a job came to with `show`, why it failed, or what `otherwise` says of it."""
    if job.state == "done":
        show(job)
    elif job.state == "failed":
        st.error(plain(job.message))
        _offer_log(job)
    else:
        st.info(plain(otherwise(job)))
        if job.state == "interrupted":
            _offer_log(job)


def _offer_log(job: jobs.Job) -> None:
    """Offer what the worker said, for a report; a page shows no traceback."""
    text = job.log()
    if text:
        st.download_button(
            say("jobs.log"),
            text,
            file_name=f"{job.id}.log.txt",
            key=f"log-{job.id}",
            on_click="ignore",
            help=say("jobs.log_help"),
        )


def _follow(job_id: str) -> None:
    with error_box():
        job = jobs.load_job(job_id, visitor.owner())
        if job.is_over:
            st.rerun()
        show_progress(job)


def show_progress(job: jobs.Job) -> None:
    """Show how far a job is, and the way to end it."""
    st.progress(job.share or 0.0, plain(describe(job)))
    if job.left_s is not None:
        text = say("dataset.progress", done=job.done, total=job.total, left=clock(job.left_s))
        st.caption(text)
    st.button(
        say("jobs.cancel"),
        key=f"cancel-shown-{job.id}",
        disabled=job.is_stopping,
        on_click=guarded(jobs.cancel_job),
        args=(job,),
    )
    st.caption(say("video.go_on"))


def describe(job: jobs.Job) -> str:
    """Return how far a job is, in one line."""
    if job.is_stopping and not job.is_over:
        return say("jobs.stopping")
    if job.state == "waiting":
        return say("jobs.waiting", place=jobs.place_in_line(job))
    if job.state == "running":
        if job.kind == RECORDING:
            return say("jobs.recording")
        if job.total == 1:
            return say("jobs.one_step")
        if job.kind == KIND and not job.rate:
            return say("training.starting")
        if job.kind == KIND and job.share == 1:
            return say("training.finishing")
        unit = say(f"jobs.{JOB_VIEWS[job.kind].unit}")
        if job.left_s is None:
            return say("jobs.running_open", done=job.done, unit=unit)
        share, left = f"{job.share or 0:.0%}", clock(job.left_s)
        rate = f"{job.rate:.0f}" if job.rate >= 10 else f"{job.rate:.2g}"
        return say("jobs.running", share=share, rate=rate, unit=unit, left=left)
    if job.state == "failed":
        return job.message
    if job.kind == KIND and job.state == "cancelled":
        return say("training.state_paused")
    text = say(f"jobs.{job.state}")
    if job.state == "done" and _holds_result(job) and job.expires_s is not None:
        hours = max(1, math.ceil((job.expires_s - time.time()) / 3600))
        text += " · " + say("jobs.expires", hours=hours)
    return text + (" · " + say("jobs.kept") if job.is_kept else "")


def _holds_result(job: jobs.Job) -> bool:
    return JOB_VIEWS[job.kind].holds_result


def clock(seconds: float) -> str:
    """Return a time as m:ss, from an hour on as h:mm:ss."""
    minutes, left = divmod(int(seconds), 60)
    if minutes < 60:
        return f"{minutes}:{left:02d}"
    return f"{minutes // 60}:{minutes % 60:02d}:{left:02d}"


def _show_jobs() -> None:
    with error_box():
        mine = jobs.list_jobs(visitor.owner())
        if not mine:
            st.caption(say("jobs.none"))
            st.page_link(VIDEO, label=say("home.video_open"))
        before = st.session_state.get("jobs_seen")
        seen = [(job.id, job.is_over) for job in mine]
        st.session_state["jobs_seen"] = seen
        if before is not None and before != seen:
            st.rerun()  # the page shows what has ended or gone, and the drawer rests
        for job in mine:
            _show_job(job)


def _show_job(job: jobs.Job) -> None:
    with st.container(border=True, key=f"job-{job.id}"):
        title = plain(short(job.title))
        st.markdown(say("jobs.name", title=title, kind=say(f"jobs.{job.kind}".replace("-", "_"))))
        if job.state == "running" and job.share is not None:
            st.progress(job.share)
        st.caption(plain(describe(job)))
        with st.container(horizontal=True):
            if not job.is_over:
                # to leave the camera's page ends the recording
                if job.kind != RECORDING and st.button(say("jobs.show"), key=f"show-{job.id}"):
                    open_job(job)
                st.button(
                    say("training.pause" if job.kind == KIND else "jobs.cancel"),
                    key=f"cancel-{job.id}",
                    on_click=guarded(jobs.cancel_job),
                    args=(job,),
                    disabled=job.is_stopping,
                )
                return
            if has_page(job) and st.button(say("jobs.open"), key=f"open-{job.id}"):
                open_job(job)
            if job.state == "done" and _holds_result(job):
                keep = say("jobs.let_go" if job.is_kept else "jobs.keep")
                st.button(
                    keep,
                    key=f"keep-{job.id}",
                    help=say("jobs.keep_help"),
                    on_click=guarded(jobs.keep_job),
                    args=(job,),
                    kwargs={"is_kept": not job.is_kept},
                )
            _offer_deletion(job)


@guarded
def _delete(job: jobs.Job) -> None:
    jobs.delete_job(job)
    if st.session_state.get("job") == job.id:  # nobody waits to see it again
        del st.session_state["job"]


def _offer_deletion(job: jobs.Job) -> None:
    """Delete at once what does no harm; what was kept is asked about."""
    press = partial(st.button, key=f"delete-{job.id}", on_click=_delete, args=(job,))
    if job.is_kept:
        with st.popover(say("jobs.delete")):
            st.caption(say("jobs.delete_kept"))
            press(say("jobs.delete_really"))
    elif _holds_result(job):
        press(say("jobs.delete"))
    else:
        press(say("jobs.take_off"), help=say("jobs.take_off_help"))
