"""Duplicates: exact and near ones, inside a label, across labels, across splits."""

import pandas as pd
import streamlit as st

from emotion_core.datasets.cleaning import CONFLICT_POLICIES, COPY_POLICIES
from emotion_core.datasets.duplicates import EXACT, NEAR, summarise_groups
from emotion_core.texts import say
from emotion_core.workbench.store import Dataset

from . import gallery
from .choice import keyed, one_of
from .dataset_data import change_recipe, labelled
from .errors import guarded

_FILTERS = ("all", EXACT, NEAR, "conflicts", "leaks")


def show(dataset: Dataset) -> None:
    """Show the groups of copies, their pictures, and what is done with them."""
    table = labelled(dataset)
    groups = summarise_groups(table)
    _choose_policies(dataset)
    if not len(groups):
        st.info(say("dataset.no_copies"))
        return
    counts = {name: int(_filtered(groups, name).sum()) for name in _FILTERS}
    name = one_of(
        _FILTERS,
        key=f"copies-{dataset.id}",
        shown=lambda one: say(f"dataset.copies_{one}", n=f"{counts[one]:,}"),
    )
    rows = groups[_filtered(groups, name)].reset_index(drop=True)
    if not len(rows):
        st.caption(say("dataset.no_such_copies"))
        return
    shown = rows[["group", "kind", "n", "labels", "splits"]].copy()
    shown["group"] += 1
    for column in ("labels", "splits"):
        shown[column] = shown[column].str.replace(",", ", ")
    shown["kind"] = [say(f"dataset.kind_{kind}") for kind in shown["kind"]]
    names = {c: say(f"dataset.copies_column_{c}") for c in shown.columns}
    st.caption(say("dataset.choose_groups"))
    event = st.dataframe(
        shown.rename(columns=names),
        hide_index=True,
        height=min(280, 38 + 35 * len(rows)),
        on_select="rerun",
        selection_mode="multi-row",
        key=keyed(f"groups-{dataset.id}-{name}", rows["group"]),
        alt=say("dataset.groups"),
    )
    picked = event["selection"]["rows"] if event else []
    wanted = rows["group"].iloc[picked] if picked else rows["group"].head(8)
    of_group = table[table["group"].isin(wanted)].sort_values(["group", "path"])
    notes = {
        path: say("dataset.group_of", n=int(group) + 1)
        for path, group in zip(of_group["path"], of_group["group"], strict=True)
    }
    gallery.show(
        dataset,
        of_group["path"].tolist(),
        key=f"copies-grid-{dataset.id}",
        reason=say("dataset.copies_reason"),
        notes=notes,
    )


def _filtered(groups: pd.DataFrame, name: str) -> pd.Series:
    if name in (EXACT, NEAR):
        return groups["kind"] == name
    if name == "conflicts":
        return groups["is_conflict"]
    return groups["is_leak"] if name == "leaks" else groups["n"] > 0


def _choose_policies(dataset: Dataset) -> None:
    recipe = dataset.recipe()
    choices = {"exact": COPY_POLICIES, "near": COPY_POLICIES, "conflicts": CONFLICT_POLICIES}
    for column, (name, policies) in zip(st.columns(3), choices.items(), strict=True):
        # what is shown is the recipe, whoever has changed it; only a change by hand is kept
        key = f"policy-{dataset.id}-{name}"
        st.session_state[key] = getattr(recipe, name)
        with column:
            st.selectbox(
                say(f"dataset.policy_{name}"),
                policies,
                format_func=lambda policy: say(f"dataset.policy_of_{policy}"),
                help=say(f"dataset.policy_{name}_help"),
                key=key,
                on_change=_keep_policy,
                args=(dataset, name, key),
            )


@guarded
def _keep_policy(dataset: Dataset, name: str, key: str) -> None:
    change_recipe(dataset, **{name: st.session_state[key]})
