"""The training page in a real browser: begin, follow, leave, return, stop, resume, compare, use."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.conftest import (
    Studio,
    check_look,
    no_traceback,
    open_page,
    settle,
    upload,
    visit,
)
from tests.browser.test_dataset import main
from tests.builders import write_faces

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def sixty(
    chromium: Browser, studio: Studio, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[BrowserContext]:
    """A browser that has opened sixty faces: epochs are short."""
    folder = tmp_path_factory.mktemp("sixty")
    archive = shutil.make_archive(str(folder / "faces"), "zip", write_faces(folder / "set"))
    context = chromium.new_context(viewport={"width": 1400, "height": 1000})
    page = open_page(context)
    visit(page, studio, "dataset")
    page.get_by_text("Search for faces").click()
    settle(page)
    upload(page, Path(archive))
    page.get_by_role("button", name="Open", exact=True).click()
    expect(page.get_by_text("Pictures per label")).to_be_visible(timeout=120_000)
    page.close()
    yield context
    context.close()


def begin(page: Page, studio: Studio, *, name: str, epochs: int) -> None:
    visit(page, studio, "training")
    main(page).get_by_role("button", name="New training").click()
    settle(page)
    page.get_by_text("Change settings").click()
    settle(page)
    check_look(page, "training-form")
    field = page.get_by_label("epochs", exact=True)
    field.fill(str(epochs))
    field.press("Tab")
    settle(page)
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("Name", exact=True).press("Tab")
    settle(page)
    page.get_by_role("button", name="Start the training").click()
    settle(page)


def epochs_shown(page: Page) -> int:
    text = main(page).get_by_test_id("stMetricValue").first.inner_text()
    return int(text.split("/")[0])


def points(page: Page) -> int:
    """How many points the first curve has."""
    return int(page.evaluate("() => document.querySelector('.js-plotly-plot').data[0].x.length"))


def test_begin_follow_leave_stop_resume_compare_promote_and_use(
    sixty: BrowserContext, studio: Studio
) -> None:
    page = open_page(sixty)
    begin(page, studio, name="first", epochs=900)
    expect(main(page).get_by_test_id("stMetricValue").first).to_be_visible(timeout=120_000)
    page.wait_for_function(
        "() => document.querySelector('.js-plotly-plot')?.data?.[0]?.x?.length >= 3",
        timeout=120_000,
    )
    before = points(page)
    page.wait_for_function(
        f"() => document.querySelector('.js-plotly-plot')?.data?.[0]?.x?.length > {before}",
        timeout=60_000,
    )
    check_look(page, "training-moving")
    visit(page, studio, "photo")
    visit(page, studio, "training")
    main(page).get_by_role("button", name="Open first").click()
    settle(page)
    assert epochs_shown(page) > before - 1
    main(page).get_by_role("button", name="Pause").click()
    expect(main(page).get_by_text("paused")).to_be_visible(timeout=60_000)
    main(page).get_by_role("button", name="Resume").click()
    expect(main(page).get_by_role("button", name="Stop and keep the best")).to_be_enabled(
        timeout=120_000
    )
    page.wait_for_timeout(3_000)
    main(page).get_by_role("button", name="Stop and keep the best").click()
    expect(main(page).get_by_text("done").first).to_be_visible(timeout=120_000)
    expect(main(page).get_by_text("Confusion matrix")).to_be_visible()
    settle(page)
    page.wait_for_timeout(2_000)
    check_look(page, "training-done")
    no_traceback(page)

    begin(page, studio, name="second", epochs=2)
    expect(main(page).get_by_text("Confusion matrix")).to_be_visible(timeout=180_000)
    main(page).get_by_role("button", name="All trainings").click()
    settle(page)
    expect(main(page).get_by_role("button", name="Open second")).to_be_visible()
    grid = main(page).get_by_test_id("stDataFrame")
    box = grid.bounding_box()
    assert box is not None
    for row in (1, 2):
        page.mouse.click(box["x"] + 18, box["y"] + 18 + 35 * row)
        settle(page)
    page.wait_for_function(
        "() => document.querySelector('.js-plotly-plot')?.data?.length === 2", timeout=30_000
    )
    check_look(page, "training-runs")

    main(page).get_by_role("button", name="Open first").click()
    settle(page)
    page.get_by_role("button", name="Where did it look?").click()
    expect(page.get_by_text("Yellow: what speaks most")).to_be_visible(timeout=120_000)
    settle(page)
    check_look(page, "training-looked")
    page.get_by_label("Name of the model").fill("mine")
    page.get_by_label("Name of the model").press("Tab")
    settle(page)
    main(page).get_by_role("button", name="Add it to the models").click()
    expect(page.get_by_text("mine is ready.")).to_be_visible()
    main(page).get_by_role("button", name="Try it on a photo").click()
    settle(page)
    page.get_by_role("button", name=re.compile("sample", re.I)).first.click()
    settle(page)
    expect(page.get_by_text("Changed from the defaults: read by mine.")).to_be_visible()
    expect(page.get_by_text(re.compile("looks")).first).to_be_visible()
    no_traceback(page)

    visit(page, studio, "training")
    page.get_by_role("button", name="Measure models").click()
    settle(page)
    page.get_by_role("button", name="Measure", exact=True).click()
    expect(page.get_by_text("Kappa with the labels")).to_be_visible(timeout=120_000)
    settle(page)
    check_look(page, "training-measured")
    no_traceback(page)
    page.close()


def test_the_form_in_a_narrow_and_in_a_dark_window(chromium: Browser, studio: Studio) -> None:
    for name, options in (
        ("narrow", {"viewport": {"width": 360, "height": 800}}),
        ("dark", {"viewport": {"width": 1400, "height": 1000}, "color_scheme": "dark"}),
    ):
        context = chromium.new_context(**options)  # type: ignore[arg-type]
        page = open_page(context)
        visit(page, studio, "training")
        check_look(page, f"training-empty-{name}")
        page.get_by_role("button", name="Bring a model").click()
        expect(page.get_by_text("I trust where this file")).to_be_visible()
        settle(page)
        check_look(page, f"training-bring-{name}")
        context.close()
