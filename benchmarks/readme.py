"""The rows of the README's table of accuracy, from the cards.

python -m benchmarks.readme
"""

from collections.abc import Mapping
from typing import Any

from emotion_core.registry import committee_records, shipped_models

#: Benchmark, prior and figure of each column.
COLUMNS = (
    ("ferplus", "data", "accuracy"),
    ("ferplus", "balanced", "mean_recall"),
    ("ferplus", "balanced", "subtle"),
    ("ferplus", "data", "ece"),
    ("fer2013", "balanced", "accuracy"),
    ("film", "balanced", "accuracy"),
    ("photos", "balanced", "accuracy"),
)
#: The first so many columns have their interval beside them.
WITH_INTERVAL = 3


def rows() -> dict[str, list[str]]:
    """Return the cells of every shipped model and committee, by id."""
    held = {one.id: one.card.metrics.get("benchmarks", {}) for one in shipped_models() if one.card}
    return {name: _cells(found) for name, found in {**held, **committee_records().figures}.items()}


def _cells(found: Mapping[str, Any]) -> list[str]:
    cells = []
    for number, (benchmark, prior, figure) in enumerate(COLUMNS):
        (row,) = (
            row for row in found[benchmark]["rows"] if row["prior"] == prior and not row["mirrored"]
        )
        cell = f"{row[figure]:.1%}".replace("%", " %")
        if number < WITH_INTERVAL:
            low, high = (100 * row[f"{figure}_{end}"] for end in ("low", "high"))
            cell += f" ({low:.1f}–{high:.1f})"
        cells.append(cell)
    return cells


if __name__ == "__main__":
    for name, cells in rows().items():
        print(f"| `{name}` | {' | '.join(cells)} |")
