import numpy as np
import pytest

from emotion_core.affect import (
    COORDINATES,
    RAYS,
    affect_from_scores,
    anchor_box_label,
    nearest_anchor,
    ray_label,
    scores_from_affect,
)
from emotion_core.analysis.picture import make_reading
from emotion_core.cards import SYSTEMS
from emotion_core.labels import LabelSet
from emotion_core.types import Affect
from tests.builders import LABELS, make_faces, make_scores


@pytest.mark.parametrize(
    ("valence", "arousal", "label"),
    [
        (-1.396, 2.135, "fear"),
        (-2.124, 0.371, "anger"),
        (-2.119, 0.623, "anger"),
        (-3.065, 0.460, "anger"),
        (-1.655, -0.141, "neutral"),
    ],
)
def test_anchors_of_seed_000(valence: float, arousal: float, label: str) -> None:
    assert nearest_anchor(valence, arousal) == label


@pytest.mark.parametrize("system", COORDINATES)
def test_labels_lie_where_they_feel(system: str) -> None:
    points = COORDINATES[system]
    assert all(points[name][0] < -0.1 for name in ("anger", "contempt", "disgust", "fear", "sad"))
    assert all(points[name][0] > 0.4 for name in ("happy", "surprise"))
    assert all(points[name][1] > 0.15 for name in ("anger", "fear", "happy", "surprise"))
    assert points["sad"][1] < -0.4
    # the two differ on what contempt and disgust are
    assert (points["contempt"][1] > 0) is (points["disgust"][1] > 0) is (system == "rays")


def test_boxes_of_seed_000() -> None:
    assert anchor_box_label(-2.8, 1.2) == "anger"
    assert anchor_box_label(2, 0) is None


@pytest.mark.parametrize(
    ("valence", "arousal", "label", "percent"),
    [(0.32, -0.00, "happy", 31), (-0.66, 0.57, "disgust", 86)],
)
def test_rays_of_seed_003(valence: float, arousal: float, label: str, percent: int) -> None:
    read = ray_label(valence, arousal)
    assert read.label == label
    assert read.confidence is not None
    assert int(100 * read.confidence) == percent


@pytest.mark.parametrize(
    ("valence", "arousal", "mirrored"),
    [(0.8, 0.39, "sad"), (-0.9, -0.17, "happy"), (0.4, -0.78, "anger"), (0, -0.6, "fear")],
)
def test_the_mirror_fault_is_mended(valence: float, arousal: float, mirrored: str) -> None:
    assert ray_label(valence, arousal).label != mirrored


@pytest.mark.parametrize("label", [name for name in RAYS if name != "neutral"])
def test_every_ray_reads_as_itself(label: str) -> None:
    valence, arousal = RAYS[label]
    assert ray_label(0.8 * valence, 0.8 * arousal).label == label


def test_the_middle_is_neutral_and_the_outside_uncertain() -> None:
    assert ray_label(0.05, 0.0).label == "neutral"
    assert ray_label(0.05, 0.0).confidence == pytest.approx(0.95)
    assert ray_label(1.1, 0.2).label == "uncertain"
    assert ray_label(0, -0.6).confidence is None


@pytest.mark.parametrize("system", ["rays", "anchors"])
def test_the_mean_of_a_sure_face_is_its_point_and_stays_within_one(system: str) -> None:
    scores = make_scores({"happy": 1.0}, {"sad": 1.0}, {"neutral": 1.0})
    affect = affect_from_scores(scores, system=system)
    assert affect.valence[0] > 0.9
    assert affect.valence[1] < -0.8
    assert affect.valence[2] == affect.arousal[2] == 0
    assert np.abs([affect.valence, affect.arousal]).max() <= 1


def points(*pairs: tuple[float, float]) -> Affect:
    valence, arousal = np.array(pairs, np.float32).T
    return Affect(valence, arousal)


def test_labels_are_read_from_points_as_seed_003_did() -> None:
    random = np.random.default_rng(0)
    pairs = [tuple(pair) for pair in random.uniform(-0.9, 0.9, (300, 2)).tolist()]
    scores = scores_from_affect(points(*pairs), LABELS, system="rays")
    seen = set()
    for pair, probs in zip(pairs, scores.probs, strict=True):
        read = ray_label(*pair)
        if read.confidence is None:
            assert probs == pytest.approx(np.full(8, 1 / 8))
        elif read.confidence > 1 / 8:
            assert scores.labels[int(probs.argmax())] == read.label
            assert probs.max() == pytest.approx(read.confidence, abs=1e-5)
        seen.add(read.label)
    assert seen == {*RAYS, "uncertain"}
    assert scores.affect is not None


def test_cards_know_the_coordinates() -> None:
    assert set(SYSTEMS) == set(COORDINATES)


def test_only_labels_that_a_model_has_are_read() -> None:
    few = LabelSet(["happy", "sad"])
    scores = scores_from_affect(points((-0.65, 0.76), (0.0, 0.0), (0.98, 0.19)), few, system="rays")
    assert scores.probs[:2] == pytest.approx(np.full((2, 2), 0.5))
    read = make_reading(
        make_faces(*[(0, 0, 9, 9)] * 3),
        scores,
        scores.probs.argmax(axis=1),
        scores.probs.max(axis=1),
        np.zeros(3, bool),
        system="rays",
    )
    assert read.label == ("uncertain", "uncertain", "happy"), "even where nobody asked to abstain"
    assert read.abstained.tolist() == scores.is_flat.tolist() == [True, True, False]
    assert scores.probs[2, 0] > 0.95


def test_the_nearest_label_leads_also_where_little_is_sure() -> None:
    four = LabelSet(["anger", "happy", "neutral", "sad"])
    scores = scores_from_affect(points((0.2, 0.04), (-0.2, -0.098)), four, system="rays")
    assert [four[int(i)] for i in scores.probs.argmax(axis=1)] == ["happy", "sad"]
    assert scores.probs.sum(axis=1) == pytest.approx(np.ones(2))


def test_labels_are_read_from_points_as_seed_000_did() -> None:
    nine = LabelSet([*LABELS, "uncertain"])
    pairs = np.random.default_rng(1).uniform(-1, 1, (200, 2)).astype(np.float32)
    scores = scores_from_affect(Affect(*pairs.T), nine, system="anchors")
    expected = [nearest_anchor(4 * v, 4 * a) for v, a in pairs.tolist()]
    assert [nine[int(i)] for i in scores.probs.argmax(axis=1)] == expected
