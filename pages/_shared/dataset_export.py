"""Split and export: how the data set is split, what comes out, and its recipe to keep."""

from dataclasses import replace
from typing import Any

import pandas as pd
import streamlit as st

from emotion_core.datasets.cleaning import (
    FOLDS,
    GIVEN,
    SEEDS,
    SHARES,
    SplitChoice,
    check_fits,
    kept_rows,
    parse_recipe,
)
from emotion_core.datasets.naming import in_label_order
from emotion_core.datasets.outputs import removed_counts
from emotion_core.datasets.splits import RULES
from emotion_core.errors import BadTable
from emotion_core.files import safe_stem
from emotion_core.jobs import Job
from emotion_core.texts import say
from emotion_core.workbench.index import load_index
from emotion_core.workbench.review import adopt_decisions
from emotion_core.workbench.store import Dataset
from emotion_core.workbench.tasks import PREFIX, made_of, tasks_of

from . import visitor
from .dataset_data import change_recipe, cleaned, task_button
from .errors import guarded, plain
from .gallery import label_text


def show(dataset: Dataset) -> None:
    """Show the split, its counts, the card's texts and the files."""
    _choose_split(dataset)
    try:
        table = cleaned(dataset)
    except BadTable as error:
        st.warning(plain(str(error)))
        table = None
    if table is not None:
        _show_counts(table)
    _ask_card(dataset)
    _show_recipe(dataset)
    st.subheader(say("dataset.files"))
    with_crops = st.checkbox(
        say("dataset.with_crops"), help=say("dataset.with_crops_help"), key=f"crops-{dataset.id}"
    )
    job = task_button(dataset, "export", say("dataset.export"), with_crops=with_crops)
    if job is not None and job.state == "done":
        if (job.summary or {}).get("made_of") != made_of(dataset):
            st.warning(say("dataset.files_old"))
        _show_files(dataset, job)
    for earlier in tasks_of(dataset, visitor.owner()):
        is_export = earlier.kind == f"{PREFIX}export" and earlier.state == "done"
        if is_export and earlier.is_kept and (job is None or earlier.id != job.id):
            when = visitor.clock(earlier.created_s)
            with st.expander(say("dataset.kept_export", when=f"{when:%Y-%m-%d %H:%M}")):
                _show_files(dataset, earlier)


def _choose_split(dataset: Dataset) -> None:
    held = dataset.recipe().split
    own = RULES.get(held.rule, RULES["default"])
    is_given = held.rule == GIVEN
    # what is shown is the recipe, whoever has changed it; only a change by hand is kept
    for name, value in {
        "rule": held.rule,
        "share": own.share if held.share is None else float(held.share),
        "seed": own.seed if held.seed is None else held.seed,
        "folds": held.folds,
    }.items():
        st.session_state[_split_key(dataset, name)] = value

    def told(name: str) -> dict[str, Any]:
        key = _split_key(dataset, name)
        return {"key": key, "on_change": _keep_split, "args": (dataset, name)}

    columns = st.columns([2, 1, 1, 1])
    with columns[0]:
        st.selectbox(
            say("dataset.split_rule"),
            [*RULES, GIVEN],
            format_func=lambda name: say(f"dataset.split_rule_{name}".replace("-", "_")),
            help=say("dataset.split_rule_help"),
            **told("rule"),
        )
    with columns[1]:
        label = say("dataset.split_share")
        st.number_input(label, *SHARES, step=0.05, disabled=is_given, **told("share"))
    with columns[2]:
        st.number_input(say("dataset.split_seed"), *SEEDS, disabled=is_given, **told("seed"))
    with columns[3]:
        text = say("dataset.split_folds_help")
        st.number_input(say("dataset.split_folds"), *FOLDS, help=text, **told("folds"))


