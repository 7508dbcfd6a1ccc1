"""Where somebody is within a page, in its address: for a refresh, for Back, to be passed on."""

from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st


@contextmanager
def kept(*names: str) -> Iterator[None]:
    """Take the place from an address that the visit did not write, and write it there after.

    A page that ends early, to run again or to lead elsewhere, writes nothing.

    Args:
        names: What the visit holds of it. Whose it is, is asked where it is shown.
    """
    key = f"place-{names[0]}"
    told = {name: st.query_params.get(name, "") for name in names}
    written = st.session_state.get(key, dict.fromkeys(names, ""))
    # an empty address is that of somebody who comes from another page, or was led here to see
    # something else, such as a job that was opened; both go on with what the visit holds
    has_moved = {name: str(st.session_state.get(name) or "") for name in names} != written
    goes_on = st.session_state.get("has_arrived", True) or has_moved
    if told != written and (any(told.values()) or not goes_on):
        for name in names:
            st.session_state.pop(name, None)
        st.session_state.update({name: value for name, value in told.items() if value})
    yield
    here = {name: str(st.session_state.get(name) or "") for name in names}
    st.session_state[key] = here
    for name, value in here.items():
        if value and st.query_params.get(name) != value:
            st.query_params[name] = value
        elif not value:
            st.query_params.pop(name, None)
