"""All photos and broken pictures of the test data, as their manifests say."""

import csv
import multiprocessing
import os
import resource
import signal
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks.crop_fit import paste_all
from emotion_core.analysis import VideoOptions, find_faces, read_frames
from emotion_core.datasets.fer2013 import load_arrays
from emotion_core.errors import EmotionError, InputError
from emotion_core.faces import load_detector
from emotion_core.faces.contract import box_iou
from emotion_core.media.encode import write_video
from emotion_core.media.photo import decode_photo, read_photo
from emotion_core.media.video import iter_frames, probe_video
from emotion_core.photos import PhotoResult, read_photos
from emotion_core.registry import load_model
from emotion_core.types import Frame, VideoInfo

pytestmark = pytest.mark.data

#: Where this project's policy differs from the manifest's `expected`, and why.
DEVIATIONS: dict[str, str] = {}
#: Not pictures of what the manifest says: the file decodes to noise.
NO_FACE_TO_SEE = {"pillow__hopper_bad_exif.jpg"}


def manifest(folder: Path) -> list[dict[str, str]]:
    with (folder / "manifest.csv").open(newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def test_every_photo_is_read_or_refused(test_data: Path) -> None:
    folder = test_data / "photos"
    tools = load_detector(), load_model()
    rows = manifest(folder)
    read = 0
    for row in rows:
        (outcome,) = read_photos([(row["file"], (folder / row["file"]).read_bytes())], *tools)
        read += isinstance(outcome, PhotoResult)
    assert len(rows) > 200
    assert read / len(rows) > 0.9


def test_faces_are_counted(test_data: Path) -> None:
    """Exact count on at least 97 % of the photos whose count is exact and at most 6."""
    folder = test_data / "photos"
    detector = load_detector()
    right = wrong = 0
    for row in manifest(folder):
        if row["count_kind"] != "exact" or int(row["expected_faces"]) > 6:
            continue
        if row["file"] in NO_FACE_TO_SEE:
            continue
        try:
            image = read_photo(folder / row["file"])
        except InputError:
            continue
        is_right = len(find_faces(image, detector)) == int(row["expected_faces"])
        right, wrong = right + is_right, wrong + (not is_right)
    print(f"exact count on {right} of {right + wrong} photos")
    assert right + wrong > 130
    assert right / (right + wrong) >= 0.97


def test_the_crop_rule_fits(test_data: Path) -> None:
    """Pasted validation faces are found and read within 4 points of the given crops."""
    faces = load_arrays(test_data / "fer2013" / "fer2013.npz").split("val")
    faces = faces.rows(np.arange(len(faces)) % 3 == 0)
    model = load_model()
    pasted = paste_all(faces, load_detector())
    given, found = (
        pasted.accuracy_given(model),
        pasted.accuracy_found(model, model.card.crop),
    )
    print(f"n {pasted.n}, missed {pasted.missed:.1%}, given {given:.1%}, found {found:.1%}")
    assert pasted.n > 1000
    assert pasted.missed <= 0.05
    assert found >= given - 0.04


def test_turned_photos_show_the_upright_faces(test_data: Path) -> None:
    folder = test_data / "photos"
    detector = load_detector()
    turned = sorted(folder.glob("d_exif_orientation_*.jpg"))
    assert len(turned) == 8
    found = [find_faces(read_photo(path), detector) for path in turned]
    for path, faces in zip(turned, found, strict=True):
        assert len(faces) == 1, path.name
        assert box_iou(found[0].xyxy[0], faces.xyxy)[0] >= 0.9, path.name
    shapes = {read_photo(path).shape for path in folder.glob("exiforient__Portrait_*.jpg")}
    assert len(shapes) == 1


def door(kind: str, path: str) -> str:
    """Run a decoder where it may die: with 4 GB and 20 s of processor for each file."""
    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time()) + 20, most))
    try:
        if kind == "images":
            decode_photo(Path(path).read_bytes(), name="odd")
        else:
            probe_video(path)
            for count, _ in enumerate(iter_frames(path)):
                if count > 60:
                    break
        return "decodes"
    except EmotionError as error:
        return "clear error" if len(str(error)) > 20 else "a poor error"


def dies(_: str) -> str:
    os.kill(os.getpid(), signal.SIGKILL)
    return "alive"