@guarded
def _keep_split(dataset: Dataset, name: str) -> None:
    """Keep what was changed; a new rule brings its own share and seed."""
    held = dataset.recipe().split
    value = st.session_state[_split_key(dataset, name)]
    if name == "rule":
        change_recipe(dataset, split=SplitChoice(value, folds=held.folds))
        return
    if name == "folds":
        if value == 1:  # there are none or two; it was stepped up or down to
            value = 0 if held.folds else 2
    elif held.rule == GIVEN:
        return  # chosen elsewhere meanwhile, and it takes none
    elif value == getattr(RULES[held.rule], name):
        value = None
    change_recipe(dataset, split=replace(held, **{name: value}))


def _split_key(dataset: Dataset, name: str) -> str:
    return f"split-{name}-{dataset.id}"


def _show_counts(table: pd.DataFrame) -> None:
    kept = kept_rows(table)
    with st.container(horizontal=True):
        for name, n in {"kept": len(kept), "removed": (table["removed"] != "").sum()}.items():
            st.metric(say(f"dataset.{name}"), f"{n:,}", help=say(f"dataset.{name}_help"))
    counts = pd.crosstab(kept["label"], kept["split"])
    counts = counts.reindex(in_label_order(counts.index))
    counts = counts[[c for c in ("train", "val", "test") if c in counts]]
    counts.columns = [say(f"dataset.split_{name}") for name in counts.columns]
    counts.index = pd.Index([label_text(name) for name in counts.index], name=say("dataset.label"))
    left, right = st.columns(2)
    with left:
        st.dataframe(counts.reset_index(), hide_index=True, alt=say("dataset.balance"))
    with right:
        names = [say("dataset.column_reason"), say("dataset.n")]
        removed = pd.DataFrame(list(removed_counts(table).items()), columns=names)
        st.dataframe(
            removed.sort_values(names[1], ascending=False),
            hide_index=True,
            alt=say("dataset.removed"),
        )


def _ask_card(dataset: Dataset) -> None:
    held = dataset.recipe()
    with st.expander(say("dataset.card")):
        for name in ("origin", "terms"):
            key = f"{name}-{dataset.id}"
            st.session_state[key] = getattr(held, name)
            st.text_area(
                say(f"dataset.{name}"),
                help=say(f"dataset.{name}_help"),
                key=key,
                on_change=_keep_text,
                args=(dataset, name),
            )


@guarded
def _keep_text(dataset: Dataset, name: str) -> None:
    change_recipe(dataset, **{name: st.session_state[f"{name}-{dataset.id}"]})


def _show_recipe(dataset: Dataset) -> None:
    with st.expander(say("dataset.recipe")):
        st.caption(say("dataset.recipe_text"))
        upload = st.file_uploader(
            say("dataset.recipe_upload"),
            type=["yaml", "yml"],
            key=f"recipe-{dataset.id}-{_round()}",
        )
        if upload is not None and st.button(say("dataset.recipe_apply"), key="recipe_apply"):
            recipe = parse_recipe(upload.getvalue().decode("utf-8", "replace"))
            check_fits(recipe, load_index(dataset), name=dataset.name)
            # it fits now, and the data set may change later
            dataset.save_recipe(replace(recipe, fingerprint=""))
            adopt_decisions(dataset, recipe)
            st.session_state["recipe_round"] = _round() + 1
            st.rerun()
        st.code(dataset.recipe().to_yaml(), language="yaml", height=220)


def _round() -> int:
    """Count the recipes that were applied: widgets of before it would write their values back."""
    return int(st.session_state.get("recipe_round", 0))


def _show_files(dataset: Dataset, job: Job) -> None:
    st.caption(say("dataset.files_kept_text" if job.is_kept else "dataset.files_text"))
    with st.container(horizontal=True):
        for name, path in sorted(job.results().items(), key=lambda item: item[0] != "dataset.zip"):
            st.download_button(
                name,
                data=path.read_bytes,
                file_name=f"{safe_stem(dataset.name, otherwise='dataset')}.{name}",
                key=f"file-{job.id}-{name}",
                on_click="ignore",
                type="primary" if name == "dataset.zip" else "secondary",
            )
