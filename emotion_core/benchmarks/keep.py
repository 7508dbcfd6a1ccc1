"""Figures of benchmarks in the folders of the models they are about."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..cards import card_text, read_card
from ..errors import ModelError, StorageError
from ..files import atomic_write, write_json
from ..registry import model_folder, models_folder
from ..texts import say
from .contract import Benchmark


def keep_figures(found: Benchmark) -> None:
    """Write a benchmark's figures into the cards of its models, a committee's beside them.

    Raises:
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
        card = replace(card, metrics={**card.metrics, "benchmarks": kept})
        write_json(folder / "card.json", card.as_dict())
        atomic_write(folder / "CARD.md", card_text(card))


def committee_figures() -> dict[str, dict[str, Any]]:
    """Return the figures of committees, by their ids and by benchmark; empty where none are kept.

    Raises:
        StorageError: The file is broken.
    """
    path = _committee_file()
    if not path.is_file():
        return {}
    try:
        held: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StorageError(say("error.broken_committee_file", path=path, reason=error)) from error
    return held


def _keep_committee(name: str, found: Benchmark) -> None:
    held = committee_figures()
    held[name] = {**held.get(name, {}), found.name: found.of(name)}
    write_json(_committee_file(), held)


def _committee_file() -> Path:
    return models_folder() / "committees.json"
