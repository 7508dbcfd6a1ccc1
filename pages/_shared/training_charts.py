"""Charts of trainings: curves, confusion, reliability, what abstaining buys."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray

from emotion_core import metrics
from emotion_core.datasets.naming import in_label_order
from emotion_core.labels import UNCERTAIN
from emotion_core.palette import COLOURS
from emotion_core.texts import figure_name, say

from .charts import DASHES, GREY, affect_ground
from .gallery import label_text
from .names import in_figure

#: Told apart in light and dark; lines differ in their dash, marks in their symbol besides.
LINE_COLOURS = ("#05779C", "#D51934", "#1EA861", "#8F38ED", "#B68D0C", "#BA1761", "#3597F8")
_SYMBOLS = ("circle", "square", "diamond", "cross", "x", "triangle-up", "star", "hexagon")
#: Figures of a history that are shares of the faces, or means of such.
_SHARES = {"val_accuracy", "val_macro_f1", "val_mean_recall"}
_MARGINS = {"l": 0, "r": 8, "t": 8, "b": 0}


def curves(
    histories: Mapping[str, Sequence[Mapping[str, float]]], figures: Sequence[str]
) -> go.Figure:
    """Figures over epochs, a line per history and figure; histories by the name that is shown.

    A line goes on over epochs without its figure, and shows where there is one.
    """
    figure = go.Figure()
    number, drawn = 0, set()
    for title, history in histories.items():
        for name in figures:
            rows = [row for row in history if pd.notna(row.get(name))]
            if not rows:
                continue
            shown = figure_name(name)
            drawn.add(name)
            figure.add_scatter(
                x=[row["epoch"] for row in rows],
                y=[row[name] for row in rows],
                mode="lines" if len(rows) == len(history) > 2 else "lines+markers",
                name=shown if len(histories) == 1 else in_figure(f"{title}: {shown}"),
                line={
                    "color": LINE_COLOURS[number % len(LINE_COLOURS)],
                    "dash": DASHES[number % len(DASHES)],
                    "width": 2,
                },
            )
            number += 1
    figure.update_xaxes(title=say("training.epoch"), rangemode="tozero")
    if drawn and all(name.startswith("val_") for name in drawn):
        figure.update_yaxes(title=say("training.on_validation"))
    if drawn <= _SHARES:
        figure.update_yaxes(tickformat=".0%")
    figure.update_layout(
        height=300,
        margin=_MARGINS,
        showlegend=True,
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"},
        hovermode="x unified",
    )
    return figure


def confusion(counts: NDArray[np.int64], labels: Sequence[str]) -> go.Figure:
    """Rows are labels, columns answers; the shade is the share of the row, the number the count."""
    totals = np.maximum(counts.sum(axis=1, keepdims=True), 1)
    names = [in_figure(label_text(name)) for name in labels]
    shares = counts / totals
    figure = go.Figure(
        go.Heatmap(
            z=shares,
            x=names,
            y=names,
            text=counts,
            texttemplate="%{text}",
            customdata=100 * shares,
            # opaque, since plotly picks the ink of the numbers by these colours alone
            colorscale=[[0, "#E4EFF4"], [1, "#05779C"]],
            zmin=0,
            zmax=1,
            showscale=False,
            hovertemplate=say("training.confusion_hover") + "<extra></extra>",
        )
    )
    figure.update_yaxes(autorange="reversed", title=say("training.label_axis"))
    figure.update_xaxes(title=say("training.answer_axis"), side="top")
    figure.update_layout(height=90 + 40 * len(names), margin=_MARGINS)
    return figure


def affect_cloud(answers: pd.DataFrame, *, coordinates: str) -> go.Figure:
    """Where pictures' `valence` and `arousal` lie, a mark in colour and shape of its `truth`."""
    figure = affect_ground(coordinates).update_traces(showlegend=False)
    for number, name in enumerate(in_label_order(answers["truth"])):
        rows = answers[answers["truth"] == name]
        figure.add_scatter(
            x=rows["valence"],
            y=rows["arousal"],
            mode="markers",
            name=in_figure(label_text(name)),
            marker={
                "color": COLOURS.get(name, COLOURS[UNCERTAIN]),
                "symbol": _SYMBOLS[number % len(_SYMBOLS)],
                "size": 6,
                "opacity": 0.6,
            },
            hovertemplate="%{x:.2f}, %{y:.2f}",
        )
    figure.update_layout(height=410, showlegend=True, legend={"itemsizing": "constant"})
    return figure


