"""The live page: a real stream over WebRTC from a camera that shows the sample clip."""

import io
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from emotion_core.media.photo import decode_photo
from emotion_core.palette import COLOURS, rgb
from tests.browser.conftest import (
    SHOTS,
    Studio,
    check_look,
    download,
    no_traceback,
    open_page,
    running_studio,
    settle,
    turn_to,
    visit,
)
from tests.steps import until

pytestmark = pytest.mark.browser
#: Those that watch a stream.
camera = pytest.mark.camera

#: How many pixels of the shown picture have about the colour of the boxes of a label.
_COUNT_COLOUR = """(video, colour) => {
  const canvas = document.createElement('canvas');
  canvas.width = video.videoWidth; canvas.height = video.videoHeight;
  const context = canvas.getContext('2d');
  context.drawImage(video, 0, 0);
  const data = context.getImageData(0, 0, canvas.width, canvas.height).data;
  let count = 0;
  for (let i = 0; i < data.length; i += 4) {
    const off = Math.abs(data[i] - colour[0]) + Math.abs(data[i + 1] - colour[1])
              + Math.abs(data[i + 2] - colour[2]);
    if (off < 60) count++;
  }
  return count;
}"""


@pytest.fixture
def camera_page(camera_chromium: Browser) -> Iterator[Page]:
    context = camera_chromium.new_context(
        viewport={"width": 1400, "height": 1000}, permissions=["camera"]
    )
    yield open_page(context)
    context.close()


def video_of(page: Page) -> Locator:
    return page.frame_locator('iframe[title*="webrtc_streamer"]').locator("video")


def start(page: Page, studio: Studio) -> Locator:
    """Start the camera and wait for a picture that moves."""
    visit(page, studio, "live")
    page.get_by_role("button", name="Start the camera").click()
    return wait_for_picture(page)


def wait_for_picture(page: Page) -> Locator:
    video = video_of(page)
    video.wait_for(state="attached")
    until(lambda: video.evaluate("video => video.currentTime") > 0.3)
    return video


def choose(page: Page, box: str, option: str) -> None:
    page.get_by_text("Options", exact=True).click()
    settle(page)
    page.get_by_role("combobox", name=box).click()
    page.get_by_role("option", name=option).click()
    settle(page)
    page.get_by_text("Options", exact=True).click()


@camera
def test_boxes_come_back_in_the_pixels_of_the_page(camera_page: Page, studio: Studio) -> None:
    video = start(camera_page, studio)
    happy = list(rgb(COLOURS["happy"]))
    until(lambda: video.evaluate(_COUNT_COLOUR, happy) > 400)
    main = camera_page.get_by_test_id("stMain")
    expect(main.get_by_text("ms per reading")).to_be_visible()
    expect(main.locator(".js-plotly-plot")).to_have_count(2)
    camera_page.get_by_role("button", name="Stop", exact=True).click()
    expect(camera_page.get_by_role("button", name="Start the camera")).to_be_visible()
    no_traceback(camera_page)


@camera
def test_what_is_recorded_has_rows_and_opens(camera_page: Page, studio: Studio) -> None:
    page = camera_page
    start(page, studio)
    page.get_by_role("button", name="Record", exact=True).click()
    expect(page.get_by_role("button", name="Stop recording")).to_be_visible()
    page.wait_for_timeout(3000)
    picture = decode_photo(download(page, "Snapshot PNG"))
    assert np.unique(picture.reshape(-1, 3), axis=0).shape[0] > 100
    page.get_by_role("button", name="Stop recording").click()
    page.locator(".st-key-open_recorded button").click()
    expect(page.get_by_role("heading", name="Downloads")).to_be_visible()
    table = pd.read_csv(io.BytesIO(download(page, "Timeline CSV")))
    assert len(table) > 20
    assert "happy" in set(table["label"])
    assert table["time_s"].between(0, 30).all()
    assert len(download(page, "Video MP4")) > 10_000
    no_traceback(page)


@camera
def test_the_model_changes_while_it_runs(camera_page: Page, studio: Studio) -> None:
    page = camera_page
    video = start(page, studio)
    happy = list(rgb(COLOURS["happy"]))
    until(lambda: video.evaluate(_COUNT_COLOUR, happy) > 400)
    video.evaluate("video => { video.className = 'the-first'; }")
    choose(page, "Model", "Committee of 3")
    choose(page, "Face detector", "haar-alt_tree")
    before = video.evaluate("video => video.currentTime")
    until(lambda: video.evaluate("video => video.currentTime") > before + 1)
    until(lambda: video.evaluate(_COUNT_COLOUR, happy) > 400)
    assert video.evaluate("video => video.className") == "the-first", "the stream began anew"
    no_traceback(page)


