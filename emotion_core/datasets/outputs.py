"""A cleaned data set as files: tables, splits and a card."""

import json
from collections.abc import Mapping
from typing import Any

import pandas as pd

from .cleaning import COPY_OF_TEST, DatasetRecipe, kept_rows
from .naming import in_label_order
from .splits import TEST, TRAIN, VAL
from .tables import CARD_FILE, CARD_SCHEMA

#: The columns of student system 000's `df_cleared.csv`, behind an unnamed index.
CLEANED_COLUMNS = ("image_path", "emotion", "width", "height", "mode", "hash", "aspect_ratio",
                   "face_count")  # fmt: skip
FOLDS_FILE = "folds.csv"
#: Files of an export that another choice of the split does not have.
OPTIONAL_FILES = (*(f"{split}.csv" for split in (TRAIN, VAL, TEST)), FOLDS_FILE)


def dataset_files(
    table: pd.DataFrame, recipe: DatasetRecipe, *, name: str, kind: str
) -> dict[str, bytes]:
    """Return the files of a data set by name; the same table and recipe give the same bytes.

    Args:
        table: As `cleaning.apply_recipe` gives it.
        recipe: What made it.
        name: Of the source.
        kind: Of the source, a key of `sources.SOURCES`.

    Returns:
        `cleaned.csv` in the columns of student system 000; `train.csv`, `val.csv` and `test.csv`
        (`image_path,emotion`) where they have rows; `folds.csv` when folds were asked for;
        `removed.csv` with a reason per picture; `recipe.yaml`; `card.json` and `CARD.md`.
    """
    kept = kept_rows(table)
    files = {"cleaned.csv": _csv(_seed_000_form(kept), index=True)}
    pairs = kept[["path", "label"]].set_axis(["image_path", "emotion"], axis=1)
    for split in (TRAIN, VAL, TEST):
        rows = pairs[kept["split"] == split]
        if len(rows):
            files[f"{split}.csv"] = _csv(rows)
    if "fold" in kept:
        folds = pairs.assign(fold=kept["fold"])
        files[FOLDS_FILE] = _csv(folds[folds["fold"].notna()])
    gone = table[table["removed"] != ""]
    removed = gone[["path", "given", "removed"]]
    files["removed.csv"] = _csv(removed.set_axis(["image_path", "emotion", "reason"], axis=1))
    recipe_text = recipe.to_yaml()
    files["recipe.yaml"] = recipe_text.encode()
    card = make_card(table, recipe, name=name, kind=kind)
    card["files"] = sorted({*files, CARD_FILE, "CARD.md"})
    files[CARD_FILE] = (json.dumps(card, indent=2, ensure_ascii=False) + "\n").encode()
    files["CARD.md"] = card_text(card).encode()
    return files


def removed_counts(table: pd.DataFrame) -> dict[str, int]:
    """Return how many pictures of a cleaned table are left out, by reason."""
    reasons = table["removed"][table["removed"] != ""].map(_short_reason).value_counts()
    return {str(reason): int(n) for reason, n in sorted(reasons.items())}


def make_card(
    table: pd.DataFrame, recipe: DatasetRecipe, *, name: str, kind: str
) -> dict[str, Any]:
    """Return the card of a data set as plain values: counts, source, terms, what was removed."""
    kept = kept_rows(table)
    by_label = {
        label: {
            split: int(((kept["label"] == label) & (kept["split"] == split)).sum())
            for split in sorted(set(kept["split"]))
        }
        for label in in_label_order(kept["label"])
    }
    changed = kept["given"].notna() & (kept["given"] != kept["label"])
    return {
        "schema": CARD_SCHEMA,
        "name": name,
        "kind": kind,
        "fingerprint": recipe.fingerprint,
        "origin": recipe.origin,
        "terms": recipe.terms,
        "pictures": len(table),
        "kept": len(kept),
        "unlabelled": int(((table["removed"] == "") & table["label"].isna()).sum()),
        "relabelled": int(changed.sum()),
        "decisions": len(recipe.decisions),
        "split_rule": recipe.split.rule,
        "labels": by_label,
        "removed": removed_counts(table),
    }


def card_text(card: Mapping[str, Any]) -> str:
    """Return a card as Markdown."""
    splits = [s for s in (TRAIN, VAL, TEST) if any(s in row for row in card["labels"].values())]
    lines = [
        f"# {card['name']}",
        "",
        f"{card['kept']} labelled pictures of {card['pictures']}; {card['unlabelled']} have no "
        f"label; {card['relabelled']} were relabelled; split by the rule '{card['split_rule']}'.",
        "",
        f"Origin: {card['origin'] or 'not stated'}",
        "",
        f"Terms: {card['terms'] or 'not stated'}",
        "",
        f"Fingerprint of the source: `{card['fingerprint']}`",
        "",
        "## Pictures per label",
        "",
        f"| label | {' | '.join(splits)} |",
        f"|---|{'---|' * len(splits)}",
    ]
    for label, row in card["labels"].items():
        lines.append(f"| {label} | {' | '.join(str(row.get(s, 0)) for s in splits)} |")
    lines += ["", "## Removed", "", "| reason | pictures |", "|---|---|"]
    lines += [f"| {reason} | {n} |" for reason, n in card["removed"].items()]
    lines += [
        "",
        "What a face expresses was judged by people or networks from its look alone. No groups of",
        "people are recorded, so nothing here says whether all are represented.",
        "",
    ]
    return "\n".join(lines)


def _seed_000_form(kept: pd.DataFrame) -> pd.DataFrame:
    columns = kept[["path", "label", "width", "height", "mode", "sha256", "aspect_ratio",
                    "face_count"]]  # fmt: skip
    return columns.set_axis(list(CLEANED_COLUMNS), axis=1)


def _csv(table: pd.DataFrame, *, index: bool = False) -> bytes:
    return table.to_csv(index=index, lineterminator="\r\n").encode()


def _short_reason(reason: str) -> str:
    """Return a reason without the picture that it names."""
    is_named = reason.startswith("copy of ") and reason != COPY_OF_TEST
    return "copy of another picture" if is_named else reason
