"""All runs: a table to sort, and the chosen ones' curves over each other."""

from collections import Counter
from typing import Any

import streamlit as st

from emotion_core.errors import InputError
from emotion_core.jobs import owner_hash
from emotion_core.runs import Run, list_runs, load_run
from emotion_core.texts import figure_name, say
from emotion_core.workbench.trainings import COMPARED, compare_runs, job_of, state_of

from . import histories, training_charts, visitor
from .choice import keyed
from .errors import error_box, plain
from .names import short

#: What is long, or the same for most: behind the figures.
_LAST = ("data", "recipe", "seed")
#: What the curves of chosen runs show, where they have it.
_COMPARED = ("val_accuracy", "val_mse")
_PERCENT = ("val_accuracy", "val_macro_f1", "val_mean_recall", "val_ece")


def opened() -> Run | None:
    """Return the run that is open in this visit; None where there is none, or it is gone."""
    run_id = st.session_state.get("run")
    if not run_id:
        return None
    try:
        return load_run(str(run_id), *map(owner_hash, visitor.owners()))
    except InputError:
        st.session_state.pop("run")
        st.warning(say("error.no_run"))
        return None


def show() -> None:
    """Show the runs of this visitor."""
    mine = all_mine()
    if not mine:
        st.info(say("training.empty"))
        if st.button(say("training.begin"), type="primary", key="training_begin"):
            st.session_state["training_view"] = "new"
            st.rerun()
        histories.show_shipped()
        histories.show_foreign()
        return
    moving = any(_state(run) in ("waiting", "running") for run in mine)
    st.fragment(_show_table, run_every=2.0 if moving else None)()
    histories.show_foreign()


def state_text(run: Run) -> str:
    """Return how a run stands, in a word."""
    return say(f"training.state_{_state(run)}")


def _state(run: Run) -> str:
    return state_of(run, job_of(run, visitor.owner()))


def titles(runs: list[Run]) -> dict[str, str]:
    """Return the name of each run by id, with the id where several bear it."""
    names = [short(run.name) for run in runs]
    counts = Counter(names)
    return {
        run.id: name if counts[name] == 1 else f"{name} ({run.id[:4]})"
        for run, name in zip(runs, names, strict=True)
    }


def all_mine() -> list[Run]:
    """Return the runs of this visitor, the newest first."""
    return list_runs(*map(owner_hash, visitor.owners()))


@error_box()
def _show_table() -> None:
    mine = {run.id: run for run in all_mine()}
    table = compare_runs(list(mine.values()))
    if table.empty:
        st.rerun()
    # a table that sorts itself anew while somebody reads it is none to choose from
    table = table.set_index("run", drop=False).loc[list(mine)].reset_index(drop=True)
    named = titles(list(mine.values()))
    table["name"] = table["run"].map(named)
    table.insert(2, "state", [state_text(mine[run_id]) for run_id in table["run"]])
    begun = [visitor.clock(mine[run_id].created_s) for run_id in table["run"]]
    table.insert(3, "begun", begun)
    shown = table.drop(columns=["run"])
    shown["data"] = shown["data"].map(short)
    for name in _PERCENT:
        shown[name] *= 100
    config: Any = {
        name: st.column_config.NumberColumn(
            figure_name(name), format="%.1f %%" if name in _PERCENT else "%.3f"
        )
        for name in COMPARED
    }
    config["begun"] = st.column_config.DatetimeColumn(
        say("training.column_begun"), format="DD MMM, HH:mm"
    )
    for name in ("name", "state", "data", "recipe", "seed", "epochs", "best_epoch", "parameters",
                 "model_mb", "ms_per_face", "minutes", "images_per_s"):  # fmt: skip
        config[name] = st.column_config.Column(say(f"training.column_{name}"))
    shown = shown.dropna(axis=1, how="all")
    st.caption(say("training.choose_runs"))
    event = st.dataframe(
        shown,
        hide_index=True,
        column_config=config,
        column_order=[
            *(c for c in map(str, shown) if c not in _LAST),
            *(c for c in _LAST if c in shown),
        ],
        on_select="rerun",
        selection_mode="multi-row",
        key=keyed("training_table", table["run"]),
        alt=say("training.runs"),
    )
    chosen = [mine[table["run"].iloc[row]] for row in event["selection"]["rows"]]
    with st.container(horizontal=True):
        for run in chosen or list(mine.values())[:3]:
            text = say("training.open", name=plain(named[run.id]))
            if st.button(text, key=f"open-run-{run.id}"):
                st.session_state["run"] = run.id
                st.rerun()
    if chosen:
        curves = {named[run.id]: run.history for run in chosen}
        held = {figure for history in curves.values() for row in history for figure in row}
        st.plotly_chart(
            training_charts.curves(curves, [one for one in _COMPARED if one in held]),
            key="training_compare",
            config={"displayModeBar": False},
            alt=say("training.compared"),
        )
