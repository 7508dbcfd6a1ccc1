"""Changing whole batches of training faces: here, or in processes beside a GPU."""

import multiprocessing
import signal
from concurrent.futures import ProcessPoolExecutor
from types import TracebackType
from typing import Self

import cv2
import numpy as np

from .augment import Augmentation, Face, augment_face

Seeds = list[tuple[int, int, int]]


class FaceChanger:
    """Changes batches of faces; the answers are the same wherever they are made.

    A processor is busy with the network itself, and changes faces in between. A GPU would wait for
    them: one Python process changes some 7,000 faces a second, a GPU learns several times as many.

    Args:
        processes: In how many processes of their own; 0 is in the thread that asks.
    """

    def __init__(self, processes: int = 0) -> None:
        self.processes = processes
        self._pool: ProcessPoolExecutor | None = None
        if processes:
            self._pool = ProcessPoolExecutor(
                processes,
                # a fork would copy a process that holds a GPU and its threads
                mp_context=multiprocessing.get_context("spawn"),
                initializer=_begin,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        del kind, error, trace
        if self._pool:
            self._pool.shutdown(cancel_futures=True)

    def __call__(self, faces: Face, settings: Augmentation, seeds: Seeds) -> Face:
        """Return changed copies of faces, uint8 (n, h, h, c), with a seed for each."""
        if self._pool is None:
            return _changed(faces, settings, seeds)
        return self._pool.submit(_changed, faces, settings, seeds).result()


def _begin() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for who asks
    cv2.setNumThreads(1)


def _changed(faces: Face, settings: Augmentation, seeds: Seeds) -> Face:
    return np.stack(
        [augment_face(face, settings, seed=seed) for face, seed in zip(faces, seeds, strict=True)]
    )
