"""One run: how far it is, what it came to, what can be done with it."""

from itertools import count

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from emotion_core import metrics
from emotion_core.cards import LARGE, read_card
from emotion_core.classify import BUDGET_MS
from emotion_core.errors import EmotionError, InputError
from emotion_core.jobs import Job, list_jobs
from emotion_core.labels import class_ids
from emotion_core.registry import reads_faces
from emotion_core.runs import Run, delete_run, load_run, request_stop
from emotion_core.texts import label_name, say
from emotion_core.training.recipe import parse_recipe
from emotion_core.workbench.heatmaps import (
    has_heatmaps,
    heatmaps_of_run,
    start_heatmaps_of_run,
)
from emotion_core.workbench.store import load_dataset
from emotion_core.workbench.trainings import (
    EXPORT,
    FORMS,
    job_of,
    pause_run,
    promote_run,
    start_export,
    start_run,
    state_of,
)

from . import (
    figures,
    gallery,
    heatmaps,
    histories,
    resources,
    training_charts,
    training_new,
    visitor,
)
from .drawer import describe
from .errors import error_box, guarded, plain
from .names import short
from .training_runs import state_text

_MISTAKES = 240
_LOOKED_AT = 12


def show(run: Run) -> None:
    """Show a run; while its job works it is read anew every second."""
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button(say("training.back"), key="run_back"):
            st.session_state.pop("run")
            st.session_state["training_view"] = "runs"
            st.rerun()
        st.subheader(plain(short(run.name)), anchor=False)
    job = job_of(run, visitor.owner())
    if job is not None and not job.is_over:
        st.fragment(_show_moving, run_every=1.0)(run.id)
        return
    state = state_of(run, job)
    if state == "running":
        st.fragment(_show_elsewhere, run_every=2.0)(run.id)
        return
    st.markdown(
        say(
            "training.line",
            state=state_text(run),
            data=plain(run.dataset["name"]),
            recipe=run.recipe["name"],
            epochs=len(run.history),
            of=run.epochs,
        )
    )
    message = run.message or (job.message if job is not None else "")
    if message and state == "failed":
        st.error(plain(message))
    _show_actions(run, state)
    if run.history:
        histories.show(run.name, run.history, key=run.id)
    if state == "done":
        _show_figures(run)
        _show_answers(run)
        _show_promotion(run)
    _show_papers(run, job)


def _show_moving(run_id: str) -> None:
    with error_box():
        run = load_run(run_id)
        job = job_of(run, visitor.owner())
        if job is None or job.is_over:
            st.rerun()
        is_ending = run.should_stop() and not job.is_stopping
        told = say("training.finishing") if is_ending else plain(describe(job))
        st.progress(job.share or 0.0, told)
        if run.history:
            last = run.history[-1]
            columns = st.columns(4)
            shown = {"epoch": f"{len(run.history)} / {run.epochs}", "loss": f"{last['loss']:.3f}"}
            if "val_accuracy" in last:
                shown["accuracy_validation"] = f"{last['val_accuracy']:.1%}"
            for column, (name, value) in zip(columns, shown.items(), strict=False):
                column.metric(say(f"training.{name}"), value, help=say(f"training.{name}_help"))
            columns[3].metric(
                say("figure.images_per_s"),
                f"{last['images_per_s']:,.0f}",
                help=say("training.images_per_s_help"),
            )
        else:
            st.caption(say("training.first_epoch"))
        with st.container(horizontal=True):
            st.button(
                say("training.pause"),
                key=f"pause-{run.id}",
                help=say("training.pause_help"),
                on_click=guarded(pause_run),
                args=(job,),
                disabled=job.is_stopping,
            )
            st.button(
                say("training.stop"),
                key=f"stop-{run.id}",
                help=say("training.stop_help"),
                on_click=guarded(request_stop),
                args=(run,),
                disabled=not run.history or run.should_stop() or job.is_stopping,
            )
        if run.history:
            histories.show(run.name, run.history, key=run.id)
        st.caption(say("video.go_on"))
        _show_log(job)


def _show_elsewhere(run_id: str) -> None:
    """Show a run that the command line works on."""
    with error_box():
        run = load_run(run_id)
        if state_of(run, None) != "running":
            st.rerun()
        st.progress(
            len(run.history) / max(1, run.epochs),
            say("training.elsewhere", epoch=len(run.history), of=run.epochs),
        )
        if run.history:
            histories.show(run.name, run.history, key=run.id)


def _show_actions(run: Run, state: str) -> None:
    with st.container(horizontal=True):
        may_resume = state != "done"
        if may_resume and st.button(say("training.resume"), type="primary", key=f"resume-{run.id}"):
            start_run(run, owner=visitor.owner())
            st.rerun()
        if may_resume and run.history:
            told = say("training.stop_help")
            if st.button(say("training.stop"), key=f"stop-{run.id}", help=told):
                start_run(run, owner=visitor.owner())  # it measures and writes the best epoch
                request_stop(run)
                st.rerun()
        with st.popover(say("training.delete")):
            st.caption(say("training.delete_text"))
            if st.button(say("training.delete_really"), key=f"delete-run-{run.id}"):
                delete_run(run)
                st.session_state.pop("run")
                st.rerun()


