"""The report of a data set: all counts as JSON, and a page that opens without a network."""

import base64
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
import pandas as pd

from .naming import in_label_order
from .outliers import RULES, find_outliers
from .splits import TEST, TRAIN, VAL

SCHEMA = "mien-dataset-report/1"
_MEASURES = ("width", "height", "aspect_ratio", "brightness", "contrast", "sharpness", "entropy")
_ERRORS_SHOWN = 50
_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;
color:#0e0f12;background:#fff}table{border-collapse:collapse;margin:1rem 0;width:100%}
th,td{text-align:right;padding:.25rem .6rem;border-bottom:1px solid #d8dade}
th:first-child,td:first-child{text-align:left}h1,h2{font-weight:600}
.bar{background:#05779c;height:.7rem;display:inline-block;vertical-align:middle}
figure{display:inline-block;margin:.3rem;width:112px;vertical-align:top}
img{width:112px;height:112px;object-fit:cover;display:block}
figcaption{font-size:.72rem;overflow-wrap:anywhere}
@media(prefers-color-scheme:dark){body{color:#fafafa;background:#0e1117}
th,td{border-color:#3a3d46}}
"""


def report_of(
    index: pd.DataFrame,
    groups: pd.DataFrame,
    noise: pd.DataFrame | None = None,
    *,
    name: str,
    kind: str,
) -> dict[str, Any]:
    """Return all counts of a data set as plain values.

    Args:
        index: As `workbench.load_index` gives it, with the column `label`.
        groups: As `duplicates.summarise_groups` gives it.
        noise: As `noise.rank_labels` gives it; None where labels were not judged.
        name: Of the data set.
        kind: Of its source.
    """
    readable = index[index["is_readable"]]
    exact = index.dropna(subset=["exact"])
    by_hash = exact.groupby("exact")
    labels = index["label"].dropna()
    return {
        "schema": SCHEMA,
        "name": name,
        "kind": kind,
        "pictures": len(index),
        "labelled": len(labels),
        "unreadable": int((~index["is_readable"]).sum()),
        "classes": {
            label: _split_counts(index[index["label"] == label]) for label in in_label_order(labels)
        },
        "splits": _split_counts(index),
        "modes": _counts(readable["mode"]),
        "formats": _counts(readable["format"]),
        "measures": {
            column: {
                "all": _spread(readable[column]),
                **{
                    label: _spread(readable[column][readable["label"] == label])
                    for label in in_label_order(readable["label"].dropna())
                },
            }
            for column in _MEASURES
        },
        "outliers": {
            rule: {"threshold": RULES[rule].threshold, "n": int(find_outliers(index, rule).sum())}
            for rule in RULES
        },
        "copies": {
            "exact_groups": int(by_hash.ngroups),
            "exact_rows": len(exact),
            "exact_conflicting_groups": int((by_hash["label"].nunique() > 1).sum()),
            "exact_leaks": _leaks(exact, "exact"),
            "groups": len(groups),
            "rows": int(groups["n"].sum()),
            "conflicting_groups": int(groups["is_conflict"].sum()),
            "leaking_groups": int(groups["is_leak"].sum()),
        },
        "doubtful_labels": None if noise is None else int(noise["is_issue"].sum()),
        "errors": {
            row.path: row.error
            for row in index[~index["is_readable"]].head(_ERRORS_SHOWN).itertuples()
        },
    }


def report_html(
    report: Mapping[str, Any], pictures: Mapping[str, Mapping[str, bytes]] | None = None
) -> str:
    """Return a report as one page without scripts and without anything from elsewhere.

    Args:
        report: As `report_of` gives it.
        pictures: Small JPEGs by path, by part: `label:<name>`, `conflicts`, `noise`.
    """
    pictures = pictures or {}
    copies = report["copies"]
    parts = [
        f"<h1>{escape(report['name'])}</h1>",
        f"<p>{report['pictures']:,} pictures, {report['labelled']:,} with a label, "
        f"{report['unreadable']:,} unreadable. This is the source as it is, before anything of it "
        "is left out, relabelled or split.</p>",
        "<h2>Pictures per label</h2>",
        _class_table(report),
        *(
            _gallery(part.removeprefix("label:"), held)
            for part, held in pictures.items()
            if part.startswith("label:")
        ),
        "<h2>Odd pictures</h2>",
        _table(
            ("rule", "threshold", "pictures"),
            [(rule, f"{row['threshold']:g}", row["n"]) for rule, row in report["outliers"].items()],
        ),
        "<h2>Copies</h2>",
        _table(
            ("", "groups", "pictures"),
            [
                ("exact", copies["exact_groups"], copies["exact_rows"]),
                ("exact or near", copies["groups"], copies["rows"]),
                ("exact, with different labels", copies["exact_conflicting_groups"], ""),
                ("exact or near, with different labels", copies["conflicting_groups"], ""),
                ("in more than one split", copies["leaking_groups"], ""),
            ],
        ),
        _gallery("Copies with different labels", pictures.get("conflicts", {})),
        "<h2>Measures</h2>",
        _measure_table(report["measures"]),
    ]
    if report["doubtful_labels"] is not None:
        parts += [
            "<h2>Doubtful labels</h2>",
            f"<p>{report['doubtful_labels']:,} labels are probably wrong.</p>",
            _gallery("The most doubtful", pictures.get("noise", {})),
        ]
    if report["errors"]:
        parts += [
            "<h2>Unreadable files</h2>",
            _table(("file", "why"), list(report["errors"].items())),
        ]
    body = "\n".join(parts)
    title = escape(report["name"])
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{title}</title><style>{_STYLE}</style></head><body>\n{body}\n</body></html>\n"
    )


def _class_table(report: Mapping[str, Any]) -> str:
    splits = [s for s in (TRAIN, VAL, TEST, "") if report["splits"].get(s)]
    most = max((sum(row.values()) for row in report["classes"].values()), default=1)
    rows = []
    for label, row in report["classes"].items():
        total = sum(row.values())
        bar = f'<span class="bar" style="width:{100 * total / most:.0f}px"></span>'
        cells = [str(row.get(split, 0)) for split in splits]
        rows.append([escape(label), *cells, f"{bar} {total}"])
    head = [split or "no split" for split in splits]
    return _table(("label", *head, "all"), rows, is_safe=True)


def _measure_table(measures: Mapping[str, Mapping[str, Any]]) -> str:
    rows = [
        (name, *(f"{row['all'][k]:g}" for k in ("p1", "p25", "median", "p75", "p99")))
        for name, row in measures.items()
        if row["all"]
    ]
    return _table(("measure", "1 %", "25 %", "median", "75 %", "99 %"), rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]], *, is_safe: bool = False) -> str:
    cells = [[cell if is_safe else escape(str(cell)) for cell in row] for row in rows]
    lines = ["<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in cells]
    top = "".join(f"<th>{escape(name)}</th>" for name in head)
    return f"<table><tr>{top}</tr>{''.join(lines)}</table>"


def _gallery(title: str, pictures: Mapping[str, bytes]) -> str:
    if not pictures:
        return ""
    shown = "".join(
        f'<figure><img alt="{escape(path)}" '
        f'src="data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}">'
        f"<figcaption>{escape(path)}</figcaption></figure>"
        for path, jpeg in pictures.items()
    )
    return f"<h3>{escape(title)}</h3>{shown}"


def _split_counts(rows: pd.DataFrame) -> dict[str, int]:
    counts = rows["split"].value_counts()
    return {split: int(counts[split]) for split in (TRAIN, VAL, TEST, "") if split in counts}


def _leaks(exact: pd.DataFrame, column: str) -> dict[str, int]:
    """Return how many pictures of validation and test have a copy in training."""
    trained = set(exact[column][exact["split"] == TRAIN])
    return {
        split: int((exact[column].isin(trained) & (exact["split"] == split)).sum())
        for split in (VAL, TEST)
    }


def _counts(words: pd.Series) -> dict[str, int]:
    return {str(word): int(n) for word, n in words.value_counts().sort_index().items()}


def _spread(values: pd.Series) -> dict[str, float]:
    if not len(values):
        return {}
    points = np.percentile(values.to_numpy(float), [0, 1, 25, 50, 75, 99, 100])
    names = ("min", "p1", "p25", "median", "p75", "p99", "max")
    return {name: round(float(value), 4) for name, value in zip(names, points, strict=True)}
