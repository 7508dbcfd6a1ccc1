import numpy as np
import pytest

from emotion_core import metrics

PROBS = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4]])
TRUTH = np.array([0, 0, 1, 1])


def test_counts() -> None:
    assert metrics.accuracy(PROBS, TRUTH) == 0.75
    assert metrics.confusion_matrix(PROBS, TRUTH).tolist() == [[2, 0], [1, 1]]
    assert metrics.recalls(PROBS, TRUTH).tolist() == [1.0, 0.5]
    assert metrics.mean_recall(PROBS, TRUTH) == 0.75


def test_a_class_without_rows_has_no_recall() -> None:
    probs = np.array([[0.5, 0.4, 0.1]])
    assert np.isnan(metrics.recalls(probs, np.array([0]))[1:]).all()
    assert metrics.mean_recall(probs, np.array([0])) == 1.0


def test_where_no_class_leads_the_answer_is_wrong() -> None:
    probs, truth = (
        np.array([[0.9, 0.1], [0.5, 0.5], [0.5, 0.5], [0.2, 0.8]]),
        np.array([0, 0, 1, 1]),
    )
    assert metrics.leading(probs).tolist() == [0, -1, -1, 1]
    assert metrics.accuracy(probs, truth) == 0.5
    assert metrics.confusion_matrix(probs, truth).tolist() == [[1, 0], [0, 1]]
    assert metrics.recalls(probs, truth).tolist() == [0.5, 0.5]
    assert metrics.f1_scores(probs, truth) == pytest.approx([2 / 3, 2 / 3])
    told = metrics.figures(probs, np.eye(2)[truth], np.ones(4, bool), ["a", "b"])
    assert told["accuracy"] == 0.5
    assert told["kappa"] == pytest.approx(1 / 3, abs=1e-4)
    assert told["recall"]["a"] == pytest.approx(
        {"n": 2, "recall": 0.5, "precision": 1, "f1": 2 / 3}
    )


def test_the_interval_of_a_mean_recall_holds_it_in_19_of_20_draws() -> None:
    random = np.random.default_rng(0)
    counts, true = np.array([16, 18, 83, 900]), np.array([0.05, 0.4, 0.6, 0.95])
    held = 0
    for _ in range(1000):
        recall = random.binomial(counts, true) / counts
        low, high = metrics.mean_recall_interval(recall, counts)
        held += low <= true.mean() <= high
    assert 930 < held < 985


@pytest.mark.parametrize(
    ("counts", "true"),
    [([2] + [40] * 7, [0.5] + [0.9] * 7), ([3] * 7, [0.6] * 7), ([2, 200], [0.5, 0.9])],
)
def test_it_holds_it_for_classes_of_two_or_three_rows(counts: list[int], true: list[float]) -> None:
    random, held = np.random.default_rng(0), 0
    for _ in range(1000):
        recall = random.binomial(counts, true) / np.array(counts)
        low, high = metrics.mean_recall_interval(recall, np.array(counts))
        held += low <= np.mean(true) <= high
    assert held > 930


@pytest.mark.parametrize(
    ("counts", "true"), [([18] * 8, 0.95), ([18] * 8, 0.98), ([5] * 8, 0.9), ([100] * 8, 0.99)]
)
def test_it_holds_its_own_mean_and_mostly_the_true_one_where_most_is_found(
    counts: list[int], true: float
) -> None:
    random, held = np.random.default_rng(0), 0
    for _ in range(1000):
        recall = random.binomial(counts, true) / np.array(counts)
        low, high = metrics.mean_recall_interval(recall, np.array(counts))
        assert 0 <= low <= recall.mean() <= high <= 1
        held += low <= true <= high
    assert held > 900


def test_the_interval_of_a_mean_recall_of_what_is_not_there() -> None:
    assert metrics.mean_recall_interval(np.array([1.0, np.nan]), np.array([10, 0]))[0] > 0.6
    assert metrics.mean_recall_interval(np.array([np.nan]), np.array([0])) == (0.0, 1.0)


def test_calibration_error_by_hand() -> None:
    # two bins: 0.9 and 0.8 both right; 0.7 right; 0.6 wrong
    expected = (0.1 + 0.2 + 0.3 + 0.6) / 4
    assert metrics.expected_calibration_error(PROBS, TRUTH) == pytest.approx(expected)