def _show_figures(run: Run) -> None:
    report = run.report() or {}
    shown = report.get("metrics", {})
    split = "test" if "test" in shown else "validation"
    tiles: list[tuple[str, str, str]] = []
    held = shown.get(split)
    if held:
        low, high = held["accuracy_interval_95"]
        interval = say("training.interval", low=f"{low:.1%}", high=f"{high:.1%}", n=held["n"])
        tiles += [
            (
                f"training.accuracy_{split}",
                f"{held['accuracy']:.1%}",
                f"{interval} {say(f'training.accuracy_{split}_help')}",
            ),
            ("figure.val_macro_f1", f"{held['macro_f1']:.1%}", say("training.macro_f1_help")),
            ("training.ece", f"{held['ece_15_bins']:.1%}", say("training.ece_help")),
        ]
    affect = shown.get(f"{split}_affect")
    if affect:
        tiles.append(("figure.val_mse", f"{affect['mse']:.4f}", say("training.mse_help")))
    for name, value in {
        "parameters": f"{report.get('parameters', 0):,}",
        "model_mb": f"{report.get('model_mb', 0):.1f}",
    }.items():
        tiles.append((f"training.column_{name}", value, say(f"training.{name}_help")))
    latency = report.get("latency") or {}
    if latency:
        told = say("training.latency_help", p95=f"{latency['p95_ms']:.1f}", budget=BUDGET_MS)
        tiles.append(("training.column_ms_per_face", f"{latency['median_ms']:.1f}", told))
    for column, (name, value, told) in zip(st.columns(len(tiles)), tiles, strict=True):
        column.metric(say(name), value, help=told)


def _show_answers(run: Run) -> None:
    answers = run.answers()
    if answers is None:
        return
    labels = [name.removeprefix("prob_") for name in map(str, answers) if name.startswith("prob_")]
    probs = answers[[f"prob_{name}" for name in labels]].to_numpy()
    truth = class_ids(answers["truth"], labels)
    clear = answers["is_clear"].to_numpy(bool)
    left, right = st.columns(2, gap="large")
    with left:
        st.markdown(say("training.confusion"))
        _chart(
            training_charts.confusion(metrics.confusion_matrix(probs[clear], truth[clear]), labels),
            f"confusion-{run.id}",
            say("training.confusion"),
        )
    with right:
        st.markdown(say("training.per_label"))
        targets = np.eye(len(labels), dtype=np.float32)[truth]
        figures.show_per_label(metrics.figures(probs, targets, clear, labels)["recall"])
    left, right = st.columns(2, gap="large")
    with left:
        st.markdown(say("training.reliability"))
        chart = training_charts.reliability(*metrics.reliability(probs[clear], truth[clear]))
        _chart(chart, f"reliability-{run.id}", say("training.reliability"))
    with right:
        st.markdown(say("training.coverage"))
        threshold = float((run.report() or {}).get("threshold", 0))
        chart = training_charts.coverage(probs[clear], truth[clear], threshold)
        _chart(chart, f"coverage-{run.id}", say("training.coverage"))
    _show_mistakes(run, answers, probs, labels)
    _show_heatmaps(run, answers, probs, labels)


def _show_mistakes(
    run: Run, answers: pd.DataFrame, probs: NDArray[np.floating], labels: list[str]
) -> None:
    st.markdown(say("training.mistakes"))
    best = np.array(labels, object)[probs.argmax(axis=1)]
    wrong = np.flatnonzero((best != answers["truth"].to_numpy(object)) & answers["is_clear"])
    order = wrong[np.argsort(-probs[wrong].max(axis=1), kind="stable")][:_MISTAKES]
    try:
        dataset = load_dataset(run.dataset["id"], *visitor.owners())
    except InputError:
        st.caption(say("training.dataset_gone"))
        return
    paths = answers["path"].iloc[order].tolist()
    gallery.show(
        dataset,
        paths,
        key=f"mistakes-{run.id}",
        reason=say("training.mistakes_reason"),
        suggested=dict(zip(paths, best[order].tolist(), strict=True)),
        notes={path: f"{probs[row].max():.0%}" for path, row in zip(paths, order, strict=True)},
    )


