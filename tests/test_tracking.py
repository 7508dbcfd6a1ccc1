"""Who is who over time, and probabilities that do not flicker."""

from dataclasses import replace

import numpy as np
import pytest

from emotion_core.labels import LabelSet
from emotion_core.tracking import Smoothed, Smoother, Tracker
from emotion_core.types import Affect, Faces, Scores
from tests.builders import make_faces

STEP_S = 1 / 25


def box(x: float, y: float = 50, side: float = 40) -> tuple[float, float, float, float]:
    return (x, y, x + side, y + side)


def ids(tracker: Tracker, *boxes: tuple[float, float, float, float], at: float) -> list[int]:
    tracked = tracker.update(make_faces(*boxes), at)
    assert tracked.tracker_id is not None
    return tracked.tracker_id.tolist()


def test_people_keep_their_numbers_whatever_their_order() -> None:
    tracker = Tracker()
    assert ids(tracker, box(0), box(200), at=0) == [1, 2]
    assert ids(tracker, box(203), box(4), at=STEP_S) == [2, 1]


def test_people_who_pass_each_other_are_followed() -> None:
    tracker = Tracker()
    for i in range(50):
        left, right = 10 + 8 * i, 410 - 8 * i
        found = ids(tracker, box(left, y=50), box(right, y=75), at=i * STEP_S)
        assert found == [1, 2], i


def test_a_miss_of_a_second_is_bridged_and_a_longer_one_is_not() -> None:
    for gap_s, expected in [(1.0, 1), (1.05, 2)]:
        tracker = Tracker()
        ids(tracker, box(100), at=0)
        ids(tracker, at=gap_s / 2)
        assert ids(tracker, box(104), at=gap_s) == [expected]


def test_a_far_face_and_one_of_another_size_is_somebody_else() -> None:
    tracker = Tracker()
    assert ids(tracker, box(0), at=0) == [1]
    assert ids(tracker, box(100), at=STEP_S) == [2]
    assert ids(tracker, box(-40, y=10, side=120), at=2 * STEP_S) == [3], "the same middle"


def test_the_longer_unseen_the_further_a_face_may_have_gone() -> None:
    for after_s, expected in [(STEP_S, 2), (0.6, 1)]:
        tracker = Tracker()
        ids(tracker, box(0), at=0)
        assert ids(tracker, box(48), at=after_s) == [expected], "1.2 sizes away"


def test_the_eyes_of_a_face_that_comes_nearer_stay_in_their_place() -> None:
    def seen(side: float) -> Faces:
        eyes = np.array([[[100 + side / 4, 50 + side / 2]]], np.float32)
        return replace(make_faces(box(100, side=side)), landmarks=eyes)

    tracker = Tracker()
    tracker.update(seen(40), 0)
    tracker.update(seen(60), STEP_S)
    carried = tracker.carry(2 * STEP_S, since_s=STEP_S)
    left, top, right, bottom = carried.xyxy[0]
    assert right - left > 66
    assert carried.landmarks is not None
    share = (carried.landmarks[0, 0] - [left, top]) / [right - left, bottom - top]
    assert share == pytest.approx([1 / 4, 1 / 2], abs=1e-5)


def test_nobody_runs_on_as_long_ago() -> None:
    tracker = Tracker()
    ids(tracker, box(0), at=0)
    ids(tracker, box(30), at=0.5)  # nobody knows how it came there
    assert tracker.carry(0.6, since_s=0.5).xyxy.tolist() == [[30, 50, 70, 90]]


def test_the_numbers_do_not_depend_on_the_frame_rate() -> None:
    slow, fast = Tracker(), Tracker()
    for i in range(60):
        last = ids(fast, box(10 + 2 * i), at=i / 60)
        if i % 6 == 0:
            assert ids(slow, box(10 + 2 * i), at=i / 60) == last == [1]


def test_carried_faces_move_on_as_they_moved() -> None:
    tracker = Tracker()
    points = np.array([[[10, 60], [30, 60]]], np.float32)
    for i in range(20):
        faces = make_faces(box(5 * i))
        shift = np.array([5 * i, 0], np.float32)
        tracker.update(Faces(faces.xyxy, faces.confidence, points + shift), i * STEP_S)
    carried = tracker.carry(20 * STEP_S, since_s=19 * STEP_S)
    assert carried.xyxy[0] == pytest.approx(box(100), abs=1.5)
    assert carried.landmarks is not None
    assert carried.landmarks[0, 0] == pytest.approx([110, 60], abs=1.5)
    assert carried.tracker_id is not None
    assert carried.tracker_id.tolist() == [1]


