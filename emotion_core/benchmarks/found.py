"""Benchmarks from whole pictures: a face counts as right when it was found and read right."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..analysis import find_faces
from ..classify import Recognizer
from ..crops import crop_faces
from ..datasets.tables import read_table
from ..errors import BrokenImage, InputError, TooLarge, UnsupportedFormat
from ..faces import load_detector
from ..labels import FER2013, LabelSet, canonical_name
from ..media.photo import decode_photo, load_bytes
from ..texts import say
from ..types import Scores
from .contract import Benchmark, OnProgress, among_or_none, networks_of, share, votes_of


@dataclass(frozen=True)
class Named:
    """A picture and the emotions that count as right."""

    path: Path
    accepted: tuple[str, ...]


def film(
    data: Path, recognizers: Sequence[Recognizer], split: str, on_progress: OnProgress | None
) -> Benchmark:
    """Measure on faces of films: a folder with `labels.csv` of columns image and emotion.

    A picture with several labels counts as right with any of them.

    Raises:
        InputError: The folder holds no such table.
    """
    table = _table(data / "labels.csv", ("image", "emotion"))
    grouped = table.groupby("image", sort=False)["emotion"].agg(lambda names: "/".join(names))
    return _measured("film", data, grouped, recognizers, split, on_progress)


def photos(
    data: Path, recognizers: Sequence[Recognizer], split: str, on_progress: OnProgress | None
) -> Benchmark:
    """Measure on photos that are named by an emotion: `manifest.csv` of file, expected_emotion.

    The largest face of a photo counts. Two emotions with a stroke between them are both right.

    Raises:
        InputError: The folder holds no such table.
    """
    table = _table(data / "manifest.csv", ("file", "expected_emotion"))
    chosen = table.set_index("file")["expected_emotion"]
    return _measured("photos", data, chosen, recognizers, split, on_progress)


def _table(path: Path, columns: tuple[str, str]) -> pd.DataFrame:
    """Return the rows of a table that name a picture and, in the second column, an emotion."""
    table = read_table(load_bytes(path), path.name)
    missing = [name for name in columns if name not in table]
    if missing:
        raise InputError(say("error.benchmark_table", name=path.name, column=missing[0]))
    return table[table[columns[1]].fillna("") != ""]


def _measured(
    name: str,
    folder: Path,
    emotions: "pd.Series[str]",
    recognizers: Sequence[Recognizer],
    split: str,
    on_progress: OnProgress | None,
) -> Benchmark:
    if split != "test":
        raise InputError(say("error.benchmark_one_part", name=name))
    said = {one.strip() for text in emotions for one in text.split("/") if one.strip()}
    if unknown := sorted(one for one in said if canonical_name(one) is None):
        raise InputError(say("error.benchmark_names", name=folder.name, names=", ".join(unknown)))
    pictures = [
        Named(
            folder / str(path),
            tuple(known for one in text.split("/") if (known := canonical_name(one))),
        )
        for path, text in emotions.items()
    ]
    networks = networks_of(recognizers)
    read: dict[tuple[str, bool], list[NDArray[np.float32]]] = {
        (key, flip): [] for key in networks for flip in (False, True)
    }
    readable: list[Named] = []
    found: list[bool] = []
    detector = load_detector()
    for number, picture in enumerate(pictures, start=1):
        if on_progress:
            on_progress(number, len(pictures))
        try:
            image = decode_photo(load_bytes(picture.path), name=picture.path.name)
        except (UnsupportedFormat, TooLarge, BrokenImage):
            continue
        readable.append(picture)
        faces = find_faces(image, detector)
        found.append(len(faces) > 0)
        if len(faces):
            for key, network in networks.items():
                crops = crop_faces(image, faces[[faces.largest]], network.card.crop)
                for flip, scores in zip((False, True), network.classify_both(crops), strict=True):
                    read[key, flip].append(scores.probs)
    if not any(found):
        raise InputError(say("error.benchmark_no_faces", name=folder.name))
    is_found, refused, pictures = np.array(found), len(pictures) - len(readable), readable
    held = {
        (key, flip): Scores(np.concatenate(parts), LabelSet(networks[key].card.labels))
        for (key, flip), parts in read.items()
    }
    labels = [label for label in FER2013 if any(label in one.accepted for one in pictures)]
    rows: list[dict[str, Any]] = []
    for row, vote in votes_of(recognizers, held):
        answers = np.full(len(pictures), -1)
        answers[is_found] = among_or_none(vote, FER2013).argmax(axis=1)
        rows.append({**row, **_figures(pictures, answers, labels)})
    n = {"faces": len(pictures), "found": int(is_found.sum()), "refused": refused}
    return Benchmark(name, say(f"benchmark.{name}"), n, pd.DataFrame(rows))


def _figures(
    pictures: Sequence[Named], answers: NDArray[np.int64], labels: Sequence[str]
) -> dict[str, float]:
    """Return accuracy and, over the labels, mean recall; -1 is a face that was not found, 7 an
    answer that is none of the seven."""
    hit = np.array(
        [
            0 <= answer < len(FER2013) and FER2013[answer] in one.accepted
            for answer, one in zip(answers, pictures, strict=True)
        ]
    )
    recall = []
    for label in labels:
        rows = [n for n, one in enumerate(pictures) if label in one.accepted]
        recall.append(float(hit[rows].mean()))
    return {**share(hit, "accuracy"), "mean_recall": float(np.mean(recall))}
