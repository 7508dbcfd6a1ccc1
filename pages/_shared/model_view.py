"""One model: figures at both priors, diagrams, robustness, latency here, terms."""

from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from emotion_core.affect import COORDINATES
from emotion_core.card_text import card_text, training_lines
from emotion_core.cards import HISTORY_FILE, Card
from emotion_core.classify import BUDGET_MS, measure_latency
from emotion_core.jobs import owner_hash
from emotion_core.registry import (
    adder_of,
    delete_model,
    is_shipped,
    load_model,
    model_folder,
    reads_faces,
)
from emotion_core.texts import say

from . import figures, gallery, histories, resources, training_charts, visitor
from .errors import plain
from .models_grid import main_figures, row_figures, size_text

#: Columns of the table of both priors.
_FIGURES = (
    "accuracy", "accuracy_low", "accuracy_high", "mean_recall", "ece", "nll", "brier",
)  # fmt: skip


def show(card: Card) -> None:
    """Show everything that is known of a model."""
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button(say("models.back"), key="model_back"):
            st.session_state.pop("model_shown")
            st.rerun()
        st.subheader(plain(card.title), anchor=False)
    st.caption(say("models.line", id=card.id, network=plain(card.network), size=size_text(card)))
    split, shown = main_figures(card)
    if shown:
        _show_priors(card, split)
        _show_diagrams(card, shown)
    affect = card.metrics.get(f"{split}_affect")
    if affect:
        st.markdown(
            say("models.affect", system=card.coordinates, n=f"{affect['n']:,}", mae=affect["mae"])
        )
    _show_affect(card)
    _show_latency(card)
    _show_history(card)
    _show_terms(card)
    is_mine = visitor.is_own_machine() or adder_of(card.id) == owner_hash(visitor.owner())
    if is_mine and not is_shipped(card.id):
        _offer_deletion(card)


def _offer_deletion(card: Card) -> None:
    with st.popover(say("models.delete")):
        st.caption(say("models.delete_text"))
        if st.button(say("models.delete_really"), key=f"delete-model-{card.id}"):
            delete_model(card.id)
            resources.models.clear()
            st.session_state.pop("model_shown")
            st.session_state.get("model_latency", {}).pop(card.id, None)
            if card.id in st.session_state.get("model", ()):
                st.session_state.pop("model")
            st.rerun()


def _show_priors(card: Card, split: str) -> None:
    """Show the figures at both priors, and what the choice means."""
    st.markdown(say(f"models.figures_{split}", rule=plain(card.metrics[split]["rule"])))
    rows = []
    for prior, key in (("data", split), ("balanced", f"{split}_balanced")):
        held = card.metrics.get(key)
        if held:
            low, high = held["accuracy_interval_95"]
            rows.append(
                {
                    "prior": say(f"options.prior_{prior}"),
                    "n": held["n"],
                    "nll": held["nll"],
                    "brier": held["brier"],
                    **row_figures(
                        {
                            **held,
                            "accuracy_low": low,
                            "accuracy_high": high,
                            "ece": held["ece_15_bins"],
                        }
                    ),
                }
            )
    columns: dict[str, Any] = {
        name: st.column_config.NumberColumn(
            say(f"models.column_{name}"),
            format="%.3f" if name in ("nll", "brier") else "%.1f %%",
            help=say(f"models.column_{name}_help"),
        )
        for name in _FIGURES
    }
    for name in ("prior", "n"):
        columns[name] = st.column_config.Column(say(f"models.column_{name}"))
    table = pd.DataFrame(rows)[["prior", "n", *_FIGURES]]
    st.dataframe(table, hide_index=True, column_config=columns, alt=say("models.priors_alt"))
    if len(rows) > 1 and card.prior:
        most = int(np.argmax(card.prior))
        share = f"{card.prior[most]:.0%}"
        label = gallery.label_text(card.labels[most])
        st.caption(plain(say("models.prior_text", label=label, share=share)))
    else:
        st.caption(say("models.prior_unknown"))