def reliability(
    sure: NDArray[np.floating], right: NDArray[np.floating], n: NDArray[np.integer]
) -> go.Figure:
    """How often answers of some confidence are right; on the line they are as sure as right.

    Takes what `metrics.reliability` gives.
    """
    figure = go.Figure()
    figure.add_scatter(
        x=[0, 1], y=[0, 1], mode="lines", line={"color": GREY, "dash": "dot"}, hoverinfo="skip"
    )
    figure.add_scatter(
        x=sure,
        y=right,
        mode="lines+markers",
        marker={"size": 5 + 14 * np.sqrt(n / n.max()), "color": LINE_COLOURS[0]},
        text=n,
        hovertemplate=say("training.reliability_hover") + "<extra></extra>",
    )
    figure.update_xaxes(title=say("training.confidence"), range=[0, 1.02], tickformat=".0%")
    figure.update_yaxes(title=say("training.right"), range=[0, 1.02], tickformat=".0%")
    figure.update_layout(height=300, margin=_MARGINS, showlegend=False)
    return figure


def coverage(
    probs: NDArray[np.floating], truth: NDArray[np.integer], threshold: float
) -> go.Figure:
    """Share answered and accuracy of the answers over the threshold under which it abstains."""
    thresholds, answered, right = metrics.coverage_curve(probs, truth)
    figure = go.Figure()
    for number, (name, values) in enumerate((("answered", answered), ("right", right))):
        figure.add_scatter(
            x=thresholds,
            y=values,
            mode="lines",
            name=say(f"training.{name}"),
            line={"color": LINE_COLOURS[number], "dash": DASHES[number], "width": 2},
        )
    figure.add_vline(x=threshold, line_color=GREY, line_width=2)
    figure.update_xaxes(title=say("training.threshold"), range=[0, 1], tickformat=".0%")
    figure.update_yaxes(range=[0, 1.02], tickformat=".0%")
    figure.update_layout(
        height=300,
        margin=_MARGINS,
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"},
        hovermode="x unified",
    )
    return figure


def robustness(accuracy: float, under: Mapping[str, float]) -> go.Figure:
    """Accuracy on faces that are made worse, a bar each; the line is how it reads them as they
    are."""
    names = [say(f"models.under_{name}") for name in under]
    figure = go.Figure(
        go.Bar(
            y=names,
            x=list(under.values()),
            orientation="h",
            marker_color=LINE_COLOURS[0],
            text=[f"{share:.1%} ({100 * (share - accuracy):+.1f})" for share in under.values()],
            textposition="inside",
            insidetextanchor="start",
            hovertemplate="%{y}: %{x:.1%}<extra></extra>",
        )
    )
    figure.add_vline(x=accuracy, line_color=GREY, line_width=2)
    figure.update_yaxes(autorange="reversed", ticks="")
    figure.update_xaxes(range=[0, 1], tickformat=".0%")
    figure.update_layout(height=40 + 26 * len(names), margin=_MARGINS, bargap=0.2)
    return figure


def answered(counts: pd.Series) -> go.Figure:
    """How often each label was answered; the colours are those of the expressions."""
    names = in_label_order(counts.index)
    figure = go.Figure(
        go.Bar(
            x=[in_figure(label_text(name)) for name in names],
            y=[int(counts[name]) for name in names],
            marker_color=[COLOURS.get(name, COLOURS[UNCERTAIN]) for name in names],
            text=[f"{counts[name] / counts.sum():.1%}" for name in names],
        )
    )
    figure.update_layout(height=300, margin=_MARGINS)
    return figure
