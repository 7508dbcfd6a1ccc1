"""`evaluate` and `submit`: models on labelled and on unlabelled data sets"""

from pathlib import Path
from typing import Annotated

import typer

from ..cards import DEFAULT_PRIOR
from ..classify import Recognizer
from ..datasets.tables import PATH_COLUMNS, column_of, read_table
from ..errors import InputError, os_reason
from ..export import to_csv
from ..files import atomic_write, check_target, write_json
from ..registry import DEFAULT_MODEL
from ..serving import load_recognizer
from ..texts import say
from ..workbench.evaluation import ALL, Evaluation, submission
from ..workbench.evaluation import evaluate as evaluate_on
from .benchmark import show_benchmark
from .reading import Model, Prior, Threshold, Tta, Vote
from .shared import cancellable, counting, quiet_natives, refusals, refuse_options
from .source import ByVotes, Data, Kind, Labels, Votes, check_apart, keep_labels, measured

Weights = Annotated[
    str, typer.Option(help="How much each model of a soft vote counts, such as 0.5,0.3,0.2.")
]


def evaluate(
    data: Data,
    benchmark: Annotated[
        str, typer.Option(metavar="NAME", help="ferplus, fer2013, film or photos, by its rules.")
    ] = "",
    keep: Annotated[
        bool, typer.Option("--keep", help="Write a benchmark's figures into the models' cards.")
    ] = False,
    model: Model = None,
    vote: Vote = "soft",
    weights: Weights = "",
    prior: Prior = DEFAULT_PRIOR,
    split: Annotated[
        str,
        typer.Option(help="train, val, test or all (the default); of a benchmark, val or test."),
    ] = "",
    fit_weights: Annotated[
        str, typer.Option(metavar="SPLIT", help="Fit a committee's weights there first: val.")
    ] = "",
    json: Annotated[Path | None, typer.Option(help="All figures.")] = None,
    out: Annotated[Path | None, typer.Option(help="A CSV with a row per picture.")] = None,
    kind: Kind = "",
    votes: Votes = None,
    by_votes: ByVotes = False,
    label: Labels = None,
) -> None:
    """Measure a model or a committee on labelled pictures, with and without mirror image.

    A benchmark measures every shipped model and their committee, at both priors, beside others.
    """
    if benchmark:
        with refusals():
            refuse_options(
                "a benchmark", prior=prior != DEFAULT_PRIOR, weights=weights,
                fit_weights=fit_weights, kind=kind, votes=votes, by_votes=by_votes, label=label,
            )  # fmt: skip
        show_benchmark(
            benchmark,
            data,
            models=model or [],
            vote=vote,
            split=split or "test",
            json=json,
            out=out,
            keep=keep,
        )
        return
    with refusals(), cancellable(), quiet_natives() as terminal:
        refuse_options("a data set", keep=keep)
        check_target(json)
        check_target(out)
        check_apart([data, votes], json, out)
        dataset, _ = measured(data, kind, votes, by_votes)
        keep_labels(dataset, label)
        recognizer = _recognizer(model, vote, weights, prior)
        with counting("faces", terminal) as tell:
            found = evaluate_on(
                dataset, recognizer, split=split or ALL, fit_on=fit_weights, on_progress=tell
            )
        if json:
            write_json(json, found.as_dict())
        if out:
            atomic_write(out, to_csv(found.table))
    _print(found)


def submit(
    data: Data,
    out: Annotated[Path, typer.Option(help="The CSV: image_path, emotion.")],
    model: Model = None,
    vote: Vote = "soft",
    weights: Weights = "",
    prior: Prior = DEFAULT_PRIOR,
    sample: Annotated[
        Path | None, typer.Option(help="sample_submission.csv: its pictures, in its order.")
    ] = None,
    tta: Tta = False,
    threshold: Threshold = 0,
) -> None:
    """Write what a model says of unlabelled pictures, in the form of the competition."""
    with refusals(), cancellable(), quiet_natives() as terminal:
        check_target(out)
        check_apart([data, sample], out)
        dataset, _ = measured(data, "", None, False)
        recognizer = _recognizer(model, vote, weights, prior)
        order = _order(sample) if sample else []
        with counting("faces", terminal) as tell:
            table = submission(
                dataset,
                recognizer,
                order=order,
                flip=tta,
                threshold=threshold or 0,
                on_progress=tell,
            )
        atomic_write(out, to_csv(table))
    for name, n in table["emotion"].value_counts().items():
        print(f"{name:10} {n:6} {n / len(table):6.1%}")
    print(out)


def _recognizer(model: list[str] | None, vote: str, weights: str, prior: str) -> Recognizer:
    try:
        shares = [float(one) for one in weights.split(",") if one.strip()]
    except ValueError as error:
        raise InputError(say("error.bad_weights", text=weights)) from error
    return load_recognizer(model or [DEFAULT_MODEL], vote=vote, weights=shares, prior=prior)


def _order(sample: Path) -> list[str]:
    try:
        content = sample.read_bytes()
    except OSError as error:
        reason = os_reason(error)
        raise InputError(say("error.unreadable_file", name=sample.name, reason=reason)) from error
    table = read_table(content, sample.name)
    names: list[str] = table[column_of(table, PATH_COLUMNS, sample.name)].astype(str).tolist()
    if not names or len(set(names)) < len(names):
        raise InputError(say("error.sample_names", name=sample.name))
    return names


def _print(found: Evaluation) -> None:
    for title, shown in (("plain", found.plain), ("mirrored too", found.with_flip)):
        low, high = shown["accuracy_interval_95"]
        print(
            f"{title:13} n {shown['n']}  accuracy {shown['accuracy']:.1%} ({low:.1%} to {high:.1%})"
            f"  macro-F1 {shown['macro_f1']:.3f}  kappa {shown['kappa']:.3f}"
            f"  ECE {shown['ece_15_bins']:.1%}"
        )
    for name, row in found.plain["recall"].items():
        if row["n"]:
            precision = "–" if row["precision"] is None else f"{row['precision']:.1%}"
            print(f"  {name:10} n {row['n']:6}  recall {row['recall']:6.1%}  precision {precision}")
    for name, accuracy in found.members.items():
        weight = f", weight {found.weights[name]:.3f}" if found.weights else ""
        taken = f"{found.latency_ms[name]:.2f} ms a face"
        print(f"  member {name}: accuracy {accuracy:.1%}{weight}, {taken}")
    if found.members:
        total = sum(found.latency_ms.values())
        print(f"  the committee gains {100 * found.gain:+.1f} points, {total:.2f} ms a face")
    if found.learned_here:
        print(say("training.learned_here", names=", ".join(found.learned_here)))
    if found.removed:
        told = ", ".join(f"{reason} {n}" for reason, n in found.removed.items())
        print(say("training.measure_removed", told=told))
    if found.left_out:
        told = ", ".join(f"{name} {n}" for name, n in found.left_out.items())
        print(f"left out, since the model does not know these labels: {told}")
