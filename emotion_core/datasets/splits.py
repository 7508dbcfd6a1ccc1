"""Splitting a data set: a default that keeps copies together, and the rules of the four systems.

Every rule takes a table with the columns `label` and, where copies are known, `group`, and gives
one word per row. A new rule is a function and a row in `RULES`.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..errors import BadTable
from ..texts import say

Words = NDArray[np.str_]

TRAIN, VAL, TEST = "train", "val", "test"
#: Of a picture or its copies that stand in several, the one that judges comes first.
SPLIT_ORDER = {TEST: 0, VAL: 1, TRAIN: 2, "": 3}
#: Names of folders, and words in tables, that mean a split.
SPLIT_WORDS = {
    **dict.fromkeys(("train", "training"), TRAIN),
    **dict.fromkeys(("val", "valid", "validation", "publictest"), VAL),
    **dict.fromkeys(("test", "testing", "test_kaggle", "privatetest"), TEST),
}


@dataclass(frozen=True)
class SplitRule:
    """How a table is split.

    Attributes:
        assign: Gives one of `train` and `val` per row, from the table and the options below.
        share: Share of the validation rows.
        seed: Of the random choice.
        keeps_groups: Whether rows of one group never part.
        source: Which student system it comes from; empty for the default.
    """

    assign: Callable[[pd.DataFrame, float, int], Words]
    share: float
    seed: int
    keeps_groups: bool = False
    source: str = ""


def split_rows(
    table: pd.DataFrame,
    rule: str = "default",
    *,
    share: float | None = None,
    seed: int | None = None,
) -> pd.Series:
    """Return `train` or `val` for every row.

    Args:
        table: Columns `label` and, for the default, `group` (rows of one group stay together;
            without the column every row is a group of its own), `path`, by which the split stays
            the same when other rows come or go, and `by_model`, whose rows and groups train; the
            share is of the others.
        rule: A key of `RULES`.
        share: Share of the validation rows; None takes the rule's own.
        seed: Of the random choice; None takes the rule's own.

    Raises:
        BadTable: There is no such rule, the column `label` is missing or has gaps, the share is
            not between 0 and 1, or a label has fewer than two groups.
    """
    chosen = check_split(rule)
    _check(table, chosen.share if share is None else share)
    words = chosen.assign(
        table.reset_index(drop=True),
        chosen.share if share is None else share,
        chosen.seed if seed is None else seed,
    )
    return pd.Series(words, index=table.index, name="split", dtype="str")


def check_split(rule: str) -> SplitRule:
    """Return a rule by its name.

    Raises:
        BadTable: There is no such rule.
    """
    if rule not in RULES:
        names = ", ".join((*RULES, "given"))
        raise BadTable(f"There is no split rule {rule!r}. Choose one of: {names}.")
    return RULES[rule]


def fold_rows(table: pd.DataFrame, *, folds: int, seed: int = 0) -> pd.Series:
    """Return a fold, 0 to `folds` - 1, for every row: stratified by label, groups together.

    Raises:
        BadTable: As `split_rows`, or there are fewer than two folds.
    """
    if folds < 2:
        raise BadTable(f"{folds} folds are too few; take two or more.")
    _check(table, 0.5)
    numbers = _deal(table.reset_index(drop=True), np.full(folds, 1 / folds), f"folds {seed}")
    return pd.Series(numbers, index=table.index, name="fold", dtype="int64")


def _check(table: pd.DataFrame, share: float) -> None:
    if "label" not in table or table["label"].isna().any():
        raise BadTable(
            "Only labelled rows can be split; give every row a label, or drop those without one."
        )
    if not 0 < share < 1:
        raise BadTable(f"The share of validation rows is {share}; it has to lie between 0 and 1.")


def _default(table: pd.DataFrame, share: float, seed: int) -> Words:
    out = table["by_model"].to_numpy(bool) if "by_model" in table else None
    parts = _deal(table, np.array([share, 1 - share]), f"split {seed}", out)
    return np.where(parts == 0, VAL, TRAIN)


def _deal(
    table: pd.DataFrame,
    shares: NDArray[np.float64],
    salt: str,
    out: NDArray[np.bool_] | None = None,
) -> NDArray[np.int64]:
    """Deal groups out to parts of given shares; returns the part of every row, int64 (rows,).

    The groups of a label, by far most often one picture each, stand in an order that a hash of
    their names gives, and are cut into parts by their rows. So every part has its share of each
    label and of the copies, and what is added, dropped or relabelled moves hardly any other row.
    A group of several labels goes by the rarest. A part that would have none of a label gets its
    smallest group, where that takes nobody's last. Groups with rows of `out` go to the last part,
    and the others are dealt as if they were alone.
    """
    numbers = pd.Series(np.arange(len(table)))
    groups = table["group"] if "group" in table else pd.Series(np.nan, table.index)
    groups = groups.astype(object).fillna(numbers.map("row-{}".format))
    labels, names = pd.factorize(table["label"], sort=True)
    codes, _ = pd.factorize(groups.astype(str), sort=True)
    counts = np.zeros((codes.max(initial=-1) + 1, len(names)), np.int64)
    np.add.at(counts, (codes, labels), 1)
    dealt = np.ones(len(counts), bool)
    if out is not None:
        dealt[codes[out]] = False
    few = (np.count_nonzero(counts, axis=0) < 2) & counts[dealt].any(axis=0)
    if few.any():
        raise BadTable(say("error.in_one_group", label=str(names[int(np.argmax(few))])))
    paths = table.get("path", numbers).astype(str)
    place = np.array([_hashed(path, salt) for path in paths.groupby(codes).min()], np.float64)
    part_of = np.full(len(counts), len(shares) - 1, np.int64)
    rarest = np.where(counts > 0, counts[dealt].sum(axis=0), len(table) + 1).argmin(axis=1)
    for label in range(len(names)):
        members = np.flatnonzero(dealt & (rarest == label))
        members = members[np.argsort(place[members], kind="stable")]
        rows = counts[members, label]
        middles = (np.cumsum(rows) - rows / 2) / max(1, rows.sum())
        part_of[members] = np.searchsorted(np.cumsum(shares)[:-1], middles, side="right")
    _fill(part_of, counts, dealt, len(shares))
    return part_of[codes]


def _fill(
    part_of: NDArray[np.int64],
    counts: NDArray[np.int64],
    dealt: NDArray[np.bool_],
    parts: int,
) -> None:
    """Give each part that has none of a label the smallest group with it that can be spared."""
    has = counts > 0
    held = np.array([has[dealt & (part_of == part)].sum(axis=0) for part in range(parts)])
    for part, label in np.argwhere(held == 0):
        members = np.flatnonzero(dealt & has[:, label])
        for group in members[np.argsort(counts[members].sum(axis=1), kind="stable")]:
            donor = part_of[group]
            if (held[donor][has[group]] > 1).all():
                held[donor] -= has[group]
                held[part] += has[group]
                part_of[group] = part
                break


def _hashed(text: str, salt: str) -> float:
    """Return a number from 0 to 1 that follows from a text and a salt, on every machine alike."""
    digest = hashlib.blake2b(f"{salt}:{text}".encode(errors="surrogatepass"), digest_size=6)
    return int.from_bytes(digest.digest(), "big") / 2**48


def _seed_000(table: pd.DataFrame, share: float, seed: int) -> Words:
    random = np.random.RandomState(seed)
    words = np.full(len(table), TRAIN, dtype="<U5")
    for label in table["label"].unique():
        rows = np.flatnonzero(table["label"] == label)
        words[random.choice(rows, int(len(rows) * share), replace=False)] = VAL
    return words


def _seed_002(table: pd.DataFrame, share: float, seed: int) -> Words:
    # what sklearn's train_test_split does: a permutation whose first rows are the test rows
    n_val = int(np.ceil(len(table) * share))
    words = np.full(len(table), TRAIN, dtype="<U5")
    words[np.random.RandomState(seed).permutation(len(table))[:n_val]] = VAL
    return words


def _seed_003(table: pd.DataFrame, share: float, seed: int) -> Words:
    words = np.full(len(table), VAL, dtype="<U5")
    for _, rows in table.groupby("label"):
        words[rows.sample(frac=1 - share, random_state=seed).index] = TRAIN
    return words


RULES = {
    "default": SplitRule(_default, 0.1, 0, keeps_groups=True),
    "seed-000": SplitRule(_seed_000, 0.1, 42, source="000"),
    "seed-002": SplitRule(_seed_002, 0.1, 17, source="002"),
    "seed-003": SplitRule(_seed_003, 0.2, 17, source="003"),
    "seed-004": SplitRule(_seed_002, 0.05, 40, source="004"),
}
