"""Pictures: odd ones by rule, each with a threshold that moves and the count it takes."""

from typing import Any

import streamlit as st

from emotion_core.datasets.outliers import RULES, find_outliers, values_of
from emotion_core.texts import say
from emotion_core.workbench.store import Dataset

from . import gallery
from .choice import one_of
from .dataset_charts import histogram
from .dataset_data import change_recipe, labelled
from .errors import guarded
from .gallery import label_text


def show(dataset: Dataset) -> None:
    """Show the rules and the pictures that break the chosen one."""
    table = labelled(dataset)
    held = dict(dataset.recipe().rules)
    has_faces = bool((table["face_count"] >= 0).any())
    counts = {
        name: int(find_outliers(table, name, held.get(name)).sum())
        for name, rule in RULES.items()
        if has_faces or not rule.needs_faces
    }
    st.caption(say("dataset.rules_help"))
    name = one_of(
        list(counts),
        key=f"rule-{dataset.id}",
        shown=lambda one: _rule_title(one, counts[one], is_on=one in held),
    )
    rule = RULES[name]
    threshold_key, on_key = f"threshold-{dataset.id}-{name}", f"on-{dataset.id}-{name}"
    # what is shown is the recipe, whoever has changed it; only a change by hand is kept
    st.session_state[on_key] = name in held
    if name in held or threshold_key not in st.session_state:
        st.session_state[threshold_key] = float(held.get(name, rule.threshold))
    keep: Any = {"on_change": _keep_rule, "args": (dataset, name, threshold_key, on_key)}
    threshold = st.session_state[threshold_key]
    left, right = st.columns([2, 3], gap="medium", vertical_alignment="bottom")
    with left:
        st.markdown(say(f"dataset.rule_{name}_text"))
        if rule.low < rule.high:
            low, high = float(rule.low), float(rule.high)
            st.slider(say("dataset.threshold"), low, high, step=0.5, key=threshold_key, **keep)
        if name != "unreadable":  # they are out in any case
            help_text = say("dataset.rule_on_help")
            st.toggle(say("dataset.rule_on"), help=help_text, key=on_key, **keep)
    found = find_outliers(table, name, threshold)
    with right:
        st.metric(say("dataset.takes"), f"{int(found.sum()):,}", help=say("dataset.takes_help"))
        if rule.low < rule.high:
            values = values_of(table[table["is_readable"]], rule)
            st.plotly_chart(
                histogram(values, threshold),
                key=f"values-{dataset.id}-{name}",
                config={"displayModeBar": False},
                alt=say(f"dataset.rule_{name}"),
            )
    rows = table[found]
    errors = dict(zip(rows["path"], rows["error"], strict=True)) if name == "unreadable" else {}
    gallery.show(
        dataset,
        rows["path"].tolist(),
        key=f"rule-grid-{dataset.id}-{name}",
        reason=say(f"dataset.rule_{name}"),
        notes=errors,
    )
    _show_samples(dataset)


@guarded
def _keep_rule(dataset: Dataset, name: str, threshold_key: str, on_key: str) -> None:
    rules = {other: limit for other, limit in dataset.recipe().rules.items() if other != name}
    if st.session_state[on_key]:
        rules[name] = st.session_state[threshold_key]
    change_recipe(dataset, rules=rules)


def _rule_title(name: str, count: int, *, is_on: bool) -> str:
    key = "dataset.rule_title_on" if is_on else "dataset.rule_title"
    return say(key, rule=say(f"dataset.rule_{name}"), n=f"{count:,}")


def _show_samples(dataset: Dataset) -> None:
    st.subheader(say("dataset.samples"))
    table = labelled(dataset)
    readable = table[table["is_readable"] & table["label"].notna()]
    labels = sorted(readable["label"].unique())
    if not labels:
        st.caption(say("dataset.no_pictures"))
        return
    label = st.selectbox(
        say("dataset.label"), labels, format_func=label_text, key=f"sample-{dataset.id}"
    )
    rows = readable[readable["label"] == label].sample(frac=1, random_state=0)
    key = f"sample-grid-{dataset.id}-{label}"
    reason = say("dataset.sample_reason", label=label_text(label))
    gallery.show(dataset, rows["path"].tolist(), key=key, reason=reason, title=label_text(label))
