"""How sure a network is made: temperature, prior, threshold, weights of a vote."""

import numpy as np
import pytest

from emotion_core import calibration, metrics


def test_the_prior_is_taken_out_as_far_as_asked() -> None:
    probs, prior = np.array([[0.8, 0.2], [0.5, 0.5]]), np.array([0.9, 0.1])
    assert calibration.balance(probs, prior, strength=0) == pytest.approx(probs)
    half = probs / np.sqrt(prior)
    half /= half.sum(axis=1, keepdims=True)
    assert calibration.balance(probs, prior, strength=0.5) == pytest.approx(half, abs=1e-6)
    asked = calibration.balance(probs, prior, strength=calibration.BALANCE)
    assert calibration.balance(probs, prior) == pytest.approx(asked)
    whole = calibration.balance(np.array([[0.9, 0.1]]), prior, strength=1)
    assert whole == pytest.approx(np.array([[0.5, 0.5]]), abs=1e-6)
    assert np.isfinite(calibration.balance(probs, np.array([1.0, 0.0]))).all()
    never = np.array([[0.97, 0.025, 0.005]]), np.array([0.5, 0.5, calibration.NEVER_SEEN])
    assert calibration.balance(*never) == pytest.approx(never[0]), (
        "what was never learned gains nothing"
    )


def test_the_temperature_of_a_model_that_is_too_sure_is_found() -> None:
    random = np.random.default_rng(0)
    probs = random.dirichlet([1, 1, 1], 4000)
    truth = np.array([random.choice(3, p=row) for row in probs])
    too_sure = calibration.scale_temperature(probs, 0.5)
    found = calibration.fit_temperature(too_sure, truth)
    assert found == pytest.approx(2.0, rel=0.1)
    repaired = calibration.scale_temperature(too_sure, found)
    before = metrics.expected_calibration_error(too_sure, truth)
    assert metrics.expected_calibration_error(repaired, truth) < before / 3
    assert calibration.scale_temperature(probs, 1.0) == pytest.approx(probs, abs=1e-6)


def test_a_few_rows_move_a_temperature_little() -> None:
    random = np.random.default_rng(0)
    probs = random.dirichlet([0.3, 0.3, 0.3], 2000)
    truth = np.array([random.choice(3, p=row) for row in probs])
    right = np.flatnonzero(probs.argmax(axis=1) == truth)[:1]
    assert calibration.fit_temperature(probs[right], truth[right]) > 0.7
    rows = [random.permutation(2000)[:10] for _ in range(50)]
    found = np.array([calibration.fit_temperature(probs[ten], truth[ten]) for ten in rows])
    assert (found > 0.5).all()
    assert (found < 2).all()


def test_the_threshold_reaches_its_goal_with_the_most_answers() -> None:
    top = np.linspace(0.5, 1, 1000)
    probs = np.stack([top, 1 - top], axis=1)
    truth = (top < 0.8).astype(int)  # wrong under 0.8, right above
    threshold = calibration.abstain_threshold(probs, truth, accuracy_goal=0.9)
    answered = top >= threshold
    assert (truth[answered] == 0).mean() >= 0.9
    assert (truth[top >= threshold - 0.02] == 0).mean() < 0.9


def test_a_goal_out_of_reach_still_answers_some() -> None:
    probs = np.array([[0.9, 0.1]] * 10)
    truth = np.ones(10, int)
    threshold = calibration.abstain_threshold(probs, truth, accuracy_goal=0.9)
    assert threshold <= 0.9
    assert not calibration.is_reached(probs, truth, threshold, accuracy_goal=0.9)
    assert calibration.is_reached(probs, 1 - truth, threshold, accuracy_goal=0.9)


def test_where_no_label_leads_nothing_is_right() -> None:
    flat, truth = np.full((10, 4), 0.25), np.zeros(10, int)
    assert not calibration.is_reached(flat, truth, 0.0, accuracy_goal=0.5)
    leads = np.array([[0.7, 0.1, 0.1, 0.1]] * 10)
    both, known = np.concatenate([flat, leads]), np.zeros(20, int)
    threshold = calibration.abstain_threshold(both, known, accuracy_goal=0.9)
    assert 0.25 < threshold < 0.7


def test_weights_of_a_mixture_find_who_knows_more() -> None:
    random = np.random.default_rng(0)
    truth = random.integers(0, 3, 4000)
    sure = np.full((4000, 3), 0.1)
    sure[np.arange(4000), np.where(random.random(4000) < 0.8, truth, (truth + 1) % 3)] = 0.8
    guess = np.full((4000, 3), 1 / 3)
    weights = calibration.fit_mixture([guess, sure, guess], truth)
    assert weights.sum() == pytest.approx(1)
    assert weights[1] > 0.9
    assert calibration.fit_mixture([sure, sure], truth) == pytest.approx([0.5, 0.5])
    best = calibration.fit_mixture([guess, sure], truth)

    def loss(shares: object) -> float:
        mixed = np.average([guess, sure], axis=0, weights=shares)
        return metrics.negative_log_likelihood(mixed, np.eye(3)[truth])

    assert all(loss(best) <= loss([share, 1 - share]) + 1e-6 for share in np.linspace(0, 1, 21))


def test_the_threshold_is_that_of_calibrated_answers() -> None:
    random = np.random.default_rng(1)
    true = random.dirichlet([1, 1, 1], 4000)
    truth = np.array([random.choice(3, p=row) for row in true])
    too_sure = calibration.scale_temperature(true, 0.5)
    found, threshold, share = calibration.calibrate(too_sure, truth, np.ones(4000, bool))
    assert found == pytest.approx(2.0, rel=0.1)
    assert threshold == pytest.approx(
        calibration.abstain_threshold(true, truth, accuracy_goal=calibration.ACCURACY_GOAL),
        abs=0.03,
    )
    calibrated = calibration.scale_temperature(too_sure, found)
    assert share == pytest.approx((calibrated.max(axis=1) >= threshold).mean())
