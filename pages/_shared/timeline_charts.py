"""Charts over time: ribbons of labels, probabilities, the path of valence and arousal."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from emotion_core.labels import CANONICAL, UNCERTAIN
from emotion_core.palette import COLOURS, ink_on, rgb
from emotion_core.texts import label_name, say

from .charts import GREY, affect_ground, label_line
from .names import in_figure

#: A chart of a page shows no more points of one person; the table has them all.
_POINTS_MAX = 1500
#: Room on the left for "Person 10": charts under each other begin at one place.
_MARGINS = {"l": 66, "r": 24, "t": 8, "b": 0}
#: Between two marks of a time axis, the smallest with which they are few enough.
_STEPS_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600)
_TICKS_MAX = 7
#: An episode shorter than this share of the whole has no room for its name.
_TEXT_SHARE = 0.08
#: A line breaks where nobody was seen for so long; a camera skips frames now and then.
_GAP_S = 0.25


def moment(seconds: float) -> str:
    """Return a time as m:ss.t."""
    tenths = round(seconds * 10)
    return f"{tenths // 600}:{tenths // 10 % 60:02d}.{tenths % 10}"


def ribbons(
    episodes: pd.DataFrame, people: list[int], *, start_s: float, end_s: float, at_s: float
) -> go.Figure:
    """One lane per person, a bar per episode in its label's colour, named where there is room."""
    figure = go.Figure()
    rows = episodes[episodes["tracker_id"].isin(people)]
    for label in _in_order(set(rows["label"])):
        of_label = rows[rows["label"] == label]
        is_wide = of_label["duration_s"] > _TEXT_SHARE * (end_s - start_s)
        name, colour = in_figure(label_name(label)), COLOURS.get(label, COLOURS[UNCERTAIN])
        figure.add_bar(
            y=[say("video.person", n=n) for n in of_label["tracker_id"]],
            x=of_label["duration_s"],
            base=of_label["start_s"],
            orientation="h",
            name=name,
            marker_color=colour,
            marker_pattern_shape="/" if label == UNCERTAIN else "",
            text=[name if wide else "" for wide in is_wide],
            textposition="inside",
            insidetextanchor="middle",
            insidetextfont={"color": f"rgb{ink_on(rgb(colour))}"},
            customdata=[
                [moment(a), moment(b)]
                for a, b in zip(of_label["start_s"], of_label["end_s"], strict=True)
            ],
            hovertemplate=f"{name}: %{{customdata[0]}} – %{{customdata[1]}}<extra></extra>",
        )
    figure.update_layout(
        barmode="overlay",
        height=60 + 34 * max(1, len(people)),
        margin=_MARGINS,
        showlegend=False,
        bargap=0.25,
    )
    lanes = [say("video.person", n=n) for n in reversed(people)]
    figure.update_yaxes(categoryorder="array", categoryarray=lanes)
    _time_axis(figure, start_s, end_s, at_s)
    return figure


def probabilities(rows: pd.DataFrame, *, start_s: float, end_s: float, at_s: float) -> go.Figure:
    """The probabilities of one person over time, a line per label; breaks where nobody is seen."""
    rows = _thinned(rows)
    figure = go.Figure()
    labels = [name.removeprefix("prob_") for name in map(str, rows) if name.startswith("prob_")]
    for number, label in enumerate(labels):
        name = in_figure(label_name(label))
        figure.add_scatter(
            x=rows["time_s"],
            y=rows[f"prob_{label}"],
            mode="lines+markers",
            name=name,
            line=label_line(label, number),
            marker={"size": 6, "opacity": 0},  # what is clicked
            connectgaps=False,
            customdata=[moment(t) for t in rows["time_s"]],
            hovertemplate=f"{name} %{{y:.0%}}, %{{customdata}}<extra></extra>",
        )
    figure.update_yaxes(range=[-0.02, 1.02], tickformat=".0%", tickvals=[0, 0.5, 1])
    figure.update_layout(
        height=260,
        margin=_MARGINS,
        legend={"orientation": "h", "y": -0.18, "font": {"size": 11}},
        clickmode="event+select",
        dragmode=False,
    )
    _time_axis(figure, start_s, end_s, at_s)
    return figure


def affect_path(rows: pd.DataFrame, *, at_s: float, coordinates: str) -> go.Figure:
    """The way of one person through valence and arousal, and where it is at the moment."""
    figure = affect_ground(coordinates)
    path = _thinned(rows)
    figure.add_scatter(
        x=path["valence"],
        y=path["arousal"],
        mode="lines+markers",
        line={"color": GREY, "width": 1},
        marker={"size": 4, "color": path["time_s"], "colorscale": "Viridis"},
        customdata=[moment(t) for t in path["time_s"]],
        hovertemplate="%{customdata}: %{x:.2f}, %{y:.2f}<extra></extra>",
        connectgaps=False,
    )
    seen = path.dropna(subset=["valence"])
    if len(seen):
        here = seen.iloc[(seen["time_s"] - at_s).abs().argmin()]
        figure.add_scatter(
            x=[here["valence"]],
            y=[here["arousal"]],
            mode="markers",
            marker={"color": "#05779C", "size": 13, "line": {"color": "white", "width": 2}},
            hovertemplate=f"{say('chart.estimate')}: %{{x:.2f}}, %{{y:.2f}}<extra></extra>",
        )
    return figure


def _in_order(labels: set[str]) -> list[str]:
    known = [name for name in CANONICAL if name in labels]
    return [*known, *sorted(labels - set(known))]


def _thinned(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of one person, not too many, with an empty one in every gap."""
    rows = rows.iloc[:: max(1, -(-len(rows) // _POINTS_MAX))].reset_index(drop=True)
    steps = rows["time_s"].diff()
    gaps = rows[steps > max(3 * steps.median(), _GAP_S)].copy()
    if not len(gaps):
        return rows
    gaps["time_s"] -= 1e-3
    values = [c for c in map(str, rows) if c.startswith("prob_") or c in ("valence", "arousal")]
    gaps[values] = np.nan
    return pd.concat([rows, gaps]).sort_values("time_s", ignore_index=True)


def _time_axis(figure: go.Figure, start_s: float, end_s: float, at_s: float) -> None:
    step = next((one for one in _STEPS_S if (end_s - start_s) / one < _TICKS_MAX), _STEPS_S[-1])
    ticks = np.arange(np.ceil(start_s / step), np.floor(end_s / step) + 1) * step
    figure.update_xaxes(
        range=[start_s, end_s], tickvals=ticks, ticktext=[moment(t) for t in ticks], showgrid=False
    )
    figure.update_yaxes(automargin=False)
    figure.add_vline(x=at_s, line_color=GREY, line_width=2)
