"""What unknown names of labels mean: asked once, and changed later."""

from collections.abc import Sequence
from functools import partial

import streamlit as st

from emotion_core.datasets.naming import name_labels
from emotion_core.errors import UnknownLabels
from emotion_core.labels import CANONICAL, canonical_name
from emotion_core.texts import label_name, say
from emotion_core.workbench.index import load_index
from emotion_core.workbench.store import Dataset

from .dataset_data import change_recipe
from .errors import plain


def asks(dataset: Dataset) -> bool:
    """Ask what unknown names mean; return whether there is anything to ask."""
    raw = load_index(dataset, ["raw_label"])["raw_label"].dropna().unique()
    try:
        name_labels(raw, dict(dataset.recipe().labels))
    except UnknownLabels as error:
        unknown = error.names
    else:
        return False
    st.subheader(say("dataset.unknown_title"))
    st.markdown(say("dataset.unknown_text"))
    _ask(dataset, unknown, key="labels", send=say("dataset.unknown_send"))
    return True


def show_again(dataset: Dataset) -> None:
    """Show what was answered, to be changed."""
    answered = list(dataset.recipe().labels)
    if answered:
        with st.expander(say("dataset.unknown_title")):
            _ask(dataset, answered, key="meanings", send=say("dataset.meanings_send"))


def _ask(dataset: Dataset, names: Sequence[str], *, key: str, send: str) -> None:
    answers: dict[str, str | None] = dict(dataset.recipe().labels)
    with st.form(f"{key}-{dataset.id}"):
        for name in names:
            # the name itself keeps it, the empty one leaves its pictures out
            held = answers.get(name)
            held = canonical_name(held) or held if held else held
            choices = dict.fromkeys([held, *CANONICAL, name, ""])
            answers[name] = st.selectbox(
                plain(name),
                list(choices),
                format_func=partial(_meaning, name),
                key=f"{key}-{dataset.id}-{name}-{held}",
            )
        is_sent = st.form_submit_button(send, type="primary")
    if is_sent and None not in answers.values():
        change_recipe(dataset, labels=answers)
        st.rerun()
    elif is_sent:
        st.warning(say("dataset.unknown_all"))


def _meaning(name: str, choice: str | None) -> str:
    if choice is None:
        return say("dataset.choose_meaning")
    if choice == "":
        return say("dataset.leave_out")
    return say("dataset.keep_name", name=name) if choice == name else label_name(choice)
