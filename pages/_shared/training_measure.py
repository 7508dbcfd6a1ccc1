"""Models on labelled data sets, alone and voting together; their answers on unlabelled ones."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from emotion_core.cards import DEFAULT_PRIOR
from emotion_core.classify import BUDGET_MS
from emotion_core.datasets.splits import TEST, TRAIN, VAL
from emotion_core.files import read_json
from emotion_core.jobs import Job
from emotion_core.registry import like_minded, reads_faces
from emotion_core.texts import label_name, say
from emotion_core.workbench.evaluation import ALL
from emotion_core.workbench.index import load_unlabelled
from emotion_core.workbench.store import Dataset
from emotion_core.workbench.tasks import start_task

from . import options, resources, training_charts, training_new, visitor
from .drawer import follow
from .errors import plain

_FITTED = "fitted"
#: Pictures that the circle has marks for at most.
_MARKS = 3_000


def show() -> None:
    """Ask who is measured on what, follow the job, and show what it came to."""
    st.caption(say("training.measure_about"))
    dataset = training_new.choose_dataset(
        key="measure_dataset", help_text=say("training.measure_dataset_help")
    )
    if dataset is None:
        return
    asked = _ask()
    unlabelled = int(load_unlabelled(dataset)["is_readable"].sum())
    flip = bool(unlabelled) and st.checkbox(
        say("training.measure_flip"),
        help=say("options.tta_help"),
        key="measure_flip",
        **options.KEPT,
    )
    with st.container(horizontal=True):
        if st.button(
            say("training.measure_start"),
            type="primary",
            key="measure_start",
            disabled=not asked["models"],
        ):
            _start("evaluate", dataset, asked)
        if unlabelled and st.button(
            say("training.measure_submit", n=f"{unlabelled:,}"),
            key="measure_submit",
            disabled=not asked["models"],
        ):
            _start("submit", dataset, {**asked, "flip": flip})
    follow("measure_job", _show_answers)


def _ask() -> dict[str, Any]:
    cards = {
        e.card.id: e.card for e in resources.models() if e.card and reads_faces(e.card, in_job=True)
    }
    titles = resources.titles(cards.values())
    left, right = st.columns(2, gap="large")
    with left:
        chosen = st.multiselect(
            say("training.measure_models"),
            list(cards),
            default=list(cards)[:1],
            format_func=lambda one: titles.get(one, one),
            key="measure_models",
            **options.KEPT,
        )
        split = st.selectbox(
            say("training.measure_split"),
            [VAL, TEST, TRAIN, ALL],
            format_func=lambda one: say(f"training.measure_{one}"),
            key="measure_split",
            **options.KEPT,
        )
    vote = "soft"
    with right:
        if len(chosen) > 1:
            agree = len(like_minded([cards[one] for one in chosen])) == len(chosen)
            fits = [_FITTED] if agree and split in (TEST, TRAIN) else []
            rules = [*(["soft"] if agree else []), "hard", *fits]
            if st.session_state.get("measure_vote", rules[0]) not in rules:
                st.session_state.pop("measure_vote")
            vote = st.radio(
                say("training.measure_vote"),
                rules,
                format_func=lambda rule: (
                    say("training.measure_fitted")
                    if rule == _FITTED
                    else say(f"options.vote_{rule}")
                ),
                help=say("options.vote_help"),
                key="measure_vote",
                **options.KEPT,
            )
        prior = options.choose_prior(chosen, key="measure_prior")
    return {
        "prior": prior,
        "models": list(chosen),
        "vote": "hard" if vote == "hard" else "soft",
        "fit_on": VAL if vote == _FITTED else "",
        "split": split,
    }


def _start(kind: str, dataset: Dataset, asked: dict[str, Any]) -> None:
    job = start_task(kind, dataset, owner=visitor.owner(), settings=asked)
    st.session_state["measure_job"] = job.id
    st.rerun()  # My jobs begins to move


def _show_answers(job: Job) -> None:
    if "submission.csv" in job.results():
        _show_submission(job)
    else:
        _show_evaluation(job)


def _show_submission(job: Job) -> None:
    """Show how often each label was answered, and offer the file."""
    content = job.results()["submission.csv"].read_bytes()
    told = pd.read_csv(io.BytesIO(content), dtype=str, keep_default_na=False)
    counts = told["emotion"].value_counts()
    title = say("training.measure_distribution", n=f"{int(counts.sum()):,}")
    st.markdown(title)
    st.plotly_chart(
        training_charts.answered(counts),
        key=f"answered-{job.id}",
        config={"displayModeBar": False},
        alt=title,
    )
    st.download_button(
        say("training.measure_submission"), content, "submission.csv", on_click="ignore"
    )


def _show_evaluation(job: Job) -> None:
    held = read_json(job.results()["evaluation.json"]) or {}
    st.caption(
        say(
            "training.measured",
            model=plain(held["model"]),
            data=plain(job.title),
            split=say(f"training.measure_{held['split']}"),
            prior=say(
                f"options.prior_{held.get('prior') or job.settings.get('prior', DEFAULT_PRIOR)}"
            ),
        )
    )
    if held.get("learned_here"):  # results that were kept may be older
        names = ", ".join(held["learned_here"])
        st.warning(plain(say("training.learned_here", names=names)))
    figures = held["plain"]
    low, high = figures["accuracy_interval_95"]
    interval = say("training.interval", low=f"{low:.1%}", high=f"{high:.1%}", n=figures["n"])
    tiles: list[tuple[str, str, str]] = [
        (
            say("figure.val_accuracy"),
            f"{figures['accuracy']:.1%}",
            f"{interval} {say('models.column_accuracy_help')}",
        ),
        (
            say("training.measure_mirror"),
            f"{held['with_flip']['accuracy']:.1%}",
            say("training.mirror_help"),
        ),
        (
            say("figure.val_macro_f1"),
            f"{figures['macro_f1']:.1%}",
            say("training.macro_f1_help"),
        ),
        (
            say("training.measure_kappa"),
            f"{figures['kappa']:.3f}",
            say("training.measure_kappa_help"),
        ),
        (say("training.ece"), f"{figures['ece_15_bins']:.1%}", say("training.ece_help")),
    ]
    total_ms = sum(held["latency_ms"].values())
    if held["members"]:
        help_text = say("training.measure_gain_help", ms=f"{total_ms:.1f}", budget=BUDGET_MS)
        tiles.append((say("training.measure_gain"), f"{100 * held['gain']:+.1f} pp", help_text))
    else:
        help_text = say("training.ms_per_face_help")
        tiles.append((say("training.column_ms_per_face"), f"{total_ms:.1f} ms", help_text))
    for column, (name, value, told) in zip(st.columns(len(tiles)), tiles, strict=True):
        column.metric(name, value, help=told)
    if held.get("removed"):  # results that were kept may be older
        told = ", ".join(f"{reason} {n}" for reason, n in held["removed"].items())
        st.caption(plain(say("training.measure_removed", told=told)))
    if held["left_out"]:
        told = ", ".join(f"{label_name(name)} {n}" for name, n in held["left_out"].items())
        st.caption(plain(say("training.measure_left_out", told=told)))
    if held["members"]:
        _show_members(held)
    answers = points_of(job.results()["answers.csv"])
    left, *right = st.columns(1 if answers.empty else 2, gap="large")
    with left:
        title = say("training.measure_confusion")
        st.markdown(title)
        st.plotly_chart(
            training_charts.confusion(np.array(held["confusion"]), held["labels"]),
            key=f"measured-{job.id}",
            config={"displayModeBar": False},
            alt=title,
        )
    for column in right:
        with column:
            _show_affect(job, answers)
    files = {"answers.csv": "measure_answers", "evaluation.json": "measure_figures"}
    with st.container(horizontal=True):
        for file, text in files.items():
            st.download_button(
                say(f"training.{text}"),
                job.results()[file].read_bytes,
                file,
                key=f"measured-{job.id}-{file}",
                on_click="ignore",
            )


def points_of(path: Path) -> pd.DataFrame:
    """Return the answers of a file with their points; none where the labels have none."""
    # a label may be called "1" or "NA"
    answers = pd.read_csv(path, dtype={"truth": str}, keep_default_na=False)
    if "valence" not in answers:  # results that were kept may be older
        return answers.iloc[:0]
    return answers if answers[["valence", "arousal"]].any(axis=None) else answers.iloc[:0]


def _show_affect(job: Job, answers: pd.DataFrame) -> None:
    """Show where answers lie on the circle of valence and arousal."""
    title = say("training.measure_affect")
    st.markdown(title)
    shown = answers.sample(min(len(answers), _MARKS), random_state=0)
    card = resources.card_of(job.settings["models"][0])
    st.plotly_chart(
        training_charts.affect_cloud(shown, coordinates=card.coordinates if card else ""),
        key=f"affect-{job.id}",
        config={"displayModeBar": False},
        alt=title,
    )
    if len(shown) < len(answers):
        st.caption(say("training.measure_sampled", n=f"{len(shown):,}"))


def _show_members(held: dict[str, Any]) -> None:
    rows = [
        {
            say("training.measure_member"): name,
            say("figure.val_accuracy"): 100 * accuracy,
            **({say("training.measure_weight"): held["weights"][name]} if held["weights"] else {}),
            say("training.column_ms_per_face"): held["latency_ms"][name],
        }
        for name, accuracy in held["members"].items()
    ]
    st.dataframe(
        rows,
        hide_index=True,
        column_config={say("figure.val_accuracy"): st.column_config.NumberColumn(format="%.1f %%")},
        alt=say("training.measure_member"),
    )
