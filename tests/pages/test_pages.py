"""Every page without a browser: empty, happy, refused."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from streamlit import config
from streamlit.testing.v1 import AppTest

from emotion_core.affect import COORDINATES
from emotion_core.draw import DrawOptions
from emotion_core.limits import NAME_SHOWN_CHARS
from emotion_core.live import RECORDING
from emotion_core.media.sample import sample_photo
from emotion_core.photos import PhotoResult
from emotion_core.registry import DEFAULT_COMMITTEE
from emotion_core.texts import say
from emotion_core.types import Provenance
from emotion_core.worker import JOBS
from pages._shared import charts, photo_view, resources, training_charts, visitor
from pages._shared.errors import plain
from pages._shared.job_views import JOB_VIEWS
from pages._shared.names import short
from pages._shared.photo_view import face_sentence
from tests.builders import encode, make_picture, make_reading
from tests.steps import ROOT, until

APP = str(Path(__file__).resolve().parent.parent.parent / "app.py")


def markdown_of(app: AppTest) -> str:
    return "\n".join(element.value for element in app.markdown)


@pytest.fixture
def app() -> AppTest:
    """The studio after the notice was accepted."""
    running = AppTest.from_file(APP, default_timeout=60)
    running.session_state["notice_accepted"] = True
    return running


@pytest.fixture
def photo_page(app: AppTest) -> AppTest:
    app.run()
    return app.switch_page("pages/photo.py").run()


def test_long_names_keep_their_beginning_and_end() -> None:
    name = "a" * 70 + " take 12.mp4"
    assert len(short(name)) == NAME_SHOWN_CHARS
    assert short(name).endswith("… take 12.mp4")
    assert short("short.mp4") == "short.mp4"
    assert short("\u202eevil\u2066gnp.exe") == "evilgnp.exe"
    assert plain("a_\u202eb") == "a\\_b", "the rest of the line would stand the other way round"


def test_a_name_is_no_link_and_no_sign() -> None:
    for address in ("http://evil.example", "WWW.evil.example.mp4", "me@evil.example"):
        assert address not in plain(address).replace("\\", "")
        assert plain(address).replace("\\", "").replace("\u2060", "") == address
    assert plain("R&copy;D") == "R\\&copy;D"
    shown = training_charts.confusion(np.eye(2, dtype=np.int64), ["<a href='x'>sign in</a>", "b"])
    assert shown.data[0].x[0] == "&lt;a href='x'&gt;sign in&lt;/a&gt;"


@pytest.mark.parametrize(
    ("host", "expected"),
    [("", True), ("localhost:8501", True), ("127.0.0.1:8501", True), ("[::1]:8501", True),
     ("rebind.evil.example", False), ("studio.example.org:443", False)],
)  # fmt: skip
def test_who_comes_by_another_name_is_no_owner(
    host: str, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = SimpleNamespace(headers={"Host": host} if host else {})
    monkeypatch.setattr(visitor.st, "context", context)
    monkeypatch.setattr(visitor.st, "get_option", lambda _: "127.0.0.1")
    assert visitor.is_own_machine() == expected


@pytest.mark.parametrize("coordinates", ["", "rays", "anchors"])
def test_the_circle_has_the_points_of_who_answered(coordinates: str) -> None:
    _, emotions, face = charts.affect_circle(0.1, 0.2, coordinates=coordinates).data
    where = dict(zip(emotions.text, zip(emotions.x, emotions.y, strict=True), strict=True))
    assert where[say("label.anger")] == COORDINATES[coordinates or "rays"]["anger"]
    assert (face.x, face.y) == ((0.1,), (0.2,))


def test_home_asks_once_and_remembers(work_home: Path) -> None:
    first = AppTest.from_file(APP, default_timeout=60).run()
    assert not first.exception
    assert first.checkbox(key="notice_tick").label == say("notice.tick")
    first.checkbox(key="notice_tick").check().run()
    assert (work_home / "notice-accepted").is_file()
    second = AppTest.from_file(APP, default_timeout=60).run()
    assert not second.checkbox


def test_on_a_server_the_tick_is_each_visitors_own(
    work_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pages._shared import visitor

    monkeypatch.setattr(visitor, "is_own_machine", lambda: False)
    first = AppTest.from_file(APP, default_timeout=60).run()
    first.checkbox(key="notice_tick").check().run()
    assert not first.checkbox
    assert not (work_home / "notice-accepted").exists()
    second = AppTest.from_file(APP, default_timeout=60).run()
    assert second.checkbox(key="notice_tick")


def test_home_shows_ways_in_and_the_models(app: AppTest) -> None:
    app.run()
    assert not app.exception
    assert [button.key for button in app.button] == [
        "sample",
        "open_photo",
        "sample_clip",
        "open_video",
        "open_camera",
        "open_models",
        "open_dataset",
        "draw_dataset",
        "open_training",
    ]
    assert len(app.dataframe[0].value) >= 3
    assert [element.value for element in app.subheader].count(say("jobs.title")) == 2
    assert say("jobs.none") in [caption.value for caption in app.caption]


def test_no_rerun_stops_the_cameras_to_collect_garbage() -> None:
    read = config.get_config_options(force_reparse=True)  # as `streamlit run` does
    assert read["runner.postScriptGC"].value is False


def test_photo_waits_for_the_tick() -> None:
    app = AppTest.from_file(APP, default_timeout=60).run()
    app.switch_page("pages/photo.py").run()
    assert say("notice.needed") in [caption.value for caption in app.caption]
    assert not app.get("file_uploader")


def test_photo_invites_when_it_is_empty(photo_page: AppTest) -> None:
    assert not photo_page.exception
    assert [info.value for info in photo_page.info] == [say("photo.empty")]


def test_the_sample_is_read(photo_page: AppTest) -> None:
    photo_page.button(key="try_sample").click().run()
    assert not photo_page.exception
    assert "looks happy" in markdown_of(photo_page)
    assert len(photo_page.dataframe[0].value) == 1


def test_the_sample_of_home_opens_read(app: AppTest) -> None:
    app.run().button(key="sample").click().run()
    assert not app.exception
    assert "looks happy" in markdown_of(app)


def test_where_the_network_looked_on_a_photo_is_shown(app: AppTest) -> None:
    app.run().button(key="sample").click().run()
    (asked,) = [one.key for one in app.button if str(one.key).startswith("heatmap-")]
    app.button(key=asked).click().run()

    def is_shown() -> bool:
        app.run()
        assert not app.exception
        assert not app.error
        return say("heatmap.about") in [text.value for text in app.caption]

    until(is_shown, every_s=0.5)
    assert asked not in [one.key for one in app.button], "it is kept for the visit"


def test_uploads_are_read_and_bad_ones_refused_by_name(photo_page: AppTest) -> None:
    uploader = photo_page.get("file_uploader")[0]
    uploader.set_value(
        [
            ("portrait.png", sample_photo(), "image/png"),
            ("bad_[x](y).png", b"no picture", "image/png"),
        ]
    )
    photo_page.run()
    assert not photo_page.exception
    assert "looks happy" in markdown_of(photo_page)
    (error,) = photo_page.error
    assert "is not a picture that can be read here" in error.value
    assert "\\[x\\]\\(y\\)" in error.value  # a name is no Markdown


def test_photos_outlast_a_look_at_another_page_and_more_are_added(photo_page: AppTest) -> None:
    def upload(name: str) -> None:
        uploader = photo_page.get("file_uploader")[0]
        uploader.set_value((name, sample_photo(), "image/png"))
        photo_page.run()

    def shown() -> list[str]:
        assert not photo_page.exception
        return photo_page.selectbox(key="photo_shown").options

    upload("one.png")
    photo_page.switch_page("pages/models.py").run()
    photo_page.switch_page("pages/photo.py").run()
    assert "looks happy" in markdown_of(photo_page)
    upload("two.png")
    assert shown() == ["1. one.png", "2. two.png"]
    photo_page.switch_page("pages/models.py").run()
    photo_page.switch_page("pages/photo.py").run()
    upload("three.png")
    assert shown() == ["1. one.png", "2. two.png", "3. three.png"]
    photo_page.button(key="try_sample").click().run()
    assert "photo_shown" not in [one.key for one in photo_page.selectbox], "the sample alone"
    photo_page.button(key="back_to_uploads").click().run()
    assert shown() == ["1. one.png", "2. two.png", "3. three.png"]
    photo_page.button(key="clear").click().run()
    assert [info.value for info in photo_page.info] == [say("photo.empty")]


def test_a_picture_without_a_face_may_be_read_as_a_whole(photo_page: AppTest) -> None:
    uploader = photo_page.get("file_uploader")[0]
    uploader.set_value(("empty.png", encode(make_picture(200, 150), "PNG"), "image/png"))
    photo_page.run()
    assert "No face was found" in photo_page.info[0].value
    photo_page.button(key="read_whole").click().run()
    assert not photo_page.exception
    assert say("photo.whole_note") in [caption.value for caption in photo_page.caption]


def test_options_change_the_reading(photo_page: AppTest) -> None:
    photo_page.button(key="try_sample").click().run()
    assert "threshold" not in [slider.key for slider in photo_page.slider]
    photo_page.checkbox(key="own_threshold").uncheck().run()
    photo_page.slider(key="threshold").set_value(100).run()
    assert "is unclear" in markdown_of(photo_page)
    offered = photo_page.selectbox(key="model").options
    assert offered[-2:] == ["Committee of 3", "Committee of all 6 included models"]
    photo_page.selectbox(key="model").set_value(DEFAULT_COMMITTEE).run()
    photo_page.radio(key="vote").set_value("hard").run()
    assert photo_page.checkbox(key="tta_photo").value
    photo_page.checkbox(key="tta_photo").uncheck().run()
    photo_page.selectbox(key="detector").set_value("haar").run()
    assert "own_confidence" not in [box.key for box in photo_page.checkbox], "it is never sure"
    photo_page.selectbox(key="detector").set_value("centerface").run()
    assert "own_confidence" in [box.key for box in photo_page.checkbox]
    assert not photo_page.exception
    assert any("committee of SE-ResNet large" in one.value and "(majority)" in one.value
               for one in photo_page.caption)  # fmt: skip


def test_a_face_that_no_label_leads_looks_like_none() -> None:
    reading = make_reading((0, 0, 9, 9), (20, 0, 29, 9), prob=0.4)
    assert "leans towards happy, 40%" in face_sentence(reading, 1)
    even = make_reading((0, 0, 9, 9), prob=1 / len(reading.scores.labels))
    assert face_sentence(even, 0) == "**1** looks like none of the expressions"


def test_a_broken_model_is_a_box_and_no_traceback(
    photo_page: AppTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import streamlit

    monkeypatch.setenv("MIEN_MODELS", str(tmp_path))
    streamlit.cache_resource.clear()
    photo_page.button(key="try_sample").click().run()
    streamlit.cache_resource.clear()
    assert not photo_page.exception
    assert any("No usable model" in error.value for error in photo_page.error)


def test_photos_and_options_stay_while_another_page_is_looked_at(photo_page: AppTest) -> None:
    picture = ("portrait.png", sample_photo(), "image/png")
    photo_page.get("file_uploader")[0].set_value([picture]).run()
    photo_page.radio(key="prior").set_value("data").run()
    photo_page.checkbox(key="show_bars").set_value(True).run()
    before = markdown_of(photo_page)
    assert say("looks.happy") in before
    other = photo_page.switch_page("pages/models.py").run()
    again = other.switch_page("pages/photo.py").run()
    assert not again.exception
    assert again.radio(key="prior").value == "data"
    assert again.checkbox(key="show_bars").value
    assert markdown_of(again) == before
    again.button(key="clear").click().run()
    assert "photo_results" not in again.session_state
    assert say("photo.empty") in [info.value for info in again.info]


def _placed() -> None:
    import streamlit as st

    from pages._shared import place

    with place.kept("job"):
        st.text(st.session_state.get("job", "none"))


def test_a_job_that_is_opened_goes_before_the_old_address() -> None:
    app = AppTest.from_function(_placed)
    app.query_params["job"] = "a"
    assert app.run().text[0].value == "a"
    app.session_state["has_arrived"] = False
    app.session_state["job"] = "b"  # Open in My jobs, on the page that shows another one
    app.query_params.clear()
    assert app.run().text[0].value == "b"
    app.query_params["job"] = "a"  # Back
    assert app.run().text[0].value == "a"


def test_no_more_photos_are_held_than_one_upload_takes(
    app: AppTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("emotion_core.limits.PHOTOS_PER_UPLOAD", 2)
    photo_page = app.run().switch_page("pages/photo.py").run()
    content = sample_photo()
    photo_page.file_uploader[0].set_value([(f"{i}.png", content, "image/png") for i in range(3)])
    photo_page.run()
    assert [photo.name for photo in photo_page.session_state["photo_files"]] == ["0.png", "1.png"]
    assert [w.value for w in photo_page.warning] == [say("error.too_many_photos", n=3, limit=2)]
    photo_page.button(key="clear").click().run()
    assert not photo_page.warning


def test_photos_of_all_visitors_are_read_so_many_at_a_time(
    app: AppTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIEN_PHOTO_SLOTS", "1")
    resources.photo_turns.clear()
    page = app.run().switch_page("pages/photo.py").run()
    turn = resources.photo_turns()
    with ThreadPoolExecutor(1) as pool:
        with turn:
            reading = pool.submit(page.button(key="try_sample").click().run)
            with pytest.raises(TimeoutError):
                reading.result(timeout=3)
        assert "looks" in markdown_of(reading.result())
    resources.photo_turns.clear()


def test_a_table_does_not_wait_where_pictures_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIEN_PHOTO_SLOTS", "1")
    resources.photo_turns.clear()
    provenance = Provenance(models={}, options={})
    photo, reading = sample_photo(), make_reading((0.0, 0.0, 8.0, 8.0))
    result = PhotoResult("a.png", photo, reading, provenance, "se-resnet-n")
    with ThreadPoolExecutor(2) as pool:
        with resources.photo_turns():
            picture = pool.submit(photo_view.one_file, result, "annotated.png", DrawOptions())
            table = pool.submit(photo_view.one_file, result, "csv", DrawOptions())
            assert table.result(timeout=30).count(b"happy")
            with pytest.raises(TimeoutError):
                picture.result(timeout=1)
        assert picture.result(timeout=30).startswith(b"\x89PNG")
    resources.photo_turns.clear()


def test_a_photo_is_decoded_and_drawn_once(
    photo_page: AppTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[object] = []
    draw = photo_view.draw_reading

    def note(*arguments: object, **options: object) -> object:
        drawn.append(options)
        return draw(*arguments, **options)

    monkeypatch.setattr(photo_view, "draw_reading", note)
    photo_page.button(key="try_sample").click().run()
    assert len(drawn) == 1
    photo_page.run()
    assert len(drawn) == 1, "any click would draw it again"
    photo_page.checkbox(key="show_affect").check().run()
    assert [one["options"].show_affect for one in drawn] == [False, True]
    photo_page.button(key="clear").click().run()
    assert photo_view.DRAWN not in photo_page.session_state


def test_what_one_member_misses_is_not_said_of_a_committee(photo_page: AppTest) -> None:
    def weak() -> list[str]:
        return [text.value for text in photo_page.caption if "less often" in text.value]

    photo_page.button(key="try_sample").click().run()
    assert len(weak()) == 1
    photo_page.selectbox(key="model").set_value(DEFAULT_COMMITTEE).run()
    assert not photo_page.exception
    assert not weak()


def test_a_camera_whose_visitor_goes_ends_beside_the_loop_that_serves_all() -> None:
    can_end = threading.Event()
    session = SimpleNamespace(close=lambda: can_end.wait(30))
    resources._end_aside(session)  # comes back at once
    (thread,) = [one for one in threading.enumerate() if one.name == "live-end"]
    assert not thread.daemon, "a server that stops waits for what is recorded"
    can_end.set()
    thread.join(30)
    assert not thread.is_alive()


@pytest.mark.parametrize(
    ("zone", "hour"), [("Europe/Berlin", 14), ("Asia/Kolkata", 17), (None, 12), ("No/where", 12)]
)
def test_times_are_those_of_the_visitors_clock(
    zone: str | None, hour: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    monkeypatch.setattr(visitor, "st", SimpleNamespace(context=SimpleNamespace(timezone=zone)))
    at_s = datetime(2026, 7, 1, 12, tzinfo=UTC).timestamp()
    assert (visitor.clock(at_s).hour, visitor.clock(at_s).tzinfo) == (hour, None)
    monkeypatch.undo()
    time.tzset()


def test_every_kind_of_job_is_worked_on_and_shown() -> None:
    assert set(JOB_VIEWS) == {*JOBS, RECORDING}
    for kind, view in JOB_VIEWS.items():
        assert say(f"jobs.{kind}".replace("-", "_"))
        assert say(f"jobs.{view.unit}")
        assert (ROOT / view.page).is_file()
