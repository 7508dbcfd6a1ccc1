"""The video page in a real browser: to the end, cancelled, interrupted, and one's own alone."""

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from emotion_core.media.video import iter_frames, probe_video
from emotion_core.videos import VideoTask, analyse_video
from tests.browser.conftest import (
    Studio,
    check_look,
    download,
    no_traceback,
    open_drawer,
    open_page,
    running_studio,
    settle,
    turn_to,
    upload,
    visit,
    window,
)

pytestmark = pytest.mark.browser


def start(page: Page, *, slowly: bool = False) -> None:
    """Press Start; slowly, four seconds with a detector that gives time to disturb the job."""
    if slowly:
        page.get_by_text("Options", exact=True).click()
        settle(page)
        end = page.get_by_label("To second")
        end.fill("4")
        end.press("Tab")
        settle(page)
        page.get_by_role("combobox", name="Face detector").click()
        page.get_by_role("option", name="centerface").click()
        settle(page)
        page.get_by_text("Options", exact=True).click()
    page.get_by_role("button", name="Start", exact=True).click()


def wait_for_result(page: Page) -> None:
    expect(page.get_by_role("heading", name="Downloads")).to_be_visible(timeout=90_000)
    settle(page)


@pytest.fixture(scope="module")
def watched(chromium: Browser, studio: Studio) -> Iterator[BrowserContext]:
    """A browser that has had the sample video read; others with its cookies see the result, too."""
    context = chromium.new_context(viewport={"width": 1400, "height": 1000})
    page = open_page(context)
    visit(page, studio, "video")
    page.get_by_role("button", name="Try the sample").click()
    wait_for_result(page)
    page.close()
    yield context
    context.close()


def open_result(page: Page, studio: Studio) -> None:
    """Come back to the studio and open the only result there is."""
    visit(page, studio, "video")
    open_drawer(page)
    page.get_by_test_id("stSidebar").get_by_role("button", name="Open").first.click()
    page.get_by_test_id("stSidebarCollapseButton").get_by_role("button").click()
    wait_for_result(page)


def test_a_video_to_the_end_and_its_files(
    page: Page, studio: Studio, clip: Path, tmp_path: Path
) -> None:
    visit(page, studio, "video")
    expect(page.get_by_text("Drop a video above")).to_be_visible()
    upload(page, clip)
    start(page)
    wait_for_result(page)
    analyse_video(clip, tmp_path, VideoTask(), stem="clip")
    for name, file in [
        ("Timeline CSV", "clip.timeline.csv"),
        ("Episodes CSV", "clip.episodes.csv"),
        ("People CSV", "clip.persons.csv"),
        ("Compact CSV", "clip.compact.csv"),
        ("Frames CSV", "clip.frames.csv"),
    ]:
        assert download(page, name) == (tmp_path / file).read_bytes(), name
    parquet = pd.read_parquet(io.BytesIO(download(page, "Timeline Parquet")))
    pd.testing.assert_frame_equal(parquet, pd.read_parquet(tmp_path / "clip.timeline.parquet"))
    expected = json.loads((tmp_path / "clip.json").read_text())
    assert json.loads(download(page, "JSON")) == expected
    (tmp_path / "got.mp4").write_bytes(download(page, "Video MP4"))
    assert probe_video(tmp_path / "got.mp4").has_audio
    times = [frame.time_s for frame in iter_frames(tmp_path / "got.mp4")]
    assert times == pytest.approx([i / 25 for i in range(225)], abs=1e-3)
    no_traceback(page)


def test_the_video_plays_in_the_page_and_a_click_shows_its_moment(
    watched: BrowserContext, studio: Studio
) -> None:
    page = open_page(watched)
    open_result(page, studio)
    video = page.locator("video")
    page.wait_for_function("() => document.querySelector('video').readyState >= 2")
    video.evaluate("video => { video.muted = true; return video.play(); }")
    page.wait_for_function("() => document.querySelector('video').currentTime > 0.5")
    assert video.evaluate("video => video.videoWidth") == 640
    assert page.get_by_text("The picture at").count() == 0
    lines = page.locator(".js-plotly-plot").nth(1)
    lines.scroll_into_view_if_needed()
    box = lines.bounding_box()
    assert box is not None
    x, y = box["x"] + 0.4 * box["width"], box["y"] + 14
    page.mouse.move(x, y)
    page.wait_for_timeout(400)
    page.mouse.click(x, y)
    expect(page.get_by_text("The picture at 0:0")).to_be_visible()
    no_traceback(page)
    page.close()


