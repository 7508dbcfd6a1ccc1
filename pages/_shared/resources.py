"""Models and detectors that stay loaded between reruns."""

import gc
import logging
import os
import threading
import time
from collections import Counter
from collections.abc import Iterable

import streamlit as st

from emotion_core import limits
from emotion_core.cards import Card
from emotion_core.classify import Recognizer
from emotion_core.faces import Detector, DetectorState, detector_states, load_detector
from emotion_core.jobs import sweep_jobs
from emotion_core.live import LiveSession, LiveSlots, LiveTools
from emotion_core.registry import ModelEntry, list_models, load_recognizer
from emotion_core.workbench.store import sweep_datasets

_SWEEP_S = 600.0


def recognizer(model_ids: tuple[str, ...], vote: str, prior: str) -> Recognizer:
    """Return a model or committee; shared by all sessions, since it locks itself."""
    return _recognizer(model_ids, vote, prior, versions(model_ids))


def versions(model_ids: Iterable[str]) -> tuple[str, ...]:
    """Return what tells a model from another one that had its name before: hashes of its files."""
    held = {entry.id: entry.card for entry in models() if entry.card}
    return tuple(
        file for one in model_ids if one in held for file in sorted(held[one].files.values())
    )


@st.cache_resource(max_entries=8, show_spinner=False)
def _recognizer(
    model_ids: tuple[str, ...],
    vote: str,
    prior: str,
    files: tuple[str, ...],  # noqa: ARG001
) -> Recognizer:
    return load_recognizer(model_ids, vote=vote, prior=prior)


def titles(cards: Iterable[Card]) -> dict[str, str]:
    """Return what people read for each model, by id: its title, with the id where two share it.

    Widgets tell their choices apart by what they show.
    """
    held = list(cards)
    shared = Counter(card.title for card in held)
    return {c.id: c.title if shared[c.title] == 1 else f"{c.title} ({c.id})" for c in held}


@st.cache_resource(max_entries=4, show_spinner=False, scope="session")
def detector(name: str, min_confidence: float | None) -> Detector:
    """Return a detector of this session, so that visitors do not wait for each other."""
    return load_detector(name, min_confidence=min_confidence)


@st.cache_resource(show_spinner=False)
def photo_turns() -> threading.BoundedSemaphore:
    """Return what lets so many photos be read at once, whoever looks: each takes its memory."""
    return threading.BoundedSemaphore(limits.slots("MIEN_PHOTO_SLOTS", otherwise=2))


@st.cache_resource(show_spinner=False)
def sweeper() -> threading.Thread:
    """Delete what has expired every ten minutes, whether somebody is here or not.

    Garbage is collected here, too, since `.streamlit/config.toml` spares the pages that.
    """

    def sweep() -> None:
        while True:
            for forget in (sweep_jobs, sweep_datasets):
                try:
                    forget()
                except Exception:  # whatever it is, the next sweep is made
                    logging.exception("what has expired could not be deleted")
            gc.collect()
            time.sleep(_SWEEP_S)

    thread = threading.Thread(target=sweep, name="sweeper", daemon=True)
    thread.start()
    return thread


@st.cache_resource(show_spinner=False)
def live_slots() -> LiveSlots:
    """Return who may use a camera now; one for the whole server."""
    return LiveSlots(limits.slots("MIEN_LIVE_SLOTS", otherwise=os.cpu_count() or 1))


def _end_aside(session: LiveSession) -> None:
    """Close a camera in a thread of its own: Streamlit tells it on the loop that serves all pages
    and cameras, and a recording that ends takes its time. The server waits for it."""
    threading.Thread(target=session.close, name="live-end", daemon=False).start()


@st.cache_resource(scope="session", show_spinner=False, on_release=_end_aside)
def live_session(_tools: LiveTools) -> LiveSession:
    """Return the camera of this visitor; it is closed when the visitor goes."""
    return LiveSession(_tools)


@st.cache_resource(ttl=60, show_spinner=False)
def models() -> list[ModelEntry]:
    """Return the models with their states; their hashes are checked once a minute."""
    return list_models()


def card_of(model_id: str) -> Card | None:
    """Return the card of a model, None where there is no such model or its card is damaged."""
    return next((entry.card for entry in models() if entry.id == model_id), None)


@st.cache_resource(ttl=60, show_spinner=False)
def detectors() -> list[DetectorState]:
    """Return the states of the detectors."""
    return detector_states()
