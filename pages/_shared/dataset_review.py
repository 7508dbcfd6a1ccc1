"""Review: one waiting picture after the other, by keys; every decision can be undone."""

from collections.abc import Sequence

import streamlit as st

from emotion_core.datasets.decisions import DROP, KEEP, RELABEL, Decision
from emotion_core.datasets.naming import in_label_order
from emotion_core.texts import say
from emotion_core.workbench.review import Waiting, decide, read_queue
from emotion_core.workbench.store import Dataset

from .dataset_data import labelled, large_picture
from .errors import plain
from .gallery import label_text

_PICTURE_PX = 420
#: The newest decisions; the file of the recipe has them all.
_DECISIONS_SHOWN = 200


def show(dataset: Dataset) -> None:
    """Show the next waiting picture with its choices, and what was decided."""
    queue = read_queue(dataset)
    skipped = st.session_state.setdefault(f"skipped-{dataset.id}", [])
    open_ones = [one for one in queue if one.path not in skipped]
    if not open_ones and skipped:
        skipped.clear()
        open_ones = queue
    if open_ones:
        _show_next(dataset, open_ones[0], len(queue))
    else:
        st.info(say("dataset.review_empty"))
        _undo_button(dataset)
    _show_decisions(dataset)


def _show_next(dataset: Dataset, one: Waiting, waiting: int) -> None:
    table = labelled(dataset)
    rows = table[table["path"] == one.path]
    label = rows["label"].iloc[0] if len(rows) else None
    labels = in_label_order({*table["label"].dropna(), *([one.suggested] if one.suggested else [])})
    picture, choices = st.columns([1, 1], gap="large")
    with picture:
        jpeg = large_picture(dataset, one.path)
        if jpeg is None:
            st.warning(say("dataset.unreadable"))
        else:
            st.image(jpeg, width=_PICTURE_PX, alt=f"{one.path}: {label_text(label)}")
    with choices:
        st.caption(say("dataset.review_left", n=f"{waiting:,}"))
        st.subheader(plain(label_text(label)))
        st.markdown(say("dataset.review_why", path=plain(one.path), reason=plain(one.reason)))
        if one.suggested:
            st.markdown(say("dataset.review_suggested", label=plain(label_text(one.suggested))))
        with st.container(horizontal=True):
            # by name, so that a late click decides about no other picture
            if st.button(say("dataset.keep"), shortcut="k", key=f"review-keep-{one.path}"):
                _settle(dataset, one, KEEP)
            if st.button(say("dataset.drop"), shortcut="d", key=f"review-drop-{one.path}"):
                _settle(dataset, one, DROP)
            if st.button(say("dataset.skip"), shortcut="s", key=f"review-skip-{one.path}"):
                st.session_state[f"skipped-{dataset.id}"].append(one.path)
                st.rerun()
            _undo_button(dataset)
        st.caption(say("dataset.review_relabel"))
        with st.container(horizontal=True):
            for number, name in enumerate(labels):
                key = str(number + 1) if number < 9 else None
                is_suggested = name == one.suggested
                if st.button(
                    plain(label_text(name)),
                    shortcut=key,
                    key=f"review-as-{number}-{one.path}",
                    type="primary" if is_suggested else "secondary",
                    disabled=name == label,
                ):
                    _settle(dataset, one, RELABEL, label=name)


def _settle(dataset: Dataset, one: Waiting, action: str, *, label: str = "") -> None:
    decide(dataset, [one.path], action, reason=one.reason, label=label)
    st.rerun()


def _undo_button(dataset: Dataset) -> None:
    steps = dataset.decisions.steps()
    if st.button(say("dataset.undo"), shortcut="u", disabled=not steps, key="review_undo"):
        taken = dataset.decisions.undo()
        st.toast(say("dataset.undone", n=f"{len(taken):,}"))
        st.rerun()


def _show_decisions(dataset: Dataset) -> None:
    decisions = list(dataset.decisions.current().values())
    if not decisions:
        return
    st.subheader(say("dataset.decisions", n=f"{len(decisions):,}"))
    newest = sorted(decisions, key=lambda one: -one.at_s)[:_DECISIONS_SHOWN]
    st.dataframe(_rows(newest), hide_index=True, alt=say("dataset.decisions", n=len(decisions)))


def _rows(decisions: Sequence[Decision]) -> list[dict[str, str]]:
    return [
        {
            say("dataset.column_path"): one.path,
            say("dataset.column_action"): say(f"dataset.did_{one.action}"),
            say("dataset.column_label"): label_text(one.label) if one.label else "",
            say("dataset.column_reason"): one.reason,
        }
        for one in decisions
    ]
