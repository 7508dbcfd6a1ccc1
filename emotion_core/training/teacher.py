"""Keras networks that are asked while another one learns from them."""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from . import zoo  # noqa: F401 – its layers are registered by being imported
from .feed import Teacher
from .hardware import wants_xla


def ask_keras(files: Sequence[Path], columns: Sequence[int]) -> Teacher:
    """Return what asks networks on the GPU that the training runs on, all in one go.

    Args:
        files: Keras files of networks with one input, the same for all, and the same labels.
        columns: Which of its outputs each is asked for.

    Returns:
        From faces, uint8 (n, h, h, c), to the mean of their distributions, float32 (n, k).
    """
    networks = [keras.models.load_model(path, compile=False) for path in files]
    pixels = keras.Input(networks[0].inputs[0].shape[1:])
    told = []
    for number, (network, column) in enumerate(zip(networks, columns, strict=True)):
        network.name = f"teacher_{number}"  # files made alike hold the same name
        told.append(_as_list(network(pixels))[column])
    mean = told[0] if len(told) == 1 else layers.Average(dtype="float32")(told)
    together = keras.Model(pixels, mean)
    together.compile(jit_compile=wants_xla())
    lock = threading.Lock()  # the threads of the feed ask side by side

    def ask(faces: NDArray[np.uint8]) -> NDArray[np.float32]:
        with lock:
            return np.asarray(together.predict_on_batch(faces.astype(np.float32)), np.float32)

    return ask


def _as_list(answer: Any) -> list[Any]:
    return list(answer) if isinstance(answer, list | tuple) else [answer]