def _show_diagrams(card: Card, shown: dict[str, Any]) -> None:
    left, right = st.columns(2, gap="large")
    with left:
        if "confusion" in shown:
            _chart(
                training_charts.confusion(np.array(shown["confusion"]), card.labels),
                f"confusion-{card.id}",
                say("models.confusion"),
            )
    with right:
        st.markdown(say("models.per_label"))
        figures.show_per_label(shown["recall"])
    left, right = st.columns(2, gap="large")
    with left:
        if "reliability" in shown:
            held = shown["reliability"]
            _chart(
                training_charts.reliability(
                    *(np.array(held[name]) for name in ("sure", "right", "n"))
                ),
                f"reliability-{card.id}",
                say("models.calibration"),
            )
    with right:
        robust = card.metrics.get("robustness")
        if robust:
            _chart(
                training_charts.robustness(robust["accuracy"], robust["under"]),
                f"robustness-{card.id}",
                say("models.robustness"),
            )
            st.caption(say("models.robustness_text", n=f"{robust['n']:,}"))


def _show_affect(card: Card) -> None:
    """Show how near valence and arousal come to those of the votes."""
    rows = card.metrics.get("benchmarks", {}).get("ferplus", {}).get("rows", [])
    shown = next((row for row in rows if "valence_ccc_rays" in row), None)
    if shown is None:
        return
    st.markdown(say("models.affect_title"))
    table = [
        {
            say("models.system"): say(f"models.system_{system}"),
            **{
                say(f"models.{name}_{figure}"): shown[f"{name}_{figure}_{system}"]
                for name in ("valence", "arousal")
                for figure in ("ccc", "mae")
            },
        }
        for system in COORDINATES
    ]
    format_of = {
        name: st.column_config.NumberColumn(format="%.3f")
        for name in table[0]
        if name != say("models.system")
    }
    st.dataframe(table, hide_index=True, column_config=format_of, alt=say("models.affect_alt"))
    st.caption(say("models.affect_text"))


def _show_latency(card: Card) -> None:
    """Measure how long one face takes, on this machine and now."""
    st.markdown(say("models.latency_title"))
    if not reads_faces(card):
        st.caption(say("models.latency_large"))
        return
    held: dict[str, dict[str, float]] = st.session_state.setdefault("model_latency", {})
    if st.button(say("models.measure"), key=f"measure-{card.id}"):
        with st.spinner(say("models.measuring")):
            held[card.id] = measure_latency(load_model(card.id))
    if card.id in held:
        told = held[card.id]
        columns = st.columns(4)
        shown = {name: f"{told[name]:.2f} ms" for name in ("median_ms", "mean_ms", "p95_ms")}
        shown["calls"] = f"{told['calls']:.0f}"
        for column, (name, value) in zip(columns, shown.items(), strict=True):
            column.metric(say(f"models.{name}"), value, help=say(f"models.{name}_help"))
        st.caption(say("models.latency_text", budget=BUDGET_MS))


def _show_history(card: Card) -> None:
    path = model_folder(card.id) / HISTORY_FILE
    if path.is_file():
        st.markdown(say("models.history"))
        rows: list[Any] = pd.read_csv(path).to_dict("records")
        histories.show(card.title, rows, key=f"model-{card.id}")


def _show_terms(card: Card) -> None:
    left, right = st.columns(2, gap="large")
    with left:
        st.subheader(say("models.trained_on"), anchor=False)
        listed = "\n".join(f"- {plain(line)}" for line in training_lines(card))
        st.markdown(listed or say("models.not_known"))
    with right:
        st.subheader(say("models.failures"), anchor=False)
        listed = "\n".join(f"- {plain(limit)}" for limit in card.limits)
        st.markdown(listed)
        st.subheader(say("models.use"), anchor=False)
        st.markdown(say("models.intended", text=plain(card.intended)))
        st.markdown(say("models.forbidden", text=plain(card.forbidden)))
    st.download_button(say("models.download"), card_text(card), f"{card.id}.md", on_click="ignore")


def _chart(figure: object, key: str, title: str) -> None:
    st.markdown(title)
    st.plotly_chart(figure, key=key, config={"displayModeBar": False}, alt=title)
