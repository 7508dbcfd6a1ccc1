"""Live: the camera with readings drawn on it, what it shows beside it, and recordings."""

import time
from dataclasses import replace
from urllib.parse import urlsplit

import streamlit as st
from streamlit_webrtc import WebRtcMode, WebRtcStreamerContext, webrtc_streamer

from emotion_core.classify import Committee
from emotion_core.errors import InputError
from emotion_core.jobs import load_job, new_job
from emotion_core.live import RECORDING, LiveSession, LiveState, LiveTools
from emotion_core.media.photo import encode_png
from emotion_core.texts import say
from pages._shared import charts, ice, notice, options, resources, video_options, visitor
from pages._shared.drawer import clock, open_job
from pages._shared.errors import error_box, plain

_KEY = "live"
_CAMERA = {
    "video": {"width": {"ideal": 640}, "height": {"ideal": 480}, "frameRate": {"ideal": 30}},
    "audio": False,
}
#: A camera that shows nothing for so long has a reason that is told.
_PATIENCE_S = 12.0


def choose_tools() -> LiveTools:
    """Show the options, which hold while the camera runs, and return what reads and draws."""
    steady = []

    def more() -> list[str]:
        steady.append(video_options.choose_smoothing())
        return video_options.steadied_otherwise(steady[0])

    choice = options.choose(more=more)
    return LiveTools(
        recognizer=resources.recognizer(choice.model_ids, choice.vote, choice.prior),
        detector=resources.detector(choice.detector, choice.min_confidence),
        options=replace(steady[0], reading=choice.reading),
        drawing=choice.drawing,
    )


def camera(tools: LiveTools) -> LiveSession:
    """Return the visitor's camera session with the tools that are chosen now."""
    session = resources.live_session(tools)
    if st.session_state.get("live_tools") != tools:
        session.change(tools)
        st.session_state["live_tools"] = tools
    return session


def switch(is_on: bool) -> None:
    """Note that the camera should run, or should not."""
    st.session_state["live_on"] = is_on
    st.session_state["live_since"] = time.monotonic()
    if not is_on:
        resources.live_slots().leave(visitor.session_id())


def stream(session: LiveSession, *, plays: bool) -> WebRtcStreamerContext:
    """Show the picture of the camera.

    It stands on the page before it plays: while its script loads, every drawing of the page would
    open one more connection, and they mix up.
    """
    servers, stun = ice.ice_servers()
    if stun:
        st.caption(say("live.stun", server=stun))
    texts = ("media_api_not_available", "device_ask_permission", "device_not_available")
    return webrtc_streamer(
        key=_KEY,
        mode=WebRtcMode.SENDRECV,
        rtc_configuration={"iceServers": servers},
        media_stream_constraints=_CAMERA,
        video_frame_callback=session.on_frame,
        desired_playing_state=plays,
        media_toggle_controls=False,
        video_html_attrs={"autoPlay": True, "muted": True, "style": {"width": "100%"}},
        translations={
            **{name: say(f"live.{name}") for name in texts},
            "device_access_denied": say("live.device_access_denied"),
            "select_device": say("live.select_device"),
        },
    )


def say_why_dark(context: WebRtcStreamerContext) -> None:
    """Tell why there is no picture, as far as it can be known, and offer a snapshot."""
    page = urlsplit(st.context.url or "")
    reason = ""
    if page.scheme == "http" and page.hostname not in visitor.LOOPBACK:
        reason = say("live.no_https")
    elif time.monotonic() - st.session_state.get("live_since", 0.0) > _PATIENCE_S:
        reason = say("live.no_route" if context.state.signalling else "live.no_camera")
    if reason:
        st.warning(reason)
        if st.button(say("live.snapshot_instead"), key="snapshot_instead"):
            st.session_state["photo_source"] = "camera"
            st.switch_page("pages/photo.py")


def control_recording(session: LiveSession, tools: LiveTools) -> None:
    """Offer recording and a snapshot while the camera runs."""
    with st.container(horizontal=True):
        if session.recording is None:
            if st.button(say("live.record"), key="record", help=say("live.record_help")):
                start_recording(session, tools)
                st.rerun()
        elif st.button(say("live.stop_recording"), key="stop_recording", type="primary"):
            session.stop_recording()
            st.rerun()
        st.download_button(
            say("live.snapshot"),
            data=lambda: _snapshot(session),
            file_name="snapshot.png",
            key="snapshot",
            on_click="ignore",
        )
    show_recorded(session)


def _snapshot(session: LiveSession) -> bytes:
    picture = session.snapshot()
    return b"" if picture is None else encode_png(picture)


