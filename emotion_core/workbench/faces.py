"""The faces of a data set as arrays: what networks judge and train on."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..classify import Classifier
from ..crops import crop_faces, rule_for
from ..datasets.sources import Source
from ..faces import load_detector
from ..media.photo import encode_jpeg
from ..types import CropRule, Image
from .index import OnProgress, face_or_whole, read_picture_of
from .store import Dataset

_AT_ONCE = 32
_MEAN_OF, _MEAN_PX = 60, 96


def load_faces(
    source: Source, paths: Sequence[str], rule: CropRule, *, on_progress: OnProgress | None = None
) -> NDArray[np.uint8]:
    """Return the largest face of each picture, or the whole picture where none is found.

    Args:
        source: Where the pictures are.
        paths: Which ones, n of them.
        rule: How faces are cut out.
        on_progress: Called after each picture.

    Returns:
        uint8 (n, side_px, side_px, channels).

    Raises:
        InputError: A picture cannot be read.
    """
    detector = load_detector()
    crops = np.empty((len(paths), rule.side_px, rule.side_px, rule.channels), np.uint8)
    for row, path in enumerate(paths):
        image = read_picture_of(source, path)
        face, is_whole = face_or_whole(image, detector)
        crops[row] = crop_faces(image, face, rule_for(rule, is_whole=is_whole))[0]
        if on_progress:
            on_progress(row + 1, len(paths))
    return crops


def mean_faces(dataset: Dataset, paths: Mapping[str, pd.Series]) -> dict[str, bytes]:
    """Return the mean picture of each label as JPEG.

    Args:
        dataset: Whose pictures.
        paths: The pictures of each label; a seeded sample of `_MEAN_OF` stands for the rest.
    """
    source = dataset.open()
    found: dict[str, bytes] = {}
    try:
        for label, names in paths.items():
            chosen = names.sample(min(_MEAN_OF, len(names)), random_state=0)
            squares = [_square(read_picture_of(source, path)) for path in chosen]
            if squares:
                mean = np.mean(squares, axis=0).round().astype(np.uint8)
                found[label] = encode_jpeg(mean, max_side_px=_MEAN_PX)
    finally:
        source.close()
    return found


def _square(image: Image) -> NDArray[np.uint8]:
    """Return a picture as a square of `_MEAN_PX`, whatever its shape was."""
    size = (_MEAN_PX, _MEAN_PX)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def read_probs(
    source: Source,
    paths: Sequence[str],
    models: Sequence[Classifier],
    *,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[NDArray[np.float32]]:
    """Let models read the largest face of each picture, or the whole picture.

    Args:
        source: Where the pictures are.
        paths: Which ones, n of them.
        models: Who reads.
        on_progress: Called after some pictures each.

    Returns:
        Per model its calibrated probabilities, float32 (n, k).

    Raises:
        InputError: A picture cannot be read.
    """
    detector = load_detector()
    found: list[list[NDArray[np.float32]]] = [[] for _ in models]
    for batch in _batches(paths):
        crops: list[list[NDArray[np.uint8]]] = [[] for _ in models]
        for path in batch:
            image = read_picture_of(source, path)
            face, is_whole = face_or_whole(image, detector)
            for held, model in zip(crops, models, strict=True):
                held.append(crop_faces(image, face, rule_for(model.card.crop, is_whole=is_whole)))
        for probs, held, model in zip(found, crops, models, strict=True):
            probs.append(model.classify(np.concatenate(held)).probs)
        if on_progress:
            on_progress(sum(map(len, found[0])), len(paths))
    return [
        np.concatenate(probs) if probs else np.zeros((0, len(model.card.labels)), np.float32)
        for probs, model in zip(found, models, strict=True)
    ]


def _batches(paths: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(paths), _AT_ONCE):
        yield paths[start : start + _AT_ONCE]
