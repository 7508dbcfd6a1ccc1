"""Networks in LiteRT: quick to start, small, and no TensorFlow in the process."""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..cards import Card
from ..committee import Vote, soft_vote
from ..errors import CardMismatch, ModelNotTrusted
from ..labels import LabelSet
from ..metrics import scale_temperature
from ..native import NET_THREADS
from ..types import Scores

#: Faces per call. A fixed set, since every new size costs an allocation of its own.
_BATCHES = (16, 4, 1)


class LiteRTClassifier:
    """One `.tflite` network with its card.

    Args:
        path: The network; its hash has been checked by the registry.
        card: Its card.

    Raises:
        ModelNotTrusted: The file is no LiteRT network.
        CardMismatch: Its input or output is not what the card says.
    """

    def __init__(self, path: Path, card: Card) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self._card, self._path = card, path
        self._lock = threading.Lock()
        self._nets: dict[int, Any] = {}
        try:
            probe = Interpreter(model_path=str(path), num_threads=1)
        except (ValueError, RuntimeError) as error:
            raise ModelNotTrusted(
                f"{path.name} of the model {card.id!r} is not a LiteRT network: {error}. "
                "Restore the model's folder."
            ) from error
        self._check_shapes(probe)

    @property
    def card(self) -> Card:
        """The model's card."""
        return self._card

    @property
    def id(self) -> str:
        """The card's id."""
        return self._card.id

    @property
    def labels(self) -> LabelSet:
        """The card's labels."""
        return LabelSet(self._card.labels)

    @property
    def threshold(self) -> float:
        """The card's threshold."""
        return self._card.threshold

    @property
    def members(self) -> Sequence["LiteRTClassifier"]:
        """The model itself: a committee of one."""
        return (self,)

    def fuse(self, scores: Sequence[Scores]) -> Vote:
        """Return the only member's scores as the vote."""
        return soft_vote(scores)

    def classify(self, crops: NDArray[np.uint8], *, flip: bool = False) -> Scores:
        """Return calibrated scores, (n, k), for crops uint8 (n, side, side, channels).

        With `flip`, the mean over each crop and its mirror image.

        Raises:
            ValueError: The crops are not of the card's side and channels.
        """
        rule = self._card.crop
        if crops.shape[1:] != (rule.side_px, rule.side_px, rule.channels):
            raise ValueError(
                f"{self.id} takes crops (n, {rule.side_px}, {rule.side_px}, {rule.channels}), "
                f"got {crops.shape}."
            )
        probs = self._run(crops)
        if flip:
            probs = np.asarray((probs + self._run(crops[:, :, ::-1])) / 2, np.float32)
        return Scores(scale_temperature(probs, self._card.temperature), self.labels)

    def _run(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        parts = [np.empty((0, len(self._card.labels)), np.float32)]
        start = 0
        with self._lock:
            while start < len(crops):
                size = next(size for size in _BATCHES if size <= len(crops) - start)
                parts.append(self._invoke(crops[start : start + size].astype(np.float32)))
                start += size
        return np.concatenate(parts)

    def _invoke(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        net = self._nets.get(len(rows))
        if net is None:
            net = self._nets[len(rows)] = self._interpreter(len(rows))
        net.set_tensor(net.get_input_details()[0]["index"], rows)
        net.invoke()
        return np.asarray(net.get_tensor(self._output(net)["index"]), np.float32)

    def _output(self, net: Any) -> Any:
        """Return which of the network's outputs reads expressions."""
        details = net.get_output_details()
        where = self._card.outputs.index("emotion")
        if len(details) != len(self._card.outputs):
            raise CardMismatch(
                f"The card of {self.id!r} names {len(self._card.outputs)} outputs, its network has "
                f"{len(details)}. Restore the model's folder."
            )
        return details[where]

    def _interpreter(self, batch: int) -> Any:
        from ai_edge_litert.interpreter import Interpreter

        net = Interpreter(model_path=str(self._path), num_threads=NET_THREADS)
        rule = self._card.crop
        shape = [batch, rule.side_px, rule.side_px, rule.channels]
        net.resize_tensor_input(net.get_input_details()[0]["index"], shape)
        net.allocate_tensors()
        return net

    def _check_shapes(self, net: Any) -> None:
        rule = self._card.crop
        takes = net.get_input_details()[0]["shape"].tolist()[1:]
        gives = self._output(net)["shape"].tolist()[1:]
        wanted = [rule.side_px, rule.side_px, rule.channels]
        if takes != wanted or gives != [len(self._card.labels)]:
            raise CardMismatch(
                f"The card of {self.id!r} describes {wanted} → {len(self._card.labels)} labels, "
                f"its network is {takes} → {gives}. Restore the model's folder."
            )
