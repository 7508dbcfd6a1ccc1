"""The data set page without a browser: empty, a set in every view, refusals."""

import zipfile
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from emotion_core import jobs
from emotion_core.datasets.cleaning import DatasetRecipe, SplitChoice, fingerprint_of
from emotion_core.datasets.decisions import Decision
from emotion_core.datasets.sources import SourceSpec
from emotion_core.errors import StorageError
from emotion_core.texts import say
from emotion_core.workbench.index import build_index, load_index
from emotion_core.workbench.maps import draw_map
from emotion_core.workbench.review import decide, queue_pictures, read_queue
from emotion_core.workbench.store import Dataset, list_datasets, new_dataset
from pages._shared import dataset_charts, dataset_data, dataset_overview
from pages._shared.choice import keyed
from pages._shared.dataset_open import title_of
from pages._shared.errors import plain
from tests.builders import make_class_folders
from tests.steps import fresh_app, until

VIEWS = ("overview", "pictures", "copies", "labels", "map", "review", "export")


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    folder = make_class_folders(tmp_path / "set", {"happy": 12, "sad": 12})
    (folder / "happy" / "same.png").write_bytes((folder / "sad" / "0.png").read_bytes())
    (folder / "happy" / "broken_[x].png").write_bytes(b"no picture")
    held = new_dataset("my_[set]", SourceSpec(str(folder)), owner="tester")
    build_index(held, with_faces=False)
    return held


def opened() -> AppTest:
    return fresh_app().switch_page("pages/dataset.py").run()


def view(app: AppTest, dataset: Dataset, name: str) -> AppTest:
    app.button(key=f"dataset_view-{name}").click().run()
    assert not app.exception, name
    assert not app.error, name
    return app


def wait_for_jobs() -> None:
    until(lambda: all(job.is_over for job in jobs.list_jobs("tester")))


def test_a_data_set_without_a_readable_picture_is_shown(tmp_path: Path) -> None:
    folder = make_class_folders(tmp_path / "broken", {"happy": 2, "sad": 2})
    for path in folder.rglob("*.png"):
        path.write_bytes(b"no picture")
    held = new_dataset("broken", SourceSpec(str(folder)), owner="tester")
    build_index(held, with_faces=False)
    app = opened()
    for name in VIEWS:
        view(app, held, name)


def test_a_damaged_index_is_measured_again_from_the_page(dataset: Dataset) -> None:
    path = dataset.folder / "index.parquet"
    path.write_bytes(path.read_bytes()[:500])
    app = opened()
    assert not app.exception
    assert [error.value for error in app.error] == [
        plain(say("error.dataset_damaged", file=path.name))
    ]
    next(b for b in app.button if b.label == say("dataset.measure")).click().run()
    wait_for_jobs()
    app.run()
    assert not app.exception
    assert not app.error
    assert len(load_index(dataset)) == 26


def test_the_view_stands_in_the_address(dataset: Dataset) -> None:
    app = view(opened(), dataset, "labels")
    assert app.query_params["dataset_view"] == "labels"


def test_it_invites_when_it_is_empty() -> None:
    app = opened()
    assert not app.exception
    assert say("dataset.empty") in [info.value for info in app.info]
    assert app.button(key="ds_start").disabled
    assert say("dataset.no_roots") in [caption.value for caption in app.caption]


def test_every_view_shows_a_data_set(dataset: Dataset) -> None:
    app = opened()
    assert not app.exception
    assert [metric.value for metric in app.metric] == ["26", "26", "1", "1", "1", "0"]
    for name in VIEWS:
        view(app, dataset, name)
    names = {metric.label: metric.value for metric in app.metric}
    assert names == {say("dataset.kept"): "23", say("dataset.removed"): "3"}


