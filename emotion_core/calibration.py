"""What makes a network as sure as it is right: its temperature, its prior, its threshold, and how
much each member of a vote counts.

Throughout, `probs` is float (n, k) with rows that sum to 1, `truth` is int (n,) of class ids.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .types import leading

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]
_MIXTURE_STEPS = 2_000
#: How far the logarithm of a temperature is expected to lie from 0, before any row is seen.
_LOG_TEMPERATURE_STD = 0.35
#: How far the balanced prior goes: as far as the default describes people's votes no worse by it
#: than by the prior of the data, on FER+ validation. It costs one point of accuracy there, all of
#: the way two: python -m benchmarks.prior.
BALANCE = 0.7
#: A share of a class that stands for none at all.
NEVER_SEEN = 1e-6
#: The answered faces of the validation split have to be right this often.
ACCURACY_GOAL = 0.85


def scale_temperature(probs: Floats, temperature: float) -> NDArray[np.float32]:
    """Return softmax(log(probs) / temperature), float32 (n, k); above 1 it is less sure."""
    logits = np.log(np.maximum(probs, 1e-12)) / temperature
    logits -= logits.max(axis=-1, keepdims=True)
    scaled = np.exp(logits)
    return np.asarray(scaled / scaled.sum(axis=-1, keepdims=True), np.float32)


def balance(probs: Floats, prior: Floats, *, strength: float = BALANCE) -> NDArray[np.float32]:
    """Return probabilities as if rarer classes had been less rare, float32 (n, k).

    Each is divided by its class's share of the training data to the power `strength` (Saerens et
    al. 2002; Menon et al. 2020, arXiv 2007.07314): 0 leaves them, 1 takes all classes for equally
    frequent. A class without any training data stays as unlikely as it was learned to be.

    Args:
        probs: Calibrated, at the prior of the training data.
        prior: float (k,), shares of the classes in the training data.
        strength: See `BALANCE`.
    """
    shares = np.asarray(prior, np.float64)
    shares = np.where(shares > NEVER_SEEN, shares, shares.max(initial=NEVER_SEEN))
    tilted = probs / shares**strength
    return np.asarray(tilted / tilted.sum(axis=-1, keepdims=True), np.float32)


def fit_temperature(probs: Floats, truth: Ints) -> float:
    """Return the temperature under which the true classes are likeliest.

    A golden-section search over 0.25 to 4 on a logarithmic scale. Few rows say little of it, so
    that its logarithm is taken for normal around 0 beforehand, as `_LOG_TEMPERATURE_STD` says:
    without that, ten rows send it to one of the bounds. Thousands of rows outweigh it.

    Args:
        probs: float (n, k).
        truth: int (n,).
    """
    rows = np.arange(len(truth))
    doubt = 2 * _LOG_TEMPERATURE_STD**2 * max(1, len(probs))

    def loss(log_t: float) -> float:
        scaled = scale_temperature(probs, float(np.exp(log_t)))
        likelihood = np.log(np.maximum(scaled[rows, truth], 1e-12)).mean()
        return float(log_t**2 / doubt - likelihood)

    low, high = np.log(0.25), np.log(4.0)
    golden = (np.sqrt(5) - 1) / 2
    for _ in range(40):
        a, b = high - golden * (high - low), low + golden * (high - low)
        if loss(a) < loss(b):
            high = b
        else:
            low = a
    return round(float(np.exp((low + high) / 2)), 4)


def fit_mixture(members: Sequence[Floats], truth: Ints) -> NDArray[np.float64]:
    """Return weights of models, 0 or more with sum 1, under which their mean is likeliest.

    Expectation maximisation of a mixture with fixed parts (Dempster, Laird and Rubin 1977); the
    likelihood is concave in the weights, so there is one best answer.

    Args:
        members: float (n, k) each, probabilities.
        truth: int (n,).

    Returns:
        float64 (m,).
    """
    rows = np.arange(len(truth))
    held = np.stack([probs[rows, truth] for probs in members]).astype(np.float64) + 1e-12
    weights = np.full(len(members), 1 / len(members))
    for _ in range(_MIXTURE_STEPS):
        share = weights[:, None] * held
        better = (share / share.sum(axis=0)).mean(axis=1)
        if np.abs(better - weights).max() < 1e-6:
            break
        weights = better
    return weights


def abstain_threshold(probs: Floats, truth: Ints, *, accuracy_goal: float) -> float:
    """Return the lowest threshold at which the answered rows reach an accuracy.

    Args:
        accuracy_goal: Share of right answers among the rows whose top probability is at least
            the threshold.

    Returns:
        A threshold in steps of 0.01; the highest that answers at least one row in ten when the
        goal is out of reach.
    """
    top = probs.max(axis=1)
    hit = leading(probs) == truth
    best = 0.0
    for threshold in np.arange(0.0, 1.0, 0.01):
        answered = top >= threshold
        if answered.mean() < 0.1:
            break
        best = round(float(threshold), 2)
        if hit[answered].mean() >= accuracy_goal:
            break
    return best


def is_reached(probs: Floats, truth: Ints, threshold: float, *, accuracy_goal: float) -> bool:
    """Return whether the rows that are answered at a threshold reach an accuracy."""
    answered = probs.max(axis=1) >= threshold
    hit = leading(probs) == truth
    return bool(answered.any()) and float(hit[answered].mean()) >= accuracy_goal


def calibrate(probs: Floats, truth: Ints, clear: NDArray[np.bool_]) -> tuple[float, float, float]:
    """Return temperature, abstain threshold and the share answered there, from validation.

    Args:
        probs: The network's own.
        truth: The label of each row, the one with most votes.
        clear: bool (n,), the rows whose label counts; the temperature is fitted to them.
    """
    temperature = fit_temperature(probs[clear], truth[clear])
    calibrated = scale_temperature(probs, temperature)
    threshold = abstain_threshold(calibrated, truth, accuracy_goal=ACCURACY_GOAL)
    return temperature, threshold, float((calibrated.max(axis=1) >= threshold).mean())