def test_faces_move_on_between_looks_that_are_a_fifth_of_a_second_apart() -> None:
    tracker = Tracker()
    for i in range(24):
        at = 5 * i / 25
        ids(tracker, box(4 * i), at=at)
        if i >= 12:
            assert tracker.carry(at + 0.1, since_s=at).xyxy[0] == pytest.approx(
                box(4 * i + 2), abs=1
            )


def test_nobody_is_carried_from_an_older_look() -> None:
    tracker = Tracker()
    ids(tracker, box(0), at=0)
    ids(tracker, at=STEP_S)
    carried = tracker.carry(2 * STEP_S, since_s=STEP_S)
    assert len(carried) == 0
    assert carried.tracker_id is not None


THREE = LabelSet(["happy", "sad", "neutral"])


def update(
    smoother: Smoother,
    probs: np.ndarray,
    people: list[int],
    time_s: float,
    *,
    winner: list[int] | None = None,
    share: float = 1.0,
    affect: Affect | None = None,
) -> Smoothed:
    """One frame: the highest wins unless told, and `share` of the members answer."""
    class_id = probs.argmax(axis=1) if winner is None else np.array(winner)
    confidence = probs[np.arange(len(probs)), class_id] * np.float32(share)
    scores = Scores(probs, THREE, affect)
    return smoother.update(scores, class_id, confidence, np.array(people), time_s)


def run(smoother: Smoother, rows: list[list[float]], *, rate: float = 30) -> tuple[list, list]:
    """Label and abstention of one person over time."""
    labels, abstained = [], []
    for i, row in enumerate(rows):
        probs = np.array([row], np.float32)
        now = update(smoother, probs, [1], i / rate)
        assert now.scores.probs.sum() == pytest.approx(1, abs=1e-5)
        labels.append(int(now.class_id[0]))
        abstained.append(bool(now.abstained[0]))
    return labels, abstained


HAPPY, SAD, UNSURE = [0.9, 0.05, 0.05], [0.05, 0.75, 0.2], [0.36, 0.34, 0.3]


def smoother(**settings: float) -> Smoother:
    return Smoother(**{"window_s": 0.4, "hysteresis": 0.2, "threshold": 0.5, **settings})


def test_a_flicker_leaves_no_trace() -> None:
    rows = [HAPPY] * 12 + [SAD] * 3 + [HAPPY] * 12 + [UNSURE] * 3 + [HAPPY] * 12
    labels, abstained = run(smoother(), rows)
    assert set(labels) == {0}
    assert not any(abstained)
    raw_labels, raw_abstained = run(smoother(window_s=0, hysteresis=0), rows)
    assert sum(raw_labels) == 3
    assert sum(raw_abstained) == 3


def test_a_true_change_comes_within_three_tenths_of_a_second() -> None:
    labels, _ = run(smoother(), [HAPPY] * 30 + [SAD] * 30)
    assert 1 < labels.index(1) - 30 <= 0.3 * 30


def test_off_is_raw() -> None:
    random = np.random.default_rng(0)
    rows = random.dirichlet([1, 1, 1], 60).astype(np.float32)
    raw = smoother(window_s=0, hysteresis=0)
    for i, row in enumerate(rows):
        now = update(raw, row[None], [1], i / 30)
        assert np.array_equal(now.scores.probs[0], row)
        assert now.class_id[0] == row.argmax()
        assert now.abstained[0] == (row.max() < 0.5)


def test_a_winner_that_is_not_the_highest_stands_at_first() -> None:
    tie = np.array([[0.5, 0.5, 0.0]], np.float32)  # a hard vote whose leader decided
    smooth = smoother()
    assert update(smooth, tie, [7], 0.0, winner=[1]).class_id.tolist() == [1]
    for i in range(8):
        update(smooth, np.array([[0, 0, 1]], np.float32), [7], 5 + i / 30)
    for i in range(8, 38):
        now = update(smooth, tie, [7], 5 + i / 30, winner=[1])
    assert now.class_id.tolist() == [1], "the rule of the vote holds over time, too"


