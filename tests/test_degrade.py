"""Faces that are made worse: each in its own way, the same at every call."""

import io

import numpy as np
import pytest
from PIL import Image

from emotion_core.degrade import DEGRADATIONS, degrade

FACES = np.random.default_rng(0).integers(60, 180, (6, 48, 48, 1)).astype(np.uint8)
COLOUR = np.random.default_rng(1).integers(60, 180, (3, 32, 32, 3)).astype(np.uint8)


@pytest.mark.parametrize("name", DEGRADATIONS)
def test_each_changes_every_face_and_is_repeated(name: str) -> None:
    for faces in (FACES, COLOUR):
        kept = faces.copy()
        changed = degrade(faces, name)
        assert changed.shape == faces.shape
        assert changed.dtype == np.uint8
        assert np.array_equal(faces, kept), "the faces themselves stay"
        assert not any(np.array_equal(a, b) for a, b in zip(changed, faces, strict=True))
        assert np.array_equal(changed, degrade(faces, name))
        parts = [degrade(faces[:2], name), degrade(faces[2:], name, first=2)]
        assert np.array_equal(changed, np.concatenate(parts))
    assert degrade(FACES[:0], name).shape == (0, 48, 48, 1)


def test_brightness_and_covers_are_what_they_say() -> None:
    mean = FACES.mean()
    assert degrade(FACES, "darker").mean() == pytest.approx(0.6 * mean, rel=0.02)
    assert degrade(FACES, "brighter").mean() == pytest.approx(1.4 * mean, rel=0.02)
    left, right = degrade(FACES, "left_covered"), degrade(FACES, "right_covered")
    assert np.array_equal(left[:, :, 24:], FACES[:, :, 24:])
    assert np.array_equal(right[:, :, :24], FACES[:, :, :24])
    assert len(np.unique(left[:, :, :24])) == 1
    eyes, mouth = degrade(FACES, "eyes_covered"), degrade(FACES, "mouth_covered")
    assert np.array_equal(eyes[:, 24:], FACES[:, 24:])
    assert np.array_equal(mouth[:, :24], FACES[:, :24])


def test_a_turned_face_turns_back() -> None:
    slope = np.linspace(0, 250, 48)
    faces = np.broadcast_to(slope[None, :, None], (1, 48, 48))[..., None].astype(np.uint8)
    there = degrade(faces, "turned_left")
    back = degrade(there, "turned_right")
    middle = (slice(None), slice(16, 32), slice(16, 32))
    assert np.abs(back[middle].astype(int) - faces[middle]).max() <= 4
    assert np.abs(there[middle].astype(int) - faces[middle]).max() > 8


def test_jpeg_takes_red_for_red() -> None:
    colours = np.random.default_rng(0).integers(0, 256, (6, 6, 3)).astype(np.uint8)
    face = colours.repeat(8, axis=0).repeat(8, axis=1)
    held = io.BytesIO()
    Image.fromarray(face).save(held, "JPEG", quality=20)
    expected = np.asarray(Image.open(held), np.int64)
    (coded,) = degrade(face[None], "jpeg").astype(int)
    assert np.abs(coded - expected).mean() < 2


def test_small_and_blurred_faces_lose_what_is_fine() -> None:
    for name in ("small", "blurred", "jpeg"):
        rough = np.abs(np.diff(FACES.astype(int), axis=2)).mean()
        assert np.abs(np.diff(degrade(FACES, name).astype(int), axis=2)).mean() < 0.7 * rough
    assert degrade(FACES, "noisy").std() > FACES.std()
