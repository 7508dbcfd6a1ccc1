"""Augmentation: seeded, within its bounds, and as the student systems did it."""

from dataclasses import asdict

import numpy as np
import pytest

from emotion_core.training import augment
from emotion_core.training.augment import Augmentation, augment_face

FACE = np.random.default_rng(0).integers(40, 200, (32, 32, 3)).astype(np.uint8)
GREY = FACE[..., :1].copy()


def changed(seed: int = 0, face: np.ndarray = FACE, **settings: object) -> np.ndarray:
    return augment_face(face, Augmentation(**settings), seed=(1, 2, seed))


def test_as_it_stands_nothing_changes() -> None:
    assert np.array_equal(changed(), FACE)


EACH = {
    "rotation_deg": 30.0,
    "shift": 0.2,
    "shear_deg": 20.0,
    "zoom": 0.3,
    "scale": 0.3,
    "flip": True,
    "brightness": (0.5, 1.5),
    "channel_shift": 50.0,
    "light": 0.8,
    "gamma": 1.0,
    "blur": 1.0,
    "noise": 1.0,
    "erase": 1.0,
    "six_way": True,
}


def test_every_setting_is_known_here() -> None:
    assert set(EACH) == set(asdict(Augmentation()))


@pytest.mark.parametrize("name", EACH)
@pytest.mark.parametrize("face", [FACE, GREY], ids=["colour", "grey"])
def test_each_setting_changes_faces_and_follows_its_seed(name: str, face: np.ndarray) -> None:
    looks = [changed(seed, face, **{name: EACH[name]}) for seed in range(12)]
    assert all(look.shape == face.shape and look.dtype == np.uint8 for look in looks)
    assert sum(not np.array_equal(look, face) for look in looks) >= 3
    again = changed(5, face, **{name: EACH[name]})
    assert np.array_equal(again, looks[5])


def test_a_mirrored_face_is_mirrored() -> None:
    looks = [changed(seed, flip=True) for seed in range(40)]
    mirrored = [np.array_equal(look, FACE[:, ::-1]) for look in looks]
    plain = [np.array_equal(look, FACE) for look in looks]
    assert all(a != b for a, b in zip(mirrored, plain, strict=True))
    assert 8 < sum(mirrored) < 32


def test_brightness_and_channel_shift_stay_in_their_range() -> None:
    for seed in range(20):
        factor = changed(seed, brightness=(0.5, 0.5))
        assert np.abs(factor.astype(float) - FACE * 0.5).max() <= 1
        shifted = changed(seed, channel_shift=50.0).astype(int)
        inside = (shifted > FACE.min()) & (shifted < FACE.max())
        moved = (shifted - FACE)[inside]
        assert np.ptp(moved) <= 1
        assert np.abs(moved).max() <= 50


def test_a_rotation_turns_around_the_centre() -> None:
    dot = np.zeros((33, 33, 1), np.uint8)
    dot[16, 16] = 255
    for seed in range(6):
        assert changed(seed, dot, rotation_deg=180.0)[16, 16] >= 250


def test_six_ways_come_by_their_shares(monkeypatch: pytest.MonkeyPatch) -> None:
    marks = tuple(
        lambda face, _, value=value: np.full_like(face, value) for value in (1, 2, 3, 4, 5)
    )
    monkeypatch.setattr(augment, "_SIX_WAYS", marks)
    zero = np.zeros((4, 4, 1), np.uint8)
    picks = [int(changed(seed, zero, six_way=True).max()) for seed in range(4000)]
    shares = np.bincount(picks, minlength=6) / len(picks)
    assert shares == pytest.approx([0.4, 0.12, 0.12, 0.12, 0.12, 0.12], abs=0.025)


def test_six_ways_have_seed_000s_parameters() -> None:
    flat = np.full((64, 64, 3), 128, np.uint8)
    random = np.random.default_rng(0)
    noise = augment._gaussian(flat, random).astype(float) - 128
    assert noise.std() == pytest.approx(np.sqrt(0.002) * 255, rel=0.05)
    spots = augment._salt_and_pepper(flat, random)
    bright, dark = spots[spots > 128], spots[spots < 128]
    assert len(np.unique(bright)) == len(np.unique(dark)) == 1
    assert 0.6 * 255 - 1 <= bright[0] <= 255
    assert dark[0] <= 0.4 * 255
    assert (spots != 128).any(axis=2).mean() == pytest.approx(0.02, abs=0.004)
    ring = augment._ring_blur(
        np.pad(np.full((1, 1, 1), 160, np.uint8), ((4, 4), (4, 4), (0, 0))), random
    )
    assert ring[4, 4] == 0
    assert ring[2, 4] == 10
    saturated = augment._six_way(np.full((8, 8, 3), (200, 100, 50), np.uint8), random)
    assert saturated.shape == (8, 8, 3)
