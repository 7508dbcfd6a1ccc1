"""Measures of a classifier: how often it is right and how well it knows.

Throughout, `probs` is float (n, k) with rows that sum to 1, `truth` is int (n,) of class ids. Where
no class leads, the answer is none and counts as wrong.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .types import leading

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]


def accuracy(probs: Floats, truth: Ints) -> float:
    """Return the share of rows whose highest probability is at the true class."""
    return float((leading(probs) == truth).mean())


def confusion_matrix(probs: Floats, truth: Ints) -> NDArray[np.int64]:
    """Return counts, int64 (k, k): row = truth, column = prediction.

    Rows where no class leads are left out: a row then sums to less than the class has.
    """
    k = probs.shape[1]
    answered = leading(probs)
    is_one = answered >= 0
    pairs = np.bincount(truth[is_one] * k + answered[is_one], minlength=k * k)
    return pairs.reshape(k, k).astype(np.int64)


def recalls(probs: Floats, truth: Ints) -> NDArray[np.float64]:
    """Return the recall of each class, float64 (k,); NaN for a class without rows."""
    counts = confusion_matrix(probs, truth)
    totals = np.bincount(truth, minlength=len(counts))
    hits = np.diag(counts).astype(np.float64)
    found = np.full(len(counts), np.nan)
    np.divide(hits, totals, out=found, where=totals > 0)
    return found


def mean_recall(probs: Floats, truth: Ints) -> float:
    """Return the mean recall over the classes that occur (balanced accuracy)."""
    return float(np.nanmean(recalls(probs, truth)))


def mean_recall_interval(recall: NDArray[np.float64], counts: Ints) -> tuple[float, float]:
    """Return the 95 % interval of the mean of recalls; a class without rows is left out.

    The classes are independent shares, each with Wilson's interval corrected for continuity
    (Newcombe 1998); the squares of how far these reach add up, upwards and downwards apart (MOVER,
    Zou and Donner 2008). It holds the mean itself, also where every class is found always.

    Args:
        recall: float (k,), of each class; NaN without rows.
        counts: int (k,), rows of each class.
    """
    share, n = recall[counts > 0], counts[counts > 0]
    if not len(n):
        return 0.0, 1.0
    below = np.sqrt(np.square(_reach_down(share, n)).sum()) / len(n)
    above = np.sqrt(np.square(_reach_down(1 - share, n)).sum()) / len(n)
    return float(share.mean() - below), float(share.mean() + above)


def _reach_down(share: NDArray[np.float64], n: Ints) -> NDArray[np.float64]:
    """Return how far Wilson's interval corrected for continuity lies below each share."""
    z = 1.96
    root = z * z - 1 / n + 4 * n * share * (1 - share) + 4 * share - 2
    end = (2 * n * share + z * z - z * np.sqrt(np.maximum(root, 0)) - 1) / (2 * (n + z * z))
    return np.asarray(np.where(share == 0, 0, share - np.maximum(end, 0)))


def precisions(probs: Floats, truth: Ints) -> NDArray[np.float64]:
    """Return the precision of each class, float64 (k,); NaN for a class that is never predicted."""
    counts = confusion_matrix(probs, truth)
    totals = counts.sum(axis=0)
    found = np.full(len(counts), np.nan)
    np.divide(np.diag(counts).astype(np.float64), totals, out=found, where=totals > 0)
    return found


def f1_scores(probs: Floats, truth: Ints) -> NDArray[np.float64]:
    """Return the F1 of each class, float64 (k,); NaN for one without rows and predictions."""
    counts = confusion_matrix(probs, truth)
    either = counts.sum(axis=0) + np.bincount(truth, minlength=len(counts))
    found = np.full(len(counts), np.nan)
    np.divide(2.0 * np.diag(counts), either, out=found, where=either > 0)
    return found


def macro_f1(probs: Floats, truth: Ints) -> float:
    """Return the mean F1 over the classes that occur or are predicted."""
    return float(np.nanmean(f1_scores(probs, truth)))


def expected_calibration_error(probs: Floats, truth: Ints, *, bins: int = 15) -> float:
    """Return the ECE of Guo et al. 2017 (arXiv 1706.04599) with bins of equal width."""
    sure, right, n = reliability(probs, truth, bins=bins)
    return float((np.abs(right - sure) * n).sum() / len(probs))


#: How often truths are drawn for the ECE by chance.
_CHANCE_DRAWS = 200


def calibration_error_by_chance(probs: Floats) -> tuple[float, float]:
    """Return the ECE that a perfectly calibrated model of these answers has: mean and 95th
    percentile.

    The truth of each row is drawn from its own probabilities; the bias of the estimate with so
    few rows is all that is left.
    """
    random = np.random.default_rng(0)
    reached = probs.astype(np.float64).cumsum(axis=1)
    reached /= reached[:, -1:]
    errors = []
    for _ in range(_CHANCE_DRAWS):
        drawn = (reached < random.random((len(probs), 1))).sum(axis=1)
        errors.append(expected_calibration_error(probs, drawn))
    return float(np.mean(errors)), float(np.percentile(errors, 95))