def test_a_rule_is_moved_and_switched_on(dataset: Dataset) -> None:
    app = view(opened(), dataset, "pictures")
    app.button(key=f"rule-{dataset.id}-bright").click().run()
    app.slider(key=f"threshold-{dataset.id}-bright").set_value(130.0).run()
    (takes,) = app.metric
    assert int(takes.value) > 0
    assert "bright" not in dataset.recipe().rules
    app.toggle(key=f"on-{dataset.id}-bright").set_value(True).run()
    assert not app.exception
    assert dataset.recipe().rules["bright"] == 130.0


def test_ticks_hold_while_the_grid_is_turned(tmp_path: Path) -> None:
    folder = make_class_folders(tmp_path / "set", {"happy": 16, "sad": 14})
    dataset = new_dataset("set", SourceSpec(str(folder)), owner="tester")
    build_index(dataset, with_faces=False)
    app = view(opened(), dataset, "pictures")
    app.button(key=f"rule-{dataset.id}-small").click().run()
    app.slider(key=f"threshold-{dataset.id}-small").set_value(100.0).run()
    grid = f"rule-grid-{dataset.id}-small"
    app.checkbox(key=f"{grid}-pick-0-happy/0.png").check().run()
    app.number_input(key=f"{grid}-page").set_value(2).run()
    app.checkbox(key=f"{grid}-pick-0-sad/9.png").check().run()
    assert say("dataset.ticked", n=2, elsewhere=1) in [one.value for one in app.caption]
    app.number_input(key=f"{grid}-page").set_value(1).run()
    assert app.checkbox(key=f"{grid}-pick-0-happy/0.png").value
    app.button(key=f"{grid}-drop").click().run()
    assert not app.exception
    assert set(dataset.decisions.current()) == {"happy/0.png", "sad/9.png"}
    assert not app.checkbox(key=f"{grid}-pick-1-happy/0.png").value


def test_a_look_for_changes_that_fails_says_why(dataset: Dataset, tmp_path: Path) -> None:
    app = view(opened(), dataset, "overview")
    for path in (tmp_path / "set").rglob("*.png"):
        path.unlink()
    app.button(key=f"task-index-{dataset.id}").click().run()
    wait_for_jobs()
    app.run()
    assert not app.exception
    expected = plain(say("error.no_dataset", name="my_[set]"))
    assert [one.value for one in app.error] == [expected]


def test_policies_and_split_reach_the_recipe(dataset: Dataset) -> None:
    app = view(opened(), dataset, "copies")
    app.selectbox(key=f"policy-{dataset.id}-conflicts").set_value("majority").run()
    app = view(app, dataset, "export")
    app.selectbox(key=f"split-rule-{dataset.id}").set_value("seed-003").run()
    for stepped, kept in [(1, 2), (1, 0), (3, 3)]:  # one fold is none, and leads on to two
        app.number_input(key=f"split-folds-{dataset.id}").set_value(stepped).run()
        assert dataset.recipe().split.folds == kept
    assert not app.exception
    recipe = dataset.recipe()
    assert (recipe.conflicts, recipe.split.rule, recipe.split.folds) == ("majority", "seed-003", 3)
    assert recipe.split.share is None
    dataset.save_recipe(replace(recipe, split=SplitChoice("given")))  # in another tab
    app.number_input(key=f"split-seed-{dataset.id}").set_value(5).run()
    assert not app.exception
    assert dataset.recipe().split == SplitChoice("given")


@pytest.mark.parametrize("name", ["copies", "export", "pictures"])
def test_a_tab_that_only_looks_keeps_what_another_one_changed(dataset: Dataset, name: str) -> None:
    app = view(opened(), dataset, name)
    changed = DatasetRecipe(
        near="one", rules={"bright": 130.0}, split=SplitChoice("seed-003", 0.25, 5), terms="ours"
    )
    dataset.save_recipe(changed)
    app.run()
    assert not app.exception
    assert dataset.recipe() == changed
    if name == "copies":
        assert app.selectbox(key=f"policy-{dataset.id}-near").value == "one"
    elif name == "export":
        assert app.number_input(key=f"split-share-{dataset.id}").value == 0.25
        app.number_input(key=f"split-share-{dataset.id}").set_value(0.3).run()
        assert dataset.recipe().split == SplitChoice("seed-003", 0.3, 5)


