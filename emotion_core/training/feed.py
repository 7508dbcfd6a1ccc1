"""Feeding faces to a network from numpy, whatever the backend."""

from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from .augment import augment_face
from .examples import Examples, Rows, class_weights, smooth
from .recipe import EMOTION, Recipe

#: So many pixels are read at once: 256 faces of 48 px, 11 of 224 px.
_PIXELS_AT_ONCE = 256 * 48 * 48


class FaceFeed(keras.utils.PyDataset):  # type: ignore[misc]
    """One epoch of shuffled, augmented batches.

    Args:
        examples: What is trained on.
        recipe: Batch, augmentation, loss and seed are taken from it.
        epoch: Which epoch this is, from 0; order and changes follow from (seed, epoch) alone.
    """

    def __init__(self, examples: Examples, recipe: Recipe, *, epoch: int) -> None:
        super().__init__(workers=1, use_multiprocessing=False, max_queue_size=8)
        self._images, self._epoch = examples.images, epoch
        self._recipe, self._augmentation = recipe, recipe.augmentation_of(epoch)
        self._batch = min(recipe.batch, len(examples))
        smoothing = recipe.loss.label_smoothing
        self._targets = [
            smooth(held, smoothing) if smoothing and name == EMOTION else held
            for name, held in zip(recipe.outputs, examples.outputs(recipe.outputs), strict=True)
        ]
        self._weights: NDArray[np.float32] | None = None
        if recipe.loss.class_weights == "balanced":
            self._weights = class_weights(examples.targets)
        self._order = np.random.default_rng((recipe.seed, epoch)).permutation(len(examples))

    def __len__(self) -> int:
        return len(self._images) // self._batch

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        rows = self._order[index * self._batch : (index + 1) * self._batch]
        seed = self._recipe.seed
        faces = np.stack(
            [
                augment_face(
                    self._images[row], self._augmentation, seed=(seed, self._epoch, int(row))
                )
                for row in rows
            ]
        ).astype(np.float32)
        targets = [held[rows] for held in self._targets]
        weights = None if self._weights is None else self._weights[rows]
        if self._recipe.loss.mixup:
            random = np.random.default_rng((seed, self._epoch, index, 1))
            share = np.float32(random.beta(self._recipe.loss.mixup, self._recipe.loss.mixup))
            other = random.permutation(len(rows))
            faces = share * faces + (1 - share) * faces[other]
            targets = [share * held + (1 - share) * held[other] for held in targets]
        answer = targets[0] if len(targets) == 1 else tuple(targets)
        if weights is None:
            return faces, answer
        return faces, answer, weights if len(targets) == 1 else tuple(weights for _ in targets)


def answers_of(model: Any, images: NDArray[np.uint8] | Rows, *, flip: bool = False) -> list[Any]:
    """Return a network's outputs, each float32 (n, …), for uint8 faces (n, h, h, c).

    With `flip`, the mean over each face and its mirror image. Of faces that lie on the disk only
    some are read at a time.
    """
    found: list[list[NDArray[np.float32]]] = []
    for pixels in _chunks(images):
        looks = [pixels, pixels[:, :, ::-1]] if flip else [pixels]
        answers = [_as_list(model.predict(look, batch_size=len(look), verbose=0)) for look in looks]
        found.append([np.mean(each, axis=0) for each in zip(*answers, strict=True)])
    return [np.concatenate(each).astype(np.float32) for each in zip(*found, strict=True)]


def largest_gap(given: Sequence[Any], expected: Sequence[Any]) -> float:
    """Return how far two lists of outputs are apart at most; infinite where shapes differ."""
    if len(given) != len(expected):
        return float("inf")
    pairs = [(np.asarray(a), np.asarray(b)) for a, b in zip(given, expected, strict=True)]
    if any(one.shape != other.shape for one, other in pairs):
        return float("inf")
    return max(float(np.abs(one - other).max()) for one, other in pairs)


def _chunks(images: NDArray[np.uint8] | Rows) -> Iterator[NDArray[np.float32]]:
    at_once = max(8, _PIXELS_AT_ONCE // (images.shape[1] * images.shape[2]))
    for start in range(0, len(images), at_once):
        yield images[start : start + at_once].astype(np.float32)


def _as_list(answer: Any) -> list[Any]:
    held = list(answer) if isinstance(answer, list | tuple) else [answer]
    return [np.asarray(one, np.float32) for one in held]
