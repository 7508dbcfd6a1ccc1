"""Labels: doubtful ones by out-of-fold networks, a model's suggestions, disagreement of people."""

import time

import pandas as pd
import streamlit as st

from emotion_core.datasets.noise import vote_entropy
from emotion_core.datasets.sources import VOTE
from emotion_core.errors import BadTable
from emotion_core.texts import say
from emotion_core.workbench.index import load_readings
from emotion_core.workbench.review import queue_pictures
from emotion_core.workbench.store import Dataset
from emotion_core.workbench.suggestions import accept_labels, suggest_labels

from . import gallery
from .dataset_charts import histogram
from .dataset_data import cleaned, labelled, task_button
from .errors import plain
from .gallery import label_text

#: From this share of doubted labels on it is rather the judges that are wrong.
_UNSURE_FROM = 0.3


def show(dataset: Dataset) -> None:
    """Show the three ways to doubt a label."""
    _show_noise(dataset)
    _show_suggestions(dataset)
    _show_votes(dataset)


def _show_noise(dataset: Dataset) -> None:
    st.subheader(say("dataset.noise"))
    st.markdown(say("dataset.noise_text"))
    task_button(dataset, "noise", say("dataset.noise_start"))
    ranked = load_readings(dataset, "noise")
    if ranked is None:
        return
    issues = int(ranked["is_issue"].sum())
    st.metric(say("dataset.issues"), f"{issues:,}", help=say("dataset.issues_help"))
    doubted = float((ranked["suggested"] != ranked["given"]).mean())
    if doubted > _UNSURE_FROM:
        st.warning(say("dataset.noise_unsure", share=f"{doubted:.0%}"))
    decided = dataset.decisions.current()
    open_ones = ranked[~ranked["path"].isin(decided)]
    # what is decided leaves the list, and a slider whose end moves would jump back
    most = max(2, min(len(ranked), 5_000))
    n = st.slider(
        say("dataset.noise_first"),
        1,
        most,
        min(max(2, issues), most),
        key=f"noise-n-{dataset.id}",
    )
    first = open_ones.head(n)
    suggested = dict(zip(first["path"], first["suggested"], strict=True))
    if st.button(say("dataset.queue_n", n=f"{len(first):,}"), key=f"noise-queue-{dataset.id}"):
        reason = say("dataset.noise_reason")
        added = queue_pictures(dataset, first["path"], reason=reason, suggested=suggested)
        st.toast(say("dataset.queued", n=f"{added:,}"))
        st.rerun()
    notes = {
        path: say("dataset.quality", value=f"{quality:.2f}")
        for path, quality in zip(first["path"], first["quality"], strict=True)
    }
    gallery.show(
        dataset,
        first["path"].tolist(),
        key=f"noise-grid-{dataset.id}",
        reason=say("dataset.noise_reason"),
        suggested=suggested,
        notes=notes,
    )


def _show_suggestions(dataset: Dataset) -> None:
    st.subheader(say("dataset.suggest"))
    st.markdown(say("dataset.suggest_text"))
    task_button(dataset, "map", say("dataset.suggest_start"), view="labels")
    readings = load_readings(dataset, "map")
    if readings is None:
        return
    readable = int(labelled(dataset)["is_readable"].sum())
    is_all = len(readings) >= readable
    told = "dataset.suggest_all" if is_all else "dataset.suggest_read"
    st.caption(say(told, n=f"{len(readings):,}"))
    percent = st.slider(
        say("dataset.suggest_threshold"), 50, 100, 90, format="%d %%", key=f"sure-{dataset.id}"
    )
    try:
        table = cleaned(dataset)
    except BadTable as error:  # it cannot be split, so nobody knows what judges models
        st.warning(plain(str(error)))
        return
    found = suggest_labels(table, readings, threshold=percent / 100)
    decided = dataset.decisions.current()
    found = found[~found["path"].isin(decided)]
    text = say("dataset.suggest_accept", n=f"{len(found):,}")
    if st.button(text, disabled=not len(found), key=f"accept-{dataset.id}"):
        dataset.decisions.add(accept_labels(found, at_s=time.time()))
        st.toast(say("dataset.noted", n=f"{len(found):,}"))
        st.rerun()
    gallery.show(
        dataset,
        found["path"].tolist(),
        key=f"suggest-grid-{dataset.id}",
        reason=say("dataset.suggest_reason"),
        suggested=dict(zip(found["path"], found["read"], strict=True)),
        notes={p: f"{c:.0%}" for p, c in zip(found["path"], found["confidence"], strict=True)},
    )


def _show_votes(dataset: Dataset) -> None:
    table = labelled(dataset)
    columns = [name for name in table.columns if name.startswith(VOTE)]
    if not columns:
        return
    st.subheader(say("dataset.votes_title"))
    st.markdown(say("dataset.votes_text"))
    entropy = vote_entropy(table[columns])
    st.plotly_chart(
        histogram(entropy.dropna()),
        key=f"entropy-{dataset.id}",
        config={"displayModeBar": False},
        alt=say("dataset.votes_title"),
    )
    order = entropy.dropna().sort_values(ascending=False, kind="stable").index[:500]
    most = table.loc[order]
    gallery.show(
        dataset,
        most["path"].tolist(),
        key=f"votes-grid-{dataset.id}",
        reason=say("dataset.votes_reason"),
        notes={row["path"]: _votes_text(row, columns) for _, row in most.head(500).iterrows()},
    )


def _votes_text(row: pd.Series, columns: list[str]) -> str:
    given = [(int(row[c]), label_text(c.removeprefix(VOTE))) for c in columns if row[c]]
    return ", ".join(f"{n} {name}" for n, name in sorted(given, reverse=True))
