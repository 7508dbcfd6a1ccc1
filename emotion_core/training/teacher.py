"""Keras networks that are asked while another one learns from them."""

import threading
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from . import zoo  # noqa: F401 – its layers are registered by being imported
from .feed import Teacher
from .hardware import wants_xla


def ask_keras(files: Sequence[Path], columns: Sequence[int]) -> Teacher:
    """Return what asks networks on the GPU that the training runs on.

    Args:
        files: Keras files of networks with one input and the same labels.
        columns: Which of its outputs each is asked for.

    Returns:
        From faces, uint8 (n, h, h, c), to the mean of their distributions, float32 (n, k).
    """
    networks = [keras.models.load_model(path, compile=False) for path in files]
    for network in networks:
        network.compile(jit_compile=wants_xla())
    lock = threading.Lock()  # the threads of the feed ask side by side

    def ask(faces: NDArray[np.uint8]) -> NDArray[np.float32]:
        pixels = faces.astype(np.float32)
        with lock:
            told = [network.predict_on_batch(pixels) for network in networks]
        asked = [
            one[column] if isinstance(one, list | tuple) else one
            for one, column in zip(told, columns, strict=True)
        ]
        return np.asarray(np.mean(asked, axis=0), np.float32)

    return ask
