"""How well a face can be seen."""

import cv2
import numpy as np
import pytest

from emotion_core import load_detector
from emotion_core.quality import _HEADS, face_quality, head_pose
from emotion_core.types import Faces, Image


def turned(points: int, yaw: float, pitch: float, roll: float) -> Faces:
    """An average head seen from the front after a turn, in degrees."""
    y, p, r = np.radians([yaw, pitch, roll])
    about_y = np.array([[np.cos(y), 0, -np.sin(y)], [0, 1, 0], [np.sin(y), 0, np.cos(y)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]])
    about_z = np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]])
    seen = (about_z @ about_y @ about_x @ _HEADS[points].T).T[:, :2] * 1.7 + 300
    return Faces(
        np.array([[200, 200, 400, 400]], np.float32),
        np.ones(1, np.float32),
        seen[None].astype(np.float32),
    )


@pytest.mark.parametrize("points", [5, 6])
@pytest.mark.parametrize(
    "pose", [(0, 0, 0), (30, 0, 0), (-40, 0, 0), (0, 20, 0), (0, 0, -25), (20, -15, 10)]
)
def test_the_turn_of_a_head_is_found(points: int, pose: tuple[int, int, int]) -> None:
    assert head_pose(turned(points, *pose))[0] == pytest.approx(pose, abs=0.5)


@pytest.mark.parametrize(
    ("nose", "axis", "sign"),
    [((318, 300), 0, 1), ((282, 300), 0, -1), ((300, 318), 1, 1), ((300, 282), 1, -1)],
)
def test_a_head_turns_where_its_nose_points(nose: tuple[int, int], axis: int, sign: int) -> None:
    # by hand: eyes, nose and the corners of the mouth of a face that looks straight ahead
    points = np.array([[[270, 270], [330, 270], nose, [275, 335], [325, 335]]], np.float32)
    box = np.array([[220, 200, 380, 380]], np.float32)
    straight = points.copy()
    straight[0, 2] = (300, 300)
    ahead, turned_to = (
        head_pose(Faces(box, np.ones(1, np.float32), held))[0] for held in (straight, points)
    )
    assert sign * (turned_to[axis] - ahead[axis]) > 5


def test_no_landmarks_no_pose() -> None:
    faces = Faces(np.array([[0, 0, 9, 9]], np.float32), np.ones(1, np.float32))
    assert np.isnan(head_pose(faces)).all()
    same = Faces(faces.xyxy, faces.confidence, np.zeros((1, 6, 2), np.float32))
    assert np.isnan(head_pose(same)).all()
    assert head_pose(Faces.empty()).shape == (0, 3)


def test_blur_and_dark_are_seen(portrait: Image) -> None:
    faces = load_detector().detect(portrait)
    clear = face_quality(portrait, faces)
    blurred = face_quality(cv2.GaussianBlur(portrait, (0, 0), 6), faces)
    dark = face_quality((portrait // 4).astype(np.uint8), faces)
    assert blurred.sharpness[0] < clear.sharpness[0] / 5
    assert dark.brightness[0] == pytest.approx(clear.brightness[0] / 4, rel=0.1)
    assert clear.size_px[0] == pytest.approx(faces.xyxy[0, 2] - faces.xyxy[0, 0], rel=0.2)
    assert abs(clear.pose_deg[0]).max() < 25


def test_a_box_at_the_edge_and_none_at_all(portrait: Image) -> None:
    beyond = Faces(np.array([[-20, -20, 5, 5], [509, 509, 530, 530]], np.float32), np.ones(2, "f"))
    assert len(face_quality(portrait, beyond)) == 2
    assert len(face_quality(portrait, Faces.empty())) == 0
