"""Overview: how many pictures of what, how they measure, what each label looks like on average."""

import pandas as pd
import streamlit as st

from emotion_core.datasets.duplicates import summarise_groups
from emotion_core.datasets.naming import in_label_order
from emotion_core.texts import say
from emotion_core.workbench.faces import mean_face, mean_sample
from emotion_core.workbench.store import Dataset, load_dataset

from . import dataset_meanings, gallery
from .choice import keyed
from .dataset_charts import STRIP_POINTS, balance, chosen_points, strip, strip_rows
from .dataset_data import KEPT_S, labelled, source_of, task_button
from .errors import plain
from .gallery import label_text

_MEASURES = ("brightness", "contrast", "sharpness", "entropy", "width", "height", "aspect_ratio",
             "bytes", "face_size_px")  # fmt: skip
_MEAN_PX = 96


def show(dataset: Dataset) -> None:
    """Show counts, balance, measures and mean faces."""
    table = labelled(dataset)
    groups = summarise_groups(table)
    with st.container(horizontal=True):
        for name, n in {
            "n": len(table),
            "with_label": table["label"].notna().sum(),
            "unreadable": (~table["is_readable"]).sum(),
            "groups": len(groups),
            "conflicts": groups["is_conflict"].sum(),
            "leaks": groups["is_leak"].sum(),
        }.items():
            st.metric(say(f"dataset.{name}"), f"{n:,}", help=say(f"dataset.{name}_help"))
    st.subheader(say("dataset.balance"))
    st.caption(say("dataset.balance_help"))
    chosen = chosen_points(
        balance(table),
        key=f"balance-{dataset.id}",
        alt=say("dataset.balance"),
        modes=("points",),
    )
    if chosen:
        label, split = chosen[0]
        rows = table[(table["label"] == label) & (table["split"] == split)]
        key = f"class-{dataset.id}-{label}-{split}"
        gallery.show(
            dataset,
            rows["path"].tolist(),
            key=key,
            reason=say("dataset.sample_reason", label=label_text(label)),
            title=label_text(label),
        )
    _show_measures(dataset, table)
    _show_means(dataset)
    _show_formats(dataset, table)
    dataset_meanings.show_again(dataset)
    had_faces = bool((table["face_count"] >= 0).any())
    task_button(
        dataset,
        "index",
        say("dataset.again"),
        help_text=say("dataset.again_help"),
        is_first=False,
        with_faces=had_faces,
    )


def _show_measures(dataset: Dataset, table: pd.DataFrame) -> None:
    st.subheader(say("dataset.measures"))
    has_faces = bool((table["face_count"] >= 0).any())
    measures = [name for name in _MEASURES if has_faces or not name.startswith("face")]
    column = st.selectbox(
        say("dataset.measure_of"),
        measures,
        format_func=lambda name: say(f"dataset.measure_{name}"),
        key=f"measure-{dataset.id}",
    )
    chosen = chosen_points(
        strip(table, column),
        key=f"strip-{dataset.id}-{column}",
        alt=say(f"dataset.measure_{column}"),
        modes=("points", "box"),
    )
    st.caption(say("dataset.strip_help"))
    if len(strip_rows(table)) > STRIP_POINTS:
        st.caption(say("dataset.strip_sampled", n=f"{STRIP_POINTS:,}"))
    if chosen:
        paths = [point[0] for point in chosen]
        reason = say(f"dataset.measure_{column}")
        gallery.show(dataset, paths, key=f"strip-grid-{dataset.id}", reason=reason)


def _show_means(dataset: Dataset) -> None:
    st.subheader(say("dataset.means"))
    st.caption(say("dataset.means_help"))
    table = labelled(dataset)
    rows = table[table["is_readable"] & table["label"].notna()]
    with st.container(horizontal=True):
        for label in in_label_order(rows["label"]):
            paths = mean_sample(rows["path"][rows["label"] == label])
            try:
                jpeg = _mean(dataset.id, dataset.stamp("index"), tuple(paths))
            except LookupError:
                continue
            with st.container(width=_MEAN_PX + 12, gap="xsmall"):
                text = label_text(label)
                st.image(jpeg, width=_MEAN_PX, alt=say("dataset.mean_alt", label=text))
                st.caption(plain(text))


def _show_formats(dataset: Dataset, table: pd.DataFrame) -> None:
    """Show how many pictures of each label have which format and mode; a cell shows them."""
    rows = table[table["is_readable"] & table["label"].notna()]
    kind = rows["format"] + " " + rows["mode"]
    counts = pd.crosstab(rows["label"], kind).reindex(in_label_order(rows["label"]))
    shown = counts.rename(index=label_text).rename_axis(say("dataset.label")).reset_index()
    with st.expander(say("dataset.formats")):
        event = st.dataframe(
            shown,
            hide_index=True,
            on_select="rerun",
            selection_mode="single-cell",
            key=keyed(f"formats-{dataset.id}", counts.index),
            alt=say("dataset.formats"),
        )
        cells = event["selection"]["cells"] if event else []
        if cells and cells[0][1] in counts:
            row, column = cells[0]
            picked = rows[(rows["label"] == counts.index[row]) & (kind == column)]
            key = f"format-grid-{dataset.id}"
            gallery.show(dataset, picked["path"].tolist(), key=key, reason=column)


@st.cache_data(max_entries=200, ttl=KEPT_S, show_spinner=False)
def _mean(dataset_id: str, stamp: int, paths: tuple[str, ...]) -> bytes:  # noqa: ARG001
    jpeg = mean_face(source_of(load_dataset(dataset_id)), paths)
    if jpeg is None:  # which is not kept: the drive may be back in a moment
        raise LookupError(paths)
    return jpeg
