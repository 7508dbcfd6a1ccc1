"""The chain of stages, and a video from file to results."""

import errno
import json
import math
import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pandas as pd
import pytest

from emotion_core import limits, load_detector, load_model
from emotion_core.analysis import ReadOptions, VideoOptions, ahead, read_frames, read_picture
from emotion_core.errors import BadArgument, InputError, JobCancelled, StorageError, TooLarge
from emotion_core.faces.contract import finish_faces
from emotion_core.files import sha256_of
from emotion_core.media.encode import write_video
from emotion_core.media.video import iter_frames, probe_video
from emotion_core.types import Faces, Frame, Image
from emotion_core.videos import Progress, VideoTask, analyse_video, frame_at
from tests.builders import make_picture, make_sound, make_video

RAW = VideoOptions(smooth_s=0, hysteresis=0)


@pytest.fixture(scope="module")
def tools() -> tuple:
    return load_detector(), load_model()


class Counting:
    """A detector that notes what it was asked."""

    def __init__(self, detector: object) -> None:
        self.detector, self.shapes = detector, []
        self.name, self.min_confidence = "counting", 0.5

    def detect(self, image: Image) -> Faces:
        self.shapes.append(image.shape[:2])
        return self.detector.detect(image)


def test_a_screen_that_stands_still_shows_what_it_showed(tmp_path: Path) -> None:
    shades = [np.full((48, 64, 3), shade, np.uint8) for shade in (20, 80, 140, 200, 250)]
    path = make_video(tmp_path / "a.mp4", shades, pts=[0, 3000, 6000, 9000, 9040])
    for time_s, shade in ((0, 20), (1.5, 20), (4.5, 80), (8.9, 140), (9.01, 200), (60, 250)):
        shown = frame_at(path, time_s)
        assert shown is not None
        assert shown.mean() == pytest.approx(shade, abs=3), time_s


def test_without_smoothing_every_frame_reads_like_a_photo(tools: tuple, clip: Path) -> None:
    frames = list(iter_frames(clip, every=15))
    readings = list(read_frames(frames, *tools, options=RAW))
    assert [seen.frame.index for seen in readings] == [frame.index for frame in frames]
    for seen in readings:
        alone = read_picture(seen.frame.image, *tools)
        assert seen.reading.label == alone.label
        assert seen.reading.scores.probs == pytest.approx(alone.scores.probs, abs=1e-5)
        assert np.array_equal(seen.reading.abstained, alone.abstained)
        assert len(seen.quality) == len(alone)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((48, 48), np.uint8),
        np.zeros((48, 48, 3), np.float32),
        np.zeros((0, 48, 3), np.uint8),
    ],
    ids=["grey", "float", "empty"],
)
def test_a_frame_that_is_no_picture_is_refused(tools: tuple, image: np.ndarray) -> None:
    with pytest.raises(BadArgument, match="uint8 RGB"):
        list(read_frames([Frame(image, 0, 0.0)], *tools))


def test_batches_make_no_difference(tools: tuple, clip: Path) -> None:
    frames = list(iter_frames(clip, end_s=1.0))
    one, many = (
        list(read_frames(frames, *tools, options=VideoOptions(batch=size))) for size in (1, 16)
    )
    for a, b in zip(one, many, strict=True):
        assert a.reading.label == b.reading.label
        assert a.reading.scores.probs == pytest.approx(b.reading.scores.probs, abs=1e-5)


def test_the_sample_is_followed_over_time(tools: tuple, clip: Path) -> None:
    counts: dict[float, int] = {}
    people: set[int] = set()
    for seen in read_frames(iter_frames(clip), *tools):
        counts[seen.frame.time_s] = len(seen.reading)
        people |= set(seen.reading.faces.tracker_id.tolist())
    expected = {time_s: 0 if 5.6 <= time_s < 6.6 else 1 + (time_s >= 6.6) for time_s in counts}
    wrong = sum(counts[time_s] != expected[time_s] for time_s in counts)
    assert wrong <= len(counts) // 50
    assert people == {1, 2, 3}


def test_skipped_frames_show_the_reading_before_them(tools: tuple, clip: Path) -> None:
    frames = list(iter_frames(clip, end_s=0.6))
    readings = list(read_frames(frames, *tools, options=VideoOptions(every=4)))
    assert [seen.is_held for seen in readings] == [i % 4 != 0 for i in range(len(frames))]
    for i, seen in enumerate(readings):
        assert seen.frame is frames[i]
        assert seen.reading is readings[i - i % 4].reading


