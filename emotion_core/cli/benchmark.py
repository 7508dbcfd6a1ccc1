"""`evaluate --benchmark NAME`: the tables of the README, from data."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table

from ..benchmarks import Benchmark, keep_figures, run_benchmark
from ..classify import Recognizer
from ..errors import InputError
from ..export import to_csv
from ..files import atomic_write, check_target, write_json
from ..registry import committees, like_minded, shipped_models
from ..serving import load_recognizer
from ..texts import say
from .shared import cancellable, counting, quiet_natives, refusals
from .source import check_apart

#: Figures that a terminal shows, in this order; JSON and CSV have all.
_SHOWN = ("accuracy", "mean_recall", "subtle", "ece", "nll", "brier")
_SHARES = ("accuracy", "mean_recall", "subtle", "ece", "ece_by_chance", "ece_by_chance_p95")


def show_benchmark(
    name: str,
    data: Path,
    *,
    models: Sequence[str],
    vote: str,
    split: str,
    json: Path | None,
    out: Path | None,
    keep: bool,
) -> None:
    """Run a benchmark, print its table, and keep it where that is asked for.

    Args:
        name: A key of `BENCHMARKS`.
        data: What it is run on.
        models: Each alone, and together where there are several; none takes the shipped ones, and
            the default committee.
        vote: How they vote together.
        split: `val` or `test`.
        json: Gets everything.
        out: Gets the table as CSV.
        keep: Whether the cards of the models get their figures.
    """
    with refusals(), cancellable(), quiet_natives() as terminal:
        if keep and split != "test":
            raise InputError(say("error.benchmark_keep", split=split))
        check_target(json)
        check_target(out)
        check_apart([data], json, out)
        recognizers = _recognizers(models, vote)
        with counting("faces", terminal) as tell:
            found = run_benchmark(name, data, recognizers, split=split, on_progress=tell)
        if json:
            write_json(json, found.as_dict())
        if out:
            atomic_write(out, to_csv(found.table))
        if keep:
            keep_figures(found)
    _print(found)


def _recognizers(models: Sequence[str], vote: str) -> list[Recognizer]:
    """Return each model alone, and together those that can vote with the first.

    Where none is named: the shipped models, and the default committee.
    """
    named = models or [entry.id for entry in shipped_models()]
    alone = [load_recognizer([one], prior="data") for one in named]
    cards = [one.members[0].card for one in alone]
    together = committees(cards)
    voters = tuple(card.id for card in like_minded(cards))
    if together and not models:
        voters = together[0]
    if len(voters) < 2:
        return alone
    return [*alone, load_recognizer(voters, vote=vote, prior="data")]


def _print(found: Benchmark) -> None:
    print(found.rule)
    print(", ".join(f"n {count} {name}" for name, count in found.n.items()))
    columns = [name for name in _SHOWN if name in found.table]
    shown = Table(box=None, pad_edge=False)
    for title in ("model", "prior", "mirror", *columns):
        shown.add_column(title.replace("_", " "), overflow="fold")
    for row in found.table.to_dict("records"):
        mirror = "yes" if row["mirrored"] else ""
        shown.add_row(row["model"], row["prior"], mirror, *(_told(row, one) for one in columns))
    for row in found.peers.to_dict("records"):
        shown.add_row(row["model"], "", "", *(_told(row, one) for one in columns))
    Console(width=120).print(shown)
    if "ece_by_chance" in found.table:
        mean, high = found.table[["ece_by_chance", "ece_by_chance_p95"]].mean()
        print(say("benchmark.ece_by_chance", mean=mean, high=high))
    if len(found.peers):
        print(say("benchmark.peers"))


def _told(row: Mapping[Any, Any], name: str) -> str:
    value = row.get(name)
    if value is None or pd.isna(value):
        return ""
    if name not in _SHARES:
        return f"{value:.3f}"
    low, high = row.get(f"{name}_low"), row.get(f"{name}_high")
    return f"{value:.1%} ({low:.1%}–{high:.1%})" if low is not None else f"{value:.1%}"
