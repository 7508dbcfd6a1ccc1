"""Timelines: one row per face and frame, a row for a frame without a face, and what follows."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from .labels import UNCERTAIN
from .types import FrameReading, Quality, Reading

#: Name and version of the table; it stands in every export and changes with the columns.
SCHEMA = "mien-timeline/1"

#: What each column means: the data dictionary.
TIMELINE_COLUMNS = {
    "time_s": "presentation time of the frame in seconds from the start of the video",
    "frame": "position of the frame in the video, from 0",
    "tracker_id": "number of the person, from 1, stable through misses of a second; valid in this "
    "video alone",
    "left_px": "left edge of the face's box in px",
    "top_px": "top edge of the box in px",
    "right_px": "right edge of the box in px",
    "bottom_px": "bottom edge of the box in px",
    "detector_confidence": "how sure the detector is that this is a face, 0 to 1",
    "size_px": "shorter side of the box in px",
    "sharpness": "variance of the Laplacian of the face at 64 px; compares faces of one video",
    "brightness": "mean grey value of the face, 0 to 255",
    "yaw_deg": "estimate: the head turns to the right (+) or left (-) of the picture; empty "
    "without landmarks",
    "pitch_deg": "estimate: the head looks down (+) or up (-)",
    "roll_deg": "estimate: the head tilts clockwise (+) or counterclockwise (-)",
    "label": "the expression the face looks like, or 'uncertain' where the model abstains",
    "top_label": "the label that is held, whether or not the model abstains; with hysteresis not "
    "always the one of the highest prob_*",
    "confidence": "smoothed probability of that label; in a hard vote its share of all members",
    "abstained": "whether the model abstains: the confidence is under the threshold, with the "
    "hysteresis of the options, or no label leads",
    "valence": "estimate, -1 unpleasant to 1 pleasant",
    "arousal": "estimate, -1 calm to 1 excited",
    "prob_*": "probability of each label, smoothed as the options say; they sum to 1",
    "model_id": "the model or committee that answered",
}
EPISODE_COLUMNS = {
    "tracker_id": "number of the person",
    "start_s": "time of the first frame",
    "end_s": "time at which the last frame ends",
    "duration_s": "end_s - start_s",
    "label": "what the face looks like throughout",
    "frames": "rows of the timeline in the episode",
    "confidence": "mean confidence",
}
PERSON_COLUMNS = {
    "tracker_id": "number of the person",
    "first_s": "when the person is first seen",
    "last_s": "when the person is last seen",
    "seen_s": "for how long a face was there, misses left out",
    "label": "the label with the largest share of that time",
    "changes_per_min": "changes of the label per minute of that time",
    "confidence": "mean confidence",
    "valence": "mean valence",
    "arousal": "mean arousal",
    "share_*": "share of that time with each label, 'uncertain' among them",
}
#: Rows are turned into a compact block when so many have gathered: a long video stays small.
_BLOCK_ROWS = 2048


class TimelineBuilder:
    """Gathers readings and gives the table; about 250 bytes a row are held.

    Args:
        model_id: Who answers.
        labels: What is asked; their columns stand there even when nobody is seen.
    """

    def __init__(self, *, model_id: str = "", labels: Iterable[str] = ()) -> None:
        self._model_id = model_id
        self._columns = [f"prob_{name}" for name in labels]
        self._rows: list[dict[str, Any]] = []
        self._blocks: list[pd.DataFrame] = []

    def add(self, seen: FrameReading, *, model_id: str | None = None) -> None:
        """Take one frame; a held one, which was not read itself, gives no row.

        `model_id` says who answered, where that changes on the way.
        """
        if not seen.is_held:
            self._rows += _frame_rows(seen, self._model_id if model_id is None else model_id)
        if len(self._rows) >= _BLOCK_ROWS:
            self._pack()

    def table(self) -> pd.DataFrame:
        """Return the tidy table: columns as in `TIMELINE_COLUMNS`, one `prob_` per label."""
        self._pack()
        table = pd.concat(self._blocks, ignore_index=True) if self._blocks else pd.DataFrame()
        seen = [column for column in table.columns if column.startswith("prob_")]
        probs = list(dict.fromkeys([*self._columns, *seen]))
        plain = [column for column in TIMELINE_COLUMNS if column != "prob_*"]
        table = table.reindex(columns=[*plain[:-1], *probs, plain[-1]])
        texts = {name: "string" for name in ("label", "top_label", "model_id")}
        return table.astype({"tracker_id": "Int64", "abstained": "boolean", **texts})

    def _pack(self) -> None:
        if self._rows:
            block = pd.DataFrame(self._rows)
            for column in {"label", "top_label"} & set(block.columns):
                block[column] = block[column].astype("category")
            self._blocks.append(block)
            self._rows = []


def timeline_table(readings: Iterable[FrameReading], *, model_id: str = "") -> pd.DataFrame:
    """Return the tidy table of a video, columns as in `TIMELINE_COLUMNS`."""
    builder = TimelineBuilder(model_id=model_id)
    for seen in readings:
        builder.add(seen)
    return builder.table()


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
        "valence": round(float(reading.affect.valence[face]), 4),
        "arousal": round(float(reading.affect.arousal[face]), 4),
        **{f"prob_{name}": round(float(value), 6) for name, value in probs},
    }


def _frame_rows(seen: FrameReading, model_id: str) -> list[dict[str, Any]]:
    head = {"time_s": round(seen.frame.time_s, 6), "frame": seen.frame.index}
    ids = seen.reading.faces.tracker_id
    rows = [
        {
            **head,
            "tracker_id": None if ids is None else int(ids[face]),
            **_quality_columns(seen.quality, face),
            **face_columns(seen.reading, face),
            "model_id": model_id,
        }
        for face in range(len(seen.reading))
    ]
    return rows or [{**head, "model_id": model_id}]


def _quality_columns(quality: Quality, face: int) -> dict[str, float]:
    yaw, pitch, roll = (round(float(angle), 1) for angle in quality.pose_deg[face])
    return {
        "size_px": round(float(quality.size_px[face]), 1),
        "sharpness": round(float(quality.sharpness[face]), 1),
        "brightness": round(float(quality.brightness[face]), 1),
        "yaw_deg": yaw,
        "pitch_deg": pitch,
        "roll_deg": roll,
    }


def episodes(table: pd.DataFrame) -> pd.DataFrame:
    """Return the runs of one label of one person, columns as in `EPISODE_COLUMNS`.

    A run ends where the label changes or a frame lacks the person; its last frame counts with the
    time to the next one.

    Args:
        table: As `timeline_table` gives it.
    """
    seen = _with_durations(table)
    if not len(seen):
        return pd.DataFrame(columns=list(EPISODE_COLUMNS))
    turn = seen["frame"].map({frame: i for i, frame in enumerate(sorted(table["frame"].unique()))})
    is_new = (
        (seen["tracker_id"] != seen["tracker_id"].shift())
        | (seen["label"] != seen["label"].shift())
        | (turn != turn.shift() + 1)
    )
    runs = seen.assign(run=is_new.cumsum()).groupby("run", sort=False)
    found = runs.agg(
        tracker_id=("tracker_id", "first"),
        start_s=("time_s", "first"),
        end_s=("until_s", "last"),
        label=("label", "first"),
        frames=("frame", "size"),
        confidence=("confidence", "mean"),
    )
    found["duration_s"] = (found["end_s"] - found["start_s"]).round(6)
    found["confidence"] = found["confidence"].round(4)
    found = found.sort_values(["start_s", "tracker_id"], ignore_index=True)
    return found[list(EPISODE_COLUMNS)]


def persons(table: pd.DataFrame) -> pd.DataFrame:
    """Return one row per person, columns as in `PERSON_COLUMNS`, one `share_` per label."""
    seen = _with_durations(table)
    names = [c.removeprefix("prob_") for c in table.columns if c.startswith("prob_")]
    labels = [*names, *sorted({UNCERTAIN, *seen["label"].dropna()} - set(names))]
    rows = [
        _person_row(int(rows["tracker_id"].iloc[0]), rows, labels)
        for _, rows in seen.groupby("tracker_id", sort=True)
    ]
    plain = [column for column in PERSON_COLUMNS if column != "share_*"]
    return pd.DataFrame(rows, columns=[*plain, *(f"share_{name}" for name in labels)])


def _person_row(person: int, rows: pd.DataFrame, labels: list[str]) -> dict[str, Any]:
    weights = rows["until_s"] - rows["time_s"]
    seen_s = float(weights.sum())
    if not seen_s:  # in frames alone that the next one replaces at once
        weights += 1.0
    total = float(weights.sum())
    time_of = weights.groupby(rows["label"].astype(str)).sum()
    shares = {name: round(float(time_of.get(name, 0.0)) / total, 4) for name in labels}
    changes = int((rows["label"] != rows["label"].shift()).sum()) - 1

    def mean(column: str) -> float:
        return round(float(np.average(rows[column].astype(float), weights=weights)), 4)

    return {
        "tracker_id": person,
        "first_s": float(rows["time_s"].iloc[0]),
        "last_s": float(rows["until_s"].iloc[-1]),
        "seen_s": round(seen_s, 6),
        "label": max(shares, key=lambda name: shares[name]),
        "changes_per_min": round(60 * changes / seen_s, 2) if seen_s else 0.0,
        "confidence": mean("confidence"),
        "valence": mean("valence"),
        "arousal": mean("arousal"),
        **{f"share_{name}": share for name, share in shares.items()},
    }


def _with_durations(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with a face, by person and time; `until_s` is when each frame ends.

    Of frames that share a time the last one lasts.
    """
    frames = table.drop_duplicates("frame").sort_values("frame")
    times = frames["time_s"].to_numpy(np.float64)
    step = float(np.median(np.diff(np.unique(times)))) if len(set(times)) > 1 else 0.04
    until = dict(zip(frames["frame"], [*times[1:], *(times[-1:] + step)], strict=True))
    seen = table[table["tracker_id"].notna()].astype({"tracker_id": "int64", "label": object})
    seen["until_s"] = seen["frame"].map(until).astype(float).round(6)
    return seen.sort_values(["tracker_id", "frame"], kind="stable", ignore_index=True)


