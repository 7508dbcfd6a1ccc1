"""Home: three ways in, and what is ready."""

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from emotion_core.jobs import list_jobs
from emotion_core.texts import say
from emotion_core.workbench.store import list_datasets
from pages._shared import notice, resources, training_runs, visitor
from pages._shared.dataset_open import title_of
from pages._shared.drawer import describe, has_page, open_job
from pages._shared.errors import error_box, plain
from pages._shared.models_grid import main_figures
from pages._shared.names import short

#: The newest jobs, data sets and trainings; the drawer and their pages have them all.
_ROWS_SHOWN = 5


def photo_ways() -> None:
    """Offer the sample photo and one's own."""
    if st.button(say("home.photo_sample"), key="sample", type="primary"):
        st.session_state["photo_source"] = "sample"
        st.switch_page("pages/photo.py")
    if st.button(say("home.photo_open"), key="open_photo"):
        st.session_state["photo_source"] = "upload"
        st.switch_page("pages/photo.py")


def video_ways() -> None:
    """Offer the sample clip and one's own video."""
    if st.button(say("home.video_sample"), key="sample_clip"):
        st.session_state["video_sample_wanted"] = True
        st.switch_page("pages/video.py")
    if st.button(say("home.video_open"), key="open_video"):
        st.switch_page("pages/video.py")


def camera_ways() -> None:
    """Offer the camera."""
    if st.button(say("home.camera_open"), key="open_camera"):
        st.switch_page("pages/live.py")


CARDS = {"photo": photo_ways, "video": video_ways, "camera": camera_ways}


def show_cards() -> None:
    """Show the three ways in."""
    for (name, show_ways), column in zip(CARDS.items(), st.columns(3), strict=True):
        with column, st.container(border=True, height="stretch", key=f"card_{name}"):
            st.subheader(say(f"home.{name}_title"))
            st.markdown(say(f"home.{name}_text"))
            with st.container(horizontal=True):
                show_ways()


def show_state() -> None:
    """Show which models are ready, and one's own jobs, data sets and trainings."""
    entries = resources.models()
    left, right = st.columns(2, gap="large")
    with left:
        st.subheader(say("home.models_title"))
        ready = sum(not entry.problem for entry in entries)
        st.caption(say("home.models_ready", ready=ready, n=len(entries)))
        titles = resources.titles([entry.card for entry in entries if entry.card])
        rows = []
        for entry in entries:
            split, shown = main_figures(entry.card) if entry.card else ("", {})
            by = say(f"home.rule_{split}", rule=shown["rule"]) if shown else ""
            rows.append(
                {
                    say("home.model_column"): titles.get(entry.id, entry.id),
                    say("home.accuracy_column"): 100 * shown["accuracy"] if shown else None,
                    say("home.rule_column"): by,
                    say("home.state_column"): entry.problem or say("home.usable"),
                }
            )
        accuracy = st.column_config.NumberColumn(format="%.1f %%", help=say("home.accuracy_help"))
        st.dataframe(
            rows,
            hide_index=True,
            column_config={say("home.accuracy_column"): accuracy},
            alt=say("home.models_title"),
        )
        if st.button(say("home.models_open"), key="open_models"):
            st.switch_page("pages/models.py")
    with right:
        st.subheader(say("jobs.title"))
        mine = list_jobs(visitor.owner())
        if not mine:
            st.caption(say("jobs.none"))
        more(len(mine))
        for job in mine[:_ROWS_SHOWN]:
            with _row():
                title = plain(short(job.title))
                kind = say(f"jobs.{job.kind}".replace("-", "_"))
                named = say("jobs.name", title=title, kind=kind)
                st.markdown(say("jobs.line", title=named, state=plain(describe(job))))
                if has_page(job) and st.button(say("jobs.open"), key=f"home-{job.id}"):
                    open_job(job)
        _show_datasets()
        _show_trainings()


def _show_trainings() -> None:
    st.subheader(say("home.trainings_title"))
    mine = training_runs.all_mine()
    if not mine:
        st.caption(say("home.trainings_none"))
    more(len(mine))
    named = training_runs.titles(mine)
    for run in mine[:_ROWS_SHOWN]:
        with _row():
            state = training_runs.state_text(run)
            st.markdown(say("jobs.line", title=plain(named[run.id]), state=state))
            if st.button(say("jobs.open"), key=f"home-{run.id}"):
                st.session_state["run"] = run.id
                st.switch_page("pages/training.py")
    if st.button(say("home.training_open"), key="open_training"):
        st.session_state.pop("run", None)
        st.switch_page("pages/training.py")


def _row() -> DeltaGenerator:
    """A line with its button at the right."""
    return st.container(
        horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"
    )


def more(n: int) -> None:
    """Say that of so many only the newest are listed."""
    if n > _ROWS_SHOWN:
        st.caption(say("home.newest", shown=_ROWS_SHOWN, n=n))


def _show_datasets() -> None:
    st.subheader(say("home.datasets_title"))
    mine = list_datasets(*visitor.owners())
    if not mine:
        st.caption(say("home.datasets_none"))
    more(len(mine))
    for dataset in mine[:_ROWS_SHOWN]:
        with _row():
            st.markdown(plain(title_of(dataset, mine)))
            if st.button(say("jobs.open"), key=f"home-{dataset.id}"):
                st.session_state["dataset"] = dataset.id
                st.session_state.pop("dataset_view", None)
                st.switch_page("pages/dataset.py")
    with st.container(horizontal=True):
        if st.button(say("dataset.open"), key="open_dataset"):
            st.switch_page("pages/dataset.py")
        if st.button(say("dataset.draw"), help=say("dataset.draw_help"), key="draw_dataset"):
            st.session_state["dataset_drawn_wanted"] = True
            st.switch_page("pages/dataset.py")


st.title(say("home.title"))
st.markdown(say("home.lead"))
with error_box():
    notice.ask_once()
    show_cards()
    show_state()