class Doorman:
    """Sends files through a door, one after the other, and finds out when it dies on one."""

    def __init__(self, patience_s: float = 30) -> None:
        self.patience_s = patience_s
        # not forked from here: OpenCV's and TensorFlow's threads do not survive that
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["tests.test_corpus"])
        self._pool = self._context.Pool(1)

    def __enter__(self) -> "Doorman":
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.terminate()

    def send(self, through: Callable[..., str], *what: str) -> str:
        try:
            return self._pool.apply_async(through, what).get(self.patience_s)
        except multiprocessing.TimeoutError:
            self._pool.terminate()
            self._pool = self._context.Pool(1)
            return "no answer"


@pytest.mark.parametrize("kind", ["images", "videos"])
def test_broken_inputs_meet_the_policy(test_data: Path, kind: str, tmp_path: Path) -> None:
    folder = test_data / "bad_inputs"
    rows = [row for row in manifest(folder) if row["file"].startswith(f"{kind}/")]
    assert len(rows) > 80
    odd: list[str] = []
    with Doorman() as doorman:
        for number, row in enumerate(rows):
            ending = Path(row["file"]).suffix[:8] if kind == "videos" else ""
            copy = tmp_path / f"{number}{ending}"
            copy.write_bytes((folder / row["file"]).read_bytes())
            got = doorman.send(door, kind, str(copy))
            expected = DEVIATIONS.get(row["file"], row["expected"])
            if got != expected:
                odd.append(f"{row['file']} ({row['what_is_wrong']}): {got}, not {expected}")
    assert not odd, "\n".join(odd)


def test_a_door_that_dies_is_seen(tmp_path: Path) -> None:
    (tmp_path / "no.jpg").write_bytes(b"no picture at all")
    with Doorman(patience_s=15) as doorman:
        assert doorman.send(door, "images", str(tmp_path / "no.jpg")) == "clear error"
        doorman.patience_s = 2
        assert doorman.send(dies, "") == "no answer"
        doorman.patience_s = 15
        assert doorman.send(door, "images", str(tmp_path / "no.jpg")) == "clear error"


def test_every_video_is_read_upright_with_rising_times(test_data: Path) -> None:
    folder = test_data / "videos"
    refused: set[str] = set()
    foreign: set[str] = set()
    for row in manifest(folder):
        if row["container"] in ("mpegts", "asf", "flv", "mpeg") or row["frames_decoded"] == "0":
            foreign.add(row["file"])
        try:
            info = probe_video(folder / row["file"])
            times = []
            for frame in iter_frames(folder / row["file"]):
                times.append(frame.time_s)
                if len(times) >= 40:
                    break
        except InputError:
            refused.add(row["file"])
            continue
        assert frame.image.shape[:2] == (info.height, info.width), row["file"]
        assert np.all(np.diff(times) > 0), row["file"]
    assert refused == foreign
    assert len(foreign) == 8


@pytest.mark.parametrize("rate", [25, 30])
def test_a_cut_from_happy_to_sad_changes_the_label_in_time(
    test_data: Path, tmp_path: Path, rate: int
) -> None:
    # the second picture is laid so that both faces share one place: the person is followed on
    detector = load_detector()
    pictures = []
    for name in ("happy", "sad"):
        photo = read_photo(test_data / "photos" / f"faceapijs__{name}.jpg")
        box = detector.detect(photo).xyxy[0]
        scale = 160 / (box[2] - box[0])
        centre = (box[:2] + box[2:]) / 2 * scale
        move = np.array([[scale, 0, 240 - centre[0]], [0, scale, 180 - centre[1]]])
        pictures.append(cv2.warpAffine(photo, move, (480, 360), borderMode=cv2.BORDER_REPLICATE))
    film = tmp_path / "spliced.mp4"
    with write_video(
        film, VideoInfo(480, 360, Fraction(rate), None, None, 0, has_audio=False)
    ) as video:
        for i in range(4 * rate):
            video.write(Frame(pictures[i >= 2 * rate], i, i / rate))
    labels = {
        seen.frame.index: [str(label) for label in seen.reading.label]
        for seen in read_frames(iter_frames(film), detector, load_model(), options=VideoOptions())
    }
    assert all(labels[i] == ["happy"] for i in range(rate, 2 * rate))
    changed = next(i for i in range(2 * rate, 4 * rate) if labels[i] == ["sad"])
    assert (changed + 1 - 2 * rate) / rate <= 0.3
    assert all(labels[i] == ["sad"] for i in range(changed, 4 * rate))
