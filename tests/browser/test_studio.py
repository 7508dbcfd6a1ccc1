"""The studio as people use it: a server, a browser, files."""

import io
import json
import re
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
from playwright.sync_api import Browser, Page, expect

from emotion_core import load_detector, load_model
from emotion_core.media.photo import decode_photo
from emotion_core.media.sample import sample_photo
from emotion_core.photos import read_photo_bytes
from tests.browser.conftest import (
    Studio,
    check_look,
    download,
    no_traceback,
    running_studio,
    settle,
    turn_to,
    upload,
    visit,
    window,
)
from tests.builders import encode, make_picture

pytestmark = pytest.mark.browser


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Photos: one face, two faces, nobody, and two that are none."""
    portrait = decode_photo(sample_photo())
    pair = np.concatenate([portrait[:300], portrait[:300, ::-1]], axis=1)
    (tmp_path / "one.png").write_bytes(sample_photo())
    (tmp_path / "two.jpg").write_bytes(encode(pair, "JPEG", quality=95))
    (tmp_path / "nobody.webp").write_bytes(encode(make_picture(300, 200), "WEBP"))
    (tmp_path / "text.jpg").write_text("no picture")
    (tmp_path / "cut.png").write_bytes(sample_photo()[:9000])
    return tmp_path


def test_from_home_to_a_reading_in_one_click(page: Page, studio: Studio) -> None:
    visit(page, studio)
    page.get_by_role("button", name="Try the sample photo").click()
    expect(page.get_by_text("looks happy")).to_be_visible()
    picture = page.locator("[data-testid=stImage] img").first
    expect(picture).to_have_attribute("alt", "The photo with 1 marked face: 1 looks happy, 100%")
    no_traceback(page)


def test_a_server_whose_first_visitor_enters_at_a_page(page: Page, tmp_path: Path) -> None:
    with running_studio(tmp_path) as fresh:
        page.goto(f"{fresh.url}/photo")
        expect(page.get_by_role("link", name="Home")).to_be_visible()
        expect(page.get_by_role("heading", name="Photo")).to_be_visible()
        assert page.get_by_role("link", name="app", exact=True).count() == 0


def test_what_is_downloaded_is_what_the_library_reads(
    page: Page, studio: Studio, files: Path
) -> None:
    visit(page, studio, "photo")
    upload(page, files / "two.jpg")
    expect(page.get_by_text("looks happy")).to_have_count(2)
    content = (files / "two.jpg").read_bytes()
    expected = read_photo_bytes(content, "two.jpg", load_detector(), load_model())
    table = pd.read_csv(io.BytesIO(download(page, "Table CSV")))
    pd.testing.assert_frame_equal(table, expected.table(), check_dtype=False)
    held = json.loads(download(page, "JSON"))
    assert held["provenance"]["input_sha256"] == expected.provenance.input_sha256
    assert decode_photo(download(page, "Annotated PNG")).shape == expected.picture().shape


def test_good_and_bad_files_together(page: Page, studio: Studio, files: Path) -> None:
    visit(page, studio, "photo")
    names = ("one.png", "text.jpg", "nobody.webp", "cut.png")
    upload(page, *(files / name for name in names))
    expect(page.get_by_text("2 could not be read")).to_be_visible()
    expect(page.get_by_text("text.jpg is not a picture that can be read here")).to_be_visible()
    expect(page.get_by_text("cut.png is damaged")).to_be_visible()
    expect(page.get_by_text("looks happy")).to_be_visible()
    with zipfile.ZipFile(io.BytesIO(download(page, "All photos as ZIP"))) as archive:
        per_photo = {f"{name}.{end}" for name in ("one", "nobody")
                     for end in ("json", "csv", "annotated.png")}  # fmt: skip
        assert set(archive.namelist()) == {"photos.csv", *per_photo}
    table = pd.read_csv(io.BytesIO(download(page, "Table CSV of all photos")))
    assert table["file"].tolist() == ["one.png", "nobody.webp"]
    assert table["label"].isna().tolist() == [False, True]
    no_traceback(page)


def test_nobody_is_said_and_the_whole_picture_offered(
    page: Page, studio: Studio, files: Path
) -> None:
    visit(page, studio, "photo")
    upload(page, files / "nobody.webp")
    expect(page.get_by_text("No face was found in nobody.webp")).to_be_visible()
    page.get_by_role("button", name="Read the whole picture as one face").click()
    expect(page.get_by_text("the whole picture was read as one")).to_be_visible()
    page.get_by_role("button", name="Look for faces again").click()
    expect(page.get_by_text("No face was found in nobody.webp")).to_be_visible()
    no_traceback(page)


def test_the_camera_takes_a_picture(page: Page, studio: Studio) -> None:
    page.context.grant_permissions(["camera"], origin=studio.url)
    visit(page, studio, "photo")
    page.get_by_role("button", name="Take a picture").first.click()
    settle(page)
    page.wait_for_function("() => document.querySelector('video')?.currentTime > 0.5")
    take = page.get_by_role("button", name="Take Photo")
    for _ in range(2):  # again where the camera had no picture yet: the button stays, as people see
        if take.count():
            take.click()
            settle(page)
    # Chromium's test pattern shows nobody
    expect(page.get_by_text("No face was found")).to_be_visible()
    no_traceback(page)


def test_the_way_from_home_works_by_keyboard(page: Page, studio: Studio) -> None:
    visit(page, studio)
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.innerText") == "Try the sample photo":
            break
    page.keyboard.press("Enter")
    expect(page.get_by_text("looks happy")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1400, 360])
def test_pages_fit_their_window_and_pass_axe(
    chromium: Browser, studio: Studio, scheme: str, width: int
) -> None:
    with window(chromium, scheme, width) as page:
        visit(page, studio)
        check_look(page, f"home-{scheme}-{width}")
        page.get_by_role("button", name="Try the sample photo").click()
        expect(page.get_by_text("looks happy")).to_be_visible()
        page.locator(".js-plotly-plot").first.wait_for()
        page.get_by_role("button", name="Try the sample").hover()
        settle(page)
        check_look(page, f"photo-{scheme}-{width}")


@pytest.mark.parametrize(("scheme", "width"), [("light", 1400), ("dark", 1400), ("light", 420)])
def test_models_are_looked_into_and_measured(
    chromium: Browser, studio: Studio, scheme: str, width: int
) -> None:
    with window(chromium, scheme, width, height=1000) as page:
        visit(page, studio)
        page.get_by_role("button", name="Explore the models").click()
        expect(page.get_by_role("heading", name="Beside what others reach")).to_be_visible()
        settle(page)
        check_look(page, f"models-{scheme}-{width}")
        page.get_by_role("button", name="Open", exact=True).first.click()
        expect(page.get_by_text("Known failures")).to_be_visible()
        page.locator(".js-plotly-plot").nth(2).wait_for()
        page.get_by_role("button", name="Measure here").click()
        expect(page.get_by_text("95th percentile")).to_be_visible()
        settle(page)
        check_look(page, f"model-{scheme}-{width}")
        assert "Not allowed" in download(page, "Card as Markdown").decode()
        page.get_by_role("button", name="All models").click()
        expect(page.get_by_role("heading", name="Beside what others reach")).to_be_visible()
        no_traceback(page)


def test_the_server_never_loads_tensorflow_and_talks_to_nobody(
    page: Page, studio: Studio, files: Path
) -> None:
    hosts: set[str] = set()
    page.on("request", lambda request: hosts.add(request.url.split("/")[2]))
    visit(page, studio, "photo")
    upload(page, files / "one.png")
    expect(page.get_by_text("looks happy")).to_be_visible()
    for name in ("training", "dataset", "models"):
        visit(page, studio, name)
    maps = Path(f"/proc/{studio.pid}/maps")
    if maps.exists():
        assert "tensorflow" not in maps.read_text().replace("ai_edge_litert", "")
    assert hosts == {studio.url.removeprefix("http://")}
    partners = {c.raddr.ip for c in psutil.Process(studio.pid).net_connections() if c.raddr}
    assert partners <= {"127.0.0.1", "::1"}


def test_nothing_of_a_photo_stays_on_the_disk(page: Page, studio: Studio, files: Path) -> None:
    def on_disk() -> set[Path]:
        # its work folder and its folder for temporary files; other tests left videos there
        return {path for path in studio.home.parent.rglob("*") if path.is_file()}

    before = on_disk()
    visit(page, studio, "photo")
    upload(page, files / "one.png")
    expect(page.get_by_text("looks happy")).to_be_visible()
    page.get_by_role("button", name="Where did it look?").click()
    expect(page.get_by_text("Yellow: what speaks most")).to_be_visible(timeout=120_000)
    left = {path.name for path in on_disk() - before}
    assert left <= {"notice-accepted", "server.log", "work-0.lock"}


def test_the_address_leads_back_and_outlasts_a_refresh(page: Page, studio: Studio) -> None:
    visit(page, studio, "models")
    page.locator(".st-key-open-vgg-s button").click()
    expect(page.get_by_role("button", name="All models")).to_be_visible()
    page.wait_for_url(re.compile("model_shown=vgg-s"))
    page.reload()
    expect(page.get_by_role("button", name="All models")).to_be_visible()
    page.get_by_role("button", name="All models").click()
    expect(page.locator(".st-key-open-vgg-s button")).to_be_visible()
    page.wait_for_url(re.compile("/models$"))
    page.go_back()
    expect(page.get_by_role("button", name="All models")).to_be_visible()
    settle(page)
    page.go_forward()
    expect(page.locator(".st-key-open-vgg-s button")).to_be_visible()
    turn_to(page, "Photo")
    settle(page)
    assert "model_shown" not in page.url
    no_traceback(page)