def test_a_vote_that_most_members_did_not_cast_is_no_sure_one() -> None:
    smooth = smoother(threshold=0.4)
    for i in range(8):
        now = update(smooth, np.array([[1.0, 0, 0]], np.float32), [1], i / 30, share=1 / 3)
        assert now.confidence[0] == pytest.approx(1 / 3)
        assert now.abstained.tolist() == [True]


def test_points_that_a_network_answers_are_smoothed_too() -> None:
    smooth = smoother()
    for i in range(10):
        valence = np.array([-0.9 if i == 5 else 0.5], np.float32)
        answered = Affect(valence, valence / 2)
        now = update(smooth, np.array([HAPPY], np.float32), [1], i / 30, affect=answered)
        assert now.scores.affect is not None
        assert now.scores.affect.valence[0] == pytest.approx(0.5)
        assert now.scores.affect.arousal[0] == pytest.approx(0.25)
        assert now.scores.probs.sum() == pytest.approx(1, abs=1e-5)


def test_votes_that_go_round_do_not_divide_by_zero() -> None:
    rows = [[1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0]] * 5
    labels, _ = run(smoother(), rows)
    assert len(labels) == 15


def test_a_rare_look_is_no_miss() -> None:
    tracker = Tracker()
    assert [ids(tracker, box(100), at=2.0 * i) for i in range(4)] == [[1]] * 4
    ids(tracker, at=8.0)
    assert ids(tracker, box(100), at=10.0) == [2]


@pytest.mark.parametrize("threshold", [0.1, 0.85, 0.95])
def test_a_sure_answer_ends_abstaining_and_a_weak_one_begins_it(threshold: float) -> None:
    sure, weak = [0.99, 0.005, 0.005], [0.34, 0.33, 0.33]
    holding = smoother(hysteresis=0.5, threshold=threshold)
    _, abstained = run(holding, [weak] * 15 + [sure] * 15 + [weak] * 15)
    assert not abstained[29]
    assert abstained[0] == abstained[-1] == (threshold > 0.5)


def test_people_are_smoothed_apart_and_forgotten_after_a_gap() -> None:
    both = np.array([HAPPY, SAD], np.float32)
    for gap_s, window_s, expected in [(5.0, 0.4, [1, 0]), (0.9, 9.0, [0, 1]), (1.1, 9.0, [1, 0])]:
        smooth = smoother(window_s=window_s)
        for i in range(10):
            now = update(smooth, both, [1, 2], i / 30)
        assert now.class_id.tolist() == [0, 1]
        update(smooth, np.empty((0, 3), np.float32), [], 9 / 30 + gap_s / 2)
        later = update(smooth, both[::-1], [1, 2], 9 / 30 + gap_s)
        assert later.class_id.tolist() == expected, gap_s


def test_a_small_lead_changes_no_label_and_a_large_one_does() -> None:
    for lead, expected in [(0.1, 0), (0.3, 1)]:
        weaker = [0.45 - lead / 2, 0.45 + lead / 2, 0.1]
        labels, _ = run(smoother(), [HAPPY] * 15 + [weaker] * 30)
        assert labels[-1] == expected


def test_the_middle_of_a_window_decides_and_not_the_last_answer() -> None:
    labels, _ = run(smoother(hysteresis=0), [HAPPY] * 9 + [SAD])
    assert labels[-1] == 0
    last = [0.02, 0.48, 0.5]  # its winner is not that of the window
    labels, _ = run(smoother(window_s=9), [HAPPY] * 3 + [SAD] * 3 + [last])
    assert labels[-2:] == [0, 1]


def test_abstaining_begins_well_under_its_threshold_and_ends_well_over_it() -> None:
    for sure, expected in [(0.35, False), (0.28, True)]:
        row = [sure, (1 - sure) / 2, (1 - sure) / 2]
        _, abstained = run(smoother(), [HAPPY] * 15 + [row] * 30)
        assert abstained[-1] is expected
    for sure, expected in [(0.6, True), (0.8, False)]:
        row = [sure, (1 - sure) / 2, (1 - sure) / 2]
        _, abstained = run(smoother(), [UNSURE] * 15 + [row] * 30)
        assert abstained[-1] is expected
