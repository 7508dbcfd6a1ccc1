"""Does the input pipeline starve a network? The same network fed by it and from memory.

    python -m benchmarks.training [--recipe quick] [--n 2000] [--rounds 5]

Both are measured in turn, round by round, on random faces, after one epoch that warms up; the
ratio of the medians is what counts. With TF_ENABLE_ONEDNN_OPTS=0 before it, it shows what oneDNN
gives on this processor.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np

from emotion_core.training.examples import Examples
from emotion_core.training.recipe import Recipe, load_recipe


def measure(recipe: Recipe, n: int, rounds: int) -> tuple[list[float], list[float]]:
    """Return images/s from memory and through the feed, one of each per round."""
    import keras

    from emotion_core.training.feed import FaceFeed
    from emotion_core.training.fit import build_model
    from emotion_core.training.hardware import policy_for

    side, channels = recipe.crop.side_px, recipe.crop.channels
    random = np.random.default_rng(0)
    faces = random.integers(0, 256, (n, side, side, channels)).astype(np.uint8)
    targets = np.eye(8, dtype=np.float32)[np.arange(n) % 8]
    examples = Examples(faces, targets)
    model = build_model(recipe, 8, precision=policy_for(recipe.precision))
    optimizer = keras.optimizers.SGD(1e-3, momentum=0.9, nesterov=True)
    model.compile(optimizer, "categorical_crossentropy", jit_compile=False)
    pixels = faces.astype(np.float32)

    def from_memory(epoch: int) -> None:
        del epoch
        model.fit(pixels, targets, batch_size=recipe.batch, epochs=1, verbose=0)

    def through_feed(epoch: int) -> None:
        model.fit(FaceFeed(examples, recipe, epoch=epoch), epochs=1, verbose=0, shuffle=False)

    found: dict[Callable[[int], None], list[float]] = {from_memory: [], through_feed: []}
    for epoch in range(rounds + 1):
        for feed, speeds in found.items():
            started = time.perf_counter()
            feed(epoch)
            if epoch:
                speeds.append(n / (time.perf_counter() - started))
    return found[from_memory], found[through_feed]


def main() -> None:
    """Print the speeds and their ratio."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--recipe", default="quick")
    arguments.add_argument("--n", type=int, default=2000)
    arguments.add_argument("--rounds", type=int, default=5)
    asked = arguments.parse_args()
    memory, feed = measure(load_recipe(asked.recipe), asked.n, asked.rounds)
    for title, speeds in (("from memory", memory), ("through the feed", feed)):
        told = ", ".join(f"{speed:.0f}" for speed in speeds)
        print(f"{title:17} {np.median(speeds):7.0f} images/s  ({told})")
    print(f"ratio of the medians {np.median(feed) / np.median(memory):.2f}")


if __name__ == "__main__":
    main()