def per_frame_form(table: pd.DataFrame) -> pd.DataFrame:
    """Return the per-frame table of seed 002: `ms,frame,emotions`.

    `frame` counts from 1. `emotions` is a text: the label of the only face, else the list of all
    labels as Python writes it, by person; `[]` when nobody is there.
    """
    ordered = table.sort_values(["frame", "tracker_id"], kind="stable")
    found: dict[int, tuple[float, list[str]]] = {}
    for frame, time_s, label in zip(
        ordered["frame"], ordered["time_s"], ordered["label"].astype(object), strict=True
    ):
        _, names = found.setdefault(int(frame), (round(float(time_s) * 1000, 3), []))
        if isinstance(label, str):
            names.append(label)
    rows = [
        (ms, frame + 1, names[0] if len(names) == 1 else str(names))
        for frame, (ms, names) in found.items()
    ]
    return pd.DataFrame(rows, columns=["ms", "frame", "emotions"])


def compact_form(frames: pd.DataFrame) -> pd.DataFrame:
    """Return the compact table of seed 002: `ms_start,ms_end,frame_start,frame_end,emotions`.

    One row per run of equal `emotions`; the order of a list counts.

    Args:
        frames: As `per_frame_form` gives it.
    """
    run = (frames["emotions"] != frames["emotions"].shift()).cumsum()
    return (
        frames.groupby(run, sort=False)
        .agg(
            ms_start=("ms", "first"),
            ms_end=("ms", "last"),
            frame_start=("frame", "first"),
            frame_end=("frame", "last"),
            emotions=("emotions", "first"),
        )
        .reset_index(drop=True)
    )


def expand_compact(compact: pd.DataFrame) -> pd.DataFrame:
    """Return the per-frame table of a compact one; times between are spread evenly."""
    parts = []
    for row in compact.to_dict("records"):
        frames = np.arange(int(row["frame_start"]), int(row["frame_end"]) + 1)
        ms = np.linspace(float(row["ms_start"]), float(row["ms_end"]), len(frames))
        parts.append(pd.DataFrame({"ms": ms, "frame": frames, "emotions": row["emotions"]}))
    empty = pd.DataFrame(columns=["ms", "frame", "emotions"])
    return pd.concat(parts, ignore_index=True) if parts else empty


def column_meanings(columns: Iterable[str], dictionary: Mapping[str, str]) -> dict[str, str]:
    """Return what each of the columns means; `prob_happy` is found under `prob_*`."""
    found = {}
    for column in columns:
        general = f"{column.split('_')[0]}_*"
        found[column] = dictionary.get(column) or dictionary.get(general, "")
    return found