@camera
def test_leaving_the_page_stops_the_camera_and_back_works(
    camera_page: Page, studio: Studio
) -> None:
    page = camera_page
    start(page, studio)
    turn_to(page, "Photo")
    until(lambda: busy_share(studio) < 0.15)
    turn_to(page, "Live")
    expect(page.get_by_role("button", name="Start the camera")).to_be_visible()
    page.get_by_role("button", name="Start the camera").click()
    wait_for_picture(page)
    no_traceback(page)


@camera
def test_closing_the_tab_stops_the_work(camera_chromium: Browser, studio: Studio) -> None:
    context = camera_chromium.new_context(permissions=["camera"])
    page = open_page(context)
    start(page, studio)
    context.close()
    until(lambda: busy_share(studio) < 0.15)


def busy_share(studio: Studio) -> float:
    """The share of one core that the server uses in half a second."""
    return psutil.Process(studio.pid).cpu_percent(interval=0.5) / 100


@camera
def test_one_camera_too_many_waits_its_turn(camera_chromium: Browser, tmp_path: Path) -> None:
    with running_studio(tmp_path, MIEN_LIVE_SLOTS="1") as studio:
        contexts = [camera_chromium.new_context(permissions=["camera"]) for _ in range(2)]
        first, second = (open_page(context) for context in contexts)
        opened: list[str] = []  # the component says so for each connection that it opens
        second.on("console", lambda message: opened.append(message.text))
        start(first, studio)
        visit(second, studio, "live")
        second.get_by_role("button", name="Start the camera").click()
        expect(second.get_by_text("You are number 1 in the queue")).to_be_visible()
        first.get_by_role("button", name="Stop", exact=True).click()
        wait_for_picture(second)
        assert sum(text.startswith("RTCConfiguration") for text in opened) == 1
        for context in contexts:
            context.close()


@camera
def test_the_server_of_a_camera_never_loads_tensorflow(camera_page: Page, studio: Studio) -> None:
    start(camera_page, studio)
    maps = Path(f"/proc/{studio.pid}/maps")
    if maps.exists():
        assert "tensorflow" not in maps.read_text().replace("ai_edge_litert", "")
    ends = psutil.Process(studio.pid).net_connections()
    assert {c.raddr.ip for c in ends if c.raddr} <= {"127.0.0.1", "::1"}


def test_no_camera_is_said_and_a_picture_offered(chromium: Browser, studio: Studio) -> None:
    context = chromium.new_context()
    page = open_page(context)
    page.add_init_script(
        "navigator.mediaDevices.getUserMedia = () =>"
        " Promise.reject(new DOMException('none', 'NotFoundError'));"
    )
    visit(page, studio, "live")
    page.get_by_role("button", name="Start the camera").click()
    expect(page.get_by_text("No picture yet")).to_be_visible(timeout=40_000)
    page.get_by_role("button", name="Take a picture instead").click()
    expect(page.get_by_role("heading", name="Photo")).to_be_visible()
    context.close()


def test_without_https_the_page_says_so(chromium: Browser, tmp_path: Path) -> None:
    address = next(
        (
            entry.address
            for entries in psutil.net_if_addrs().values()
            for entry in entries
            if entry.family is socket.AF_INET and not entry.address.startswith("127.")
        ),
        None,
    )
    if address is None:
        pytest.skip("this machine has no address besides the loopback")
    with running_studio(tmp_path, STREAMLIT_SERVER_ADDRESS="0.0.0.0") as studio:
        context = chromium.new_context(permissions=[])
        page = open_page(context)
        visit(page, replace(studio, url=f"http://{address}:{studio.port}"), "live")
        page.get_by_role("button", name="Start the camera").click()
        expect(page.get_by_text("only over HTTPS")).to_be_visible()
        expect(page.get_by_role("button", name="Take a picture instead")).to_be_visible()
        no_traceback(page)
        context.close()


def test_without_a_route_the_page_says_so(camera_page: Page, studio: Studio) -> None:
    # what a firewall does: the browser has a camera and offers it, and no packet finds a way
    camera_page.add_init_script(
        "RTCPeerConnection.prototype.setRemoteDescription = function () {"
        "  return new Promise(() => {}); };"
    )
    visit(camera_page, studio, "live")
    camera_page.get_by_role("button", name="Start the camera").click()
    expect(camera_page.get_by_text("no connection was found")).to_be_visible(timeout=40_000)
    expect(camera_page.get_by_role("button", name="Take a picture instead")).to_be_visible()
    no_traceback(camera_page)


@camera
@pytest.mark.parametrize(("scheme", "width"), [("light", 1400), ("dark", 360)])
def test_the_live_page_fits_and_passes_axe(
    camera_chromium: Browser, studio: Studio, scheme: str, width: int
) -> None:
    context = camera_chromium.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, permissions=["camera"]
    )
    page = open_page(context)
    SHOTS.mkdir(exist_ok=True)
    start(page, studio)
    expect(page.get_by_test_id("stMain").locator(".js-plotly-plot")).to_have_count(2)
    check_look(page, f"live-{scheme}-{width}")
    context.close()