def test_a_table_of_other_rows_or_another_order_is_another_table() -> None:
    """Streamlit keeps chosen rows by number."""
    assert keyed("groups", [3, 5]) == keyed("groups", [3, 5])
    assert len({keyed("groups", ids) for ids in ([3, 5], [5, 3], [3], [35], [])}) == 5


def test_an_applied_recipe_is_not_overwritten_by_the_page(dataset: Dataset) -> None:
    app = view(opened(), dataset, "export")
    recipe = DatasetRecipe(
        fingerprint=fingerprint_of(load_index(dataset)),
        split=SplitChoice("seed-003", seed=5),
        origin="here",
        decisions={"sad/3.png": Decision("sad/3.png", "drop", "blank")},
    )
    (uploader,) = [u for u in app.get("file_uploader") if u.label == say("dataset.recipe_upload")]
    uploader.set_value(("recipe.yaml", recipe.to_yaml().encode(), "text/yaml")).run()
    app.button(key="recipe_apply").click().run()
    assert not app.exception
    app.run()
    held = dataset.recipe()
    assert (held.split, held.origin) == (SplitChoice("seed-003", seed=5), "here")
    assert set(held.decisions) == {"sad/3.png"}
    assert held.fingerprint == "", "the source may change later"


def test_names_that_are_shown_alike_bear_a_number(dataset: Dataset) -> None:
    long = [replace(dataset, id=f"{n}" * 16, name="n" * 60 + end) for n, end in enumerate("ab")]
    assert len({title_of(one, long) for one in long}) == 2


def test_every_choice_of_a_data_set_holds(dataset: Dataset, tmp_path: Path) -> None:
    others = [
        new_dataset("other", SourceSpec(str(make_class_folders(tmp_path / name, {"sad": 2}))),
                    owner="tester")
        for name in "ab"
    ]  # fmt: skip
    app = opened()
    for chosen in (others[0], others[1], dataset, others[0]):
        app.selectbox(key="dataset_choice").select(chosen.id).run()
        assert not app.exception
        assert app.selectbox(key="dataset_choice").value == chosen.id
        assert app.session_state["dataset"] == chosen.id
    app.session_state["dataset"] = "gone"
    app.run()
    assert [one.value for one in app.warning] == [say("error.no_dataset_here")]


def test_a_late_click_decides_about_no_other_picture(dataset: Dataset) -> None:
    queue_pictures(dataset, ["happy/0.png", "sad/1.png"], reason="seen")
    app = view(opened(), dataset, "review")
    late = app.button(key="review-drop-happy/0.png").click()
    decide(dataset, ["happy/0.png"], "keep", reason="by somebody else")
    late.run()
    assert not app.exception
    assert {one.action for one in dataset.decisions.current().values()} == {"keep"}


def test_review_decides_and_undoes(dataset: Dataset) -> None:
    paths = ["happy/0.png", "sad/1.png", "happy/2.png"]
    queue_pictures(dataset, paths, reason="seen", suggested={"sad/1.png": "happy"})
    app = view(opened(), dataset, "review")
    app.button(key="review-drop-happy/0.png").click().run()
    app.button(key="review-as-0-sad/1.png").click().run()
    app.button(key="review-keep-happy/2.png").click().run()
    assert not app.exception
    held = {path: (one.action, one.label) for path, one in dataset.decisions.current().items()}
    assert held == {
        "happy/0.png": ("drop", ""), "sad/1.png": ("relabel", "happy"), "happy/2.png": ("keep", ""),
    }  # fmt: skip
    assert read_queue(dataset) == []
    app.button(key="review_undo").click().run()
    assert [one.path for one in read_queue(dataset)] == ["happy/2.png"]


