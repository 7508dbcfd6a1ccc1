"""Where somebody is within a page, in its address: it outlasts a refresh and can be passed on."""

from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st


@contextmanager
def kept(*names: str) -> Iterator[None]:
    """Take the place from the address when the visit begins, and write it there after.

    Args:
        names: What the visit holds of it. Whose it is, is asked where it is shown.
    """
    has_begun = f"place-{names[0]}"
    if has_begun not in st.session_state:
        st.session_state[has_begun] = True
        for name in names:
            if name not in st.session_state and st.query_params.get(name):
                st.session_state[name] = st.query_params[name]
    try:
        yield
    finally:
        for name in names:
            here = str(st.session_state.get(name) or "")
            if here and st.query_params.get(name) != here:
                st.query_params[name] = here
            elif not here:
                st.query_params.pop(name, None)
