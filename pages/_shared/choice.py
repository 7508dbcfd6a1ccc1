"""Choosing one of a few that are all in sight, or rows of a table."""

import hashlib
from collections.abc import Callable, Iterable, Sequence

import streamlit as st


def one_of(names: Sequence[str], *, key: str, shown: Callable[[str], str]) -> str:
    """Let people choose one of some names, the first at first; `shown` says how each is written.

    A row of buttons: Streamlit's segmented control writes the chosen one in the accent on a tint
    of it, too faint to be read, and after a radio button keys of other buttons do nothing.
    """
    chosen = st.session_state.get(key)
    chosen = chosen if chosen in names else names[0]
    with st.container(horizontal=True, gap="xsmall"):
        for name in names:
            st.button(
                shown(name),
                key=f"{key}-{name}",
                type="primary" if name == chosen else "secondary",
                on_click=_choose,
                args=(key, name),
            )
    return str(chosen)


def keyed(name: str, ids: Iterable[object]) -> str:
    """Return the key of a table whose rows are these things, in this order.

    Streamlit keeps chosen rows by their numbers: in a table with other rows, or in another order,
    the same numbers would choose something else. So that is another table.
    """
    told = "\0".join(str(one) for one in ids)
    return f"{name}-{hashlib.sha256(told.encode()).hexdigest()[:12]}"


def _choose(key: str, name: str) -> None:
    st.session_state[key] = name
