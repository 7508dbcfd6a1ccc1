"""The faces of a data set as arrays: what networks judge and train on."""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import islice
from typing import TypeVar

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..classify import Classifier
from ..crops import crop_faces, rule_for
from ..datasets.sources import Source
from ..errors import InputError
from ..faces import load_detector
from ..labels import LabelSet
from ..media.photo import encode_jpeg
from ..types import Affect, CropRule, Faces, Image, Scores
from .index import OnProgress, face_or_whole, read_picture_of

_AT_ONCE = 32
#: So many pictures a thread are asked for ahead.
_AHEAD = 8
_MEAN_OF, _MEAN_PX = 60, 96
T = TypeVar("T")
#: From a picture, its face, and whether that is the whole picture.
Take = Callable[[Image, Faces, bool], T]


def load_faces(
    source: Source,
    paths: Sequence[str],
    rule: CropRule,
    *,
    is_whole_wanted: bool = False,
    into: NDArray[np.uint8] | None = None,
    on_progress: OnProgress | None = None,
) -> NDArray[np.uint8]:
    """Return the largest face of each picture, or the whole picture where none is found.

    Args:
        source: Where the pictures are.
        paths: Which ones, n of them.
        rule: How faces are cut out.
        is_whole_wanted: Take the whole pictures and search for no face.
        into: Where the faces are put, such as an `np.memmap`; None makes an array.
        on_progress: Called after each picture.

    Returns:
        uint8 (n, side_px, side_px, channels).

    Raises:
        InputError: A picture cannot be read.
    """

    def cut(image: Image, face: Faces, is_whole: bool) -> NDArray[np.uint8]:
        crop: NDArray[np.uint8] = crop_faces(image, face, rule_for(rule, is_whole=is_whole))[0]
        return crop

    shape = (len(paths), rule.side_px, rule.side_px, rule.channels)
    crops = np.empty(shape, np.uint8) if into is None else into
    for row, crop in enumerate(_looked_at(source, paths, cut, detects=not is_whole_wanted)):
        crops[row] = crop
        if on_progress:
            on_progress(row + 1, len(paths))
    return crops


def _looked_at(
    source: Source, paths: Sequence[str], take: Take[T], *, detects: bool = True
) -> Iterator[T]:
    """Yield what `take` makes of each picture, its largest face and whether that is the whole
    picture, in their order; a thread per core reads and searches.

    Raises:
        InputError: A picture cannot be read.
    """
    local = threading.local()  # no detector bears two calls at once

    def look(path: str) -> T:
        if not hasattr(local, "detector"):
            local.detector = load_detector() if detects else None
        image = read_picture_of(source, path)
        return take(image, *face_or_whole(image, local.detector))

    workers = os.cpu_count() or 1
    with ThreadPoolExecutor(workers, thread_name_prefix="faces") as pool:
        for start in range(0, len(paths), _AHEAD * workers):  # few, so that it can be cancelled
            yield from pool.map(look, paths[start : start + _AHEAD * workers])


def mean_sample(paths: pd.Series) -> list[str]:
    """Return the pictures whose mean stands for all of a label: a seeded sample."""
    return list(paths.sample(min(_MEAN_OF, len(paths)), random_state=0))


def mean_face(source: Source, paths: Sequence[str]) -> bytes | None:
    """Return the mean of some pictures as JPEG; None where none of them can be read.

    Those that have gone or broken since they were measured are passed over.
    """
    squares: list[NDArray[np.uint8]] = []
    for path in paths:
        with suppress(InputError):
            squares.append(_square(read_picture_of(source, path, least_px=_MEAN_PX)))
    if not squares:
        return None
    return encode_jpeg(np.mean(squares, axis=0).round().astype(np.uint8), max_side_px=_MEAN_PX)


def _square(image: Image) -> NDArray[np.uint8]:
    """Return a picture as a square of `_MEAN_PX`, whatever its shape was."""
    size = (_MEAN_PX, _MEAN_PX)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def read_probs(
    source: Source,
    paths: Sequence[str],
    models: Sequence[Classifier],
    *,
    flip: bool = False,
    on_progress: OnProgress | None = None,
) -> list[Scores]:
    """Let models read the largest face of each picture, or the whole picture.

    Args:
        source: Where the pictures are.
        paths: Which ones, n of them.
        models: Who reads.
        flip: Whether the mean over each face and its mirror image is taken.
        on_progress: Called after some pictures each.

    Returns:
        The calibrated scores of each model.

    Raises:
        InputError: A picture cannot be read.
    """
    return [
        plain_or_both[-1] for plain_or_both in _read(source, paths, models, (flip,), on_progress)
    ]


def read_both_ways(
    source: Source,
    paths: Sequence[str],
    models: Sequence[Classifier],
    *,
    on_progress: OnProgress | None = None,
) -> list[tuple[Scores, Scores]]:
    """Return what `read_probs` gives, per model without and with the mirror image; it looks once.

    Raises:
        InputError: A picture cannot be read.
    """
    return [(one[0], one[1]) for one in _read(source, paths, models, (False, True), on_progress)]


def _read(
    source: Source,
    paths: Sequence[str],
    models: Sequence[Classifier],
    flips: Sequence[bool],
    on_progress: OnProgress | None,
) -> list[list[Scores]]:

    def cut(image: Image, face: Faces, is_whole: bool) -> list[NDArray[np.uint8]]:
        crops = []
        for card in cards:
            whole = is_whole or card.sees == "whole"
            box = Faces.whole(image) if whole else face
            crops.append(crop_faces(image, box, rule_for(card.crop, is_whole=whole)))
        return crops

    cards = [model.card for model in models]
    looked = _looked_at(source, paths, cut, detects=any(card.sees == "face" for card in cards))
    found: list[list[list[Scores]]] = [[[] for _ in flips] for _ in models]
    done = 0
    for batch in _batches(paths):
        crops = list(zip(*islice(looked, len(batch)), strict=True))
        for parts, held, model in zip(found, crops, models, strict=True):
            for part, flip in zip(parts, flips, strict=True):
                part.append(model.classify(np.concatenate(held), flip=flip))
        done += len(batch)
        if on_progress:
            on_progress(done, len(paths))
    return [
        [_joined(part, LabelSet(model.card.labels)) for part in parts]
        for parts, model in zip(found, models, strict=True)
    ]


def _joined(parts: Sequence[Scores], labels: LabelSet) -> Scores:
    """Return the scores of all batches; none without a batch."""
    probs = np.concatenate([np.zeros((0, len(labels)), np.float32), *(one.probs for one in parts)])
    own = [one.affect for one in parts if one.affect is not None]
    if not own:
        return Scores(probs, labels)
    valence = np.concatenate([affect.valence for affect in own])
    arousal = np.concatenate([affect.arousal for affect in own])
    return Scores(probs, labels, Affect(valence, arousal))


def _batches(paths: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(paths), _AT_ONCE):
        yield paths[start : start + _AT_ONCE]
