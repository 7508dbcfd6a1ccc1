import numpy as np
import pytest

from emotion_core.errors import CardMismatch
from emotion_core.labels import CANONICAL, FER2013, LabelSet, canonical_name
from emotion_core.types import Affect, Faces, Scores, check_image
from tests.builders import LABELS, make_faces, make_picture, make_reading


def test_label_orders_are_the_seeds() -> None:
    assert CANONICAL == tuple(sorted(CANONICAL))
    assert [CANONICAL.index(x) for x in ("anger", "happy", "uncertain")] == [0, 4, 8]
    assert FER2013 == ("anger", "disgust", "fear", "happy", "sad", "surprise", "neutral")


@pytest.mark.parametrize(
    ("name", "expected"),
    [("Angry", "anger"), (" happiness", "happy"), ("contempt", "contempt"), ("joyful", None)],
)
def test_names_are_mapped_or_refused(name: str, expected: str | None) -> None:
    assert canonical_name(name) == expected


def test_a_label_set_needs_different_names() -> None:
    with pytest.raises(CardMismatch):
        LabelSet(["happy", "happy"])
    with pytest.raises(CardMismatch):
        LabelSet([])
    with pytest.raises(CardMismatch):
        LABELS.index("joyful")


def test_faces_are_indexed_like_arrays() -> None:
    faces = make_faces((0, 0, 10, 10), (5, 5, 30, 30), (1, 1, 40, 40))
    assert len(faces[:2]) == 2
    assert faces[faces.confidence > 0.75].xyxy.tolist() == faces[[0, 1]].xyxy.tolist()
    assert len(Faces.empty()) == 0


def test_the_whole_picture_is_a_face_nobody_found() -> None:
    faces = Faces.whole(make_picture(64, 48))
    assert faces.xyxy.tolist() == [[0, 0, 64, 48]]
    assert faces.confidence.tolist() == [0]


@pytest.mark.parametrize(
    "make",
    [
        lambda: Faces(np.zeros((2, 3), np.float32), np.zeros(2, np.float32)),
        lambda: Faces(np.zeros((2, 4), np.float32), np.zeros(1, np.float32)),
        lambda: Faces(
            np.zeros((2, 4), np.float32), np.zeros(2, np.float32), np.zeros((1, 5, 2), np.float32)
        ),
        lambda: Scores(np.full((1, 8), 0.5, np.float32), LABELS),
        lambda: Scores(np.ones((1, 3), np.float32), LABELS),
        lambda: Affect(np.zeros(2, np.float32), np.zeros(3, np.float32)),
        lambda: check_image(np.zeros((4, 4), np.uint8)),
        lambda: check_image(np.zeros((4, 4, 3), np.float32)),
        lambda: check_image(np.zeros((0, 4, 3), np.uint8)),
    ],
)
def test_wrong_shapes_are_refused_where_they_are_made(make: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        make()  # type: ignore[operator]


def test_a_reading_needs_every_part() -> None:
    reading = make_reading((0, 0, 10, 10), (5, 5, 30, 30))
    assert len(reading) == 2
    with pytest.raises(ValueError, match="one entry per face"):
        type(reading)(
            reading.faces[:1],
            reading.scores,
            reading.affect,
            reading.top_label,
            reading.label,
            reading.confidence,
            reading.abstained,
        )