def test_a_perfect_model_has_an_error_of_its_number_of_rows() -> None:
    random = np.random.default_rng(0)
    probs = random.dirichlet([1, 1, 1], 3000)
    mean, high = metrics.calibration_error_by_chance(probs)
    truth = np.array([random.choice(3, p=row) for row in probs])
    assert 0 < mean < high < 0.05
    assert metrics.expected_calibration_error(probs, truth) < 1.5 * high
    few, _ = metrics.calibration_error_by_chance(probs[:300])
    assert few > 2 * mean
    assert metrics.calibration_error_by_chance(np.eye(3)) == (0.0, 0.0)


def test_concordance_is_one_for_the_same_and_falls_with_scale_and_shift() -> None:
    truth = np.random.default_rng(0).normal(0, 1, 500)
    assert metrics.concordance(truth, truth) == pytest.approx(1)
    assert metrics.concordance(-truth, truth) == pytest.approx(-1, abs=0.02)
    assert metrics.concordance(truth + 1, truth) == pytest.approx(2 / 3, abs=0.05)
    assert metrics.concordance(0.5 * truth, truth) == pytest.approx(0.8, abs=0.02)
    assert metrics.concordance(np.ones(3), np.ones(3)) == 1


def test_likelihood_and_brier_against_votes() -> None:
    target = np.array([[0.5, 0.5]])
    probs = np.array([[0.5, 0.5]])
    assert metrics.negative_log_likelihood(probs, target) == pytest.approx(np.log(2))
    assert metrics.brier_score(probs, target) == 0
    assert metrics.brier_score(np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])) == 2


def test_interval() -> None:
    low, high = metrics.wilson_interval(2712, 3153)
    assert (low, high) == pytest.approx((0.848, 0.872), abs=1e-3)
    assert metrics.wilson_interval(0, 0) == (0.0, 1.0)
    for n in range(1, 60):
        assert metrics.wilson_interval(0, n)[0] >= 0
        assert metrics.wilson_interval(n, n)[1] <= 1


def answered(*classes: int, sure: float = 0.8) -> np.ndarray:
    """Rows of three classes that answer so, and are so sure."""
    probs = np.full((len(classes), 3), (1 - sure) / 2)
    probs[np.arange(len(classes)), classes] = sure
    return probs


def test_figures_by_hand() -> None:
    # labelled 0 0 0 0 1 1 1 2, answered 0 0 0 1 1 1 0 1; the ninth has no clear label
    truth = np.array([0, 0, 0, 0, 1, 1, 1, 2])
    probs = answered(0, 0, 0, 1, 1, 1, 0, 1, 2)
    targets = np.vstack([np.eye(3)[truth], np.full(3, 1 / 3)])
    clear = np.array([True] * 8 + [False])
    held = metrics.figures(probs, targets, clear, ["a", "b", "c"])
    assert (held["n"], held["target_n"]) == (8, 9)
    assert held["accuracy"] == 0.625
    low, high = held["accuracy_interval_95"]
    assert low < 0.625 < high
    assert held["confusion"] == [[3, 1, 0], [1, 2, 0], [0, 1, 0]]
    assert held["recall"]["a"] == {"n": 4, "recall": 0.75, "precision": 0.75, "f1": 0.75}
    assert held["recall"]["b"] == {"n": 3, "recall": 0.666667, "precision": 0.5, "f1": 0.571429}
    assert held["recall"]["c"] == {"n": 1, "recall": 0.0, "precision": None, "f1": 0.0}
    assert held["mean_recall"] == pytest.approx((0.75 + 2 / 3 + 0) / 3, abs=1e-6)
    assert held["macro_f1"] == pytest.approx((0.75 + 4 / 7 + 0) / 3, abs=1e-6)
    by_chance = (4 * 4 + 3 * 4 + 1 * 0) / 64
    assert held["kappa"] == pytest.approx((0.625 - by_chance) / (1 - by_chance), abs=1e-6)
    assert held["reliability"] == {"sure": [0.8], "right": [0.625], "n": [8.0]}
    assert held["ece_15_bins"] == pytest.approx(0.8 - 0.625, abs=1e-6)


def test_a_threshold_answers_what_reaches_it() -> None:
    probs = np.vstack([answered(0, sure=0.5), answered(0, 1, sure=0.8)])
    thresholds, share, right = metrics.coverage_curve(probs, np.array([1, 0, 2]))
    at = thresholds.round(2).tolist().index
    assert (share[at(0.5)], right[at(0.5)]) == pytest.approx((1, 1 / 3))
    assert (share[at(0.51)], right[at(0.51)]) == pytest.approx((2 / 3, 1 / 2))
    assert share[at(0.8)] == pytest.approx(2 / 3)
    assert (share[at(0.81)], np.isnan(right[at(0.81)])) == (0, True)