def test_suggestions_are_accepted_above_the_threshold(dataset: Dataset) -> None:
    draw_map(dataset)
    app = view(opened(), dataset, "labels")
    app.slider(key=f"sure-{dataset.id}").set_value(50).run()
    accept = app.button(key=f"accept-{dataset.id}")
    n = int(accept.label.split()[2])
    assert n > 0
    accept.click().run()
    assert not app.exception
    assert len(dataset.decisions.current()) == n
    view(app, dataset, "map")


def test_files_of_before_a_change_are_called_old(dataset: Dataset) -> None:
    app = view(opened(), dataset, "export")
    app.button(key=f"task-export-{dataset.id}").click().run()
    wait_for_jobs()
    app.run()
    assert not app.warning
    decide(dataset, ["happy/0.png"], "drop", reason="seen")
    app.run()
    assert [box.value for box in app.warning] == [say("dataset.files_old")]


def test_a_kept_export_is_found_again_and_named_before_it_goes(dataset: Dataset) -> None:
    app = view(opened(), dataset, "export")
    for _ in range(2):
        app.button(key=f"task-export-{dataset.id}").click().run()
        wait_for_jobs()
        app.run()
    _, earlier = jobs.list_jobs("tester")
    title = say("dataset.kept_export", when=f"{datetime.fromtimestamp(earlier.created_s):%F %H:%M}")
    assert title not in [one.label for one in app.expander]
    jobs.keep_job(earlier)
    app.run()
    assert not app.exception
    assert title in [one.label for one in app.expander]
    told = [box.value for box in app.caption]
    assert {say("dataset.files_text"), say("dataset.files_kept_text")} <= set(told)
    assert say("dataset.delete_kept", n=1) in [box.value for box in app.warning]


def test_a_label_of_ones_own_reads_as_it_is_written(tmp_path: Path) -> None:
    folder = make_class_folders(tmp_path / "own", {"very_happy": 3, "sad": 3})
    dataset = new_dataset("own", SourceSpec(str(folder)), owner="tester")
    build_index(dataset, with_faces=False)
    dataset.save_recipe(replace(dataset.recipe(), labels={"very_happy": "very_happy"}))
    app = view(opened(), dataset, "pictures")
    options = app.selectbox(key=f"sample-{dataset.id}").options
    assert "very_happy" in options


def test_unknown_labels_are_asked_about(tmp_path: Path) -> None:
    folder = make_class_folders(tmp_path / "set", {"joyful": 3, "calm": 3, "sad": 3})
    held = new_dataset("set", SourceSpec(str(folder)), owner="tester")
    build_index(held, with_faces=False)
    app = opened()
    assert say("dataset.unknown_title") in [element.value for element in app.subheader]
    app.selectbox(key=f"labels-{held.id}-joyful-None").set_value("happy")
    app.selectbox(key=f"labels-{held.id}-calm-None").set_value("calm")
    (send,) = [b for b in app.button if b.label == say("dataset.unknown_send")]
    send.click().run()
    assert not app.exception
    assert held.recipe().labels == {"joyful": "happy", "calm": "calm"}
    assert app.button(key="dataset_view-overview")
    app.selectbox(key=f"meanings-{held.id}-calm-calm").set_value("neutral")
    (send,) = [b for b in app.button if b.label == say("dataset.meanings_send")]
    send.click().run()
    assert not app.exception
    assert held.recipe().labels == {"joyful": "happy", "calm": "neutral"}
    # what was answered elsewhere, in words of its own, is not lost by it
    held.save_recipe(replace(held.recipe(), labels={"joyful": "Happiness", "calm": "my_own"}))
    app.run()
    (send,) = [b for b in app.button if b.label == say("dataset.meanings_send")]
    send.click().run()
    assert not app.exception
    assert held.recipe().labels == {"joyful": "happy", "calm": "my_own"}


