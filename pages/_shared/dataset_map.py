"""The map: pictures that the models read alike lie together."""

import streamlit as st

from emotion_core.limits import MAP_MAX_POINTS
from emotion_core.texts import say
from emotion_core.workbench.index import load_readings
from emotion_core.workbench.maps import METHODS, umap_is_ready
from emotion_core.workbench.store import Dataset

from . import gallery
from .choice import one_of
from .dataset_charts import chosen_points, scatter
from .dataset_data import labelled, task_button


def show(dataset: Dataset) -> None:
    """Show the map, or how to get one."""
    st.markdown(say("dataset.map_text"))
    methods = [name for name in METHODS if name != "umap" or umap_is_ready()]
    method = one_of(
        methods,
        key=f"map-method-{dataset.id}",
        shown=lambda name: say(f"dataset.map_{name}"),
    )
    others = [name for name in methods if name != "pca"]
    told = "both" if len(others) > 1 else "tsne"
    st.caption(say(f"dataset.map_methods_{told}", n=f"{MAP_MAX_POINTS:,}"))
    task_button(dataset, "map", say("dataset.map_start"), method=method)
    points = load_readings(dataset, "map")
    if points is None:
        return
    table = labelled(dataset).set_index("path")
    points = points[points["path"].isin(table.index)]
    total = len(points)
    if total > MAP_MAX_POINTS:  # more would be slow to draw, and lie upon each other
        points = points.sample(MAP_MAX_POINTS, random_state=0).sort_index()
    label = table["label"].reindex(points["path"]).set_axis(points.index)
    chosen = chosen_points(
        scatter(points, label),
        key=f"map-{dataset.id}-{dataset.stamp('map')}",
        alt=say("dataset.map_alt", n=len(points)),
        modes=("points", "lasso", "box"),
    )
    method_name = say(f"dataset.map_{points['method'].iloc[0]}") if len(points) else ""
    st.caption(
        say("dataset.map_help", method=method_name, n=f"{len(points):,}", total=f"{total:,}")
    )
    if chosen:
        paths = [point[0] for point in chosen]
        reason = say("dataset.map_reason")
        gallery.show(dataset, paths, key=f"map-grid-{dataset.id}", reason=reason)
