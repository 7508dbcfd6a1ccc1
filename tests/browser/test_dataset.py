"""The data set page in a real browser: open, find, mend, export, and train on what came out."""

import io
import os
import re
import signal
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from emotion_core.media.photo import decode_photo
from tests.browser.conftest import (
    SHOTS,
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
)
from tests.builders import make_class_folders, tiny

pytestmark = pytest.mark.browser


def go(page: Page, view: str) -> None:
    main(page).get_by_role("button", name=re.compile(f"^{view}( \\(|$)")).first.click()
    settle(page)


def main(page: Page) -> Locator:
    return page.get_by_test_id("stMain")


def test_find_mend_export_reload_and_train(
    drawn: BrowserContext, studio: Studio, tmp_path: Path
) -> None:
    page = open_page(drawn)
    visit(page, studio, "dataset")
    go(page, "Duplicates")
    expect(page.get_by_text("group 1", exact=True).first).to_be_visible()
    boxes = main(page).get_by_test_id("stCheckbox").filter(has_not_text="All", visible=True)
    boxes.nth(0).locator("label").click()
    settle(page)
    page.get_by_role("button", name="Drop", exact=True).click()
    settle(page)
    expect(page.get_by_text("dropped").first).to_be_visible()
    boxes.nth(1).locator("label").click()
    settle(page)
    page.get_by_role("button", name="To review", exact=True).click()
    expect(page.get_by_text("1 sent to Review")).to_be_visible()  # for four seconds
    settle(page)
    go(page, "Review")
    expect(page.get_by_text("1 waiting").first).to_be_visible()
    page.keyboard.press("5")
    expect(page.get_by_text("Nothing waits")).to_be_visible()
    expect(page.get_by_role("heading", name="Decisions: 2")).to_be_visible()
    page.reload()
    settle(page)
    go(page, "Review")
    expect(page.get_by_role("heading", name="Decisions: 2")).to_be_visible()
    page.keyboard.press("u")
    expect(page.get_by_text("1 waiting").first).to_be_visible()
    settle(page)
    page.keyboard.press("5")
    expect(page.get_by_text("Nothing waits")).to_be_visible()
    expect(page.get_by_role("heading", name="Decisions: 2")).to_be_visible()
    settle(page)
    go(page, "Split & export")
    page.get_by_role("button", name="Make the files").click()
    expect(page.get_by_role("button", name="dataset.zip")).to_be_visible(timeout=90_000)
    no_traceback(page)
    open_drawer(page)
    for _ in range(2):  # the second time from where the first one led
        page.get_by_test_id("stSidebar").get_by_role("button", name="Open").first.click()
        settle(page)
        expect(page.get_by_role("button", name="dataset.zip")).to_be_visible()
        assert "dataset_view=export" in page.url
    page.get_by_test_id("stSidebarCollapseButton").get_by_role("button").click()
    held = zipfile.ZipFile(io.BytesIO(download(page, "dataset.zip")))
    assert {"cleaned.csv", "train.csv", "val.csv", "removed.csv", "recipe.yaml", "CARD.md",
            "report.html"} <= set(held.namelist())  # fmt: skip
    recipe = held.read("recipe.yaml").decode()
    assert recipe.count("action: drop") == recipe.count("action: relabel") == 1
    removed = pd.read_csv(held.open("removed.csv"))
    assert (removed["reason"] == "dropped: copies").sum() == 1
    train = pd.read_csv(held.open("train.csv"))
    page.close()
    trains_one_epoch(train, next(studio.home.glob("datasets/*/source/drawn")), tmp_path)


def trains_one_epoch(train: pd.DataFrame, root: Path, folder: Path) -> None:
    """The exported split is what a training takes."""
    from emotion_core.training.examples import Examples
    from emotion_core.training.fit import fit_network
    from emotion_core.training.recipe import parse_recipe

    rows = train.head(200)
    faces = [decode_photo((root / path).read_bytes())[::2, ::2, 1] for path in rows["image_path"]]
    names = sorted(set(rows["emotion"]))
    targets = np.eye(len(names), dtype=np.float32)[[names.index(x) for x in rows["emotion"]]]
    recipe = parse_recipe(tiny(epochs=1))
    _, state = fit_network(recipe, Examples(np.stack(faces)[..., None], targets), folder)
    assert state.epoch == 1
    assert np.isfinite(state.history[0]["loss"])


def test_a_bar_and_a_lasso_show_their_pictures(drawn: BrowserContext, studio: Studio) -> None:
    page = open_page(drawn)
    visit(page, studio, "dataset")
    expect(page.get_by_text("Pictures per label")).to_be_visible()
    page.wait_for_timeout(1500)
    bar = page.locator(".js-plotly-plot").first.locator("g.point").first
    box = bar.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    expect(page.get_by_text("pictures · anger").first).to_be_visible()
    go(page, "Map")
    page.get_by_role("button", name="Draw the map").click()
    expect(page.get_by_text("PCA, 1,592 of 1,592 pictures")).to_be_visible(timeout=120_000)
    page.wait_for_timeout(1500)
    box = page.locator(".js-plotly-plot").first.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x - 200, y - 120)
    page.mouse.down()
    for dx, dy in ((200, -120), (200, 120), (-200, 120), (-200, -120)):
        page.mouse.move(x + dx, y + dy, steps=8)
    page.mouse.up()
    expect(page.get_by_text("chosen on the map")).to_be_visible()
    no_traceback(page)
    page.close()


def test_an_upload_and_its_decisions_survive_a_kill_of_the_app(
    chromium: Browser, tmp_path: Path
) -> None:
    folder = make_class_folders(tmp_path / "set", {"happy": 4, "sad": 4})
    (folder / "sad" / "broken.png").write_bytes(b"no picture")
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for path in sorted(folder.rglob("*.png")):
            archive.write(path, path.relative_to(folder))
    context = chromium.new_context(viewport={"width": 1400, "height": 1000})
    page = open_page(context)
    with running_studio(tmp_path) as first:
        visit(page, first, "dataset")
        upload(page, tmp_path / "set.zip")
        page.get_by_role("button", name="Open", exact=True).click()
        settle(page)
        turn_to(page, "Photo")
        turn_to(page, "Dataset")
        expect(page.get_by_text("Pictures per label")).to_be_visible(timeout=120_000)
        settle(page)
        go(page, "Pictures")
        page.get_by_text("All 1", exact=True).click()
        settle(page)
        main(page).get_by_role("button", name="Keep", exact=True).first.click()
        expect(page.get_by_text("kept").first).to_be_visible()
        os.kill(first.pid, signal.SIGKILL)
    with running_studio(tmp_path, port=first.port) as second:
        visit(page, second, "dataset")
        go(page, "Review")
        expect(page.get_by_role("heading", name="Decisions: 1")).to_be_visible()
    context.close()


@pytest.mark.parametrize(("scheme", "width"), [("light", 1400), ("dark", 360)])
def test_the_views_fit_and_pass_axe(
    drawn: BrowserContext, studio: Studio, scheme: str, width: int
) -> None:
    page = open_page(drawn)
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)
    SHOTS.mkdir(exist_ok=True)
    visit(page, studio, "dataset")
    for view in ("Overview", "Pictures", "Duplicates", "Labels", "Map", "Review", "Split & export"):
        go(page, view)
        page.wait_for_timeout(700)
        check_look(page, f"dataset-{view.split()[0].lower()}-{scheme}-{width}")
        no_traceback(page)
    page.close()
