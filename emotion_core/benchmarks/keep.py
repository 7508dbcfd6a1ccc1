"""Figures of benchmarks in the folders of the models they are about."""

from dataclasses import replace

from ..card_text import write_card
from ..cards import read_card
from ..errors import ModelError
from ..registry import committee_records, model_folder, write_committee_records
from .contract import Benchmark


def keep_figures(found: Benchmark) -> None:
    """Write a benchmark's figures into the cards of its models, a committee's beside them.

    Raises:
        ModelError: The file about committees is broken.
        StorageError: A file cannot be written.
    """
    for model in found.table["model"].unique():
        try:
            folder = model_folder(model)
        except ModelError:
            _keep_committee(model, found)
            continue
        card = read_card(folder / "card.json")
        kept = {**card.metrics.get("benchmarks", {}), found.name: found.of(model)}
        write_card(replace(card, metrics={**card.metrics, "benchmarks": kept}), folder)


def _keep_committee(name: str, found: Benchmark) -> None:
    records = committee_records()
    held = {**records.figures.get(name, {}), found.name: found.of(name)}
    write_committee_records(replace(records, figures={**records.figures, name: held}))
