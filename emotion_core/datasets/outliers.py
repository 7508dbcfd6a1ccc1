"""Rules that find odd pictures. Each has a threshold that may be moved; a new rule is a row."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..errors import BadTable, shown
from ..texts import say

BELOW, ABOVE = "below", "above"


@dataclass(frozen=True)
class OutlierRule:
    """What is odd about a picture.

    Attributes:
        column: The column of the index that is looked at, or `side` (the shorter one in px) or
            `stretch` (the longer side by the shorter one).
        side: Whether values `below` or `above` the threshold are odd.
        threshold: What a newcomer should take.
        low: The threshold can be moved from here ...
        high: ... to here.
        needs_faces: Whether it says nothing where no faces were searched.
    """

    column: str
    side: str
    threshold: float
    low: float
    high: float
    needs_faces: bool = False


RULES = {
    "unreadable": OutlierRule("is_readable", BELOW, 1, 1, 1),
    "small": OutlierRule("side", BELOW, 40, 1, 500),
    "long": OutlierRule("stretch", ABOVE, 2, 1, 10),
    "blank": OutlierRule("contrast", BELOW, 3, 0, 40),
    "dark": OutlierRule("brightness", BELOW, 15, 0, 128),
    "bright": OutlierRule("brightness", ABOVE, 245, 128, 255),
    "blurred": OutlierRule("sharpness", BELOW, 5, 0, 500),
    "plain": OutlierRule("entropy", BELOW, 2, 0, 8),
    "faceless": OutlierRule("face_count", BELOW, 1, 1, 1, needs_faces=True),
    "crowded": OutlierRule("face_count", ABOVE, 1, 1, 20, needs_faces=True),
    "small_face": OutlierRule("face_size_px", BELOW, 24, 1, 500, needs_faces=True),
}


def find_outliers(index: pd.DataFrame, name: str, threshold: float | None = None) -> pd.Series:
    """Return whether each picture breaks a rule, bool.

    A picture that cannot be read breaks the rule `unreadable` alone.

    Args:
        index: As `workbench.load_index` gives it.
        name: A key of `RULES`.
        threshold: None takes the rule's own.

    Raises:
        BadTable: There is no such rule.
    """
    if name not in RULES:
        raise BadTable(say("error.no_rule", name=name, names=", ".join(RULES)))
    rule = RULES[name]
    limit = rule.threshold if threshold is None else threshold
    values = values_of(index, rule)
    is_odd = values < limit if rule.side == BELOW else values > limit
    if rule.column != "is_readable":
        is_odd &= index["is_readable"]
    if rule.needs_faces:
        is_odd &= index["face_count"] >= 0
    if name == "small_face":
        is_odd &= index["face_count"] > 0
    return is_odd.astype(bool)


def values_of(index: pd.DataFrame, rule: OutlierRule) -> pd.Series:
    """Return what a rule looks at, one number per picture."""
    if rule.column == "side":
        return index[["width", "height"]].min(axis=1)
    if rule.column == "stretch":
        sides = index[["width", "height"]]
        return sides.max(axis=1) / np.maximum(sides.min(axis=1), 1)
    return index[rule.column].astype(float)


def check_rules(rules: Mapping[str, float]) -> dict[str, float]:
    """Return rules with their thresholds in the order of `RULES`.

    Raises:
        BadTable: There is no such rule, or a threshold is no number, or outside its rule's range.
    """
    for name, threshold in rules.items():
        if name not in RULES:
            raise BadTable(say("error.no_rule", name=name, names=", ".join(RULES)))
        low, high = RULES[name].low, RULES[name].high
        is_number = isinstance(threshold, int | float) and not isinstance(threshold, bool)
        if not (is_number and low <= threshold <= high):
            told = say("error.bad_threshold", name=name, value=shown(threshold), low=low, high=high)
            raise BadTable(told)
    return {name: float(rules[name]) for name in RULES if name in rules}
