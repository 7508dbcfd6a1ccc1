"""Labels that a model suggests, and the decisions that take them."""

import pandas as pd

from ..datasets.decisions import RELABEL, Decision
from ..datasets.splits import TEST, VAL


def suggest_labels(
    cleaned: pd.DataFrame, readings: pd.DataFrame, *, threshold: float
) -> pd.DataFrame:
    """Return what a model would relabel, the surest first.

    Pictures that stand in validation or test are never among them: rows that judge a model must
    not be relabelled by one.

    Args:
        cleaned: As `load_cleaned` gives it.
        readings: Columns `path`, `read`, `confidence` and `model_id`, as `draw_map` gives them.
        threshold: Only readings at least so sure.

    Returns:
        Columns `path`, `label` (the present one), `read`, `confidence` and `model_id`.
    """
    may = (cleaned["removed"] == "") & ~cleaned["split"].isin([VAL, TEST])
    left = cleaned.loc[may & cleaned["label"].notna(), ["path", "label"]]
    found = left.merge(readings[["path", "read", "confidence", "model_id"]], on="path")
    found = found[(found["read"] != found["label"]) & (found["confidence"] >= threshold)]
    return found.sort_values(["confidence", "path"], ascending=[False, True], ignore_index=True)


def accept_labels(suggested: pd.DataFrame, *, at_s: float) -> list[Decision]:
    """Return decisions that relabel pictures as a model suggests."""
    return [
        Decision(
            row["path"],
            RELABEL,
            reason=f"{row['model_id']} reads {row['read']} with {row['confidence']:.0%}",
            label=row["read"],
            at_s=at_s,
            by=row["model_id"],
        )
        for row in suggested.to_dict("records")
    ]
