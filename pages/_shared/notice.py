"""The first-visit notice: what the studio is not for, and one tick."""

import streamlit as st

from emotion_core.files import atomic_write, work_folder
from emotion_core.texts import say

from . import visitor


def ask_once() -> bool:
    """Show the notice until it is accepted; return whether it is."""
    if _is_accepted():
        _remember()
        return True
    with st.container(border=True, key="notice"):
        st.subheader(say("notice.title"))
        st.markdown(say("notice.body"))
        st.caption(say("notice.privacy"))
        st.checkbox(say("notice.tick"), key="notice_tick", on_change=_accept)
    return False


def require() -> None:
    """Show the notice and end the page there until it is accepted."""
    if not ask_once():
        st.caption(say("notice.needed"))
        st.stop()


def _is_accepted() -> bool:
    # on a machine of one's own the tick holds for good, on a server for the session
    if st.session_state.get("notice_accepted"):
        return True
    return visitor.is_own_machine() and (work_folder() / "notice-accepted").is_file()


def _accept() -> None:
    st.session_state["notice_accepted"] = True


def _remember() -> None:
    note = work_folder() / "notice-accepted"
    if visitor.is_own_machine() and not note.is_file():
        atomic_write(note, "1\n")