def show_recorded(session: LiveSession) -> None:
    """Show the way to the last recording, however it ended, while it is there."""
    try:
        job = load_job(st.session_state.get("live_recorded", ""), visitor.owner())
    except InputError:
        return
    if session.recording is not None:
        return
    if job.state == "failed":
        st.error(plain(job.message))
    if job.state == "done":
        with st.container(horizontal=True, vertical_alignment="center"):
            ended_by = (job.summary or {}).get("ended_by")
            st.caption(say(f"live.recorded_{ended_by}") if ended_by else say("live.recorded"))
            if st.button(say("jobs.open"), key="open_recorded"):
                open_job(job)


def start_recording(session: LiveSession, tools: LiveTools) -> None:
    """Begin a recording, which My jobs lists."""
    title = say("live.recording_title", time=f"{visitor.clock(time.time()):%H:%M}")
    ids = [member.card.id for member in tools.recognizer.members]
    task = {"model_ids": ids, "prior": tools.recognizer.prior}
    if isinstance(tools.recognizer, Committee):
        task["vote"] = tools.recognizer.vote
    settings = {"task": task, "stem": "camera"}
    job = new_job(RECORDING, title, owner=visitor.owner(), settings=settings)
    session.record(job)
    st.session_state["live_recorded"] = job.id


@error_box()
def show_state(
    session: LiveSession, context: WebRtcStreamerContext, *, was_running: bool, was_recording: bool
) -> None:
    """Show what is read now and was in the last minute; runs again every second."""
    if not st.session_state.get("live_on"):
        st.rerun()  # one run that was under way when the camera was stopped
    if resources.live_slots().ask(visitor.session_id()):
        switch(False)  # it was away for so long that another one has the place
        st.rerun()
    state = session.state()
    if (state.is_running, session.recording is not None) != (was_running, was_recording):
        st.rerun()  # what stands under the picture comes or goes
    if state.problem:
        st.error(plain(state.problem))
    if not state.is_running:
        st.caption(say("live.waiting"))
        say_why_dark(context)
        return
    show_numbers(session, state)
    latest = state.latest
    if latest is None or not len(latest.reading):
        st.caption(say("live.nobody"))
    else:
        row = int(latest.quality.size_px.argmax())
        hatched = bool(latest.reading.abstained[row])
        st.plotly_chart(
            charts.distribution(latest.reading.scores, row, hatched=hatched),
            key="live_now",
            config={"displayModeBar": False},
            alt=say("live.now_alt"),
        )
    st.plotly_chart(
        charts.last_minute(state.history),
        key="live_minute",
        config={"displayModeBar": False},
        alt=say("live.minute_alt"),
    )


def show_numbers(session: LiveSession, state: LiveState) -> None:
    """Show rates, and say when the machine is too slow for every frame."""
    faces = 0 if state.latest is None else len(state.latest.reading)
    with st.container(horizontal=True):
        st.metric(say("live.fps"), f"{state.shown_fps:.0f}", help=say("live.fps_help"))
        st.metric(say("live.ms"), f"{state.read_ms:.0f}", help=say("live.ms_help"))
        st.metric(say("live.faces"), faces, help=say("live.faces_help"))
        recording = session.recording  # its thread may end it meanwhile
        if recording is not None:
            told = say("live.recorded_for_help")
            st.metric(say("live.recorded_for"), clock(recording.seconds), help=told)
    if state.every > 1:
        st.caption(say("live.slow", every=state.every))


@error_box()
def wait_in_line() -> None:
    """Say how many stand before; runs again every second until a slot is free."""
    place = resources.live_slots().ask(visitor.session_id())
    if not place:
        st.rerun()
    st.info(say("live.queue", slots=resources.live_slots().slots, place=place))
    st.button(say("live.leave_queue"), key="leave", on_click=switch, args=(False,))


def show_live() -> None:
    """Show the whole page."""
    is_on = st.session_state.get("live_on", False)
    if not is_on:
        st.button(
            say("live.start"), key="live_start", type="primary", on_click=switch, args=(True,)
        )
    else:
        st.button(say("live.stop"), key="live_stop", on_click=switch, args=(False,))
    tools = choose_tools()
    is_waiting = is_on and resources.live_slots().ask(visitor.session_id()) > 0
    session = camera(tools)
    if not is_on:
        session.stop_recording()
    picture, beside = st.columns([3, 2], gap="medium")
    with picture:
        context = stream(session, plays=is_on and not is_waiting)
        is_running, is_recording = session.state().is_running, session.recording is not None
        if is_waiting:
            st.fragment(wait_in_line, run_every=1.0)()
        elif not is_on:
            st.caption(say("live.empty"))
            show_recorded(session)
        elif is_running or is_recording:
            with error_box(ends=False):  # the camera runs on, and so do its figures
                control_recording(session, tools)
    if is_on and not is_waiting:
        with beside:
            st.fragment(show_state, run_every=1.0)(
                session, context, was_running=is_running, was_recording=is_recording
            )


st.title(say("live.title"))
with error_box():
    notice.require()
    if st.session_state.get("has_arrived"):
        switch(False)  # nobody's camera starts by itself
    show_live()
