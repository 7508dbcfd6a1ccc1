"""What is done to whole batches: which faces they hold, labels drawn from votes, mixed faces."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
#: `mix_up` or `cut_mix`.
Mix = Callable[[Floats, list[Floats], float, np.random.Generator], tuple[Floats, list[Floats]]]


def order_of(targets: Floats, evenness: float, random: np.random.Generator) -> NDArray[np.int64]:
    """Return the order in which an epoch shows n faces, int64 (n,).

    Args:
        targets: float32 (n, k), a distribution over the labels per face.
        evenness: 0 shows every face once. Above, faces are drawn, those of a label that is shared
            by s of all with weight s to the power -`evenness`: 1 shows all labels alike.
        random: Draws.
    """
    n = len(targets)
    if not evenness:
        return random.permutation(n)
    weights = draw_weights(targets, evenness)
    return random.choice(n, n, p=weights / weights.sum())


def draw_weights(targets: Floats, evenness: float) -> Floats:
    """Return how often each of n faces is drawn beside the others, (n,), as `order_of` says."""
    shares = targets.mean(axis=0)
    weights = targets @ np.where(shares > 0, np.maximum(shares, 1e-9) ** -evenness, 0)
    return np.asarray(weights)


def draw_labels(targets: Floats, random: np.random.Generator) -> Floats:
    """Return one label per row, drawn by its share of the votes, float32 (n, k) of 0 and 1.

    The "probabilistic label drawing" of Barsoum et al. 2016 (arXiv 1608.01041).
    """
    reached = targets.cumsum(axis=1) / targets.sum(axis=1, keepdims=True)
    drawn = (reached < random.random((len(targets), 1))).sum(axis=1)
    k = targets.shape[1]
    return np.asarray(np.eye(k)[np.minimum(drawn, k - 1)], np.float32)


def mix_weighed(
    mix: Mix,
    faces: Floats,
    targets: list[Floats],
    weights: Floats | None,
    alpha: float,
    random: np.random.Generator,
) -> tuple[Floats, list[Floats], Floats | None]:
    """Mix faces that count differently: each part of a mixed face counts as its own face does.

    Args:
        mix: `mix_up` or `cut_mix`.
        faces: float32 (n, h, h, c).
        targets: float32 (n, k) each.
        weights: float32 (n,), above 0, what a face counts in the loss; None: all the same.
        alpha: Of the Beta distribution.
        random: Draws.
    """
    if weights is None:
        return *mix(faces, targets, alpha, random), None
    own = weights[:, np.newaxis]
    faces, (*weighed, sums) = mix(faces, [*(held * own for held in targets), own], alpha, random)
    return faces, [held / sums for held in weighed], sums[:, 0]


def mix_up(
    faces: Floats, targets: list[Floats], alpha: float, random: np.random.Generator
) -> tuple[Floats, list[Floats]]:
    """Blend each face and its targets with those of another one of the batch.

    Zhang et al. 2017 (arXiv 1710.09412).
    """
    share = np.float32(random.beta(alpha, alpha))
    other = random.permutation(len(faces))
    mixed = share * faces + (1 - share) * faces[other]
    return mixed, [share * held + (1 - share) * held[other] for held in targets]


def cut_mix(
    faces: Floats, targets: list[Floats], alpha: float, random: np.random.Generator
) -> tuple[Floats, list[Floats]]:
    """Put a rectangle of another face of the batch into each, and blend targets by its area.

    Yun et al. 2019 (arXiv 1905.04899).
    """
    side = faces.shape[1]
    other = random.permutation(len(faces))
    edge = side * np.sqrt(1 - random.beta(alpha, alpha))
    centre = random.uniform(0, side, 2)
    (top, left), (bottom, right) = (
        np.clip(np.round(centre + sign * edge / 2), 0, side).astype(int) for sign in (-1, 1)
    )
    mixed = faces.copy()
    mixed[:, top:bottom, left:right] = faces[other, top:bottom, left:right]
    share = np.float32(1 - (bottom - top) * (right - left) / side**2)
    return mixed, [share * held + (1 - share) * held[other] for held in targets]
