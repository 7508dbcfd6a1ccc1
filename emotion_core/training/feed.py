"""Feeding faces to a network from numpy, whatever the backend."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from .augment import Face
from .augment_workers import FaceChanger
from .examples import Examples, Rows, class_weights, smooth
from .mixing import cut_mix, draw_labels, mix_up, mix_weighed, order_of
from .recipe import EMOTION, Recipe

#: From uint8 faces (n, h, h, c) to a distribution over the labels, float32 (n, k).
Teacher = Callable[[Face], NDArray[np.float32]]
#: From pixels, float32 (n, h, h, c), to a network's outputs, each float32 (n, …).
Ask = Callable[[NDArray[np.float32]], list[NDArray[np.float32]]]

#: So many pixels are read at once: 256 faces of 48 px, 11 of 224 px.
_PIXELS_AT_ONCE = 256 * 48 * 48


class FaceFeed(keras.utils.PyDataset):  # type: ignore[misc]
    """One epoch of shuffled, augmented batches.

    Args:
        examples: What is trained on.
        recipe: Batch, augmentation, loss and seed are taken from it.
        epoch: Which epoch this is, from 0; order and changes follow from (seed, epoch) alone.
        epochs_left: How many are left with it; the last ones are calm. None counts all stages.
        teacher: Who is asked what changed faces look like, where the recipe has teachers.
        change: Who changes the faces; None is whoever asks for a batch.
    """

    def __init__(
        self,
        examples: Examples,
        recipe: Recipe,
        *,
        epoch: int,
        epochs_left: int | None = None,
        teacher: Teacher | None = None,
        change: FaceChanger | None = None,
    ) -> None:
        self._change = change or FaceChanger()
        # two threads, since with one Keras may make each batch only when it is asked for
        workers = max(2, self._change.processes)
        super().__init__(workers=workers, use_multiprocessing=False, max_queue_size=2 * workers)
        self._images, self._epoch = examples.images, epoch
        left = recipe.epochs - epoch if epochs_left is None else epochs_left
        self._recipe, self._augmentation = recipe, recipe.augmentation_with(left)
        self._teacher = teacher
        self._steps, self._batch = recipe.steps_of(len(examples))
        self._targets = examples.outputs(recipe.trained_outputs)
        self._weights: NDArray[np.float32] | None = None
        if recipe.loss.class_weights == "balanced":
            self._weights = class_weights(examples.targets)
        random = np.random.default_rng((recipe.seed, epoch))
        self._order = order_of(examples.targets, recipe.evenness, random)
        self._draw = _draw_of(self._order)
        self._first: dict[int, tuple[Any, ...]] = {}

    def __len__(self) -> int:
        return self._steps

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        # Keras on TensorFlow asks for the first two twice, for their shapes before
        if index in self._first:
            return self._first.pop(index)
        batch = self._made(index)
        if index < 2:
            self._first[index] = batch
        return batch

    def _made(self, index: int) -> tuple[Any, ...]:
        taken = slice(index * self._batch, (index + 1) * self._batch)
        rows = self._order[taken]
        seeds = [
            (self._recipe.seed, self._epoch, int(row), *([int(draw)] if draw else []))
            for row, draw in zip(rows, self._draw[taken], strict=True)
        ]
        changed = self._change(self._images[rows], self._augmentation, seeds)
        random = np.random.default_rng((self._recipe.seed, self._epoch, index, 1))
        loss = self._recipe.loss
        names = self._recipe.trained_outputs
        targets = [
            self._voted(held[rows], random) if name == EMOTION else held[rows]
            for name, held in zip(names, self._targets, strict=True)
        ]
        faces = changed.astype(np.float32)
        weights = None if self._weights is None else self._weights[rows]
        ways = [(mix_up, loss.mixup)] if loss.mixup else []
        ways += [(cut_mix, loss.cutmix)] if loss.cutmix else []
        if ways:
            mix, alpha = ways[random.integers(len(ways))]
            faces, targets, weights = mix_weighed(mix, faces, targets, weights, alpha, random)
        if self._teacher is not None:
            at = names.index(EMOTION)
            told = self._teacher(np.rint(faces).astype(np.uint8))
            targets[at] = (1 - loss.teaching) * targets[at] + loss.teaching * told
        answer = targets[0] if len(targets) == 1 else tuple(targets)
        if weights is None:
            return faces, answer
        return faces, answer, weights if len(targets) == 1 else tuple(weights for _ in targets)

    def _voted(
        self, targets: NDArray[np.float32], random: np.random.Generator
    ) -> NDArray[np.float32]:
        """Return what the faces of a batch should be read as by the votes."""
        loss = self._recipe.loss
        if loss.draw_votes:
            targets = draw_labels(targets, random)
        if loss.label_smoothing:
            targets = smooth(targets, loss.label_smoothing)
        return targets


def _draw_of(order: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how often each face of an epoch was drawn before in it; int64 (n,)."""
    by_row = np.argsort(order, kind="stable")
    rows = order[by_row]
    draws = np.empty(len(order), np.int64)
    draws[by_row] = np.arange(len(order)) - np.searchsorted(rows, rows)
    return draws


def answers_of(model: Any, images: NDArray[np.uint8] | Rows, *, flip: bool = False) -> list[Any]:
    """Return a Keras network's outputs as `answers_by` does."""
    return answers_by(
        lambda pixels: _as_list(model.predict(pixels, batch_size=len(pixels), verbose=0)),
        images,
        flip=flip,
    )


def answers_by(ask: Ask, images: NDArray[np.uint8] | Rows, *, flip: bool = False) -> list[Any]:
    """Return a network's outputs, each float32 (n, …), for uint8 faces (n, h, h, c).

    With `flip`, the mean over each face and its mirror image. Of faces that lie on the disk only
    some are read at a time.
    """
    found: list[list[NDArray[np.float32]]] = []
    for pixels in _chunks(images):
        looks = [pixels, np.ascontiguousarray(pixels[:, :, ::-1])] if flip else [pixels]
        answers = [ask(look) for look in looks]
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
