"""The options of a reading, one click away and right as they are."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import streamlit as st

from emotion_core.analysis import ReadOptions
from emotion_core.cards import DEFAULT_PRIOR, PRIORS
from emotion_core.draw import DrawOptions
from emotion_core.faces import DEFAULT_DETECTOR, DETECTORS
from emotion_core.registry import DEFAULT_COMMITTEE, DEFAULT_MODEL, committees, reads_faces
from emotion_core.texts import say

from . import resources
from .errors import plain

#: What was chosen holds on every page until the visit ends.
KEPT: Any = {"persist_state": "session"}


@dataclass(frozen=True)
class Choice:
    """What the person chose.

    Attributes:
        model_ids: One model, or a committee with its leader first.
        vote: `soft` or `hard`.
        prior: One of `cards.PRIORS`.
        detector: Name of the detector.
        min_confidence: Of the detector; None is its own default.
        reading: Options of the reading.
        drawing: Options of the drawing.
    """

    model_ids: tuple[str, ...]
    vote: str
    prior: str
    detector: str
    min_confidence: float | None
    reading: ReadOptions
    drawing: DrawOptions


def choose(
    *,
    more: Callable[[], list[str]] | None = None,
    in_job: bool = False,
    is_mirrored: bool = False,
) -> Choice:
    """Show the options in an expander and return the choice.

    All of it is one block of the page: what is told under the expander moves nothing after it, and
    the picture of a camera, which would begin anew, stays.

    Args:
        more: Shows what else a page asks, in the same expander; returns what of it is not as it
            comes.
        in_job: Whether a worker will read, which takes large networks, too.
        is_mirrored: Whether faces are read with their mirror image as the page comes.
    """
    block = st.container()
    with block.expander(say("options.title")):
        left, middle, right = st.columns(3)
        with left:
            model_ids, vote = _choose_model(in_job=in_job)
            prior = choose_prior(model_ids, key="prior")
        with middle:
            detector, min_confidence = _choose_detector()
        with right:
            reading = _choose_reading(is_mirrored=is_mirrored)
        also_told = more() if more else []
        drawing = DrawOptions(
            by_valence=st.checkbox(say("options.by_valence"), key="by_valence", **KEPT),
            show_affect=st.checkbox(say("options.show_affect"), key="show_affect", **KEPT),
            show_bars=st.checkbox(say("options.show_bars"), key="show_bars", **KEPT),
        )
    chosen = Choice(model_ids, vote, prior, detector, min_confidence, reading, drawing)
    with block:
        _show_what_differs(chosen, also_told, is_mirrored=is_mirrored)
    return chosen


def _show_what_differs(choice: Choice, also_told: list[str], *, is_mirrored: bool) -> None:
    """Say under the closed expander what is not as it comes: it holds on every page."""
    told = []
    if choice.model_ids != (DEFAULT_MODEL,):
        told.append(say("options.by", models=", ".join(choice.model_ids)))
    if len(choice.model_ids) > 1:
        told.append(say(f"options.vote_{choice.vote}"))
    if choice.prior != DEFAULT_PRIOR:
        told.append(say("options.at_prior", prior=say(f"options.prior_{choice.prior}")))
    if choice.reading.threshold is not None:
        told.append(say("options.at_threshold", percent=f"{choice.reading.threshold:.0%}"))
    if choice.reading.flip != is_mirrored:
        told.append(say("options.tta" if choice.reading.flip else "options.no_tta"))
    if choice.detector != DEFAULT_DETECTOR:
        told.append(say("options.found_by", detector=choice.detector))
    if choice.min_confidence is not None:
        told.append(say("options.at_confidence", percent=f"{choice.min_confidence:.0%}"))
    told += also_told
    if told:
        st.caption(plain(say("options.differs", told="; ".join(told))))


def _choose_model(*, in_job: bool) -> tuple[tuple[str, ...], str]:
    cards = [e.card for e in resources.models() if e.card and reads_faces(e.card, in_job=in_job)]
    titles = resources.titles(cards)

    def told(ids: tuple[str, ...]) -> str:
        if len(ids) == 1:
            return titles[ids[0]]
        kind = "committee" if ids == DEFAULT_COMMITTEE else "committee_all"
        return say(f"options.{kind}", n=len(ids))

    chosen = st.selectbox(
        say("options.model"),
        [*((model_id,) for model_id in titles), *committees(cards)],
        format_func=told,
        key="model",
        help=say("options.model_help"),
        **KEPT,
    )
    vote = "soft"
    if chosen and len(chosen) > 1:
        vote = st.radio(
            say("options.vote"),
            ["soft", "hard"],
            format_func=lambda rule: say(f"options.vote_{rule}"),
            help=say("options.vote_help"),
            key="vote",
            **KEPT,
        )
    return tuple(chosen or ()), vote


def choose_prior(model_ids: Sequence[str], *, key: str) -> str:
    """Ask how frequent expressions are taken for; say which models do not know it."""
    prior = st.radio(
        say("options.prior"),
        PRIORS,
        index=PRIORS.index(DEFAULT_PRIOR),
        format_func=lambda name: say(f"options.prior_{name}"),
        help=say("options.prior_help"),
        key=key,
        **KEPT,
    )
    by_id = {entry.id: entry.card for entry in resources.models() if entry.card}
    unknown = [by_id[one].title for one in model_ids if one in by_id and not by_id[one].prior]
    if prior == "balanced" and unknown:
        st.caption(say("options.prior_unknown", names=plain(", ".join(unknown))))
    return str(prior)


def _choose_detector() -> tuple[str, float | None]:
    ready = [state.name for state in resources.detectors() if state.is_ready]
    name = st.selectbox(
        say("options.detector"),
        ready,
        index=ready.index(DEFAULT_DETECTOR) if DEFAULT_DETECTOR in ready else 0,
        help=say("options.detector_help"),
        key="detector",
        **KEPT,
    )
    if not DETECTORS[str(name)].says_how_sure:
        return str(name), None
    if st.checkbox(say("options.own_confidence"), value=True, key="own_confidence", **KEPT):
        return str(name), None
    percent = st.slider(
        say("options.confidence"),
        20,
        95,
        60,
        step=5,
        format="%d %%",
        help=say("options.confidence_help"),
        key="min_confidence",
        **KEPT,
    )
    return str(name), percent / 100


def _choose_reading(*, is_mirrored: bool) -> ReadOptions:
    flip = st.checkbox(
        say("options.tta"),
        value=is_mirrored,
        help=say("options.tta_help"),
        key="tta_photo" if is_mirrored else "tta",
        **KEPT,
    )
    if st.checkbox(say("options.own_threshold"), value=True, key="own_threshold", **KEPT):
        return ReadOptions(flip=flip)
    threshold = st.slider(
        say("options.threshold"),
        0,
        100,
        50,
        step=5,
        format="%d %%",
        help=say("options.threshold_help"),
        key="threshold",
        **KEPT,
    )
    return ReadOptions(flip=flip, threshold=threshold / 100)
