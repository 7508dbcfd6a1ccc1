"""Changing whole batches of training faces: here, or in processes beside a GPU."""

import multiprocessing
import signal
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import cv2
import numpy as np

from .augment import Augmentation, Face, augment_face

Seeds = list[tuple[int, ...]]


@dataclass(frozen=True)
class FaceChanger:
    """Changes batches of faces; the answers are the same wherever they are made.

    Attributes:
        processes: In how many processes of their own; 0 is in the thread that asks.
        pool: Those processes.
    """

    processes: int = 0
    pool: Executor | None = None

    def __call__(self, faces: Face, settings: Augmentation, seeds: Seeds) -> Face:
        """Return changed copies of faces, uint8 (n, h, h, c), with a seed for each."""
        if self.pool is None:
            return _changed(faces, settings, seeds)
        return self.pool.submit(_changed, faces, settings, seeds).result()


@contextmanager
def face_changer(processes: int) -> Iterator[FaceChanger]:
    """Yield what changes faces, in so many processes, which end with the block.

    A processor is busy with the network itself, and changes faces in between. A GPU learns several
    times as many faces a second as one Python process changes, and would wait for them.
    """
    if not processes:
        yield FaceChanger()
        return
    # a fork would copy a process that holds a GPU and its threads
    spawn = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, mp_context=spawn, initializer=_begin)
    try:
        yield FaceChanger(processes, pool)
    finally:
        pool.shutdown(cancel_futures=True)


def _begin() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for who asks
    cv2.setNumThreads(1)


def _changed(faces: Face, settings: Augmentation, seeds: Seeds) -> Face:
    return np.stack(
        [augment_face(face, settings, seed=seed) for face, seed in zip(faces, seeds, strict=True)]
    )