def test_faces_move_on_between_two_looks(tools: tuple, clip: Path) -> None:
    frames = list(iter_frames(clip, end_s=1.5))
    counting = Counting(tools[0])
    every = list(read_frames(frames, *tools))
    third = list(read_frames(frames, counting, tools[1], options=VideoOptions(detect_every=3)))
    assert len(counting.shapes) == -(-len(frames) // 3)
    for a, b in zip(every, third, strict=True):
        assert b.reading.faces.tracker_id.tolist() == [1]
        side = a.quality.size_px[0]
        assert np.abs(a.reading.faces.xyxy - b.reading.faces.xyxy).max() < side / 4


class Leaving:
    """A detector that sees somebody walk out to the left, 20 px a frame."""

    name, min_confidence = "leaving", 0.5

    def detect(self, image: Image) -> Faces:
        left = 120 - 20 * int(image[0, 0, 0])
        return finish_faces([[left, 50, left + 80, 130]], np.ones(1, np.float32), image)


def test_who_walks_out_between_two_looks_stays_inside_the_picture(tools: tuple) -> None:
    frames = [Frame(np.full((200, 256, 3), i, np.uint8), i, i / 25) for i in range(14)]
    options = VideoOptions(detect_every=4)
    read = list(read_frames(frames, Leaving(), tools[1], options=options))
    boxes = np.concatenate([seen.reading.faces.xyxy for seen in read])
    assert boxes.min() == 0, "it reaches the edge, and no further"
    assert min(seen.quality.size_px.min(initial=99) for seen in read) >= limits.FACE_MIN_PX
    assert len(read[-1].reading) == 0


def test_only_the_region_is_searched(tools: tuple, clip: Path) -> None:
    frames = list(iter_frames(clip, start_s=7.0, end_s=7.4))
    counting = Counting(tools[0])
    right = VideoOptions(region=(0.5, 0.0, 1.0, 1.0))
    for seen in read_frames(frames, counting, tools[1], options=right):
        assert len(seen.reading) == 1
        assert seen.reading.faces.xyxy[0, 0] > 320
    assert set(counting.shapes) == {(480, 320)}
    edge = Counting(tools[0])
    corner = VideoOptions(region=(0.9995, 0.9995, 1.0, 1.0))
    assert [
        len(one.reading) for one in read_frames(frames[:1], edge, tools[1], options=corner)
    ] == [0]
    assert edge.shapes == [(1, 1)]


@pytest.mark.parametrize(
    "settings",
    [{"every": 0}, {"detect_every": 0}, {"smooth_s": -1}, {"region": (0.5, 0, 0.5, 1)}],
)
def test_impossible_options_are_refused(settings: dict) -> None:
    with pytest.raises(ValueError, match=r"count from 1|from 0|not a part"):
        VideoOptions(**settings)


def test_a_stage_ahead_gives_all_in_order_and_waits() -> None:
    taken: list[int] = []

    def source() -> Iterator[int]:
        for i in range(100):
            taken.append(i)
            yield i

    items = ahead(source(), depth=3)
    assert next(items) == 0
    time.sleep(0.2)
    assert len(taken) <= 5
    assert list(items) == list(range(1, 100))


def test_a_stage_ahead_hands_on_errors_and_ends_when_it_is_left() -> None:
    closed = threading.Event()

    def source(*, fails: bool) -> Iterator[int]:
        try:
            yield 1
            if fails:
                raise InputError("broken")
            yield from range(1000)
        finally:
            closed.set()

    with pytest.raises(InputError, match="broken"):
        list(ahead(source(fails=True), depth=2))
    closed.clear()
    items = ahead(source(fails=False), depth=2)
    next(items)
    items.close()
    assert closed.wait(5)
    assert not [t for t in threading.enumerate() if t.name.startswith("stage") and t.is_alive()]


def test_a_task_survives_its_file() -> None:
    task = VideoTask(
        model_ids=("a", "b"),
        options=VideoOptions(reading=ReadOptions(flip=True), region=(0, 0, 0.5, 1)),
        end_s=3.0,
    )
    assert VideoTask.from_dict(json.loads(json.dumps(task.as_dict()))) == task


def test_a_clip_becomes_its_files(tmp_path: Path, clip: Path) -> None:
    told: list[Progress] = []
    task = VideoTask(start_s=2.5, end_s=4.5)
    result = analyse_video(clip, tmp_path, task, stem="x", on_progress=told.append, preview_s=0)
    assert [now.done for now in told if now.is_reading] == list(range(1, 51))
    assert (result.frames, told[-1].total, told[-1].is_reading) == (50, 50, False)
    assert told[0].preview is not None
    assert result.start_s == pytest.approx(2.52, abs=1e-3)
    table = pd.read_csv(tmp_path / "x.timeline.csv")
    assert table["time_s"].tolist() == pytest.approx(np.arange(2.52, 4.5, 0.04).tolist(), abs=1e-3)
    assert table["frame"].tolist() == list(range(63, 113))
    written = list(iter_frames(tmp_path / "x.annotated.mp4"))
    assert len(written) == 50
    there = frame_at(tmp_path / "x.annotated.mp4", 3.52 - result.start_s)
    source = next(iter_frames(clip, start_s=3.52))
    assert np.abs(there[300:].astype(int) - source.image[300:]).mean() < 8
    assert probe_video(tmp_path / "x.annotated.mp4").has_audio
    held = json.loads((tmp_path / "x.json").read_text())
    assert held["provenance"]["options"]["start_s"] == 2.5
    assert held["video"]["frames_read"] == 50


def test_the_faces_are_marked_in_the_written_video(tmp_path: Path, clip: Path) -> None:
    analyse_video(clip, tmp_path, VideoTask(end_s=0.4), stem="x")
    plain, drawn = next(iter_frames(clip)), next(iter_frames(tmp_path / "x.annotated.mp4"))
    box = pd.read_csv(tmp_path / "x.timeline.csv").iloc[0]
    left, top = int(box["left_px"]), int(box["top_px"])
    chip = np.s_[max(0, top - 20) : top, left + 2 : left + 40]
    assert np.abs(plain.image[chip].astype(int) - drawn.image[chip]).mean() > 25


def test_without_a_video_only_the_chosen_frames_are_read(tmp_path: Path, clip: Path) -> None:
    options = VideoOptions(every=5)
    without = analyse_video(clip, tmp_path, VideoTask(options=options, has_video=False), stem="a")
    with_it = analyse_video(clip, tmp_path, VideoTask(options=options), stem="b")
    assert (without.frames, with_it.frames) == (45, 225)
    assert not (tmp_path / "a.annotated.mp4").exists()
    a, b = (pd.read_csv(tmp_path / f"{stem}.timeline.csv") for stem in "ab")
    pd.testing.assert_frame_equal(a, b)
    held = [json.loads((tmp_path / f"{stem}.json").read_text()) for stem in "ab"]
    assert [one["video"]["frames_read"] for one in held] == [45, 45]


@pytest.mark.parametrize("after", [1, 40, 225])
def test_cancelling_leaves_nothing(tmp_path: Path, clip: Path, after: int) -> None:
    def stop(progress: Progress) -> None:
        if progress.done >= after:
            raise JobCancelled("stop")

    with pytest.raises(JobCancelled):
        analyse_video(clip, tmp_path, VideoTask(), stem="x", on_progress=stop)
    assert list(tmp_path.iterdir()) == []
    assert not [t for t in threading.enumerate() if t.name.startswith("stage") and t.is_alive()]


def full_disk(path: Path, content: bytes) -> int:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_failure_at_the_end_leaves_nothing(
    tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(StorageError, match="x\\."):
        analyse_video(clip, tmp_path, VideoTask(end_s=0.5), stem="x")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="an open file cannot be moved there")
def test_a_source_that_is_moved_away_meanwhile_is_read_to_its_end(
    tmp_path: Path, clip: Path
) -> None:
    source = Path(shutil.copy(clip, tmp_path / "source.mp4"))
    digest = sha256_of(source)
    out = tmp_path / "out"
    out.mkdir()
    result = analyse_video(
        source, out, VideoTask(end_s=0.5), stem="x",
        on_progress=lambda told: source.unlink(missing_ok=True),
    )  # fmt: skip
    assert not source.exists()
    held = json.loads(result.files["json"].read_text())
    assert held["provenance"]["input_sha256"] == digest


def test_reading_a_large_source_for_its_checksum_is_told(
    tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("emotion_core.files._HASHED_AT_ONCE", clip.stat().st_size // 9)
    told: list[bool] = []
    task = VideoTask(model_ids=("vgg-xs",), has_video=False)
    analyse_video(
        clip, tmp_path, task, stem="a", on_progress=lambda now: told.append(now.is_reading)
    )
    assert told.count(False) >= 1 + 9


def test_a_video_in_pieces_is_expected_whole(tmp_path: Path) -> None:
    whole = make_video(tmp_path / "a.mp4", [make_picture(64, 48, seed=0)] * 100, options={"g": "5"})
    with av.open(str(whole)) as source:
        pieces = av.open(str(tmp_path / "b.mp4"), "w", options={"movflags": "frag_keyframe"})
        stream = pieces.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                pieces.mux(packet)
        pieces.close()
    assert (probe_video(tmp_path / "b.mp4").frame_count or 0) < 100
    told: list[Progress] = []
    task = VideoTask(has_video=False)
    for name in ("a", "b"):
        analyse_video(tmp_path / f"{name}.mp4", tmp_path, task, stem=name, on_progress=told.append)
    assert {progress.total for progress in told} == {100}


def test_sound_that_goes_on_adds_no_frames_to_those_expected(tmp_path: Path) -> None:
    sound = make_sound(tmp_path / "a.mka", seconds=2.4)
    clip = make_video(tmp_path / "a.mp4", [make_picture(64, 48, seed=0)] * 40, sound=sound)
    told: list[Progress] = []
    task = VideoTask(has_video=False)
    analyse_video(clip, tmp_path, task, stem="a", on_progress=told.append)
    assert {progress.total for progress in told} == {40}


def test_a_second_reading_that_fails_leaves_the_first(
    tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(path: Path, **_: object) -> str:
        raise StorageError("the video was deleted meanwhile")

    first = analyse_video(clip, tmp_path, VideoTask(end_s=0.5), stem="x")
    held = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert set(held) == {path.name for path in first.files.values()}
    with monkeypatch.context() as patched, pytest.raises(StorageError):
        patched.setattr("emotion_core.videos.sha256_of", gone)
        analyse_video(clip, tmp_path, VideoTask(end_s=0.3), stem="x")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == held

    with monkeypatch.context() as patched, pytest.raises(StorageError):
        patched.setattr(Path, "write_bytes", full_disk)
        analyse_video(clip, tmp_path, VideoTask(end_s=0.3), stem="x")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == held

    @contextmanager
    def full_at_its_end(*arguments: object, **options: object) -> Iterator[object]:
        with write_video(*arguments, **options) as writer:  # type: ignore[arg-type]
            yield writer
            raise StorageError("the disk is full")

    with monkeypatch.context() as patched, pytest.raises(StorageError):
        patched.setattr("emotion_core.videos.write_video", full_at_its_end)
        analyse_video(clip, tmp_path, VideoTask(end_s=0.3), stem="x")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == held


def test_every_nth_is_the_same_with_and_without_a_picture(tmp_path: Path, clip: Path) -> None:
    options = VideoOptions(every=10)
    frames = []
    for has_video in (True, False):
        task = VideoTask(options=options, has_video=has_video, start_s=1.24, end_s=2.4)
        analyse_video(clip, tmp_path, task, stem="x")
        frames.append(pd.read_csv(tmp_path / "x.timeline.csv")["frame"].tolist())
    assert frames[0] == frames[1] == [31, 41, 51]


def test_a_limit_holds_for_a_file_that_does_not_say_its_length(
    tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "VIDEO_UPLOAD_MAX_S", 0.5)
    with pytest.raises(TooLarge, match=r"clip\.mp4 is over the limit"):
        analyse_video(clip, tmp_path, VideoTask(has_caps=True), stem="x")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("settings", [{"end_s": math.inf}, {"start_s": math.nan}])
def test_a_range_without_an_end_is_refused(settings: dict) -> None:
    with pytest.raises(BadArgument, match="no range of a video"):
        VideoTask(**settings)


@pytest.mark.parametrize("settings", [{"start_s": 60.0}, {"start_s": 3.0, "end_s": 3.0}])
def test_a_range_without_a_frame_is_refused(tmp_path: Path, clip: Path, settings: dict) -> None:
    with pytest.raises(InputError, match=r"clip\.mp4 has no frame in the chosen range"):
        analyse_video(clip, tmp_path, replace(VideoTask(), **settings), stem="x")
    assert list(tmp_path.iterdir()) == []


def test_frames_may_come_from_anywhere(tools: tuple, portrait: Image) -> None:
    frames = (Frame(portrait, i, i / 10) for i in range(3))
    assert [seen.reading.label for seen in read_frames(frames, *tools)] == [("happy",)] * 3