def negative_log_likelihood(probs: Floats, target: Floats) -> float:
    """Return the mean cross-entropy in nats against a target distribution, float (n, k)."""
    return float(-(target * np.log(np.maximum(probs, 1e-12))).sum(axis=1).mean())


def brier_score(probs: Floats, target: Floats) -> float:
    """Return the mean squared distance to a target distribution, float (n, k); 0 to 2."""
    return float(np.square(probs - target).sum(axis=1).mean())


def concordance(estimates: Floats, truth: Floats) -> float:
    """Return the concordance correlation coefficient (Lin 1989), float (n,) each; at most 1."""
    gap = estimates.mean() - truth.mean()
    shared = ((estimates - estimates.mean()) * (truth - truth.mean())).mean()
    spread = estimates.var() + truth.var() + gap**2
    return float(2 * shared / spread) if spread else 1.0


def wilson_interval(hits: int, n: int) -> tuple[float, float]:
    """Return the 95 % interval of a share (Wilson 1927); (0, 1) without rows."""
    if n == 0:
        return 0.0, 1.0
    z = 1.96
    share = hits / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))


def cohens_kappa(probs: Floats, truth: Ints) -> float:
    """Return the agreement beyond chance of predictions and labels (Cohen 1960); at most 1."""
    counts = confusion_matrix(probs, truth) / len(probs)
    held = np.bincount(truth, minlength=len(counts)) / len(probs)
    by_chance = float(counts.sum(axis=0) @ held)
    if by_chance == 1:
        return 1.0
    return float((np.trace(counts) - by_chance) / (1 - by_chance))


def figures(
    probs: Floats, targets: Floats, clear: NDArray[np.bool_], labels: Sequence[str]
) -> dict[str, Any]:
    """Return the figures of cards and reports.

    Right or wrong is counted over the rows with a clear label; NLL and Brier score are against
    the targets of all, which are distributions where several people judged.

    Args:
        probs: Calibrated.
        targets: float (n, k), a distribution over the labels per row.
        clear: bool (n,).
        labels: Names of the k classes.
    """
    truth = targets.argmax(axis=1)[clear]
    shown = probs[clear]
    n = len(truth)
    hits = int((leading(shown) == truth).sum())
    low, high = wilson_interval(hits, n)
    counts, recall = np.bincount(truth, minlength=len(labels)), recalls(shown, truth)
    columns = (counts, recall, precisions(shown, truth), f1_scores(shown, truth))
    return {
        "n": n,
        "accuracy": _exact(hits / n),
        "accuracy_interval_95": [_exact(low), _exact(high)],
        "mean_recall": _exact(mean_recall(shown, truth)),
        "mean_recall_interval_95": [_exact(end) for end in mean_recall_interval(recall, counts)],
        "macro_f1": _exact(macro_f1(shown, truth)),
        "kappa": _exact(cohens_kappa(shown, truth)),
        "recall": {
            name: {
                "n": int(held),
                "recall": _exact(recall),
                "precision": _exact(precision),
                "f1": _exact(f1),
            }
            for name, held, recall, precision, f1 in zip(labels, *columns, strict=True)
        },
        "confusion": confusion_matrix(shown, truth).tolist(),
        "reliability": {
            name: [_exact(float(one)) for one in values]
            for name, values in zip(("sure", "right", "n"), reliability(shown, truth), strict=True)
        },
        "ece_15_bins": _exact(expected_calibration_error(shown, truth)),
        "target_n": len(probs),
        "nll": _exact(negative_log_likelihood(probs, targets)),
        "brier": _exact(brier_score(probs, targets)),
    }


def reliability(
    probs: Floats, truth: Ints, *, bins: int = 15
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Return mean confidence, accuracy and n of each bin that has rows (reliability diagram)."""
    confidence = probs.max(axis=1)
    hit = leading(probs) == truth
    bin_id = np.minimum((confidence * bins).astype(int), bins - 1)
    n = np.bincount(bin_id, minlength=bins)
    held = n > 0
    sure = np.bincount(bin_id, confidence, minlength=bins)[held] / n[held]
    right = np.bincount(bin_id, hit, minlength=bins)[held] / n[held]
    return sure, right, n[held]


def coverage_curve(
    probs: Floats, truth: Ints
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return thresholds 0, 0.01 … 0.99, the share answered at each, and its accuracy.

    The accuracy is NaN where nothing is answered.
    """
    top, hit = probs.max(axis=1), leading(probs) == truth
    thresholds = np.arange(0.0, 1.0, 0.01)
    answered = top[None, :] >= thresholds[:, None]
    n = answered.sum(axis=1)
    accuracy_there = np.full(len(thresholds), np.nan)
    np.divide((answered & hit).sum(axis=1), n, out=accuracy_there, where=n > 0)
    return thresholds, n / len(probs), accuracy_there


def _exact(value: float) -> float | None:
    # so many decimals that the first one in percent is right, however often it is rounded again
    return None if np.isnan(value) else round(float(value), 6)
