"""Charts of data sets; what is clicked or drawn around in them names pictures."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from emotion_core.datasets.naming import in_label_order
from emotion_core.datasets.splits import TEST, TRAIN, VAL
from emotion_core.labels import UNCERTAIN
from emotion_core.palette import COLOURS
from emotion_core.texts import say

from .charts import GREY
from .gallery import label_text
from .names import in_figure

#: Pictures that a strip has marks for at most.
STRIP_POINTS = 3_000
_MARGINS = {"l": 0, "r": 8, "t": 8, "b": 0}
_SHADES = {TRAIN: 1.0, VAL: 0.7, TEST: 0.45, "": 1.0}
#: Marks differ in more than their colour.
_SYMBOLS = ("circle", "square", "diamond", "cross", "x", "triangle-up", "triangle-down", "star")


def balance(table: pd.DataFrame) -> go.Figure:
    """Bars of pictures per label, a part per split; each part names its label and split."""
    labels = in_label_order(table["label"].dropna())
    figure = go.Figure()
    for split in (TRAIN, VAL, TEST, ""):
        rows = table[(table["split"] == split) & table["label"].notna()]
        if not len(rows):
            continue
        counts = rows["label"].value_counts()
        figure.add_bar(
            y=[in_figure(label_text(label)) for label in labels],
            x=[int(counts.get(label, 0)) for label in labels],
            orientation="h",
            name=say(f"dataset.split_{split or 'none'}"),
            marker={
                "color": [COLOURS.get(label, COLOURS[UNCERTAIN]) for label in labels],
                "opacity": _SHADES[split],
                "pattern": {"shape": {VAL: "/", TEST: "x"}.get(split, "")},
            },
            customdata=[[label, split] for label in labels],
            hovertemplate="%{y}: %{x}<extra>%{fullData.name}</extra>",
        )
    figure.update_yaxes(autorange="reversed", ticks="")
    figure.update_layout(
        barmode="stack",
        height=60 + 34 * max(1, len(labels)),
        margin=_MARGINS,
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"},
        clickmode="event+select",
    )
    return figure


def strip_rows(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of an index that a strip is about: labelled pictures that can be read."""
    return table[table["label"].notna() & table["is_readable"]]


def strip(table: pd.DataFrame, column: str) -> go.Figure:
    """A measure per label: a mark per picture, of many a sample, and a line at each median."""
    labels = in_label_order(table["label"].dropna())
    figure = go.Figure()
    rows = strip_rows(table)
    medians = rows.groupby("label")[column].median()
    if len(rows) > STRIP_POINTS:
        rows = rows.sample(STRIP_POINTS, random_state=0)
    spread = np.random.default_rng(0).uniform(-0.32, 0.32, len(rows))
    # of no rows it would stay a column of words
    height = rows["label"].map({label: i for i, label in enumerate(labels)}).astype(float) + spread
    figure.add_scatter(
        x=rows[column],
        y=height,
        mode="markers",
        marker={
            "size": 5,
            "opacity": 0.7,
            "color": [COLOURS.get(label, COLOURS[UNCERTAIN]) for label in rows["label"]],
        },
        customdata=rows[["path"]].to_numpy(),
        hovertemplate="%{customdata[0]}: %{x}<extra></extra>",
        showlegend=False,
    )
    for i, label in enumerate(labels):
        if label in medians:
            figure.add_shape(
                type="line", x0=medians[label], x1=medians[label], y0=i - 0.42, y1=i + 0.42,
                line={"color": GREY, "width": 3},
            )  # fmt: skip
    figure.update_yaxes(
        tickvals=list(range(len(labels))),
        ticktext=[in_figure(label_text(label)) for label in labels],
        autorange="reversed",
        showgrid=False,
    )
    figure.update_layout(
        height=60 + 40 * max(1, len(labels)), margin=_MARGINS, dragmode="select",
        clickmode="event+select",
    )  # fmt: skip
    return figure


def histogram(values: pd.Series, threshold: float | None = None) -> go.Figure:
    """Bars of how often a value occurs, and a line at a threshold."""
    figure = go.Figure(go.Histogram(x=values, nbinsx=60, marker_color="#05779C"))
    if threshold is not None:
        figure.add_vline(x=threshold, line_color="#D51934", line_width=2)
    figure.update_layout(height=180, margin=_MARGINS, bargap=0.05)
    return figure


def scatter(points: pd.DataFrame, label: pd.Series) -> go.Figure:
    """The map: a mark per picture, coloured by label.

    Args:
        points: Columns `path`, `x` and `y`.
        label: One per row; missing where there is none.
    """
    figure = go.Figure()
    names = [*in_label_order(label.dropna()), None]
    for number, name in enumerate(names):
        rows = points[label.isna() if name is None else label == name]
        if not len(rows):
            continue
        figure.add_scatter(
            x=rows["x"],
            y=rows["y"],
            mode="markers",
            name=in_figure(label_text(name)),
            marker={
                "size": 6,
                "opacity": 0.75,
                "color": COLOURS.get(str(name), COLOURS[UNCERTAIN]),
                "symbol": _SYMBOLS[number % len(_SYMBOLS)],
            },
            customdata=rows[["path"]].to_numpy(),
            hovertemplate="%{customdata[0]}<extra>%{fullData.name}</extra>",
        )
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)
    figure.update_layout(
        height=520,
        margin=_MARGINS,
        dragmode="lasso",
        legend={"orientation": "h", "y": -0.02, "yanchor": "top"},
    )
    return figure


def chosen_points(
    figure: go.Figure, *, key: str, alt: str, modes: Sequence[Literal["points", "lasso", "box"]]
) -> list[list[Any]]:
    """Show a chart; return the `customdata` of what is chosen in it."""
    event = st.plotly_chart(
        figure,
        key=key,
        on_select="rerun",
        selection_mode=modes,
        config={"displayModeBar": len(modes) > 1, "displaylogo": False},
        alt=alt,
    )
    points = event["selection"]["points"] if event else []
    return [list(point["customdata"]) for point in points if point.get("customdata") is not None]
