"""How large the shipped networks are, and how long a face takes: alone and in a batch of 16.

    python -m benchmarks.networks

Medians of 200 calls of LiteRT, with one thread and with two; the networks take turns, so that all
see the same machine.
"""

import time
from collections.abc import Callable

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from emotion_core.cards import NETWORK_FILE, Card
from emotion_core.registry import model_folder, shipped_models

_CALLS, _WARM_UP, _BATCHES, _THREADS = 200, 5, (1, 16), (1, 2)


def network(card: Card, batch: int, threads: int) -> Callable[[], None]:
    """Return what asks a network once for a batch of faces."""
    rule = card.crop
    path = model_folder(card.id) / NETWORK_FILE
    net = Interpreter(model_path=str(path), num_threads=threads)
    source = net.get_input_details()[0]["index"]
    shape = (batch, rule.side_px, rule.side_px, rule.channels)
    faces = np.random.default_rng(0).integers(0, 256, shape).astype(np.float32)
    net.resize_tensor_input(source, list(shape))
    net.allocate_tensors()

    def ask() -> None:
        net.set_tensor(source, faces)
        net.invoke()

    return ask


def main() -> None:
    """Print a row per model."""
    cards = [entry.card for entry in shipped_models() if entry.card]
    asked = {
        (card.id, batch, threads): network(card, batch, threads)
        for card in cards
        for batch in _BATCHES
        for threads in _THREADS
    }
    taken: dict[tuple[str, int, int], list[float]] = {key: [] for key in asked}
    for _ in range(_WARM_UP + _CALLS):
        for key, ask in asked.items():
            started = time.perf_counter()
            ask()
            taken[key].append(1000 * (time.perf_counter() - started))
    print(f"{'model':16} {'MB':>5}  {'ms a face, one thread: 1, of 16':>32}  {'two threads':>14}")
    for card in cards:
        size = (model_folder(card.id) / NETWORK_FILE).stat().st_size / 1e6
        told = [
            f"{np.median(taken[card.id, batch, threads][_WARM_UP:]) / batch:.2f}"
            for threads in _THREADS
            for batch in _BATCHES
        ]
        print(f"{card.id:16} {size:5.1f}  {', '.join(told[:2]):>32}  {', '.join(told[2:]):>14}")


if __name__ == "__main__":
    main()
