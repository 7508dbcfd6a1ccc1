"""Models and detectors that stay loaded between reruns."""

import streamlit as st

from emotion_core.classify import Recognizer
from emotion_core.faces import Detector, DetectorState, detector_states, load_detector
from emotion_core.registry import ModelEntry, list_models, load_recognizer


@st.cache_resource(max_entries=8, show_spinner=False)
def recognizer(model_ids: tuple[str, ...], vote: str) -> Recognizer:
    """Return a model or committee; shared by all sessions, since it locks itself."""
    return load_recognizer(model_ids, vote=vote)


@st.cache_resource(max_entries=4, show_spinner=False, scope="session")
def detector(name: str, min_confidence: float | None) -> Detector:
    """Return a detector of this session, so that visitors do not wait for each other."""
    return load_detector(name, min_confidence=min_confidence)


@st.cache_resource(ttl=60, show_spinner=False)
def models() -> list[ModelEntry]:
    """Return the models with their states; their hashes are checked once a minute."""
    return list_models()


@st.cache_resource(ttl=60, show_spinner=False)
def detectors() -> list[DetectorState]:
    """Return the states of the detectors."""
    return detector_states()
