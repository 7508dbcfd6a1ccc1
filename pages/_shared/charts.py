"""Charts that read in light and dark, with words beside the colours."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from emotion_core.affect import COORDINATES
from emotion_core.labels import UNCERTAIN
from emotion_core.palette import COLOURS
from emotion_core.texts import label_name, say
from emotion_core.types import Scores

from .names import in_figure

#: A grey that stands out on white and on Streamlit's dark ground alike.
GREY = "#808495"
#: Lines differ in more than their colour.
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot", "5px", "2px,4px")
#: Those of frequent expressions have hardly a gap.
_DASH_OF = {
    "happy": "solid",
    "neutral": "14px,2px",
    "sad": "8px,2px",
    "surprise": "14px,2px,2px,2px",
    "anger": "5px,3px",
    "fear": "8px,3px,2px,3px",
    "disgust": "2px,2px",
    "contempt": "2px,4px",
}
#: Points of a line that is drawn anew every second.
_POINTS = 240
#: Who was not seen for so long was away.
_GAP_S = 1.5


def distribution(scores: Scores, face: int, *, hatched: bool) -> go.Figure:
    """Bars of one face's probabilities, hatched where the model abstains.

    The labels keep their places, whatever leads.
    """
    names = [in_figure(label_name(name)) for name in scores.labels]
    probs = scores.probs[face]
    bars = go.Bar(
        y=names,
        x=probs,
        orientation="h",
        marker_color=[COLOURS.get(name, COLOURS[UNCERTAIN]) for name in scores.labels],
        marker_pattern_shape="/" if hatched else "",
        text=[f"{value:.0%}" for value in probs],
        textposition="outside",
        cliponaxis=False,
        hovertemplate="%{y}: %{x:.1%}<extra></extra>",
    )
    figure = go.Figure(bars)
    figure.update_yaxes(autorange="reversed", ticks="")
    figure.update_xaxes(range=[0, 1.3], visible=False)
    figure.update_layout(height=230, margin={"l": 0, "r": 0, "t": 0, "b": 0}, bargap=0.25)
    return figure


def label_line(label: str, number: int) -> dict[str, Any]:
    """Return colour, dashes and width of a label's line; of one that is no expression by number."""
    dash = _DASH_OF.get(label, DASHES[number % len(DASHES)])
    return {"color": COLOURS.get(label, COLOURS[UNCERTAIN]), "dash": dash, "width": 2}


def last_minute(history: Sequence[tuple[float, Mapping[str, float]]]) -> go.Figure:
    """Lines of one face's probabilities over the last minute; times are seconds before now."""
    figure = go.Figure()
    names = list(history[-1][1]) if history else []
    rows = [row for row in history if list(row[1]) == names][:: max(1, len(history) // _POINTS)]
    points: list[tuple[float, Mapping[str, float | None]]] = []
    for at_s, probs in rows:
        if points and at_s - points[-1][0] > _GAP_S:  # a point of nothing parts the line
            points.append((at_s, dict.fromkeys(names)))
        points.append((at_s, probs))
    for number, name in enumerate(names):
        figure.add_scatter(
            x=[at_s for at_s, _ in points],
            y=[probs[name] for _, probs in points],
            mode="lines",
            name=in_figure(label_name(name)),
            line=label_line(name, number),
            hoverinfo="skip",
        )
    figure.update_xaxes(range=[-60, 0], ticksuffix=" s", showgrid=False)
    figure.update_yaxes(range=[-0.02, 1.02], tickformat=".0%", tickvals=[0, 0.5, 1])
    figure.update_layout(
        height=220,
        margin={"l": 0, "r": 8, "t": 8, "b": 0},
        legend={"orientation": "h", "y": -0.2, "font": {"size": 11}},
    )
    return figure


def affect_circle(valence: float, arousal: float, *, coordinates: str) -> go.Figure:
    """One face's point among the points of the emotions, as `affect_ground` draws them."""
    figure = affect_ground(coordinates)
    figure.add_scatter(
        x=[valence],
        y=[arousal],
        mode="markers",
        marker={"color": "#05779C", "size": 13, "line": {"color": "white", "width": 2}},
        hovertemplate=f"{say('chart.estimate')}: %{{x:.2f}}, %{{y:.2f}}<extra></extra>",
    )
    return figure


def affect_ground(coordinates: str) -> go.Figure:
    """The circle of radius 1 of valence and arousal with the points of the emotions.

    Args:
        coordinates: Of the card of who answered: empty where valence and arousal are estimated.
    """
    angle = np.linspace(0, 2 * np.pi, 90)
    figure = go.Figure()
    figure.add_scatter(
        x=np.cos(angle), y=np.sin(angle), mode="lines", line_color=GREY, hoverinfo="skip"
    )
    system = COORDINATES[coordinates or "rays"]
    points = {name: point for name, point in system.items() if name in COLOURS}
    figure.add_scatter(
        x=[v for v, _ in points.values()],
        y=[a for _, a in points.values()],
        mode="markers",
        marker={"color": [COLOURS[name] for name in points], "size": 7, "symbol": "circle-open"},
        text=[label_name(name) for name in points],
        hovertemplate="%{text}<extra></extra>",
    )
    axis = {"range": [-1.15, 1.15], "zeroline": True, "zerolinecolor": GREY, "showgrid": False}
    figure.update_xaxes(title=say("chart.valence"), tickvals=[-1, 0, 1], **axis)
    figure.update_yaxes(
        title=say("chart.arousal"), title_standoff=2, tickvals=[-1, 0, 1], scaleanchor="x", **axis
    )
    figure.update_layout(
        height=230, margin={"l": 0, "r": 8, "t": 0, "b": 0}, showlegend=False, font_size=11
    )
    return figure
