"""Probabilities for every picture of a data set by a network that never saw it."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import TrainingError
from ..files import atomic_path
from .examples import Examples
from .feed import answers_of
from .fit import fit_network
from .recipe import Recipe


def out_of_fold_probs(
    recipe: Recipe,
    images: NDArray[np.uint8],
    targets: NDArray[np.float32],
    fold: NDArray[np.int64],
    folder: Path,
    *,
    on_epoch: Callable[[int, int], None] | None = None,
) -> NDArray[np.float32]:
    """Train one network per fold on all other folds and let it read its own, with flip.

    Started again on the same folder it goes on after the last finished epoch.

    Args:
        recipe: What is trained, and how.
        images: uint8 (n, h, h, c).
        targets: float32 (n, k), the given label of each picture, or the shares of its votes.
        fold: int (n,), from 0 without gaps; copies of a picture belong into one fold.
        folder: Holds the checkpoints and the finished folds; it belongs to these very pictures.
        on_epoch: Called with (epochs finished, epochs in all), over all folds.

    Returns:
        float32 (n, k), rows that sum to 1.

    Raises:
        TrainingError: There are fewer than two folds or labels, or a training fails.
        StorageError: A checkpoint cannot be written.
    """
    folds, classes = int(fold.max(initial=-1)) + 1, targets.shape[1]
    if folds < 2 or classes < 2:
        raise TrainingError(
            f"There are {folds} folds and {classes} labels; to judge labels, two of each at least "
            "are needed."
        )
    probs = np.zeros((len(images), classes), np.float32)
    for number in range(folds):
        kept = folder / f"fold-{number}.npy"
        rows = fold == number
        if not kept.is_file():
            first = number * recipe.epochs

            def tell(row: dict[str, float], first: int = first) -> None:
                if on_epoch:
                    on_epoch(first + int(row["epoch"]), folds * recipe.epochs)

            run = folder / f"fold-{number}"
            others = Examples(images[~rows], targets[~rows])
            model, _ = fit_network(recipe, others, run, on_epoch=tell)
            with atomic_path(kept) as temporary, temporary.open("wb") as handle:
                np.save(handle, answers_of(model, images[rows], flip=True)[0])
            shutil.rmtree(run, ignore_errors=True)
        probs[rows] = np.load(kept)
        if on_epoch:
            on_epoch((number + 1) * recipe.epochs, folds * recipe.epochs)
    return probs
