"""Whose browser this is, and whose machine."""

import re
import secrets
from contextlib import suppress
from datetime import datetime
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import streamlit as st

from emotion_core.errors import StorageError
from emotion_core.files import atomic_write, work_folder
from emotion_core.workbench.store import COMMAND_LINE

_COOKIE = "mien_owner"
#: How this machine is called by itself.
LOOPBACK = ("127.0.0.1", "localhost", "::1")
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")
_YEAR_S = 31_536_000


def is_own_machine() -> bool:
    """Return whether the app answers this machine alone, and was asked for as such.

    A page elsewhere may let its own name lead here (DNS rebinding), and a proxy hands on that of
    the studio: whoever comes by such a name is a visitor like others.
    """
    asked = urlsplit(f"//{st.context.headers.get('Host', '')}").hostname
    return st.get_option("server.address") in LOOPBACK and asked in (None, *LOOPBACK)


def owner() -> str:
    """Return whose jobs this visitor starts and sees.

    The signed-in user, else a random token that the browser keeps; whoever has neither sees
    nothing of others. On a machine of one's own a browser without a token takes that of the
    first one, so that a second browser finds the same things.
    """
    if getattr(st.user, "is_logged_in", False):
        return f"user:{st.user.get('sub') or st.user.get('email')}"
    if "owner" not in st.session_state:
        kept = str(st.context.cookies.get(_COOKIE, ""))
        is_kept = _TOKEN.fullmatch(kept) is not None
        token = kept if is_kept else secrets.token_urlsafe(32)
        if is_own_machine():
            first = _first_token(token)
            token = token if is_kept else first
        st.session_state["owner"] = token
    return str(st.session_state["owner"])


def _first_token(token: str) -> str:
    """Return the token of the first browser on this machine; without one, note this one."""
    with suppress(OSError, StorageError):  # of which the page tells
        note = work_folder() / "owner"
        noted = note.read_text(encoding="utf-8", errors="replace") if note.is_file() else ""
        if _TOKEN.fullmatch(noted):
            return noted
        atomic_write(note, token)
    return token


def clock(at_s: float) -> datetime:
    """Return a moment as the visitor's clock shows it, without its zone; as the server's does where
    the browser does not tell."""
    try:
        zone = ZoneInfo(st.context.timezone) if st.context.timezone else None
    except (ZoneInfoNotFoundError, ValueError):
        zone = None
    return datetime.fromtimestamp(at_s, zone).replace(tzinfo=None)


def owners() -> tuple[str, ...]:
    """Return whose data sets and trainings this visitor sees.

    On a machine of one's own that is who works on the command line, too.
    """
    return (owner(), COMMAND_LINE) if is_own_machine() else (owner(),)


def remember_owner() -> None:
    """Let the browser keep the token, for a year from this visit on; called on every page."""
    token = owner()
    if token.startswith("user:"):
        return
    st.html(
        f"<script>document.cookie = '{_COOKIE}={token}; path=/; max-age={_YEAR_S}; "
        "SameSite=Strict' + (location.protocol === 'https:' ? '; Secure' : '');</script>",
        unsafe_allow_javascript=True,
    )


def session_id() -> str:
    """Return a name for this visit: one tab of one browser."""
    return str(st.session_state.setdefault("visit", secrets.token_hex(8)))
