"""The result of a video: play it, look at a moment, at a person, at all of them, take the files."""

from pathlib import Path

import pandas as pd
import streamlit as st

from emotion_core.cards import DEFAULT_PRIOR
from emotion_core.crops import shrink_to
from emotion_core.jobs import Job
from emotion_core.limits import VIDEO_GIVEN_MAX_BYTES, VIDEO_SHOWN_MAX_BYTES
from emotion_core.texts import label_name, say
from emotion_core.timeline import episodes, persons
from emotion_core.types import Image
from emotion_core.videos import ANNOTATED, TIMELINE, frame_at, load_timeline

from . import resources, timeline_charts
from .photo_view import PICTURE_SHOWN_PX, show_model_note

#: People that have a lane; a crowd's others stand in the table.
_LANES_MAX = 10
_STEP_S = 0.04
_PLAIN_CHART = {"displayModeBar": False}


def show_result(job: Job) -> None:
    """Show the result of a job that is done."""
    files = {name.split(".", 1)[1]: path for name, path in job.results().items()}
    if TIMELINE not in files:
        st.info(say("video.no_result"))
        return
    table, runs, people = _tables(str(files[TIMELINE]))
    if table.empty:  # such as a recording that was stopped before its first frame
        st.info(say("video.nothing_read"))
        _show_downloads(files)
        return
    start_s, end_s = float(table["time_s"].min()), float(table["time_s"].max()) + 1e-3
    # the annotated video begins at 0, the timeline where the range or the recording does
    before_s = float((job.summary or {}).get("video_start_s", 0.0))
    shown = people.sort_values("seen_s", ascending=False)["tracker_id"].tolist()
    task = job.settings["task"]
    cards = [card for one in task["model_ids"] if (card := resources.card_of(one))]
    picture, charts = st.columns([1, 1], gap="medium")
    with charts:
        at_s = _choose_moment(job.id, start_s, end_s)
    with picture:
        _show_video(files.get(ANNOTATED), at_s, max(0.0, at_s - before_s))
    with charts:
        if not shown:
            st.info(say("video.nobody"))
        else:
            coordinates = cards[0].coordinates if cards else ""
            _show_people(job.id, table, runs, shown, (start_s, end_s, at_s), coordinates)
    if shown:
        _show_summary(people)
    _show_downloads(files)
    if (job.summary or {}).get("readers", 1) > 1:
        st.caption(say("video.several_readers"))
    elif len(cards) == len(task["model_ids"]):
        show_model_note(cards, task.get("vote", "soft"), task.get("prior", DEFAULT_PRIOR))


def _choose_moment(job_id: str, start_s: float, end_s: float) -> float:
    if not end_s - start_s >= _STEP_S:  # one frame, or none
        return start_s
    first_s, last_s = round(start_s, 2), round(end_s, 2)
    key = f"moment-{job_id}"
    clicked = st.session_state.get(f"lines-{job_id}")
    points = clicked["selection"]["points"] if clicked else []
    if points and points[0]["x"] != st.session_state.get(f"{key}-click"):
        st.session_state[f"{key}-click"] = points[0]["x"]
        # a hundredth of a second may be the frame before
        st.session_state[key] = round(min(max(float(points[0]["x"]), first_s), last_s), 3)
    at_s = st.slider(
        say("video.moment"),
        first_s,
        last_s,
        step=_STEP_S,
        format=" ",  # the accent on the dark ground is too faint for a text
        help=say("video.moment_help"),
        key=key,
    )
    st.caption(timeline_charts.moment(at_s))
    return at_s


