"""A real server and a real Chromium."""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from playwright.sync_api import TimeoutError as PlaywrightTimeout

from emotion_core.media.video import iter_frames
from tests.builders import encode

ROOT = Path(__file__).resolve().parent.parent.parent
#: Screenshots of a run lie here to be looked at.
SHOTS = Path(__file__).resolve().parent / "shots"
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
)


@dataclass
class Studio:
    """A running app."""

    url: str
    pid: int
    home: Path
    port: int


expect.set_options(timeout=30_000)


@pytest.fixture(scope="session")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """One app for all tests of the session."""
    with running_studio(tmp_path_factory.mktemp("home")) as running:
        yield running


@contextmanager
def running_studio(home: Path, *, port: int = 0, **settings: str) -> Iterator[Studio]:
    """The app as `make app` starts it, in a work folder of its own; `settings` are variables."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(port)]
    log = home / "server.log"
    with log.open("w") as output:
        server = subprocess.Popen(
            command,
            cwd=ROOT,
            env={
                **os.environ,
                "MIEN_HOME": str(home / "mien"),
                "TMPDIR": str(home),
                **settings,
            },
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            wait_for(port, server, log)
            yield Studio(f"http://127.0.0.1:{port}", server.pid, home / "mien", port)
        finally:
            server.terminate()
            server.wait(timeout=20)


def wait_for(port: int, server: subprocess.Popen, log: Path) -> None:
    for _ in range(240):
        if server.poll() is not None:
            break
        try:
            socket.create_connection(("127.0.0.1", port), 0.5).close()
            return
        except OSError:
            time.sleep(0.25)
    pytest.fail(f"the app did not start:\n{log.read_text()}")


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """The system's Chromium, or the one that Playwright brought."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=FLAGS)
        yield browser
        browser.close()


def chromium_path() -> str | None:
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return next((path for name in names if (path := shutil.which(name))), None)


@pytest.fixture(scope="session")
def camera_chromium(
    chromium: Browser, clip: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Browser]:
    """A Chromium whose camera shows the sample clip, over and over."""
    flags = [*FLAGS, *camera_flags(clip, tmp_path_factory.mktemp("camera"))]
    browser = chromium.browser_type.launch(executable_path=chromium_path(), args=flags)
    yield browser
    browser.close()


def camera_flags(clip: Path, folder: Path) -> tuple[str, ...]:
    """What makes a Chromium take the face of the sample clip for its camera."""
    # concatenated JPEGs are what Chromium takes for a camera
    pictures = [encode(frame.image, "JPEG", quality=90) for frame in iter_frames(clip, end_s=5.5)]
    camera = folder / "camera.mjpeg"
    camera.write_bytes(b"".join(pictures))
    return (
        f"--use-file-for-fake-video-capture={camera}",
        "--autoplay-policy=no-user-gesture-required",
        "--disable-features=WebRtcHideLocalIpsWithMdns",
    )


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """A wide, light window."""
    context = chromium.new_context(viewport={"width": 1400, "height": 1000})
    yield open_page(context)
    context.close()


@contextmanager
def window(chromium: Browser, scheme: str, width: int, *, height: int = 900) -> Iterator[Page]:
    """A window in a colour scheme, `light` or `dark`, and English as in Britain."""
    context = chromium.new_context(
        viewport={"width": width, "height": height},
        color_scheme=scheme,  # type: ignore[arg-type]
        locale="en-GB",
    )
    SHOTS.mkdir(exist_ok=True)
    try:
        yield open_page(context)
    finally:
        context.close()


def open_page(context: BrowserContext, *, is_known: bool = True) -> Page:
    """A page of a browser; one that is known keeps a token, so that tests do not meet."""
    context.set_default_timeout(45_000)
    if is_known and not context.cookies():
        token = {"name": "mien_owner", "value": secrets.token_urlsafe(32)}
        context.add_cookies([{**token, "domain": "127.0.0.1", "path": "/"}])
    return context.new_page()


def visit(page: Page, studio: Studio, path: str = "") -> None:
    """Open a page of the studio and accept the notice where it is shown."""
    page.goto(f"{studio.url}/{path}")
    page.wait_for_selector("h1")
    settle(page)
    tick = page.get_by_role("checkbox", name="I have the right")
    if tick.count():
        page.get_by_text("I have the right").click()
        page.get_by_text("Before you begin").wait_for(state="detached")
    settle(page)


def settle(page: Page) -> None:
    """Wait until no script has run for a third of a second: the page has drawn itself."""
    page.wait_for_function(
        "since => { const app = document.querySelector('[data-testid=stApp]');"
        "if (!app || app.dataset.testScriptState === 'running') since.at = 0;"
        "else since.at ||= performance.now();"
        "return since.at && performance.now() - since.at > 350; }",
        arg={"at": 0},
    )


def open_drawer(page: Page) -> None:
    page.get_by_test_id("stExpandSidebarButton").click()
    expect(page.get_by_role("heading", name="My jobs").first).to_be_visible()


def upload(page: Page, *paths: Path) -> None:
    page.locator("input[type=file]").set_input_files([str(path) for path in paths])
    settle(page)


def turn_to(page: Page, name: str) -> None:
    """Click the link of a page; again where Streamlit dropped it, since the page was drawn anew."""
    heading = page.get_by_role("heading", level=1, name=name)
    for _ in range(3):
        page.get_by_role("link", name=name).click()
        with suppress(PlaywrightTimeout):
            heading.wait_for(timeout=10_000)
            return
    expect(heading).to_be_visible()


def download(page: Page, name: str) -> bytes:
    """Click a download; a second time where the page was drawn anew meanwhile, as people do."""
    button = page.get_by_role("button", name=name, exact=True)
    for _ in range(2):
        with page.expect_download() as started:
            button.click()
        if started.value.failure() != "canceled":
            break
        settle(page)
    return Path(started.value.path()).read_bytes()


def no_traceback(page: Page) -> None:
    text = page.inner_text("body")
    assert "Traceback" not in text
    assert page.locator("[data-testid=stException]").count() == 0


def check_look(page: Page, name: str) -> None:
    page.screenshot(path=SHOTS / f"{name}.png")
    overflow = page.evaluate(
        "() => { const main = document.querySelector('[data-testid=stMain]');"
        "return main.scrollWidth - main.clientWidth; }"
    )
    assert overflow <= 0, f"{name} is {overflow} px too wide"
    # Streamlit's own Stop, which stands in the header while a page runs, is not ours to colour
    ours = {"exclude": [["[data-testid=stBaseButton-header]"]]}
    found = Axe().run(page, context=ours).response["violations"]
    serious = [v for v in found if v["impact"] in ("serious", "critical")]
    told = [f"{v['id']}: {[node['html'][:160] for node in v['nodes']][:2]}" for v in serious]
    assert not told, f"{name}: {told}"


def open_drawn(page: Page, studio: Studio) -> None:
    visit(page, studio, "dataset")
    page.get_by_text("Search for faces").click()
    settle(page)
    page.get_by_role("button", name="Draw one to try").click()
    expect(page.get_by_text("Pictures per label")).to_be_visible(timeout=120_000)
    settle(page)


@pytest.fixture(scope="session")
def drawn(chromium: Browser, studio: Studio) -> Iterator[BrowserContext]:
    """A browser that has a drawn data set; its windows see it, since they share the cookie."""
    context = chromium.new_context(viewport={"width": 1400, "height": 1000})
    open_drawn(open_page(context), studio)
    yield context
    context.close()
