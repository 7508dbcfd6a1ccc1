"""One suite for every detector that comes with the packages; the fetched ones read rows, in
`test_download`."""

import threading

import cv2
import numpy as np
import pytest

from emotion_core import limits
from emotion_core.analysis import find_faces
from emotion_core.crops import shrink_to
from emotion_core.errors import BadArgument, ModelError
from emotion_core.faces import DETECTORS, Detector, detector_states, load_detector
from emotion_core.faces.contract import box_iou, finish_faces, suppress
from emotion_core.types import Image
from tests.builders import make_picture

PACKAGED = [name for name, entry in DETECTORS.items() if not entry.files()]


@pytest.fixture(scope="module", params=PACKAGED)
def detector(request: pytest.FixtureRequest) -> Detector:
    return load_detector(request.param)


def test_those_that_come_with_packages_are_ready() -> None:
    assert set(DETECTORS) - set(PACKAGED) == {"ssd", "yunet"}
    assert {state.name for state in detector_states() if state.is_ready} == set(PACKAGED)


def test_the_portrait_has_one_face_where_it_is(detector: Detector, portrait: Image) -> None:
    kept = portrait.copy()
    faces = detector.detect(portrait)
    truth = np.array([175, 68, 280, 190], np.float32)
    overlaps = box_iou(truth, faces.xyxy)
    assert overlaps.max() > 0.5
    # the loose student cascade also sees a face in the suit
    assert len(faces) == 1 or detector.name.startswith("haar")
    assert np.array_equal(portrait, kept)


def test_boxes_stay_inside_and_the_most_confident_comes_first(
    detector: Detector, portrait: Image
) -> None:
    cut = portrait[100:, 150:260]
    for image in (portrait, cut, portrait[:, ::-1]):
        faces = detector.detect(np.ascontiguousarray(image))
        assert (faces.xyxy >= 0).all()
        assert (faces.xyxy[:, ::2] <= image.shape[1]).all()
        assert (faces.xyxy[:, 1::2] <= image.shape[0]).all()
        assert (np.diff(faces.confidence) <= 0).all()
        sides = faces.xyxy[:, 2:] - faces.xyxy[:, :2]
        assert (sides >= limits.FACE_MIN_PX).all()


@pytest.mark.parametrize(("width", "height"), [(1, 1), (7, 300), (300, 7), (33, 31), (640, 480)])
def test_nobody_is_found_where_nobody_is(detector: Detector, width: int, height: int) -> None:
    faces = detector.detect(make_picture(width, height))
    assert len(faces) == 0
    assert faces.xyxy.shape == (0, 4)


def test_the_same_picture_gives_the_same_faces(detector: Detector, portrait: Image) -> None:
    first = detector.detect(portrait)
    detector.detect(shrink_to(portrait, 333))  # another size in between leaves no trace
    again = detector.detect(portrait)
    assert np.array_equal(first.xyxy, again.xyxy)


def test_landmarks_lie_on_the_face(detector: Detector, portrait: Image) -> None:
    faces = detector.detect(portrait)
    if faces.landmarks is None:
        pytest.skip(f"{detector.name} gives no landmarks")
    left_eye, right_eye = faces.landmarks[0, :2]
    assert left_eye[0] < right_eye[0]
    assert left_eye == pytest.approx([207, 107], abs=14)
    assert right_eye == pytest.approx([247, 107], abs=14)


def test_large_pictures_are_shrunk_and_boxes_come_back_in_their_pixels(portrait: Image) -> None:
    detector = load_detector()
    small = find_faces(portrait, detector)
    large = find_faces(np.kron(portrait, np.ones((5, 5, 1), np.uint8)), detector)
    assert box_iou(small.xyxy[0] * 5, large.xyxy)[0] > 0.9
    assert small.landmarks is not None
    assert large.landmarks is not None
    assert large.landmarks[0] == pytest.approx(small.landmarks[0] * 5, abs=20)


def test_a_tight_portrait_is_found_at_the_second_look(portrait: Image) -> None:
    tight = np.ascontiguousarray(portrait[60:190, 165:290])
    assert len(load_detector("blazeface").detect(tight)) == 1


@pytest.mark.parametrize("size", [(120, 95), (900, 712)])
def test_a_picture_that_is_nothing_but_a_face_is_found(
    portrait: Image, size: tuple[int, int]
) -> None:
    detector = load_detector("blazeface")
    whole = detector.detect(portrait)
    left, top, right, bottom = whole.xyxy[0].astype(int)
    face = portrait[top + 5 : bottom - 5, left + 5 : right - 5]
    resized = np.asarray(cv2.resize(face, size[::-1]), np.uint8)
    found = detector.detect(resized)
    assert len(found) == 1
    assert len(load_detector("blazeface-full").detect(resized)) == 0
    ratio = np.array(size[::-1]) / face.shape[1::-1]
    assert found.landmarks is not None
    assert whole.landmarks is not None
    eyes = (whole.landmarks[0, :2] - [left + 5, top + 5]) * ratio
    assert found.landmarks[0, :2] == pytest.approx(eyes, abs=0.08 * max(size))


def test_more_confidence_finds_no_more_faces(portrait: Image) -> None:
    assert len(load_detector("blazeface", min_confidence=0.99).detect(portrait)) == 0


def test_who_is_never_sure_is_asked_for_no_confidence() -> None:
    with pytest.raises(BadArgument, match="haar-alt does not say how sure"):
        load_detector("haar-alt", min_confidence=0.9)
    unsure = {name for name, entry in DETECTORS.items() if not entry.says_how_sure}
    assert unsure == {name for name in DETECTORS if name.startswith("haar")}


def test_raw_boxes_are_clipped_sorted_and_cleaned() -> None:
    raw = np.array(
        [[-50, -50, 40, 40], [0, 0, 41, 41], [60, 60, 70, 70], [np.nan, 0, 5, 5], [50, 0, 900, 40]],
        np.float32,
    )
    confidence = np.array([0.6, 0.9, 0.99, 0.8, 0.7], np.float32)
    faces = finish_faces(raw, confidence, make_picture(100, 80))
    assert faces.xyxy.tolist() == [[0, 0, 41, 41], [50, 0, 100, 40]]
    assert faces.confidence == pytest.approx([0.9, 0.7])
    assert suppress(np.zeros((0, 4), np.float32), 0.5).tolist() == []


def test_threads_may_share_a_detector(detector: Detector, portrait: Image) -> None:
    expected = detector.detect(portrait).xyxy
    found: list[object] = []

    def work() -> None:
        try:
            found.append(np.array_equal(detector.detect(portrait).xyxy, expected))
        except RuntimeError as error:
            found.append(error)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 6


@pytest.mark.parametrize("name", ["blazeface-back", "blazeface", "centerface"])
def test_the_loosest_confidence_ends(name: str, portrait: Image) -> None:
    faces = load_detector(name, min_confidence=0.0).detect(portrait)
    assert 0 < len(faces) <= limits.FACES_MAX


def test_an_unknown_detector_is_named_with_the_known_ones() -> None:
    with pytest.raises(ModelError, match=r"'dlib'.*blazeface"):
        load_detector("dlib")
