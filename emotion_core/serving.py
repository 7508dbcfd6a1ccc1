"""Models as workers and commands load them: LiteRT where there is one, else Keras itself.

A network above `limits.LITERT_MAX_BYTES` has no LiteRT file. It needs TensorFlow, which the
server of the pages never imports.
"""

import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from . import registry
from .cards import DEFAULT_PRIOR, KERAS_FILE, NETWORK_FILE, Card
from .classify import LiteRTClassifier, NetworkClassifier, Recognizer
from .errors import CardMismatch
from .native import NET_THREADS

_BATCH = 16


class KerasClassifier(NetworkClassifier):
    """One `.keras` network with its card.

    Args:
        path: The network; its hash has been checked by the registry.
        card: Its card.

    Raises:
        CardMismatch: Its outputs are not what the card says.
    """

    def __init__(self, path: Path, card: Card) -> None:
        # heavy: only workers and commands come here, and only for large networks
        import keras

        from .training import zoo  # noqa: F401 – its layers are registered by being imported

        super().__init__(card)
        self._lock = threading.Lock()
        self._net = keras.models.load_model(path, compile=False)
        gives = [tensor.shape[-1] for tensor in self._net.outputs]
        if gives != self._widths:
            raise CardMismatch(
                f"The card of {card.id!r} describes {self._widths}, its network answers {gives}. "
                "Restore the model's folder."
            )

    def _run(self, crops: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        found: list[list[NDArray[np.float32]]] = [
            [np.empty((0, width), np.float32)] for width in self._widths
        ]
        with self._lock:
            for start in range(0, len(crops), _BATCH):
                answers = self._net(crops[start : start + _BATCH].astype(np.float32))
                held = answers if isinstance(answers, list | tuple) else [answers]
                for parts, answer in zip(found, held, strict=True):
                    parts.append(np.asarray(answer, np.float32))
        return [np.concatenate(parts) for parts in found]


def open_network(folder: Path, card: Card, *, threads: int = NET_THREADS) -> NetworkClassifier:
    """Load the network of a model's folder, whose files have been checked.

    Args:
        folder: The model's.
        card: Its card.
        threads: How many it computes with where it is a LiteRT network.

    Raises:
        ModelNotTrusted, CardMismatch: It is no network, or not the one of the card.
    """
    if NETWORK_FILE in card.files:
        return LiteRTClassifier(folder / NETWORK_FILE, card, threads=threads)
    return KerasClassifier(folder / KERAS_FILE, card)


def load_recognizer(
    model_ids: Sequence[str],
    *,
    vote: str = "soft",
    weights: Sequence[float] = (),
    prior: str = DEFAULT_PRIOR,
) -> Recognizer:
    """Load one model, or a committee when several are named; large ones, too.

    Args, Raises: As `registry.load_committee`.
    """
    return registry.load_recognizer(
        model_ids, vote=vote, weights=weights, prior=prior, load=open_network
    )
