"""Timelines: one row per face and frame, and a row for a frame without a face."""

from collections.abc import Iterable
from typing import Any

import pandas as pd

from .types import Frame, Reading

_COLUMNS = [
    "time_s",
    "frame",
    "tracker_id",
    "left_px",
    "top_px",
    "right_px",
    "bottom_px",
    "detector_confidence",
    "label",
    "top_label",
    "confidence",
    "abstained",
    "whole_picture",
    "valence",
    "arousal",
]


def timeline_rows(frame: Frame, reading: Reading) -> list[dict[str, Any]]:
    """Return the rows of one frame; a frame without a face gives one row without values."""
    head = {"time_s": round(frame.time_s, 6), "frame": frame.index}
    if not len(reading):
        return [head]
    ids = reading.faces.tracker_id
    return [
        {
            **head,
            "tracker_id": None if ids is None else int(ids[face]),
            **face_columns(reading, face),
        }
        for face in range(len(reading))
    ]


def timeline_table(readings: Iterable[tuple[Frame, Reading]]) -> pd.DataFrame:
    """Return the tidy table of a video: rows as `timeline_rows` gives them."""
    rows = [row for frame, reading in readings for row in timeline_rows(frame, reading)]
    table = pd.DataFrame(rows)
    # the columns stand there even when no frame has a face
    return table.reindex(columns=[*_COLUMNS, *table.columns.drop(_COLUMNS, errors="ignore")])


def face_columns(reading: Reading, face: int) -> dict[str, Any]:
    """Return what is known of one face as columns; photos and timelines share them."""
    box = (round(float(value), 1) for value in reading.faces.xyxy[face])
    probs = zip(reading.scores.labels, reading.scores.probs[face], strict=True)
    return {
        **dict(zip(("left_px", "top_px", "right_px", "bottom_px"), box, strict=True)),
        "detector_confidence": round(float(reading.faces.confidence[face]), 4),
        "label": reading.label[face],
        "top_label": reading.top_label[face],
        "confidence": round(float(reading.confidence[face]), 4),
        "abstained": bool(reading.abstained[face]),
        "whole_picture": reading.is_whole_picture,
        "valence": round(float(reading.affect.valence[face]), 4),
        "arousal": round(float(reading.affect.arousal[face]), 4),
        **{f"prob_{name}": round(float(value), 6) for name, value in probs},
    }
