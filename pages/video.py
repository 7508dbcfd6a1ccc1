"""Video: upload or try a clip, follow its job, look at what came out."""

from dataclasses import replace
from pathlib import Path

import streamlit as st

from emotion_core import jobs, videos
from emotion_core.files import path_under_roots, readable_roots
from emotion_core.limits import VIDEO_UPLOAD_MAX_BYTES
from emotion_core.live import RECORDING
from emotion_core.texts import say
from emotion_core.videos import VideoTask, start_video_job
from pages._shared import notice, place, video_options, visitor
from pages._shared.drawer import clock, describe, show_end
from pages._shared.errors import error_box, guarded, plain
from pages._shared.names import short
from pages._shared.video_view import show_result

_PREVIEW_PX = 640


def ask() -> None:
    """Show the ways in, and start a job when one is taken."""
    upload = st.file_uploader(
        say("video.upload"),
        max_upload_size=VIDEO_UPLOAD_MAX_BYTES // 1_000_000,
        key=f"video-{st.session_state.setdefault('video_round', 0)}",
    )
    typed = ""
    if readable_roots():
        typed = st.text_input(say("video.path"), help=say("video.path_help"), key="video_path")
    else:
        st.caption(say("video.no_roots"))
    with st.container(horizontal=True):
        is_start = st.button(
            say("video.start"),
            type="primary",
            disabled=not (upload or typed),
            key="video_start",
        )
        is_sample = st.button(say("video.sample"), key="video_sample")
    task = video_options.choose_task()
    with error_box(ends=False):  # an earlier result stays in sight
        if is_sample or st.session_state.pop("video_sample_wanted", False):
            start(say("video.sample_name"), None, task)
        elif is_start and upload:
            start(upload.name, upload.getbuffer(), task, upload_id=upload.file_id)
        elif is_start:
            path = path_under_roots(typed)
            start(path.name, path, task)


def start(
    name: str, content: memoryview | Path | None, task: VideoTask, *, upload_id: str = ""
) -> None:
    """Start a job and show it; the upload is let go, since the job has it.

    What is read already, such as after a second click, is shown instead.
    """
    with st.spinner(say("video.starting")):
        source = str(content) if isinstance(content, Path) else upload_id
        job = under_way(name, source, task) or start_video_job(
            name,
            content,
            task,
            owner=visitor.owner(),
            upload_id=upload_id,
            has_caps=not visitor.is_own_machine(),
        )
    st.session_state["job"] = job.id
    st.session_state["video_round"] += 1
    st.rerun()


def under_way(name: str, source: str, task: VideoTask) -> jobs.Job | None:
    """Return the job that reads a video in this very way now: that of a path or an upload, or the
    sample, whose source is empty."""
    for job in jobs.list_jobs(visitor.owner()):
        if job.kind != videos.KIND or job.is_over or job.is_stopping:
            continue
        held = VideoTask.from_dict(job.settings["task"])
        is_of_it = (job.settings["path"] or job.settings.get("upload_id", "")) == source
        if job.title == name and is_of_it and replace(held, has_caps=False) == task:
            return job
    return None


def chosen_job() -> jobs.Job | None:
    """Return the job to show: the one that was opened, else the newest video."""
    mine = [job for job in jobs.list_jobs(visitor.owner()) if job.kind in (videos.KIND, RECORDING)]
    wanted = st.session_state.get("job")
    if wanted and wanted not in [job.id for job in mine]:
        st.warning(say("video.no_result"))
    return next((job for job in mine if job.id == wanted), mine[0] if mine else None)


@error_box()
def show_progress(job_id: str) -> None:
    """Show how far a job is, and its newest picture; runs again every second."""
    job = next((job for job in jobs.list_jobs(visitor.owner()) if job.id == job_id), None)
    if job is None or job.is_over:
        st.rerun()
    left, right = st.columns([3, 2], gap="medium")
    with left:
        picture = job.preview()
        if picture:
            st.image(picture, width=_PREVIEW_PX, alt=say("video.preview_alt", name=job.title))
        else:
            st.skeleton(height=320)
    with right:
        st.progress(job.share or 0.0, plain(describe(job)))
        if job.state == "running" and job.left_s is not None:
            with st.container(horizontal=True):
                for name, value in {
                    "frames": f"{job.done:,} / {job.total:,}",
                    "rate": f"{job.rate:.0f}",
                    "left": clock(job.left_s),
                }.items():
                    st.metric(say(f"video.{name}"), value, help=say(f"video.{name}_help"))
        st.button(
            say("jobs.cancel"),
            key="cancel_here",
            disabled=job.is_stopping,
            on_click=guarded(jobs.cancel_job),
            args=(job,),
        )
        st.caption(say("video.go_on"))


st.title(say("video.title"))
with error_box(), place.kept("job"):
    notice.require()
    ask()
    job = chosen_job()
    if job is None:
        st.info(say("video.empty"))
    else:
        st.subheader(plain(short(job.title)))
        if job.is_over:
            show_end(job, show_result, lambda ended: say(f"video.{ended.state}"))
        else:
            st.fragment(show_progress, run_every=1.0)(job.id)
