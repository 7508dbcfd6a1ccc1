"""The recipe of a data set: rules and decisions as a small YAML, and what they make of a source.

The same recipe applied to the same source gives the same data set, byte for byte.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from numpy.typing import NDArray

from ..errors import BadTable, shown
from ..labels import canonical_name
from ..texts import say
from ..yaml_text import read_yaml
from .decisions import DROP, KEEP, RELABEL, Decision, as_rows
from .naming import LEFT_OUT, name_labels
from .outliers import RULES, check_rules, find_outliers
from .sources import VOTE
from .splits import SPLIT_ORDER, TEST, TRAIN, VAL, check_split, fold_rows, split_rows

SCHEMA = "mien-dataset-recipe/1"
#: What may be done with copies that agree, and with copies whose labels differ.
LEAVE, ONE = "leave", "one"
COPY_POLICIES = (LEAVE, ONE)
CONFLICT_POLICIES = (LEAVE, "majority", "drop")
#: The split as the source has it.
GIVEN = "given"
#: Why a picture goes that is a copy of one that the source puts into test.
COPY_OF_TEST = "copy of a test picture"
#: Lowest and highest share of the validation rows, seed, and number of folds.
SHARES, SEEDS, FOLDS = (0.01, 0.9), (0, 2**31 - 1), (0, 20)


@dataclass(frozen=True)
class SplitChoice:
    """How the data set is split.

    Attributes:
        rule: A key of `splits.RULES`, or `given` for the source's own split.
        share: Share of the validation rows; None is the rule's own.
        seed: Of the random choice; None is the rule's own.
        folds: Number of folds; 0 for none.

    Raises:
        BadTable: A number is none, or outside `SHARES`, `SEEDS` or `FOLDS`.
    """

    rule: str = "default"
    share: float | None = None
    seed: int | None = None
    folds: int = 0

    def __post_init__(self) -> None:
        for name, lowest, highest in (
            ("share", *SHARES), ("seed", *SEEDS), ("folds", *FOLDS)
        ):  # fmt: skip
            value = getattr(self, name)
            kinds = (int, float) if name == "share" else (int,)
            if value is not None and (
                isinstance(value, bool)
                or not isinstance(value, kinds)
                or not lowest <= value <= highest
            ):
                reason = f"split.{name} is {shown(value)}; it goes from {lowest} to {highest}"
                raise BadTable(say("error.bad_recipe", reason=reason))


@dataclass(frozen=True)
class DatasetRecipe:
    """Everything that turns a source into a data set.

    Attributes:
        fingerprint: Of the source that it was made for; empty for any.
        labels: What label names mean that are not canonical: another name, the same one, or empty
            to leave their pictures out.
        rules: Names of outlier rules that drop pictures, with their thresholds.
        exact: What is done with exact copies, `leave` or `one`.
        near: What is done with near copies, `leave` or `one`; `one` holds for exact copies, too.
        conflicts: What is done with exact copies whose labels differ, and with near ones where
            they are not left: `leave`, `majority` or `drop`.
        decisions: What people decided, by path. They outrank all rules; what cannot be read is out
            in any case.
        split: How the rest is split.
        origin: Where the data set comes from, in words, for its card.
        terms: On which terms it may be used, in words, for its card.
    """

    fingerprint: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    rules: Mapping[str, float] = field(default_factory=lambda: {"unreadable": 1.0})
    exact: str = ONE
    near: str = LEAVE
    conflicts: str = "drop"
    decisions: Mapping[str, Decision] = field(default_factory=dict)
    split: SplitChoice = field(default_factory=SplitChoice)
    origin: str = ""
    terms: str = ""

    def __post_init__(self) -> None:
        check_rules(self.rules)
        for name, allowed in _POLICIES.items():
            if getattr(self, name) not in allowed:
                value, names = shown(getattr(self, name)), ", ".join(allowed)
                raise BadTable(say("error.bad_policy", name=name, value=value, allowed=names))
        if self.split.rule != GIVEN:
            check_split(self.split.rule)

    @property
    def needs_faces(self) -> bool:
        """Whether a rule looks at faces, so that they have to be searched."""
        return any(RULES[name].needs_faces for name in self.rules)

    def to_yaml(self) -> str:
        """Return the recipe as YAML; the same recipe is the same text."""
        held = {
            "schema": SCHEMA,
            "fingerprint": self.fingerprint,
            "origin": self.origin,
            "terms": self.terms,
            "labels": dict(sorted(self.labels.items())),
            "rules": {name: _plain(v) for name, v in check_rules(self.rules).items()},
            "copies": {name: getattr(self, name) for name in _POLICIES},
            "split": {k: v for k, v in asdict(self.split).items() if v is not None},
            "decisions": as_rows(self.decisions),
        }
        return str(yaml.dump(held, Dumper=_DUMPER, sort_keys=False, allow_unicode=True, width=100))


#: In C where PyYAML has it: several times as quick, for thousands of decisions.
_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_POLICIES = {"exact": COPY_POLICIES, "near": COPY_POLICIES, "conflicts": CONFLICT_POLICIES}


def parse_recipe(text: str) -> DatasetRecipe:
    """Make a recipe of its YAML.

    Raises:
        BadTable: It is no such YAML; the message says what is wrong with it.
    """
    try:
        held = read_yaml(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise BadTable(say("error.bad_recipe", reason=str(error).splitlines()[0])) from error
    if not isinstance(held, dict) or held.get("schema") != SCHEMA:
        raise BadTable(say("error.bad_recipe", reason=f"it does not say 'schema: {SCHEMA}'"))
    known = {"schema", "fingerprint", "origin", "terms", "labels", "rules", "copies", "split",
             "decisions"}  # fmt: skip
    split, copies = held.get("split") or {}, held.get("copies") or {}
    _check_names("recipe", held, known)
    _check_names("split", split, {f.name for f in fields(SplitChoice)})
    _check_names("copies", copies, set(_POLICIES))
    try:
        decisions = [_decision(row) for row in held.get("decisions") or []]
        return DatasetRecipe(
            **{k: _word(held.get(k) or "") for k in ("fingerprint", "origin", "terms")},
            labels={_word(k): _word(v or LEFT_OUT) for k, v in (held.get("labels") or {}).items()},
            rules=check_rules(held.get("rules") or {}),
            decisions={one.path: one for one in decisions},
            split=SplitChoice(**split),
            **copies,
        )
    except (TypeError, AttributeError, ValueError) as error:
        raise BadTable(say("error.bad_recipe", reason=str(error))) from error


def _decision(row: Mapping[str, Any]) -> Decision:
    told: dict[str, Any] = {key: _word("" if one is None else one) for key, one in row.items()}
    if "at_s" in told:
        told["at_s"] = float(row["at_s"])
    return Decision(**told)


def _word(value: object) -> str:
    """Return a value as text; a list of lists that name each other would fill the memory."""
    if isinstance(value, list | dict | set | tuple):
        raise TypeError("a list stands where a word belongs")
    return str(value)


def load_recipe(path: Path) -> DatasetRecipe:
    """Read a recipe from a file.

    Raises:
        BadTable: The file cannot be read, or is no recipe.
    """
    try:
        return parse_recipe(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise BadTable(say("error.bad_recipe", reason=f"{path.name}: {error}")) from error


def fingerprint_of(index: pd.DataFrame) -> str:
    """Return a hash over the paths, contents and votes of a source, 64 hex digits."""
    digest = hashlib.sha256()
    rows = index[["path", "sha256", "raw_label", "split"]].fillna("")
    votes = sorted(str(column) for column in index if str(column).startswith(VOTE))
    rows[votes] = index[votes].fillna(0).astype("int64")
    for row in rows.sort_values("path").itertuples(index=False):
        digest.update("\0".join(map(str, row)).encode() + b"\n")
    return digest.hexdigest()


def check_fits(recipe: DatasetRecipe, index: pd.DataFrame, *, name: str) -> None:
    """Check that a recipe was made for a source.

    Raises:
        BadTable: The source is another one or has changed; the message says how.
    """
    if not recipe.fingerprint or recipe.fingerprint == fingerprint_of(index):
        return
    gone = sorted(set(recipe.decisions) - set(index["path"]))
    raise BadTable(say("error.recipe_source", name=name, gone=len(gone)))


def label_rows(index: pd.DataFrame, answers: Mapping[str, str]) -> pd.Series:
    """Return each picture's label by its canonical name; missing where it has none or is left out.

    Raises:
        UnknownLabels: As `naming.name_labels`.
    """
    meant = name_labels(index["raw_label"].dropna(), answers)
    return index["raw_label"].map({k: v or None for k, v in meant.items()}).astype("str")


def apply_recipe(recipe: DatasetRecipe, index: pd.DataFrame) -> pd.DataFrame:
    """Apply a recipe to the index of its source: clean it, then split what stays.

    Returns:
        As `clean_rows`, with `split` anew (`train`, `val`, `test`; empty where removed or
        unlabelled) and, when asked for, `fold` (missing for what trains whatever the fold).

    Raises:
        UnknownLabels, BadTable: A label name is unknown, or the rest cannot be split.
    """
    return split_cleaned(clean_rows(recipe, index), recipe.split)


def clean_rows(recipe: DatasetRecipe, index: pd.DataFrame) -> pd.DataFrame:
    """Apply all of a recipe but its split.

    Args:
        recipe: What is done.
        index: Of the source, with the columns `exact` and `group` of `duplicates.find_groups`.

    Returns:
        The index with `label` (after relabelling), `given` (the label before), `by_model` (whether
        a model chose the label; it may not where the source puts the picture into test) and
        `removed` (why the picture is left out, empty where it stays).

    Raises:
        UnknownLabels: A label name is unknown.
    """
    table = index.copy()
    given = label_rows(index, recipe.labels)
    table["given"] = given
    table["label"] = given
    decided = {action: _mask(table, recipe, action) for action in (KEEP, DROP, RELABEL)}
    new = table["path"].map(
        {p: canonical_name(d.label) or d.label for p, d in recipe.decisions.items() if d.label}
    )
    taught = {path for path, one in recipe.decisions.items() if one.by}
    is_taught, is_test = table["path"].isin(taught), table["split"] == TEST
    table["by_model"] = is_taught & ~is_test
    table["label"] = table["label"].mask(new.notna() & ~(is_taught & is_test), new)
    is_sure = (decided[KEEP] | decided[RELABEL]) & ~is_taught
    removed = pd.Series("", table.index, dtype="str")
    # whatever anybody decided: nothing can be done with it
    _remove(removed, ~index["is_readable"].astype(bool), "unreadable")
    was_left_out = given.isna() & index["raw_label"].notna() & table["label"].isna()
    _remove(removed, was_left_out, "label left out")
    for name, threshold in check_rules(recipe.rules).items():
        is_odd = find_outliers(index, name, threshold)
        is_fixed = RULES[name].low == RULES[name].high
        reason = name if is_fixed else f"{name} ({_plain(threshold)})"
        _remove(removed, is_odd & ~is_sure, reason)
    reasons = table["path"].map({p: d.reason for p, d in recipe.decisions.items()}).astype("str")
    is_dropped = decided[DROP] & (removed == "")
    removed[is_dropped] = "dropped: " + reasons[is_dropped].replace("", "by hand")
    _drop_copies(table, removed, recipe, is_sure=is_sure)
    table["removed"] = removed
    return table


def _mask(table: pd.DataFrame, recipe: DatasetRecipe, action: str) -> pd.Series:
    paths = {path for path, one in recipe.decisions.items() if one.action == action}
    return table["path"].isin(paths)


def _remove(removed: pd.Series, rows: pd.Series, reason: str) -> None:
    removed[rows & (removed == "")] = reason


def _drop_copies(
    table: pd.DataFrame, removed: pd.Series, recipe: DatasetRecipe, *, is_sure: pd.Series
) -> None:
    """Drop copies by the policies; what a person kept or relabelled stays, and is preferred to all
    but test pictures, which leave for no picture outside test."""
    columns = {"exact": recipe.exact} | ({"group": ONE} if recipe.near == ONE else {})
    is_test = table["split"] == TEST
    judging, taught = is_test.to_numpy(bool), table["by_model"].to_numpy(bool)
    for column, policy in columns.items():
        rows = np.flatnonzero((removed == "") & table[column].notna() & table["label"].notna())
        order = table["split"].map(SPLIT_ORDER).fillna(3) - 10 * is_sure - 20 * is_test
        rows = rows[np.argsort(order.to_numpy()[rows], kind="stable")]
        labels, paths = table["label"].to_numpy(object), table["path"].to_numpy(object)
        sure, reasons = is_sure.to_numpy(bool), removed.to_numpy(object).copy()
        groups: dict[int, list[int]] = {}
        numbers = table[column].to_numpy(object)
        for row in rows.tolist():
            groups.setdefault(numbers[row], []).append(row)
        for members in groups.values():
            staying = members
            if recipe.conflicts != LEAVE:
                wrong = _conflicting(
                    members, labels, sure, taught, by_majority=recipe.conflicts != "drop"
                )
                tested = {row for row in members if judging[row]}
                # where all go, nobody knows the label; else a test picture goes for another one
                if tested <= wrong and len(wrong) < len(members):
                    wrong -= tested
                for row in wrong:
                    reasons[row] = "copies with different labels"
                staying = [row for row in members if row not in wrong]
            if policy == ONE:
                for row in staying[1:]:
                    reasons[row] = "" if sure[row] else f"copy of {paths[staying[0]]}"
        removed[:] = reasons


def _conflicting(
    members: list[int],
    labels: NDArray[Any],
    sure: NDArray[np.bool_],
    taught: NDArray[np.bool_],
    *,
    by_majority: bool,
) -> set[int]:
    """Return which of some copies go because their labels differ; none that a person is sure of.

    A label of a model puts none of the others in doubt.
    """
    if len({labels[row] for row in members}) == 1:
        return set()
    trusted = {labels[row] for row in members if sure[row]}
    if not trusted:
        told = [row for row in members if not taught[row]] or members
        counts = Counter(labels[row] for row in told).most_common(2)
        if len(counts) == 1 or (by_majority and counts[0][1] > counts[1][1]):
            trusted = {counts[0][0]}
    return {row for row in members if labels[row] not in trusted and not sure[row]}


def stays_labelled(table: pd.DataFrame) -> pd.Series:
    """Return which pictures of a table as `clean_rows` gives it stay and have a label."""
    return (table["removed"] == "") & table["label"].notna()


def kept_rows(table: pd.DataFrame) -> pd.DataFrame:
    """Return the labelled pictures that stay, of a table as `clean_rows` gives it."""
    return table[stays_labelled(table)]


def split_cleaned(table: pd.DataFrame, choice: SplitChoice) -> pd.DataFrame:
    """Give every labelled picture that stays its split; the source's test pictures stay so.

    A rule that keeps copies together takes theirs out; the student systems did not look. What a
    model has relabelled trains and never validates: neither it nor a copy of it has a fold.

    Args:
        table: As `clean_rows` gives it; it is changed.
        choice: How it is split.

    Raises:
        BadTable: The rest cannot be split.
    """
    stays = stays_labelled(table)
    given = table["split"]
    table["split"] = ""
    if choice.rule == GIVEN:
        table.loc[stays, "split"] = given[stays].replace("", TRAIN)
    elif stays.any():
        is_test = stays & (given == TEST)
        table.loc[is_test, "split"] = TEST
        tested = set(table["group"][is_test].dropna())
        is_copy = stays & ~is_test & table["group"].isin(tested)
        is_copy &= check_split(choice.rule).keeps_groups
        table.loc[is_copy, "removed"] = COPY_OF_TEST
        rest = table[stays & ~is_test & ~is_copy]
        if len(rest):
            words = split_rows(rest, choice.rule, share=choice.share, seed=choice.seed)
            table.loc[rest.index, "split"] = words
    table.loc[table["by_model"] & (table["split"] == VAL), "split"] = TRAIN
    if choice.folds:
        taught = table["by_model"] | table["group"].isin(table["group"][table["by_model"]].dropna())
        judging = table[table["split"].isin([TRAIN, VAL]) & ~taught]
        table["fold"] = pd.Series(pd.NA, table.index, dtype="Int64")
        if len(judging):
            folds = fold_rows(judging, folds=choice.folds, seed=choice.seed or 0)
            table.loc[judging.index, "fold"] = folds
    return table


def _plain(value: float) -> float | int:
    return int(value) if float(value).is_integer() else value


def _check_names(title: str, held: object, known: set[str]) -> None:
    if not isinstance(held, dict) or set(held) - known:
        extra = ", ".join(sorted(map(str, set(held) - known))) if isinstance(held, dict) else held
        raise BadTable(say("error.bad_recipe", reason=f"{title}: {extra} is not known"))


def with_decisions(recipe: DatasetRecipe, decisions: Mapping[str, Decision]) -> DatasetRecipe:
    """Return a recipe with other decisions."""
    return replace(recipe, decisions=dict(decisions))