def _show_heatmaps(
    run: Run, answers: pd.DataFrame, probs: NDArray[np.floating], labels: list[str]
) -> None:
    """Show where the network looked on some validation faces: surest mistakes, or of one label."""
    card = read_card(run.model_folder / "card.json")
    if not has_heatmaps(card):
        return
    best = np.array(labels, object)[probs.argmax(axis=1)]
    truth, clear = answers["truth"].to_numpy(object), answers["is_clear"].to_numpy(bool)
    is_mistake = (best != truth) & clear
    chosen = st.selectbox(
        say("heatmap.of"),
        ["", *labels] if is_mistake.any() else labels,
        format_func=lambda name: (
            say("heatmap.true_label", label=label_name(name)) if name else say("heatmap.mistakes")
        ),
        key=f"heatmap-of-{run.id}",
        width=320,
    )
    rows = np.flatnonzero((truth == chosen) & clear if chosen else is_mistake)
    rows = rows[np.argsort(-probs[rows].max(axis=1), kind="stable")][:_LOOKED_AT]
    if not len(rows):
        st.caption(say("dataset.no_pictures"))
        return
    named = [str(best[row]) for row in rows]
    paths, owner = answers["path"].iloc[rows].tolist(), visitor.owner()
    heatmaps.offer(
        f"{run.id}-{chosen}",
        lambda: start_heatmaps_of_run(run, paths, named, owner=owner),
        [
            say("heatmap.caption", label=label_name(name), percent=f"{probs[row].max():.0%}")
            for row, name in zip(rows, named, strict=True)
        ],
        started=lambda: heatmaps_of_run(run, paths, owner=owner),
    )


def _show_promotion(run: Run) -> None:
    st.subheader(say("training.promote_title"), anchor=False)
    st.markdown(say("training.promote_text"))
    if not visitor.is_own_machine():
        st.warning(say("training.promote_shared"))
    held = float((run.report() or {}).get("threshold", 0.0))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.text_input(
            say("training.model_name"),
            value=_free_name(str(run.recipe["name"])),
            key=f"promote-name-{run.id}",
            width=260,
        )
        threshold = st.number_input(
            say("training.threshold"),
            0.0,
            0.99,
            held,
            step=0.01,
            key=f"promote-threshold-{run.id}",
            help=say("training.threshold_help"),
            width=160,
        )
        is_wanted = st.button(say("training.promote"), type="primary", key=f"promote-{run.id}")
    if is_wanted:
        is_own = abs(threshold - held) > 1e-6
        try:
            put = promote_run(run, name.strip(), threshold=threshold if is_own else None)
        except EmotionError as error:
            st.error(plain(str(error)))
        else:
            resources.models.clear()
            st.session_state[f"promoted-{run.id}"] = put.id
    promoted = st.session_state.get(f"promoted-{run.id}", "")
    card = resources.card_of(promoted)
    if card is not None:
        st.success(plain(say("training.promoted", name=promoted)))
        if not reads_faces(card):
            st.caption(LARGE)
        elif st.button(say("training.try_it"), key=f"try-{run.id}"):
            st.session_state["model"] = (promoted,)
            st.switch_page("pages/photo.py")


def _free_name(wanted: str) -> str:
    """Return a name that no model has yet."""
    taken = {entry.id for entry in resources.models()}
    numbers = (wanted if n == 1 else f"{wanted}-{n}" for n in count(1))
    return next(name for name in numbers if name not in taken)


def _show_papers(run: Run, job: Job | None) -> None:
    with st.expander(say("training.recipe")):
        st.code(parse_recipe(run.recipe).to_yaml(), language="yaml")
    if st.button(say("training.again"), help=say("training.again_help"), key=f"again-{run.id}"):
        training_new.repeat(run)
    with st.expander(say("training.environment")):
        st.json({**run.dataset, **run.environment})
    with st.container(horizontal=True):
        for name, path in run.model_files().items():
            # read when it is wanted: large networks are gigabytes
            st.download_button(
                name, path.read_bytes, name, key=f"get-{run.id}-{name}", on_click="ignore"
            )
    _show_forms(run)
    if job is not None:
        _show_log(job)


def _show_forms(run: Run) -> None:
    """Offer the model in other forms; a job writes them and checks them against Keras."""
    if run.state != "done":
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        form = st.selectbox(
            say("training.form"),
            list(FORMS),
            format_func=lambda name: say(f"training.form_{name}".replace("-", "_")),
            key=f"form-{run.id}",
            width=320,
        )
        if st.button(say("training.export"), key=f"export-{run.id}"):
            start_export(run, form, owner=visitor.owner())
            st.rerun()
    for job in list_jobs(visitor.owner()):
        if job.kind == EXPORT and job.settings["run"] == run.id:
            _show_form(job)


def _show_form(job: Job) -> None:
    form = say(f"training.form_{job.settings['form']}".replace("-", "_"))
    if job.state != "done":
        st.caption(plain(say("jobs.line", title=form, state=describe(job))))
        return
    for name, path in job.results().items():
        told = job.summary or {}
        with st.container(horizontal=True, vertical_alignment="center"):
            st.download_button(
                name, path.read_bytes, name, key=f"form-{job.id}-{name}", on_click="ignore"
            )
            size = f"{path.stat().st_size / 1e6:.1f} MB"
            key = "training.form_loss" if told.get("n") else "training.form_same"
            change = f"{-100 * told.get('loss', 0):+.1f}"
            st.caption(
                say(key, size=size, change=change, n=told.get("n"), gap=f"{told['difference']:.1e}")
            )


def _show_log(job: Job) -> None:
    text = job.log()
    if text:
        with st.expander(say("training.log")):
            st.code(text, language=None)


def _chart(figure: object, key: str, alt: str) -> None:
    st.plotly_chart(figure, key=key, config={"displayModeBar": False}, alt=alt)
