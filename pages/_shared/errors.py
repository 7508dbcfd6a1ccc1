"""The one box in which a refusal is shown."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import ParamSpec

import streamlit as st

from emotion_core.errors import EmotionError

from .names import TURNS

_P = ParamSpec("_P")
#: Where a refusal waits for the box.
_REFUSED = "refused"
_MARKDOWN = str.maketrans({c: f"\\{c}" for c in "\\`*_{}[]<>()#+!|~$:&"})
#: What makes a link of a bare address, by what follows it; a word joiner breaks it unseen.
_ADDRESS = re.compile(r"(?<=www)(?=\.)|(?=://)|(?=@)", re.IGNORECASE)


def plain(text: str) -> str:
    """Return a text, such as a file's name, so that Markdown leaves it as it is, makes no link of
    it, and no mark in it turns the rest of the line round."""
    return _ADDRESS.sub("\u2060", text.translate(TURNS)).translate(_MARKDOWN)


@contextmanager
def error_box(*, ends: bool = True) -> Iterator[None]:
    """Show what was refused, of the block or of a widget before it.

    A refusal of the block ends the page there, unless something below has to stay in sight.
    """
    refused = st.session_state.pop(_REFUSED, "")
    if refused:
        st.error(plain(refused))
    try:
        yield
    except EmotionError as error:
        st.error(plain(str(error)))
        if ends:
            st.stop()


def guarded(callback: Callable[_P, None]) -> Callable[_P, None]:
    """Return a callback of a widget whose refusal the next box shows: it runs before the page."""

    @wraps(callback)
    def run(*args: _P.args, **kwargs: _P.kwargs) -> None:
        try:
            callback(*args, **kwargs)
        except EmotionError as error:
            st.session_state[_REFUSED] = str(error)

    return run
