"""Figures of a model in tables: per label, and per prior."""

from collections.abc import Mapping
from typing import Any

import streamlit as st

from emotion_core import metrics
from emotion_core.texts import say

from . import gallery


def show_per_label(recall: Mapping[str, Mapping[str, Any]]) -> None:
    """Show n, recall with its interval, precision and F1 of each label.

    Args:
        recall: By label, as `metrics.figures` gives it.
    """
    rows = []
    for name, held in recall.items():
        hits = round((held["recall"] or 0) * held["n"])
        low, high = metrics.wilson_interval(hits, held["n"])
        rows.append(
            {
                "label": gallery.label_text(name),
                "n": held["n"],
                "recall": _percent(held["recall"]),
                "from": 100 * low,
                "to": 100 * high,
                "precision": _percent(held["precision"]),
                "f1": _percent(held["f1"]),
            }
        )
    percent = {
        name: st.column_config.NumberColumn(
            say(f"training.of_{name}"), format="%.1f %%", help=say(f"training.of_{name}_help")
        )
        for name in ("recall", "from", "to", "precision", "f1")
    }
    plain = {
        "label": st.column_config.Column(say("training.of_label")),
        "n": st.column_config.Column(say("training.of_n"), help=say("training.of_n_help")),
    }
    st.dataframe(
        rows,
        hide_index=True,
        column_config=plain | percent,
        placeholder="",
        alt=say("training.per_label"),
    )


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share
