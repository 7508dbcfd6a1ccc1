"""A grid of pictures of a data set, and what can be done with them."""

from collections.abc import Mapping, Sequence

import streamlit as st

from emotion_core.datasets.decisions import DROP, KEEP, RELABEL
from emotion_core.datasets.naming import in_label_order
from emotion_core.texts import label_name, say
from emotion_core.workbench.review import decide, queue_pictures
from emotion_core.workbench.store import Dataset

from . import options
from .choice import keyed
from .dataset_data import labelled, thumbnail
from .errors import error_box, plain

_SHOWN = 24
_CELL_PX = 124
_NAME_CHARS = 22


def show(
    dataset: Dataset,
    paths: Sequence[str],
    *,
    key: str,
    reason: str,
    title: str = "",
    suggested: Mapping[str, str] | None = None,
    notes: Mapping[str, str] | None = None,
) -> None:
    """Show pictures with a tick each, and let people decide on the ticked ones or on all.

    Args:
        dataset: Whose pictures.
        paths: Which ones.
        key: Tells this grid from others.
        reason: Why they are shown; it stands with every decision.
        title: What stands over them; empty for the reason.
        suggested: Labels suggested for some of them, by path.
        notes: A word for some of them, by path.
    """
    if not paths:
        st.caption(say("dataset.no_pictures"))
        return
    told = dict(suggested or {}), dict(notes or {})
    st.fragment(_show)(dataset, list(paths), key, reason, title or reason, *told)


def _show(
    dataset: Dataset,
    paths: list[str],
    key: str,
    reason: str,
    title: str,
    suggested: dict[str, str],
    notes: dict[str, str],
) -> None:
    with error_box():
        pages = -(-len(paths) // _SHOWN)
        page = 1
        with st.container(horizontal=True, vertical_alignment="bottom"):
            st.markdown(say("dataset.n_pictures", n=f"{len(paths):,}", reason=plain(title)))
            if pages > 1:
                page = st.number_input(
                    say("dataset.page", pages=pages), 1, pages, key=f"{key}-page", width=150
                )
        shown = paths[(page - 1) * _SHOWN : page * _SHOWN]
        _grid(dataset, shown, key, suggested, notes)
        # a tick on another page of the grid counts as well
        start = _tick_key(key, "")
        ticked = {str(name) for name, on in st.session_state.items() if on is True}
        ticked = {name.removeprefix(start) for name in ticked if name.startswith(start)}
        picked = [path for path in paths if path in ticked]
        elsewhere = len(set(picked) - set(shown))
        if elsewhere:
            st.caption(say("dataset.ticked", n=len(picked), elsewhere=elsewhere))
        _actions(dataset, paths, picked, key, reason, suggested)


def _tick_key(key: str, path: str) -> str:
    # a tick cannot be taken away, so after a decision there are new boxes
    return f"{key}-pick-{st.session_state.get(f'{key}-round', 0)}-{path}"


def _grid(
    dataset: Dataset,
    paths: list[str],
    key: str,
    suggested: dict[str, str],
    notes: dict[str, str],
) -> None:
    table = labelled(dataset)
    label_of = dict(zip(table["path"], table["label"], strict=True))
    decided = dataset.decisions.current()
    with st.container(horizontal=True, gap="small"):
        for path in paths:
            with st.container(width=_CELL_PX, gap="xsmall"):
                jpeg = thumbnail(dataset, path)
                name = path if len(path) <= _NAME_CHARS else "…" + path[1 - _NAME_CHARS :]
                label = label_of.get(path)
                shown = label_text(label)
                if jpeg is None:
                    st.caption(say("dataset.unreadable"))
                else:
                    st.image(jpeg, width=_CELL_PX - 12, alt=f"{path}: {shown}")
                if path in suggested:
                    shown = say("dataset.would_be", label=shown, new=label_text(suggested[path]))
                if path in decided:
                    word = say(f"dataset.did_{decided[path].action}")
                    shown = say("dataset.decided", label=shown, word=word)
                tick = _tick_key(key, path)
                st.checkbox(plain(shown), key=tick, help=plain(name), **options.KEPT)
                if path in notes:
                    st.caption(plain(notes[path]))


def _actions(
    dataset: Dataset,
    paths: list[str],
    picked: list[str],
    key: str,
    reason: str,
    suggested: dict[str, str],
) -> None:
    table = labelled(dataset)
    labels = in_label_order({*table["label"].dropna(), *suggested.values()})
    with st.container(horizontal=True, vertical_alignment="bottom"):
        all_of_them = st.toggle(
            say("dataset.act_on_all", n=f"{len(paths):,}"),
            key=keyed(f"{key}-all-{st.session_state.get(f'{key}-round', 0)}", paths),
        )
        chosen = paths if all_of_them else picked
        none = not chosen
        new = st.selectbox(
            say("dataset.new_label"),
            labels,
            format_func=label_text,
            key=f"{key}-label",
            width=160,
            label_visibility="collapsed",
        )
        is_relabel = st.button(say("dataset.relabel"), key=f"{key}-relabel", disabled=none)
        is_drop = st.button(say("dataset.drop"), key=f"{key}-drop", disabled=none)
        is_keep = st.button(say("dataset.keep"), key=f"{key}-keep", disabled=none)
        is_queue = st.button(say("dataset.queue"), key=f"{key}-queue", disabled=none)
    noted = len(chosen)
    if is_relabel and new:
        decide(dataset, chosen, RELABEL, reason=reason, label=new)
    elif is_drop:
        decide(dataset, chosen, DROP, reason=reason)
    elif is_keep:
        decide(dataset, chosen, KEEP, reason=reason)
    elif is_queue:
        noted = queue_pictures(dataset, chosen, reason=reason, suggested=suggested)
    if is_relabel or is_drop or is_keep or is_queue:
        st.session_state[f"{key}-round"] = st.session_state.get(f"{key}-round", 0) + 1
        st.toast(say("dataset.queued" if is_queue else "dataset.noted", n=f"{noted:,}"))
        st.rerun()


def label_text(label: object) -> str:
    """Return a label as people read it; one of their own as it is, to be `plain` in Markdown."""
    if not isinstance(label, str) or not label:
        return say("dataset.no_label")
    return label_name(label)
