"""All models side by side, and beside what others reach on the same faces."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
import streamlit as st

from emotion_core.benchmarks import BENCHMARKS, PEERS
from emotion_core.cards import KERAS_FILE, NETWORK_FILE, Card
from emotion_core.registry import DEFAULT_MODEL, ModelEntry, committee_records, model_folder
from emotion_core.texts import say

from . import resources
from .errors import error_box, plain

_COLUMNS = 3
#: How wide a figure and a source are, so that both can be read.
_FIGURE_PX, _SOURCE_PX = 80, 180
_ORDER = ("model", "prior", "accuracy", "interval", "mean_recall", "subtle", "ece", "source")
_TEXTS = ("model", "prior", "interval", "source")


def show(entries: Sequence[ModelEntry]) -> None:
    """Show a tile per model, and the tables of the benchmarks."""
    st.markdown(say("models.lead"))
    for start in range(0, len(entries), _COLUMNS):
        for entry, column in zip(
            entries[start : start + _COLUMNS], st.columns(_COLUMNS), strict=False
        ):
            tile = column.container(border=True, height="stretch", key=f"tile-{entry.id}")
            with tile, error_box(ends=False):  # it may have been removed meanwhile
                _show_tile(entry)
    _show_benchmarks([entry.card for entry in entries if entry.card])


def _show_tile(entry: ModelEntry) -> None:
    if entry.card is None:
        st.subheader(plain(entry.id), anchor=False)
        st.error(plain(entry.problem))
        return
    card = entry.card
    st.subheader(plain(card.title), anchor=False)
    kind = say("models.default") if card.id == DEFAULT_MODEL else ""
    st.caption(say("models.tile", id=card.id, kind=kind, size=size_text(card)))
    split, shown = main_figures(card)
    if shown:
        left, right = st.columns(2)
        left.metric(
            say(f"training.accuracy_{split}"),
            f"{shown['accuracy']:.1%}",
            help=say(f"training.accuracy_{split}_help"),
        )
        balanced = card.metrics.get(f"{split}_balanced", shown)
        right.metric(
            say("models.mean_recall"),
            f"{balanced['mean_recall']:.1%}",
            help=say("models.mean_recall_help"),
        )
        st.caption(plain(say("models.tile_rule", rule=shown["rule"], n=shown["n"])))
    else:
        st.caption(say("models.no_figures"))
    if st.button(say("models.open"), key=f"open-{card.id}"):
        st.session_state["model_shown"] = card.id
        st.rerun()


def main_figures(card: Card) -> tuple[str, dict[str, Any]]:
    """Return the figures that a model is known by, and of which split: test before validation."""
    for split in ("test", "validation"):
        if split in card.metrics:
            return split, card.metrics[split]
    return "validation", {}


def size_text(card: Card) -> str:
    """Return how large the network's file is, in words."""
    name = NETWORK_FILE if NETWORK_FILE in card.files else KERAS_FILE
    path = model_folder(card.id) / name
    return say("models.size", mb=path.stat().st_size / 1e6, n=card.parameters)


def _show_benchmarks(cards: Sequence[Card]) -> None:
    named = resources.titles(cards)
    kept = {named[card.id]: card.metrics.get("benchmarks", {}) for card in cards}
    for model, figures in committee_records().figures.items():
        title = _committee_title(model)
        if title in kept:
            title = f"{title}: {model.partition('(')[2].rstrip(')').replace(',', ', ')}"
        kept[title] = figures
    names = [name for name in BENCHMARKS if any(name in held for held in kept.values())]
    if not names:
        return
    st.subheader(say("models.beside_title"))
    for name in names:
        held = next(figures[name] for figures in kept.values() if name in figures)
        st.markdown(say(f"models.of_{name}"))
        told = ", ".join(f"n {n:,} {say(f'models.n_{key}')}" for key, n in held["n"].items() if n)
        st.caption(plain(f"{held['rule']}; {told}."))
        _show_table(_rows(kept, name), say(f"models.of_{name}"))
    st.caption(say("benchmark.peers"))


def _committee_title(model: str) -> str:
    rule, _, members = model.partition("(")
    return say("models.committee", n=members.count(",") + 1, vote=say(f"options.vote_{rule}"))


def _rows(kept: dict[str, dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """Return our rows, without the mirror image, then those of others."""
    rows = [
        {"model": title, "prior": say(f"options.prior_{row['prior']}"), **_figures(row)}
        for title, figures in kept.items()
        if name in figures
        for row in figures[name]["rows"]
        if not row["mirrored"]
    ]
    peers = PEERS[name].to_dict("records")
    rows += [{"model": row["model"], "source": row["source"], **_figures(row)} for row in peers]
    return rows


def _figures(row: dict[Any, Any]) -> dict[str, Any]:
    """Return the figures of a row, the ends of the interval in one text."""
    held = row_figures(row)
    low, high = held.pop("accuracy_low", None), held.pop("accuracy_high", None)
    return held if low is None else {**held, "interval": f"{low:.1f}–{high:.1f}"}


def row_figures(row: dict[Any, Any]) -> dict[str, float]:
    """Return what a table shows of a row of a benchmark, in percent."""
    names = ("accuracy", "accuracy_low", "accuracy_high", "mean_recall", "subtle", "ece")
    return {name: 100 * row[name] for name in names if name in row and row[name] == row[name]}


def _show_table(rows: list[dict[str, Any]], alt: str) -> None:
    table = pd.DataFrame(rows).dropna(axis=1, how="all")
    columns: Any = {
        name: st.column_config.NumberColumn(
            say(f"models.column_{name}"),
            format="%.1f %%",
            width=_FIGURE_PX,
            help=say(f"models.column_{name}_help"),
        )
        if name not in _TEXTS
        else st.column_config.Column(
            say(f"models.column_{name}"), width=_SOURCE_PX if name == "source" else None
        )
        for name in map(str, table)
    }
    st.dataframe(
        table,
        hide_index=True,
        column_config=columns,
        column_order=[name for name in _ORDER if name in table],
        height="content",
        placeholder="",
        alt=alt,
    )
