"""What copies of test pictures in the training split are worth."""

import cv2
import numpy as np

from benchmarks.copies import remembered, resembling
from emotion_core.datasets.fer2013 import VotedFaces


def test_a_copy_is_remembered_by_the_label_most_of_its_twins_bear() -> None:
    once, twice, new = (np.full((48, 48), grey, np.uint8) for grey in (10, 20, 30))
    faces = VotedFaces(
        images=np.stack([once, twice, twice, twice, new, twice, once]),
        labels=np.array([3, 5, 6, 6, 0, 1, 3], np.int8),
        votes=np.zeros((7, 10), np.uint8),
        usage=np.array([0, 0, 0, 0, 2, 2, 2], np.int8),
    )
    assert remembered(faces, faces.split("test")).tolist() == [-1, 6, 3]


def test_what_is_lit_otherwise_is_a_near_copy() -> None:
    random = np.random.default_rng(0)
    rough = [random.integers(40, 200, (6, 6)).astype(np.uint8) for _ in range(3)]
    one, other, new = (cv2.resize(face, (48, 48), interpolation=cv2.INTER_CUBIC) for face in rough)
    faces = VotedFaces(
        images=np.stack([one, other, new, cv2.add(one, 8), other]),
        labels=np.zeros(5, np.int8),
        votes=np.zeros((5, 10), np.uint8),
        usage=np.array([0, 0, 2, 2, 2], np.int8),
    )
    assert resembling(faces, faces.split("test")).tolist() == [False, True, True]
