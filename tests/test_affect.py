import numpy as np
import pytest

from emotion_core.affect import (
    RAYS,
    affect_from_scores,
    anchor_box_label,
    nearest_anchor,
    ray_label,
)
from tests.builders import make_scores


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