def _show_video(path: Path | None, at_s: float, in_video_s: float) -> None:
    if path is None:
        st.info(say("video.not_drawn"))
        return
    size = path.stat().st_size
    if size > VIDEO_GIVEN_MAX_BYTES:
        place = "/".join(path.parts[-4:])  # jobs, the job, its results
        st.info(say("video.too_large_to_give", size_mb=size // 1_000_000, place=place))
    elif size > VIDEO_SHOWN_MAX_BYTES:
        st.info(say("video.too_large_to_show", size_mb=size // 1_000_000))
    else:
        st.video(str(path), start_time=in_video_s)
    # the player shows the first one
    picture = _frame(str(path), in_video_s) if in_video_s >= _STEP_S else None
    if picture is not None:
        caption = say("video.at", moment=timeline_charts.moment(at_s))
        st.image(picture, caption=caption, width="stretch", alt=caption)


def _show_people(
    job_id: str,
    table: pd.DataFrame,
    runs: pd.DataFrame,
    shown: list[int],
    times_s: tuple[float, float, float],
    coordinates: str,
) -> None:
    start_s, end_s, at_s = times_s
    lanes = sorted(shown[:_LANES_MAX])
    st.plotly_chart(
        timeline_charts.ribbons(runs, lanes, start_s=start_s, end_s=end_s, at_s=at_s),
        key=f"ribbons-{job_id}",
        config=_PLAIN_CHART,
        alt=say("video.ribbons_alt", n=len(lanes)),
    )
    person = st.selectbox(
        say("video.choose_person"),
        shown,
        format_func=lambda n: say("video.person", n=n),
        key=f"person-{job_id}",
    )
    rows = table[table["tracker_id"] == person]
    st.plotly_chart(
        timeline_charts.probabilities(rows, start_s=start_s, end_s=end_s, at_s=at_s),
        key=f"lines-{job_id}",
        config=_PLAIN_CHART,
        on_select="rerun",
        selection_mode="points",
        alt=say("video.lines_alt", n=person),
    )
    st.plotly_chart(
        timeline_charts.affect_path(rows, at_s=at_s, coordinates=coordinates),
        key=f"path-{job_id}",
        config=_PLAIN_CHART,
        alt=say("video.path_alt", n=person),
    )
    st.caption(say("video.path_about"))


def _show_summary(people: pd.DataFrame) -> None:
    st.subheader(say("video.people"))
    shares = [column for column in map(str, people) if column.startswith("share_")]
    plain = ["tracker_id", "seen_s", "label", "changes_per_min", "valence", "arousal"]
    names = {column: say(f"video.column_{column}") for column in plain}
    for column in shares:
        label = label_name(column.removeprefix("share_"))
        names[column] = say("video.column_share", label=label)
    shown = people[[*plain, *shares]].copy()
    shown["label"] = [label_name(label) for label in shown["label"]]
    shown[shares] = shown[shares] * 100
    number = st.column_config.NumberColumn
    formats = {names[c]: number(format="%.1f %%") for c in shares}
    formats[names["seen_s"]] = number(format="%.2f s")
    formats[names["changes_per_min"]] = number(format="%.1f")
    formats.update({names[c]: number(format="%.2f") for c in ("valence", "arousal")})
    st.dataframe(
        shown.rename(columns=names),
        hide_index=True,
        column_config=formats,
        alt=say("video.people"),
    )


def _show_downloads(files: dict[str, Path]) -> None:
    st.subheader(say("photo.downloads"))
    with st.container(horizontal=True):
        for end, path in sorted(files.items()):
            if path.stat().st_size > VIDEO_GIVEN_MAX_BYTES:
                continue
            kind = end.replace(".", "_")
            st.download_button(
                say(f"video.file_{kind}"),
                data=path.read_bytes,
                file_name=path.name,
                key=f"download-{end}",
                on_click="ignore",
                help=say(f"video.file_{kind}_help"),
            )


@st.cache_data(max_entries=8, ttl=600, show_spinner=False)
def _tables(path: str) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    table = load_timeline(Path(path))
    return table, episodes(table), persons(table)


@st.cache_data(max_entries=16, ttl=600, show_spinner=False)
def _frame(path: str, at_s: float) -> Image | None:
    image = frame_at(Path(path), at_s)
    return None if image is None else shrink_to(image, PICTURE_SHOWN_PX)
