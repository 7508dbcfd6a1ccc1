"""The options of a video: what the photo page asks, and time."""

from dataclasses import replace
from typing import Any

import streamlit as st

from emotion_core.analysis import VideoOptions
from emotion_core.texts import say
from emotion_core.videos import VideoTask

from . import options

_DEFAULTS = VideoOptions()


def choose_task() -> VideoTask:
    """Show the options in an expander and return what to make of a video."""
    chosen: list[tuple[VideoOptions, bool, float, float | None]] = []

    def more() -> list[str]:
        chosen.append(_choose_time())
        reading, has_video, *_ = chosen[0]
        told = [] if has_video else [say("options.without_video")]
        if reading.every != _DEFAULTS.every:
            told.append(say("options.read_one_in", n=reading.every))
        if reading.detect_every != _DEFAULTS.detect_every:
            told.append(say("options.search_one_in", n=reading.detect_every))
        return told + steadied_otherwise(reading)

    choice = options.choose(more=more, in_job=True)
    reading, has_video, start_s, end_s = chosen[0]
    return VideoTask(
        model_ids=choice.model_ids,
        vote=choice.vote,
        prior=choice.prior,
        detector=choice.detector,
        min_confidence=choice.min_confidence,
        options=replace(reading, reading=choice.reading),
        drawing=choice.drawing,
        has_video=has_video,
        start_s=start_s,
        end_s=end_s,
    )


def choose_smoothing() -> VideoOptions:
    """Show how readings are held steady; the live page asks the same."""
    smooth_s = st.slider(
        say("options.smooth"),
        0.0,
        2.0,
        _DEFAULTS.smooth_s,
        step=0.1,
        format="%.1f s",
        help=say("options.smooth_help"),
        key="smooth",
        **options.KEPT,
    )
    percent = st.slider(
        say("options.hysteresis"),
        0,
        50,
        round(100 * _DEFAULTS.hysteresis),
        step=5,
        format="%d %%",
        help=say("options.hysteresis_help"),
        key="hysteresis",
        **options.KEPT,
    )
    return VideoOptions(smooth_s=smooth_s, hysteresis=percent / 100)


def steadied_otherwise(chosen: VideoOptions) -> list[str]:
    """Return what of the choice of `choose_smoothing` is not as it comes."""
    told = []
    if chosen.smooth_s != _DEFAULTS.smooth_s:
        told.append(say("options.steady_over", seconds=f"{chosen.smooth_s:.1f}"))
    if chosen.hysteresis != _DEFAULTS.hysteresis:
        told.append(say("options.leads_by", percent=f"{chosen.hysteresis:.0%}"))
    return told


def _choose_time() -> tuple[VideoOptions, bool, float, float | None]:
    left, middle, right = st.columns(3)
    with left:
        has_video = st.checkbox(
            say("options.has_video"),
            value=True,
            help=say("options.has_video_help"),
            key="draw",
            **options.KEPT,
        )
        every = _number("every", 1, 1, 100, **options.KEPT)
        detect_every = _number("detect_every", 1, 1, 30, **options.KEPT)
    with middle:
        start_s = float(_number("start", 0.0, 0.0, 1e6, key=_of_this_video("start")))
        end_s = st.number_input(
            say("options.end"),
            min_value=0.0,
            value=None,
            placeholder=say("options.end_open"),
            key=_of_this_video("end"),
        )
        region = _choose_region()
    with right:
        steady = choose_smoothing()
    chosen = replace(steady, every=int(every), detect_every=int(detect_every), region=region)
    return chosen, has_video, start_s, end_s


def _of_this_video(name: str) -> str:
    """Return the key of what holds for one video alone: which part of it, and where."""
    return f"{name}-{st.session_state.get('video_round', 0)}"


def _number(
    name: str, value: float, low: float, high: float, *, key: str = "", **kept: Any
) -> float:
    return st.number_input(
        say(f"options.{name}"),
        min_value=low,
        max_value=high,
        value=value,
        help=say(f"options.{name}_help"),
        key=key or name,
        **kept,
    )


def _choose_region() -> tuple[float, float, float, float] | None:
    key = _of_this_video("region")
    if not st.checkbox(say("options.region"), help=say("options.region_help"), key=key):
        return None
    left, right = _choose_range("across")
    top, bottom = _choose_range("down")
    return left, top, right, bottom


def _choose_range(name: str) -> tuple[float, float]:
    low, high = st.slider(
        say(f"options.{name}"), 0, 100, (0, 100), step=5, format="%d %%", key=_of_this_video(name)
    )
    low = min(low, 95)
    return low / 100, max(high, low + 5) / 100
