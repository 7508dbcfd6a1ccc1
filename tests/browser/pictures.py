"""The README's pictures, from the running app: python -m tests.browser.pictures [NAME …]."""

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

from emotion_core.media.sample import sample_video
from tests.browser.conftest import (
    FLAGS,
    Studio,
    camera_flags,
    chromium_path,
    open_drawn,
    open_page,
    running_studio,
    settle,
    visit,
)
from tests.steps import ROOT

TARGET = ROOT / "docs" / "pictures"


def window(browser: Browser, *, height: int) -> Page:
    """A light window of the pictures' width."""
    size = {"width": 1280, "height": height}
    context = browser.new_context(viewport=size, permissions=["camera"])
    return open_page(context)


def photo(page: Page, studio: Studio) -> None:
    visit(page, studio, "photo")
    page.get_by_role("button", name="Try the sample").click()
    expect(page.get_by_text("looks happy").first).to_be_visible()


def video(page: Page, studio: Studio) -> None:
    visit(page, studio, "video")
    page.get_by_role("button", name="Try the sample").click()
    expect(page.get_by_role("heading", name="Downloads")).to_be_visible(timeout=90_000)
    page.get_by_role("slider", name="Moment").press("End")


def live(page: Page, studio: Studio) -> None:
    visit(page, studio, "live")
    page.get_by_role("button", name="Start the camera").click()
    page.wait_for_timeout(8_000)


def dataset(page: Page, studio: Studio) -> None:
    open_drawn(page, studio)


def training(page: Page, studio: Studio) -> None:
    open_drawn(page, studio)
    visit(page, studio, "training")
    page.get_by_role("button", name="New training").click()
    settle(page)
    page.get_by_role("button", name="Start the training").click()
    expect(page.get_by_text("Its most confident mistakes, on validation")).to_be_visible(
        timeout=300_000
    )


def models(page: Page, studio: Studio) -> None:
    visit(page, studio, "models")
    expect(page.get_by_text("VGG small").first).to_be_visible()


PICTURES = {photo: 900, video: 1330, live: 860, dataset: 1250, training: 1000, models: 1000}


def main() -> None:
    """Take them all."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        home = Path(folder)
        camera = camera_flags(sample_video(home / "clip.mp4"), home)
        browser = playwright.chromium.launch(
            executable_path=chromium_path(), args=[*FLAGS, *camera]
        )
        with running_studio(home) as studio:
            for take, height in PICTURES.items():
                if sys.argv[1:] and take.__name__ not in sys.argv[1:]:
                    continue
                page = window(browser, height=height)
                take(page, studio)
                settle(page)
                page.wait_for_timeout(1_500)  # charts draw themselves
                page.screenshot(path=TARGET / f"{take.__name__}.png")
                print(take.__name__, flush=True)
                page.context.close()
        browser.close()


if __name__ == "__main__":
    main()
