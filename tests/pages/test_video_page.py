"""The video page, the drawer and the live page without a browser."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import streamlit as st
import streamlit_webrtc.component
from streamlit.testing.v1 import AppTest

from emotion_core import jobs, limits
from emotion_core.errors import TooLarge
from emotion_core.texts import say
from emotion_core.videos import VideoTask, start_video_job
from pages._shared import ice, timeline_charts, video_view
from pages._shared.charts import last_minute
from pages._shared.drawer import clock
from pages._shared.photo_view import PICTURE_SHOWN_PX
from tests.steps import ROOT, fresh_app, over, until


@pytest.fixture(scope="module")
def content(clip: Path) -> bytes:
    return clip.read_bytes()


@pytest.fixture
def app() -> AppTest:
    return fresh_app()


@pytest.fixture
def video_page(app: AppTest) -> AppTest:
    return app.switch_page("pages/video.py").run()


def run_until(app: AppTest, text: str) -> AppTest:
    def is_shown() -> bool:
        assert not app.exception
        return text in [element.value for element in app.run().subheader]

    until(is_shown, every_s=0.5)
    return app


def test_video_invites_when_it_is_empty(video_page: AppTest) -> None:
    assert not video_page.exception
    assert say("video.empty") in [info.value for info in video_page.info]
    assert video_page.button(key="video_start").disabled
    assert not video_page.get("text_input"), "without roots nobody types a path"


def test_the_sample_becomes_a_result(video_page: AppTest) -> None:
    video_page.number_input(key="end-0").set_value(3.0).run()
    video_page.button(key="video_sample").click().run()
    assert not video_page.exception
    (job,) = jobs.list_jobs("tester")
    assert VideoTask.from_dict(job.settings["task"]).end_s == 3.0
    run_until(video_page, say("photo.downloads"))
    assert len(video_page.dataframe[0].value) == 1
    names = {button.label for button in video_page.get("download_button")}
    assert {say("video.file_annotated_mp4"), say("video.file_timeline_csv")} <= names
    video_page.slider(key=f"moment-{job.id}").set_value(1.0).run()
    assert not video_page.exception
    assert "0:01.0" in [caption.value for caption in video_page.caption]


def test_a_second_click_reads_nothing_twice(video_page: AppTest) -> None:
    for _ in range(2):
        video_page.button(key="video_sample").click().run()
        assert not video_page.exception
    (job,) = jobs.list_jobs("tester")
    jobs.cancel_job(job)
    until(lambda: all(job.is_over for job in jobs.list_jobs("tester")))


def test_a_click_that_interrupts_the_start_of_an_upload_starts_it_once(
    video_page: AppTest, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*what: object, **how: object) -> None:
        start_video_job(*what, **how)  # type: ignore[arg-type]
        st.rerun()

    video_page.get("file_uploader")[0].set_value(("a.mp4", content, "video/mp4"))
    with monkeypatch.context() as patched:
        patched.setattr("emotion_core.videos.start_video_job", interrupted)
        video_page.run().button(key="video_start").click().run()
    video_page.button(key="video_start").click().run()
    assert not video_page.exception
    (job,) = jobs.list_jobs("tester")
    assert video_page.session_state["job"] == job.id
    jobs.cancel_job(job)
    until(lambda: all(job.is_over for job in jobs.list_jobs("tester")))


@pytest.mark.parametrize("settings", [{"end_s": 0.01}, {"start_s": 5.7, "end_s": 6.2}])
def test_one_frame_and_nobody_are_shown(
    video_page: AppTest, content: bytes, settings: dict
) -> None:
    start_video_job("a.mp4", content, VideoTask(**settings), owner="tester")
    run_until(video_page, say("photo.downloads"))
    assert not video_page.exception


def test_a_part_of_a_video_begins_where_it_begins(video_page: AppTest, content: bytes) -> None:
    job = start_video_job("a.mp4", content, VideoTask(start_s=3.0, end_s=5.0), owner="tester")
    run_until(video_page, say("photo.downloads"))
    moment = video_page.slider(key=f"moment-{job.id}")
    assert (moment.min, moment.max) == (3.0, 4.96)
    several = say("video.several_readers")  # as of a recording whose options were changed
    assert several not in [caption.value for caption in video_page.caption]
    done = jobs.load_job(job.id, "tester")
    jobs.store.write_status(job.folder, summary={**(done.summary or {}), "readers": 2})
    video_page.run()
    assert several in [caption.value for caption in video_page.caption]
    moment.set_value(4.0).run()
    assert not video_page.exception


def test_a_bad_upload_is_refused_and_leaves_no_job(video_page: AppTest, content: bytes) -> None:
    earlier = start_video_job("a.mp4", content, VideoTask(end_s=0.5), owner="tester")
    over(earlier, "tester")
    video_page.get("file_uploader")[0].set_value(("bad_[x](y).mp4", b"no video", "video/mp4"))
    video_page.run().button(key="video_start").click().run()
    assert not video_page.exception
    (error,) = video_page.error
    assert "is not a video that can be read here" in error.value
    assert "\\[x\\]\\(y\\)" in error.value
    assert "a.mp4" in [shown.value for shown in video_page.subheader], "what was read stays"
    assert [job.id for job in jobs.list_jobs("tester")] == [earlier.id]
    assert [path.name for path in jobs.store.jobs_folder().iterdir()] == [earlier.id]


def test_the_log_of_a_job_that_failed_is_offered(video_page: AppTest) -> None:
    settings = {"task": VideoTask().as_dict(), "stem": "a"}
    job = jobs.new_job("video", "a.mp4", owner="tester", settings=settings)
    (job.folder / "log.txt").write_text("Traceback: out of luck")
    jobs.end_job(job.folder, "failed", message="The job stopped unexpectedly.")
    video_page.session_state["job"] = job.id
    video_page.run()
    assert "The job stopped unexpectedly." in [box.value for box in video_page.error]
    assert f"log-{job.id}" in [one.key for one in video_page.get("download_button")]
    assert not any("Traceback" in one.value for one in [*video_page.markdown, *video_page.code])


def test_a_result_too_large_for_the_page_is_named(
    video_page: AppTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pages._shared.video_view.VIDEO_GIVEN_MAX_BYTES", 100_000)
    video_page.button(key="video_sample").click().run()
    run_until(video_page, say("photo.downloads"))
    (job,) = jobs.list_jobs("tester")
    place = f"jobs/{job.id}/result/{next(name for name in job.results() if name.endswith('mp4'))}"
    assert any(place in info.value for info in video_page.info)
    offered = [one.key for one in video_page.get("download_button")]
    assert "download-timeline.csv" in offered
    assert "download-annotated.mp4" not in offered


def test_the_options_reach_the_job(video_page: AppTest) -> None:
    video_page.checkbox(key="draw").uncheck().run()
    video_page.number_input(key="every").set_value(5).run()
    video_page.checkbox(key="region-0").check().run()
    video_page.slider(key="across-0").set_range(0, 50).run()
    video_page.slider(key="smooth").set_value(1.0).run()
    (told,) = [
        one.value for one in video_page.caption if one.value.startswith("Changed from the defaults")
    ]
    for differs in ("without_video", "read_one_in", "steady_over"):
        assert say(f"options.{differs}", n=5, seconds="1.0") in told, "they hold for later videos"
    video_page.button(key="video_sample").click().run()
    assert not video_page.exception
    (job,) = jobs.list_jobs("tester")
    task = VideoTask.from_dict(job.settings["task"])
    assert (task.has_video, task.options.every, task.options.smooth_s) == (False, 5, 1.0)
    assert task.options.region == (0.0, 0.0, 0.5, 1.0)
    run_until(video_page, say("photo.downloads"))
    assert say("video.not_drawn") in [info.value for info in video_page.info]


def test_the_drawer_keeps_and_deletes(content: bytes) -> None:
    job = start_video_job("a.mp4", content, VideoTask(end_s=1.0), owner="tester")
    jobs.new_job("video", "b.mp4", owner="somebody else", settings={})
    over(job, "tester")
    app = fresh_app()
    texts = [element.value for element in app.markdown]
    assert any("a.mp4" in text for text in texts)
    assert not any("b.mp4" in text for text in texts)
    assert any("deleted in 24 h" in caption.value for caption in app.caption)
    app.button(key=f"keep-{job.id}").click().run()
    assert jobs.load_job(job.id, "tester").is_kept
    app = fresh_app()
    assert any("kept" in caption.value for caption in app.caption)
    assert say("jobs.delete_kept") in [caption.value for caption in app.caption]
    assert app.button(key=f"delete-{job.id}").label == say("jobs.delete_really")
    app.button(key=f"delete-{job.id}").click().run()
    assert jobs.list_jobs("tester") == []
    assert not app.exception


@pytest.mark.parametrize(
    ("kind", "state", "told", "buttons"),
    [
        ("train", "cancelled", "paused", ["Open", "Take off the list"]),
        ("train", "done", "done", ["Open", "Take off the list"]),
        ("dataset-index", "done", "done", ["Open", "Take off the list"]),
        ("looking", "done", "done", ["Take off the list"]),
        ("dataset-export", "done", "done · deleted in 24 h", ["Open", "Keep", "Delete"]),
        ("video", "cancelled", "cancelled", ["Delete"]),
    ],
)
def test_the_drawer_offers_what_a_job_is_good_for(
    kind: str, state: str, told: str, buttons: list[str]
) -> None:
    job = jobs.new_job(kind, "mine", owner="tester", settings={"dataset": "", "run": ""})
    jobs.end_job(job.folder, state)
    app = fresh_app()
    assert not app.exception
    assert told in [caption.value for caption in app.caption]
    drawn = [app.sidebar.button, app.main.button]
    held, at_home = ([b.label for b in some if (b.key or "").endswith(job.id)] for some in drawn)
    assert held == buttons
    assert at_home == [one for one in buttons if one == "Open"]


def test_long_times_are_told_in_hours() -> None:
    assert [clock(seconds) for seconds in (59, 3599, 3600, 72_005)] == [
        "0:59", "59:59", "1:00:00", "20:00:05",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("limit", "value"),
    [("VIDEO_UPLOAD_MAX_S", 5.0), ("VIDEO_UPLOAD_MAX_FRAMES", 100), ("VIDEO_UPLOAD_MAX_BYTES", 9)],
)
def test_uploads_to_a_shared_server_have_limits(
    content: bytes, monkeypatch: pytest.MonkeyPatch, limit: str, value: float
) -> None:
    monkeypatch.setattr(limits, limit, value)
    with pytest.raises(TooLarge, match=r"a\.mp4 is over the limit"):
        start_video_job("a.mp4", content, VideoTask(), owner="me", has_caps=True)
    assert jobs.list_jobs("me") == []
    job = start_video_job("a.mp4", content, VideoTask(end_s=0.5), owner="me")
    jobs.delete_job(job)


@pytest.fixture
def live_page(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    monkeypatch.setattr(streamlit_webrtc.component, "get_this_session_info", lambda: None)
    return app.switch_page("pages/live.py").run()


def test_live_invites_when_it_is_empty(live_page: AppTest) -> None:
    assert not live_page.exception
    assert say("live.empty") in [caption.value for caption in live_page.caption]
    assert live_page.button(key="live_start")


def test_how_the_last_recording_ended_is_said(live_page: AppTest) -> None:
    job = jobs.new_job("camera", "Camera", owner="tester", settings={"task": {}, "stem": "camera"})
    live_page.session_state["live_recorded"] = job.id
    jobs.end_job(job.folder, "failed", message="The disk is full.")
    assert [box.value for box in live_page.run().error] == ["The disk is full."]
    for ended_by, key in [
        ("disk", "live.recorded_disk"), ("camera", "live.recorded_camera"), ("", "live.recorded"),
    ]:  # fmt: skip
        jobs.end_job(job.folder, "done", summary={"ended_by": ended_by}, message="")
        live_page.run()
        assert not live_page.error
        assert say(key) in [caption.value for caption in live_page.caption]


def test_live_waits_for_the_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60).run()
    app.switch_page("pages/live.py").run()
    assert not app.exception
    assert say("notice.needed") in [caption.value for caption in app.caption]


def test_ice_servers_come_from_the_first_place_that_names_some(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert ice.ice_servers() == ([], ""), "a machine of one's own asks nobody"
    monkeypatch.setattr(ice.visitor, "is_own_machine", lambda: False)
    servers, told = ice.ice_servers()
    assert servers == [{"urls": told}]
    assert told.startswith("stun:")
    turn = [{"urls": "turn:here:3478"}]
    monkeypatch.setattr(ice, "get_available_ice_servers", lambda: turn)
    monkeypatch.setenv("TWILIO_ACCOUNT_SID", "x")
    assert ice.ice_servers() == (turn, "")
    monkeypatch.setattr(ice, "get_available_ice_servers", lambda: [{"urls": told}])
    assert ice.ice_servers()[1] == told, "a provider that does not answer"
    with monkeypatch.context() as own:
        own.setattr(ice.visitor, "is_own_machine", lambda: True)
        assert ice.ice_servers() == ([], "")
    monkeypatch.setattr(ice.st, "secrets", {"ice_servers": [{"urls": "turn:secret"}]})
    assert ice.ice_servers() == ([{"urls": "turn:secret"}], "")
    monkeypatch.setenv("MIEN_ICE_SERVERS", '[{"urls": "turn:named"}]')
    assert ice.ice_servers() == ([{"urls": "turn:named"}], "")


@pytest.mark.parametrize("text", ["no json", '{"urls": "turn:named"}', '["turn:named"]', "[{}]"])
def test_ice_servers_that_are_none_are_a_box(
    live_page: AppTest, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("MIEN_ICE_SERVERS", text)
    live_page.run()
    assert not live_page.exception
    assert "MIEN\\_ICE\\_SERVERS is not a JSON list" in live_page.error[0].value


def test_a_page_shows_frames_no_larger_than_photos(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = np.zeros((2160, 3840, 3), np.uint8)
    monkeypatch.setattr(video_view, "frame_at", lambda path, at_s: large if at_s < 1 else None)
    shown = video_view._frame(str(tmp_path / "4k.mp4"), 0.5)
    assert shown is not None
    assert max(shown.shape) == PICTURE_SHOWN_PX
    assert video_view._frame(str(tmp_path / "4k.mp4"), 2.0) is None


def test_the_last_minute_has_no_line_through_a_time_without_anybody() -> None:
    seen = [(-50.0, 0.9), (-49.5, 0.8), (-3.0, 0.1), (-2.5, 0.2)]
    figure = last_minute([(at_s, {"happy": prob}) for at_s, prob in seen])
    assert list(figure.data[0].y) == [0.9, 0.8, None, 0.1, 0.2]


def test_the_path_through_valence_and_arousal_breaks_where_a_person_was_away() -> None:
    times = [0.0, 0.5, 1.0, 30.0, 30.5]
    rows = pd.DataFrame({"time_s": times, "valence": [0.9, 0.8, 0.8, -0.7, -0.8], "arousal": 0.1})
    path, now = timeline_charts.affect_path(rows, at_s=30.6, coordinates="rays").data[-2:]
    assert np.isnan(np.asarray(path.x, float)).tolist() == [False] * 3 + [True] + [False] * 2
    assert list(now.x) == [-0.8]


@pytest.mark.parametrize(
    ("start_s", "end_s", "marks"),
    [
        (0.0, 9.0, ["0:00.0", "0:02.0", "0:04.0", "0:06.0", "0:08.0"]),
        (3.3, 3.7, ["0:03.3", "0:03.4", "0:03.5", "0:03.6", "0:03.7"]),
        (0.0, 7200.0, [f"{n}:00.0" for n in (0, 20, 40, 60, 80, 100, 120)]),
    ],
)  # fmt: skip
def test_a_time_axis_has_few_round_marks(start_s: float, end_s: float, marks: list[str]) -> None:
    rows = pd.DataFrame({"time_s": [start_s, end_s], "prob_happy": [1.0, 1.0]})
    figure = timeline_charts.probabilities(rows, start_s=start_s, end_s=end_s, at_s=start_s)
    assert list(figure.layout.xaxis.ticktext) == marks
