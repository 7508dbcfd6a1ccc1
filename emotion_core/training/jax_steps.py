"""The steps of an epoch on JAX: numbers stay on the device from the first to the last.

Keras' own `fit` hands all weights back to Python after every step that a callback looks at, and
waits for the loss; a GPU stands still meanwhile.
"""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
from keras import ops

from .average import WeightAverage
from .feed import FaceFeed
from .rates import RateControl

#: So many steps may be on their way to the device while others are being made.
_AHEAD = 2


class JaxSteps:
    """One compiled call a step: gradient, optimiser and moving average of the weights.

    Args:
        model: A compiled Keras model, whose optimiser is built. Between the epochs its variables
            hold what was learned; where an epoch was broken off, nothing.
    """

    def __init__(self, model: Any) -> None:
        import jax

        self._model = model
        _build_loss(model)
        learned, kept = model.trainable_variables, model.non_trainable_variables
        place = {id(held): ("learned", at) for at, held in enumerate(learned)}
        place |= {id(held): ("kept", at) for at, held in enumerate(kept)}
        self._weights = [place[id(held)] for held in model.weights]
        rate = model.optimizer.learning_rate
        (self._rate,) = [at for at, held in enumerate(model.optimizer.variables) if held is rate]
        self._step = jax.jit(self._one, donate_argnums=(0, 1))

    def run(
        self,
        feed: FaceFeed,
        rate: RateControl,
        average: WeightAverage | None,
        on_step: Callable[[int], None],
    ) -> float:
        """Learn from all batches of an epoch.

        Args:
            feed: The batches.
            rate: Gives the learning rate of every step.
            average: Follows the weights, where there is one.
            on_step: Called after each step with its number; what it raises ends the epoch.

        Returns:
            The mean loss.
        """
        model = self._model
        model.reset_metrics()
        variables = (
            model.trainable_variables,
            model.non_trainable_variables,
            model.optimizer.variables,
            model.metrics_variables,
        )
        state = tuple([held.value for held in group] for group in variables)
        averaged = [ops.convert_to_tensor(one) for one in average.values] if average else []
        under_way: deque[Any] = deque()
        for number, batch in enumerate(_batches(feed)):
            state[2][self._rate] = np.float32(rate.at(number))
            keep = average.next_share() if average else 0.0
            loss, state, averaged = self._step(state, averaged, keep, batch)
            under_way.append(loss)
            if len(under_way) > _AHEAD:
                under_way.popleft().block_until_ready()
            on_step(number)
        for group, values in zip(variables, state, strict=True):
            for held, value in zip(group, values, strict=True):
                held.assign(value)
        if average:
            average.values = averaged
        return float(under_way[-1])

    def _one(self, state: Any, averaged: list[Any], keep: float, batch: Any) -> Any:
        logs, state = self._model.train_step(state, batch)
        groups = {"learned": state[0], "kept": state[1]}
        if averaged:
            new = [groups[name][at] for name, at in self._weights]
            averaged = WeightAverage.blend(averaged, new, keep)
        return logs["loss"], tuple(list(group) for group in state), averaged


def _build_loss(model: Any) -> None:
    """Let Keras make what it counts the loss with, which it cannot while a step is compiled."""
    blank = [ops.zeros((1, *output.shape[1:])) for output in model.outputs]
    several = len(blank) > 1
    model.compute_loss(None, tuple(blank) if several else blank[0], blank if several else blank[0])


def _batches(feed: FaceFeed) -> Iterator[tuple[Any, ...]]:
    """Yield the batches of a feed in order, made by its threads a few ahead."""
    pool = ThreadPoolExecutor(feed.workers)
    waiting: deque[Future[tuple[Any, ...]]] = deque()
    try:
        for index in range(len(feed)):
            waiting.append(pool.submit(feed.__getitem__, index))
            if len(waiting) > feed.max_queue_size:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
