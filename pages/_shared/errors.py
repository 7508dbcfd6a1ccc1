"""The one box in which a refusal is shown."""

from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from emotion_core.errors import EmotionError

_MARKDOWN = str.maketrans({c: f"\\{c}" for c in "\\`*_{}[]<>()#+!|~$:"})


def plain(text: str) -> str:
    """Return a text, such as a file's name, so that Markdown leaves it as it is."""
    return text.translate(_MARKDOWN)


@contextmanager
def error_box() -> Iterator[None]:
    """Show what was refused and end the page there."""
    try:
        yield
    except EmotionError as error:
        st.error(plain(str(error)))
        st.stop()
