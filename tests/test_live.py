"""A camera session: always the newest frame, tools that change on the way, recordings, slots."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from types import SimpleNamespace

import av
import cv2
import numpy as np
import pandas as pd
import pytest

from emotion_core import jobs, limits, load_detector, load_model
from emotion_core.analysis import VideoOptions
from emotion_core.draw import DrawOptions
from emotion_core.errors import StorageError
from emotion_core.live import LiveSession, LiveSlots, LiveTools
from emotion_core.live.recording import Recording
from emotion_core.media.encode import write_video
from emotion_core.media.video import iter_frames
from emotion_core.texts import say
from emotion_core.types import Faces, Frame, Image
from tests.builders import make_picture
from tests.steps import until


class Gate:
    """A detector that looks only when it is let, and notes what it saw."""

    name, min_confidence = "gate", 0.5

    def __init__(self, detector: object, *, is_open: bool = True) -> None:
        self.detector, self.seen = detector, []
        self.entered, self.open = threading.Event(), threading.Event()
        self.fails = False
        if is_open:
            self.open.set()

    def detect(self, image: Image) -> Faces:
        self.seen.append(int(image[0, 0, 0]))
        self.entered.set()
        assert self.open.wait(30)
        if self.fails:
            raise RuntimeError("broken net")
        return self.detector.detect(image)


@pytest.fixture(scope="module")
def parts() -> tuple:
    return load_detector(), load_model()


@pytest.fixture
def gate(parts: tuple) -> Gate:
    return Gate(parts[0])


def tools_of(gate: Gate, parts: tuple, **settings: object) -> LiveTools:
    return LiveTools(parts[1], gate, VideoOptions(**settings), DrawOptions())


@pytest.fixture
def session(gate: Gate, parts: tuple) -> Iterator[LiveSession]:
    before = set(threading.enumerate())
    running = LiveSession(tools_of(gate, parts))
    yield running
    gate.open.set()
    running.close()
    left = set(threading.enumerate()) - before
    assert not [thread for thread in left if thread.name == "live"]


def feed(session: LiveSession, image: Image, condition: Callable[[], object]) -> None:
    """Show a picture again and again until something is true."""

    def once() -> object:
        session.show(image)
        return condition()

    until(once)


def test_the_picture_comes_back_with_its_reading(session: LiveSession, portrait: Image) -> None:
    feed(session, portrait, lambda: session.state().latest)
    picture = session.show(portrait)
    assert picture.shape == portrait.shape
    assert not np.array_equal(picture, portrait)
    assert np.array_equal(session.snapshot(), picture)
    state = session.state()
    assert state.is_running
    assert state.latest.reading.label == ("happy",)
    assert state.history[-1][1]["happy"] > 0.9
    assert state.problem == ""


def test_a_frame_of_webrtc_keeps_its_time(session: LiveSession, portrait: Image) -> None:
    frame = av.VideoFrame.from_ndarray(portrait, format="rgb24")
    frame.pts, frame.time_base = 1234, Fraction(1, 90_000)
    answer = session.on_frame(frame)
    assert (answer.pts, answer.time_base) == (frame.pts, frame.time_base)


def test_a_browser_that_sends_fewer_pixels_for_a_while_changes_nobody(
    session: LiveSession, portrait: Image
) -> None:
    def read(image: Image) -> np.ndarray:
        before = session._index
        feed(session, image, lambda: (got := session.state().latest) and got.frame.index > before)
        return session.state().latest.reading.faces

    half, odd = cv2.resize(portrait, None, fx=0.5, fy=0.5), cv2.resize(portrait, (302, 300))
    (number,) = read(half).tracker_id
    whole = read(portrait)
    for smaller in (half, odd):
        later = read(smaller)
        assert session.show(smaller).shape == portrait.shape
        assert later.tracker_id.tolist() == whole.tracker_id.tolist()
        assert later.xyxy == pytest.approx(whole.xyxy, abs=0.05 * portrait.shape[0])
    assert number in (1, 2)
    turned = np.ascontiguousarray(portrait[:, : portrait.shape[1] // 2])
    assert session.show(turned).shape == turned.shape


def test_a_recording_keeps_its_form_when_a_phone_is_turned(
    work_home: object, session: LiveSession
) -> None:
    white = np.full((48, 64, 3), 255, np.uint8)
    session.show(white)
    record(session)
    turned = session.show(np.full((64, 48, 3), 255, np.uint8))
    assert turned.shape == white.shape
    across = turned[24, :, 0] > 128
    assert np.flatnonzero(across)[[0, -1]].tolist() == [14, 49], "36 of 64 columns, in the middle"
    session.stop_recording()
    assert session.show(np.full((64, 48, 3), 255, np.uint8)).shape == (64, 48, 3)


def test_a_slow_machine_reads_the_newest_frame_and_builds_no_queue(parts: tuple) -> None:
    gate = Gate(parts[0], is_open=False)
    session = LiveSession(tools_of(gate, parts))
    try:
        for number in range(12):
            session.show(np.full((64, 64, 3), number, np.uint8))
            if number == 0:
                assert gate.entered.wait(10)
        gate.open.set()
        until(lambda: len(gate.seen) >= 2)
        time.sleep(0.1)
        assert gate.seen == [0, 11]
    finally:
        gate.open.set()
        session.close()


def test_tools_change_and_people_keep_their_numbers(
    session: LiveSession, parts: tuple, portrait: Image
) -> None:
    def people() -> list[int]:
        latest = session.state().latest
        return [] if latest is None else latest.reading.faces.tracker_id.tolist()

    left, right = (np.zeros((512, 1536, 3), np.uint8) for _ in range(2))
    left[:, :512], right[:, -512:] = portrait, portrait
    feed(session, left, lambda: people() == [1])
    feed(session, right, lambda: people() == [2])
    second = Gate(parts[0])
    session.change(tools_of(second, parts, smooth_s=0.0, hysteresis=0.0))
    feed(session, right, lambda: len(second.seen) > 2)
    until(people)
    assert people() == [2]


def test_an_error_is_told_and_the_camera_goes_on(
    session: LiveSession, gate: Gate, parts: tuple, portrait: Image
) -> None:
    gate.fails = True
    feed(session, portrait, lambda: session.state().problem)
    assert "camera" in session.state().problem
    assert "broken net" not in session.state().problem
    gate.fails = False
    feed(session, portrait, lambda: not session.state().problem)
    session.change(tools_of(Gate(parts[0]), parts))
    feed(session, portrait, lambda: session.state().latest)
    assert session.state().problem == ""


def test_without_frames_nothing_is_shown_as_running(session: LiveSession, portrait: Image) -> None:
    feed(session, portrait, lambda: session.state().is_running)
    until(lambda: not session.state().is_running)
    assert session.state().latest is None


def record(session: LiveSession) -> jobs.Job:
    settings = {"task": {"model_ids": ["vgg-s"]}, "stem": "camera"}
    job = jobs.new_job("camera", "Camera", owner="me", settings=settings)
    session.record(job)
    return job


def test_a_recording_has_the_picture_and_the_timeline(
    work_home: object, session: LiveSession, portrait: Image
) -> None:
    feed(session, portrait, lambda: session.state().latest)
    job = record(session)
    assert jobs.load_job(job.id, "me").state == "running"
    shown = 0
    for shape in [(512, 512), (256, 256)]:  # the browser halves its picture on a slow line
        for _ in range(8):
            session.show(portrait[:: 512 // shape[0], :: 512 // shape[1]].copy())
            shown += 1
            time.sleep(0.04)
    session.stop_recording()
    assert session.recording is None
    done = jobs.load_job(job.id, "me")
    assert (done.state, done.summary["frames"]) == ("done", shown)
    files = done.results()
    frames = list(iter_frames(files["camera.annotated.mp4"]))
    assert len(frames) == shown
    assert {frame.image.shape for frame in frames} == {(512, 512, 3)}
    table = pd.read_csv(files["camera.timeline.csv"])
    assert table["time_s"].is_monotonic_increasing
    assert 0 <= table["time_s"].min()
    assert table["label"].dropna().unique().tolist() == ["happy"]
    assert frames[-1].time_s == pytest.approx(
        table["time_s"].max() - table["time_s"].min(), abs=0.3
    )


def test_a_cancelled_recording_leaves_nothing_and_nobody_is_killed(
    work_home: object, session: LiveSession, portrait: Image
) -> None:
    feed(session, portrait, lambda: session.state().latest)
    job = record(session)
    feed(session, portrait, lambda: session.state().shown_fps)
    jobs.cancel_job(job)
    flag = job.folder / "cancel"
    old_s = time.time() - 60
    os.utime(flag, (old_s, old_s))  # as if it did not listen
    code = (
        "from pathlib import Path; from emotion_core.jobs.store import load_folder;"
        f"load_folder(Path({str(job.folder)!r}))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    feed(session, portrait, lambda: session.recording is None)
    until(lambda: jobs.load_job(job.id, "me").is_over)
    assert jobs.load_job(job.id, "me").state == "cancelled"
    assert not list(job.folder.rglob("*.mp4"))


def test_a_model_that_changes_while_recording_stands_in_its_rows(
    work_home: object, session: LiveSession, gate: Gate, parts: tuple, portrait: Image
) -> None:
    feed(session, portrait, lambda: session.state().latest)
    job = record(session)
    for model_id in ("vgg-s", "vgg-xs"):
        session.change(LiveTools(load_model(model_id), gate, VideoOptions(), DrawOptions()))
        seen = len(gate.seen)
        feed(session, portrait, lambda seen=seen: len(gate.seen) > seen + 4)
    session.stop_recording()
    done = jobs.load_job(job.id, "me")
    files = done.results()
    table = pd.read_csv(files["camera.timeline.csv"])
    assert set(table["model_id"]) == {"vgg-s", "vgg-xs"}
    assert table["frame"].min() == 0
    held = json.loads(files["camera.json"].read_text())
    assert set(held["provenance"]["models"]) == {"vgg-s", "vgg-xs"}
    changes = held["video"]["read_with"]
    assert [one["model_id"] for one in changes][-2:] == ["vgg-s", "vgg-xs"]
    assert changes[0]["from_s"] <= changes[-1]["from_s"] < held["video"]["seconds"]
    assert {one["prior"] for one in changes} == {"balanced"}
    assert done.summary["readers"] == len(changes), "the page names none of them alone"


def test_a_recording_ends_when_the_camera_goes_though_nothing_could_be_read(
    work_home: object,
    session: LiveSession,
    gate: Gate,
    portrait: Image,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("emotion_core.live.session._GONE_S", 1.6)
    feed(session, portrait, lambda: session.state().latest)
    job = record(session)
    gate.fails = True
    feed(session, portrait, lambda: session.state().problem)
    until(lambda: jobs.load_job(job.id, "me").is_over)
    assert session.recording is None
    tried = len(gate.seen)
    time.sleep(1.2)
    assert len(gate.seen) == tried, "a frame that failed fails again"


def recorded(session: LiveSession, job: jobs.Job) -> tuple[jobs.Job, list[Frame], pd.DataFrame]:
    """End a recording; return its job, the frames of its video and its timeline."""
    session.stop_recording()
    done = jobs.load_job(job.id, "me")
    files = done.results()
    frames = list(iter_frames(files["camera.annotated.mp4"]))
    return done, frames, pd.read_csv(files["camera.timeline.csv"])


def test_frames_of_a_recording_are_those_of_its_video(
    work_home: object, session: LiveSession, gate: Gate, portrait: Image
) -> None:
    feed(session, portrait, lambda: session.state().latest)
    gate.open.clear()
    gate.entered.clear()
    session.show(portrait)
    assert gate.entered.wait(10), "one of before is being read when it begins"
    job = record(session)
    for i in range(24):
        if i == 8:
            gate.open.set()
        session.show(portrait)
        time.sleep(0.03)
    done, frames, table = recorded(session, job)
    held = json.loads(done.results()["camera.json"].read_text())["video"]
    assert held["annotated_start_s"] == done.summary["video_start_s"]
    assert held["seconds"] == pytest.approx(held["annotated_start_s"] + frames[-1].time_s, abs=0.1)
    assert table["frame"].iloc[0] > 3, "the first ones were not read"
    there = [frames[i].time_s + held["annotated_start_s"] for i in table["frame"]]
    assert table["time_s"].tolist() == pytest.approx(there, abs=0.03)


def test_a_reading_names_the_frame_that_a_video_with_gaps_shows(
    work_home: object, session: LiveSession, portrait: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def slow_video(*arguments: object) -> Iterator[SimpleNamespace]:
        def write(frame: Frame) -> None:
            time.sleep(0.15)
            video.write(frame)

        with write_video(*arguments) as video:  # type: ignore[arg-type]
            yield SimpleNamespace(write=write)

    monkeypatch.setattr("emotion_core.live.recording.write_video", slow_video)
    monkeypatch.setattr("emotion_core.live.recording._WAITING_MAX", 1)
    feed(session, portrait, lambda: session.state().latest)
    job = record(session)
    for _ in range(40):
        session.show(portrait)
        time.sleep(0.03)
    done, frames, table = recorded(session, job)
    assert len(frames) == done.summary["frames"] < 40, "nothing was left out"
    start_s = done.summary["video_start_s"]
    assert done.summary["seconds"] == pytest.approx(start_s + frames[-1].time_s, abs=0.1)
    shown_s = [start_s + frame.time_s for frame in frames]
    assert table["frame"].nunique() > 2
    for time_s, frame in table[["time_s", "frame"]].itertuples(index=False):
        until_s = [*shown_s[1:], float("inf")][frame]
        assert shown_s[frame] - 0.03 <= time_s <= until_s + 0.03


def test_a_recording_goes_on_after_a_stall_and_ends_when_the_camera_is_gone(
    work_home: object, session: LiveSession, portrait: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("emotion_core.live.session._IDLE_S", 0.3)
    monkeypatch.setattr("emotion_core.live.session._GONE_S", 3.0)
    feed(session, portrait, lambda: session.state().latest)
    job = record(session)
    feed(session, portrait, lambda: session.state().shown_fps)
    time.sleep(1.2)
    assert not session.state().is_running
    assert session.recording is not None
    feed(session, portrait, lambda: session.state().is_running)
    until(lambda: jobs.load_job(job.id, "me").is_over)
    assert session.recording is None
    done = jobs.load_job(job.id, "me")
    assert (done.state, done.summary["ended_by"]) == ("done", "camera")
    assert done.summary["seconds"] > 1.2


@pytest.mark.parametrize(
    ("limit", "value", "told"),
    [("RECORDING_MAX_S", 0.5, "time"), ("RECORDING_SPARE_BYTES", 10**18, "disk")],
)
def test_a_recording_that_reaches_a_limit_ends_complete(
    work_home: object,
    session: LiveSession,
    portrait: Image,
    monkeypatch: pytest.MonkeyPatch,
    limit: str,
    value: float,
    told: str,
) -> None:
    feed(session, portrait, lambda: session.state().latest)
    job = record(session)
    feed(session, portrait, lambda: session.state().shown_fps)
    assert jobs.load_job(job.id, "me").state == "running"
    monkeypatch.setattr(limits, limit, value)
    feed(session, portrait, lambda: jobs.load_job(job.id, "me").is_over)
    assert session.recording is None
    done = jobs.load_job(job.id, "me")
    assert (done.state, done.summary["ended_by"]) == ("done", told)
    frames = list(iter_frames(done.results()["camera.annotated.mp4"]))
    assert len(frames) == done.summary["frames"] > 0
    assert len(pd.read_csv(done.results()["camera.timeline.csv"]))


def test_a_recording_ends_though_nothing_can_be_read(
    work_home: object, session: LiveSession, gate: Gate, portrait: Image
) -> None:
    gate.fails = True
    feed(session, portrait, lambda: session.state().problem)
    job = record(session)
    feed(session, portrait, lambda: session.state().shown_fps)
    jobs.cancel_job(job)
    feed(session, portrait, lambda: jobs.load_job(job.id, "me").is_over)
    assert (jobs.load_job(job.id, "me").state, session.recording) == ("cancelled", None)


def test_a_recording_whose_end_cannot_be_written_fails_at_once(
    work_home: object, session: LiveSession, portrait: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def full(*_: object, **__: object) -> Iterator[object]:
        yield SimpleNamespace(write=lambda frame: None)
        raise StorageError("the disk is full")

    monkeypatch.setattr("emotion_core.live.recording.write_video", full)
    job = record(session)
    feed(session, portrait, lambda: session.recording is not None and session.recording._written)
    recording = session.recording
    assert recording is not None
    session.stop_recording()
    assert not recording._thread.is_alive()
    ended = jobs.load_job(job.id, "me")
    assert (ended.state, ended.message) == ("failed", "the disk is full")


def test_a_recording_that_cannot_be_written_ends_by_itself(
    work_home: object, session: LiveSession, portrait: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(frame: Frame) -> None:
        raise StorageError("the disk is full")

    @contextmanager
    def full(*_: object, **__: object) -> Iterator[object]:
        yield SimpleNamespace(write=refuse)

    monkeypatch.setattr("emotion_core.live.recording.write_video", full)
    job = record(session)
    feed(session, portrait, lambda: jobs.load_job(job.id, "me").is_over)
    ended = jobs.load_job(job.id, "me")
    assert (ended.state, ended.message) == ("failed", "the disk is full")
    assert session.recording is None
    assert session.state().shown_fps, "the camera goes on"


def test_a_recording_that_cannot_begin_leaves_no_job(
    work_home: object, session: LiveSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise StorageError("the disk is full")

    monkeypatch.setattr("emotion_core.live.recording.write_status", full)
    with pytest.raises(StorageError, match="the disk is full"):
        record(session)
    assert jobs.list_jobs("me") == []
    assert session.recording is None


def test_a_recording_of_nothing_is_no_video(work_home: object, session: LiveSession) -> None:
    job = record(session)
    session.stop_recording()
    done = jobs.load_job(job.id, "me")
    assert done.state == "done"
    assert "camera.annotated.mp4" not in done.results()


def test_readings_of_before_do_not_enter_a_recording(
    work_home: object, session: LiveSession, gate: Gate
) -> None:
    picture = make_picture(64, 64)
    feed(session, picture, lambda: session.state().latest)
    gate.open.clear()
    gate.entered.clear()
    feed(session, picture, gate.entered.is_set)
    job = record(session)  # while the frame of before is still looked at
    looks = len(gate.seen)
    gate.open.set()
    feed(session, picture, lambda: len(gate.seen) > looks + 1)
    session.stop_recording()
    table = pd.read_csv(jobs.load_job(job.id, "me").results()["camera.timeline.csv"])
    assert len(table) > 0
    assert (table["time_s"] >= 0).all()


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 100.0
        monkeypatch.setattr("emotion_core.live.slots.time.monotonic", lambda: self.now_s)


def test_slots_are_given_in_the_order_of_asking(monkeypatch: pytest.MonkeyPatch) -> None:
    Clock(monkeypatch)
    slots = LiveSlots(2)
    assert [slots.ask(who) for who in "abcd"] == [0, 0, 1, 2]
    slots.leave("a")
    assert slots.ask("d") == 2, "c is before"
    assert slots.ask("c") == 0
    assert slots.ask("d") == 1
    assert slots.ask("b") == 0


def test_who_does_not_ask_again_has_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    slots = LiveSlots(1)
    assert [slots.ask(who) for who in "abc"] == [0, 1, 2]
    clock.now_s += 4
    assert slots.ask("c") == 2
    clock.now_s += 4  # eight seconds since a and b asked, four since c did
    assert slots.ask("c") == 0
    assert slots.ask("b") == 1


def test_a_recording_that_ends_in_an_error_is_over(
    work_home: object, session: LiveSession, portrait: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = record(session)
    feed(session, portrait, lambda: session.recording is not None and session.recording._written)
    monkeypatch.setattr(Recording, "_write_tables", lambda *_: [][1])
    session.stop_recording()
    ended = jobs.load_job(job.id, "me")
    assert (ended.state, ended.message) == ("failed", say("error.live_failed"))
