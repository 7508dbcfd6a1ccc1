"""Networks in LiteRT: quick to start, small, and no TensorFlow in the process."""

import threading
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..cards import Card
from ..errors import CardMismatch, ModelNotTrusted
from ..native import NET_THREADS
from .network import NetworkClassifier

#: Faces per call. A fixed set, since every new size costs an allocation of its own.
_BATCHES = (16, 4, 1)


def outputs_of(net: Any) -> list[Any]:
    """Return the details of an interpreter's outputs, in the order in which the network has them.

    LiteRT lists them in an order of its own; the signature of the file numbers them.
    """
    details = net.get_output_details()
    if len(details) == 1:
        return list(details)
    named = net.get_signature_runner().get_output_details()
    return [named[name] for name in sorted(named)]


class LiteRTClassifier(NetworkClassifier):
    """One `.tflite` network with its card.

    Args:
        path: The network; its hash has been checked by the registry.
        card: Its card.
        threads: How many it computes with.

    Raises:
        ModelNotTrusted: The file is no LiteRT network.
        CardMismatch: Its input or output is not what the card says.
    """

    def __init__(self, path: Path, card: Card, *, threads: int = NET_THREADS) -> None:
        from ai_edge_litert.interpreter import Interpreter

        super().__init__(card)
        # by its bytes, which all interpreters share: not every path can be opened by native code
        self._content, self._threads = path.read_bytes(), threads
        self._lock = threading.Lock()
        self._nets: dict[int, Any] = {}
        try:
            probe = Interpreter(model_content=self._content, num_threads=1)
        except (ValueError, RuntimeError) as error:
            raise ModelNotTrusted(
                f"{path.name} of the model {card.id!r} is not a LiteRT network: {error}. "
                "Restore the model's folder."
            ) from error
        self._check_shapes(probe)

    def _run(self, crops: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        """Return what each output answers, float32 (n, width)."""
        parts = [[np.empty((0, width), np.float32) for width in self._widths]]
        start = 0
        with self._lock:
            while start < len(crops):
                size = next(size for size in _BATCHES if size <= len(crops) - start)
                parts.append(self._invoke(crops[start : start + size].astype(np.float32)))
                start += size
        return [np.concatenate(part) for part in zip(*parts, strict=True)]

    def _invoke(self, rows: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        net = self._nets.get(len(rows))
        if net is None:
            net = self._nets[len(rows)] = self._interpreter(len(rows))
        net.set_tensor(net.get_input_details()[0]["index"], rows)
        net.invoke()
        return [np.array(net.get_tensor(index), np.float32) for index in self._outputs]

    def _interpreter(self, batch: int) -> Any:
        from ai_edge_litert.interpreter import Interpreter

        net = Interpreter(model_content=self._content, num_threads=self._threads)
        rule = self._card.crop
        shape = [batch, rule.side_px, rule.side_px, rule.channels]
        net.resize_tensor_input(net.get_input_details()[0]["index"], shape)
        net.allocate_tensors()
        return net

    def _check_shapes(self, net: Any) -> None:
        rule = self._card.crop
        takes = net.get_input_details()[0]["shape"].tolist()[1:]
        outputs = outputs_of(net)
        self._outputs = [detail["index"] for detail in outputs]
        gives = [detail["shape"].tolist()[1:] for detail in outputs]
        wanted = [rule.side_px, rule.side_px, rule.channels]
        if takes != wanted or gives != [[width] for width in self._widths]:
            raise CardMismatch(
                f"The card of {self.id!r} describes {wanted} → {self._widths} "
                f"({', '.join(self._card.outputs)}), its network is {takes} → {gives}. Restore "
                "the model's folder."
            )