def test_an_upload_is_measured_and_a_bad_one_refused(tmp_path: Path) -> None:
    folder = make_class_folders(tmp_path / "set", {"happy": 3, "sad": 3})
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for path in sorted(folder.rglob("*.png")):
            archive.write(path, path.relative_to(folder))
    app = opened()
    uploader = app.get("file_uploader")[0]
    uploader.set_value(("bad_[x].zip", b"no archive", "application/zip")).run()
    app.button(key="ds_start").click().run()
    assert not app.exception
    assert "is no archive that can be read" in app.error[0].value
    assert "bad\\_\\[x\\]" in app.error[0].value
    assert list_datasets("tester") == []
    app = opened()
    content = (tmp_path / "set.zip").read_bytes()
    app.get("file_uploader")[0].set_value(("set.zip", content, "application/zip")).run()
    app.button(key="ds_start").click().run()
    assert not app.exception
    (held,) = list_datasets("tester")
    wait_for_jobs()
    app.run()
    assert not app.exception
    assert app.metric[0].value == "6"
    app.button(key="dataset_delete").click().run()
    assert list_datasets("tester") == []
    assert not held.folder.exists()


def test_a_data_set_that_nobody_measures_is_not_kept() -> None:
    for _ in range(20):
        jobs.new_job("dataset-index", "waits", owner="tester", settings={})
    app = opened()
    app.button(key="ds_draw").click().run()
    assert not app.exception
    assert any("20 of your jobs" in box.value for box in app.error)
    assert list_datasets("tester") == []


def test_a_path_outside_the_roots_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIEN_ROOTS", str(tmp_path / "root"))
    (tmp_path / "root").mkdir()
    for path in (tmp_path, tmp_path / "root" / ".." / "x", "/etc", "~", "/proc/self/environ"):
        app = opened()
        app.text_input(key="ds_path").set_value(str(path)).run()
        app.button(key="ds_start").click().run()
        assert not app.exception
        assert "There is nothing readable at that path" in app.error[0].value
    assert list_datasets("tester") == []


def test_the_source_that_is_gone_is_a_box(dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "set").rename(tmp_path / "elsewhere")
    app = opened()
    assert not app.exception
    assert "cannot be opened" in app.error[0].value


def test_a_strip_of_many_pictures_is_a_sample_and_says_so(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = load_index(dataset)
    table = dataset_charts.strip_rows(index.assign(label=index["raw_label"]))
    assert "drawn at random" not in " ".join(one.value for one in opened().caption)
    whole = dataset_charts.strip(table, "brightness")
    for room in (dataset_charts, dataset_overview):
        monkeypatch.setattr(room, "STRIP_POINTS", 3)
    sample = dataset_charts.strip(table, "brightness")
    assert len(sample.data[0].x) == 3 < len(table)
    assert sample.layout.shapes == whole.layout.shapes, "medians are those of all"
    assert "marks for 3 of the pictures" in " ".join(one.value for one in opened().caption)


def test_what_could_not_be_read_once_is_tried_again(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A drive may have been gone for a moment."""
    found: dict[str, bytes] = {}
    monkeypatch.setattr(dataset_data, "thumbnails", lambda *_, **__: dict(found))
    monkeypatch.setattr(dataset_overview, "mean_face", lambda *_: found.get("a.png"))
    assert dataset_data.thumbnail(dataset, "a.png") is None
    with pytest.raises(LookupError):
        dataset_overview._mean(dataset.id, 1, ("a.png",))
    found["a.png"] = b"jpeg"
    assert dataset_data.thumbnail(dataset, "a.png") == b"jpeg"
    assert dataset_overview._mean(dataset.id, 1, ("a.png",)) == b"jpeg"
    found.clear()
    assert dataset_data.thumbnail(dataset, "a.png") == b"jpeg", "what was read is kept"
    dataset_data.let_go(dataset)
    assert dataset_data.thumbnail(dataset, "a.png") is None


def test_what_a_widget_is_refused_is_said_above_the_page(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise StorageError("The disk is full.")

    app = view(opened(), dataset, "export")
    with monkeypatch.context() as patch:
        patch.setattr(Dataset, "save_recipe", full)
        app.selectbox(key=f"split-rule-{dataset.id}").set_value("seed-000").run()
        assert not app.exception
        assert [error.value for error in app.error] == [plain("The disk is full.")]
    assert not app.run().error
