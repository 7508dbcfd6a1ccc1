"""Feeding faces to a network from numpy, whatever the backend."""

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from .augment import Augmentation, augment_face


class FaceFeed(keras.utils.PyDataset):  # type: ignore[misc]
    """One epoch of shuffled, augmented batches.

    Args:
        images: uint8 (n, h, h), grey.
        targets: float32 (n, k), rows that sum to 1.
        batch: Faces per batch; an incomplete last batch is left out.
        augmentation: How far faces are changed.
        seed: Seed of the run.
        epoch: Which epoch this is; order and changes follow from (seed, epoch) alone.
    """

    def __init__(
        self,
        images: NDArray[np.uint8],
        targets: NDArray[np.float32],
        *,
        batch: int,
        augmentation: Augmentation,
        seed: int,
        epoch: int,
    ) -> None:
        super().__init__(workers=1, use_multiprocessing=False, max_queue_size=8)
        self._images, self._targets = images, targets
        self._batch, self._augmentation = min(batch, len(images)), augmentation
        self._seed, self._epoch = seed, epoch
        self._order = np.random.default_rng((seed, epoch)).permutation(len(images))

    def __len__(self) -> int:
        return len(self._images) // self._batch

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        rows = self._order[index * self._batch : (index + 1) * self._batch]
        faces = [
            augment_face(
                self._images[row], self._augmentation, seed=(self._seed, self._epoch, int(row))
            )
            for row in rows
        ]
        return np.stack(faces)[..., None].astype(np.float32), self._targets[rows]
