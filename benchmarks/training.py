"""Does the input pipeline starve a network, and what does its normalisation cost?

    python -m benchmarks.training [--recipe quick] [--n 2000] [--rounds 5]

A recipe's network learns random faces: from memory; through the feed; from memory with batch
normalisation as Keras spells it out. All are measured in turn, round by round, after one epoch that
warms up; the ratios of the medians are what counts. With TF_ENABLE_ONEDNN_OPTS=0 before it, it
shows what oneDNN gives on this processor.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import numpy as np

from emotion_core.training.examples import Examples
from emotion_core.training.recipe import Recipe
from emotion_core.training.recipes import load_recipe


def measure(recipe: Recipe, n: int, rounds: int) -> dict[str, list[float]]:
    """Return images/s of every way, one of each per round."""
    import keras

    from emotion_core.training.feed import FaceFeed
    from emotion_core.training.fit import build_model
    from emotion_core.training.hardware import policy_for

    side, channels = recipe.crop.side_px, recipe.crop.channels
    n -= n % min(recipe.batch, n)  # a last, smaller batch would be traced anew
    random = np.random.default_rng(0)
    faces = random.integers(0, 256, (n, side, side, channels)).astype(np.uint8)
    targets = np.eye(8, dtype=np.float32)[np.arange(n) % 8]
    examples = Examples(faces, targets)
    pixels = faces.astype(np.float32)

    def network() -> Any:
        model = build_model(recipe, 8, precision=policy_for(recipe.precision))
        optimizer = keras.optimizers.SGD(1e-3, momentum=0.9, nesterov=True)
        model.compile(optimizer, "categorical_crossentropy", jit_compile=False)
        return model

    quick, spelt_out = network(), network()

    def from_memory(model: Any) -> None:
        model.fit(pixels, targets, batch_size=recipe.batch, epochs=1, verbose=0)

    def through_feed(epoch: int) -> None:
        quick.fit(FaceFeed(examples, recipe, epoch=epoch), epochs=1, verbose=0, shuffle=False)

    def as_keras() -> None:
        with patch("emotion_core.training.zoo.blocks.runs_on_tensorflow_cpu", lambda: False):
            from_memory(spelt_out)

    ways: dict[str, Callable[[int], None]] = {
        "from memory": lambda _: from_memory(quick),
        "through the feed": through_feed,
        "Keras' normalisation": lambda _: as_keras(),
    }
    found: dict[str, list[float]] = {name: [] for name in ways}
    for epoch in range(rounds + 1):
        for name, run in ways.items():
            started = time.perf_counter()
            run(epoch)
            if epoch:
                found[name].append(n / (time.perf_counter() - started))
    return found


def main() -> None:
    """Print the speeds, and their ratios to those from memory."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--recipe", default="quick")
    arguments.add_argument("--n", type=int, default=2000)
    arguments.add_argument("--rounds", type=int, default=5)
    asked = arguments.parse_args()
    found = measure(load_recipe(asked.recipe), asked.n, asked.rounds)
    base = np.median(found["from memory"])
    for name, speeds in found.items():
        told = ", ".join(f"{speed:.0f}" for speed in speeds)
        middle = np.median(speeds)
        print(f"{name:21} {middle:7.0f} images/s  {middle / base:.2f}  ({told})")


if __name__ == "__main__":
    main()