def test_a_job_is_cancelled_from_the_page(page: Page, studio: Studio, clip: Path) -> None:
    visit(page, studio, "video")
    upload(page, clip)
    start(page, slowly=True)
    expect(page.get_by_text("left").first).to_be_visible(timeout=60_000)
    page.get_by_test_id("stMain").get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("This job was cancelled")).to_be_visible()
    flags = [flag.parent for flag in (studio.home / "jobs").glob("*/cancel")]
    (cancelled,) = (job for job in flags if '"video"' in (job / "job.json").read_text())
    assert not list(cancelled.rglob("*.mp4"))
    open_drawer(page)
    page.get_by_role("button", name="Delete").first.click()
    expect(page.get_by_text("This job was cancelled")).to_have_count(0)
    no_traceback(page)


def test_a_video_that_is_none_is_refused(page: Page, studio: Studio, tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no video")
    visit(page, studio, "video")
    upload(page, tmp_path / "text.mp4")
    start(page)
    expect(page.get_by_text("text.mp4 is not a video that can be read here")).to_be_visible()
    no_traceback(page)


def test_a_job_outlives_page_refresh_and_app(chromium: Browser, clip: Path, tmp_path: Path) -> None:
    context = chromium.new_context(viewport={"width": 1400, "height": 1000})
    page = open_page(context)
    with running_studio(tmp_path) as first:
        visit(page, first, "video")
        upload(page, clip)
        start(page, slowly=True)
        expect(page.get_by_text("left").first).to_be_visible(timeout=60_000)
        turn_to(page, "Photo")
        turn_to(page, "Video")
        expect(page.get_by_text("Time left").first).to_be_visible()
        page.reload()
        expect(page.get_by_text("Time left").first).to_be_visible()
    with running_studio(tmp_path, port=first.port) as second:
        page.goto(f"{second.url}/video")
        wait_for_result(page)
        no_traceback(page)
    context.close()


def token_of(context: BrowserContext) -> str:
    return next(cookie["value"] for cookie in context.cookies() if cookie["name"] == "mien_owner")


def test_each_browser_sees_its_own_jobs(
    chromium: Browser, watched: BrowserContext, studio: Studio
) -> None:
    kept = token_of(watched)
    page = open_page(watched)
    visit(page, studio)
    expect(page.get_by_text("sample.mp4").first).to_be_visible()
    assert token_of(watched) == kept
    page.close()
    others = chromium.new_context()
    other = open_page(others)
    visit(other, studio, "video")
    expect(other.get_by_text("Drop a video above")).to_be_visible()
    open_drawer(other)
    expect(other.get_by_text("Nothing is running")).to_be_visible()
    others.close()


def test_a_second_browser_on_ones_own_machine_finds_the_same(
    chromium: Browser, tmp_path: Path
) -> None:
    first, second = (chromium.new_context() for _ in range(2))
    with running_studio(tmp_path) as studio:
        page = open_page(first, is_known=False)
        visit(page, studio, "video")
        page.get_by_role("button", name="Try the sample").click()
        wait_for_result(page)
        again = open_page(second, is_known=False)
        visit(again, studio)
        expect(again.get_by_text("sample.mp4").first).to_be_visible()
    assert token_of(first) == token_of(second)
    first.close()
    second.close()


def test_a_path_under_the_roots_is_read_and_another_is_not(
    page: Page, clip: Path, tmp_path: Path
) -> None:
    root = tmp_path / "videos"
    root.mkdir()
    (root / "here.mp4").write_bytes(clip.read_bytes())
    with running_studio(tmp_path, MIEN_ROOTS=str(root)) as studio:
        visit(page, studio, "video")
        typed = page.get_by_role("textbox", name="Or a video on the server")
        typed.fill(str(tmp_path / "videos" / ".." / "server.log"))
        typed.press("Enter")
        settle(page)
        start(page)
        expect(page.get_by_text("There is nothing readable at that path")).to_be_visible()
        typed.fill(str(root / "here.mp4"))
        typed.press("Enter")
        settle(page)
        start(page)
        wait_for_result(page)
        assert (root / "here.mp4").exists(), "a file that was not uploaded is not ours to delete"


@pytest.mark.parametrize(("scheme", "width"), [("light", 1400), ("dark", 360)])
def test_the_video_page_fits_and_passes_axe(
    chromium: Browser, watched: BrowserContext, studio: Studio, scheme: str, width: int
) -> None:
    with window(chromium, scheme, width) as page:
        visit(page, studio, "video")
        check_look(page, f"video-empty-{scheme}-{width}")
        page.context.add_cookies(watched.cookies())  # type: ignore[arg-type]
        open_result(page, studio)
        check_look(page, f"video-{scheme}-{width}")
