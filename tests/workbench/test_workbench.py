"""The workbench: measured once, resumed, decided on, exported the same from every side."""

import json
import os
import subprocess
import sys
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import yaml

from emotion_core import limits
from emotion_core.analysis.picture import find_faces
from emotion_core.crops import crop_faces
from emotion_core.datasets.cleaning import DatasetRecipe, SplitChoice
from emotion_core.datasets.decisions import Decision
from emotion_core.datasets.noise import vote_entropy
from emotion_core.datasets.sources import SourceSpec, open_source
from emotion_core.errors import BadTable, InputError, StorageError, TrainingError
from emotion_core.faces import load_detector
from emotion_core.media.photo import decode_photo
from emotion_core.runs import alone_in
from emotion_core.types import CropRule, Image
from emotion_core.workbench import label_noise
from emotion_core.workbench.export import crop_dataset, export_dataset, report_dataset
from emotion_core.workbench.faces import load_faces, mean_face, mean_sample
from emotion_core.workbench.index import build_index, load_cleaned, load_index, load_readings
from emotion_core.workbench.label_noise import judge_labels
from emotion_core.workbench.maps import draw_map
from emotion_core.workbench.review import adopt_decisions, decide, queue_pictures, read_queue
from emotion_core.workbench.store import (
    Dataset,
    dataset_at,
    delete_dataset,
    list_datasets,
    load_dataset,
    new_dataset,
    sweep_datasets,
)
from emotion_core.workbench.suggestions import accept_labels, suggest_labels
from emotion_core.workbench.tasks import start_task, tasks_of
from tests.builders import encode, make_class_folders, make_picture, tiny
from tests.steps import over

ROOT = Path(__file__).resolve().parent.parent.parent


def test_a_mean_face_does_without_pictures_that_are_gone(measured: Dataset, folder: Path) -> None:
    (folder / "sad" / "0.png").unlink()
    (folder / "sad" / "1.png").write_bytes(b"no picture")
    rows = load_index(measured)
    paths = mean_sample(rows["path"][rows["raw_label"] == "sad"])
    assert len(paths) == 12
    with closing(measured.open()) as source:
        assert mean_face(source, paths)
        for path in paths:
            (folder / path).unlink(missing_ok=True)
        assert mean_face(source, paths) is None


def test_data_sets_belong_to_somebody(dataset: Dataset) -> None:
    assert [one.id for one in list_datasets("me")] == [dataset.id]
    assert list_datasets("you") == []
    assert load_dataset(dataset.id, "me") == dataset
    for bad in (dataset.id, "0" * 16):
        with pytest.raises(InputError, match="not yours"):
            load_dataset(bad, "you")
    for way in (f"./{dataset.id}", f"../datasets/{dataset.id}", str(dataset.folder)):
        with pytest.raises(InputError, match="not yours"):
            load_dataset(way, "me")
    assert '"me"' not in (dataset.folder / "dataset.json").read_text()
    assert dataset.folder.stat().st_mode & 0o777 == 0o700


def test_deleting_leaves_the_source_alone(dataset: Dataset, folder: Path) -> None:
    delete_dataset(dataset)
    assert not dataset.folder.exists()
    assert len(list(folder.rglob("*.png"))) == 24


def test_an_upload_is_kept_or_leaves_nothing(folder: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for path in sorted(folder.rglob("*.png")):
            archive.write(path, path.relative_to(folder))
    content = (tmp_path / "set.zip").read_bytes()
    uploaded = new_dataset("my set.zip", content, owner="me")
    build_index(uploaded, with_faces=False)
    assert len(load_index(uploaded)) == 24
    before = len(list_datasets("me"))
    with pytest.raises(InputError, match=r"^bad\.zip is no archive"):
        new_dataset("bad.zip", content[:-500], owner="me")
    assert len(list_datasets("me")) == before


def test_the_command_line_finds_its_work_again(folder: Path) -> None:
    first, again = (dataset_at(SourceSpec(str(folder))) for _ in range(2))
    assert first == again
    assert dataset_at(SourceSpec(str(folder), kind="folders")).id != first.id
    with pytest.raises(InputError):
        dataset_at(SourceSpec(str(folder / "gone")))


def test_notes_that_cannot_be_read_cost_no_decision(folder: Path) -> None:
    held = dataset_at(SourceSpec(str(folder)))
    held.decisions.add([Decision("a.png", "drop", reason="seen", label="", at_s=1.0)])
    notes = held.folder / "dataset.json"
    newer = json.loads(notes.read_text())
    notes.write_text(json.dumps({**newer, "source": {**newer["source"], "later": 1}}))
    with pytest.raises(StorageError, match="cannot be read"):
        dataset_at(SourceSpec(str(folder)))
    notes.unlink()  # as after a kill before they were written
    assert len(dataset_at(SourceSpec(str(folder))).decisions.current()) == 1


def test_two_may_meet_a_source_for_the_first_time(folder: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: dataset_at(SourceSpec(str(folder))), range(16)))
    assert {one.created_s for one in found} == {found[0].created_s}


def test_a_clock_that_is_put_back_lets_nobody_decide_twice(
    measured: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue_pictures(measured, ["happy/0.png", "sad/1.png"], reason="blank")
    before = time.time() - 3600
    monkeypatch.setattr(time, "time", lambda: before)
    decide(measured, ["happy/0.png"], "drop", reason="seen")
    assert [one.path for one in read_queue(measured)] == ["sad/1.png"]


def test_decisions_reach_the_data_set_and_the_queue(measured: Dataset) -> None:
    queue_pictures(measured, ["happy/0.png", "sad/1.png"], reason="blank")
    added = queue_pictures(
        measured, ["sad/1.png", "sad/2.png"], reason="doubt", suggested={"sad/2.png": "happy"}
    )
    assert added == 1
    assert [(one.path, one.suggested) for one in read_queue(measured)] == [
        ("happy/0.png", ""), ("sad/1.png", ""), ("sad/2.png", "happy"),
    ]  # fmt: skip
    decide(measured, ["happy/0.png", "sad/1.png"], "drop", reason="blank")
    decide(measured, ["sad/2.png"], "relabel", reason="seen", label="happy")
    assert read_queue(measured) == []
    table = load_cleaned(measured).set_index("path")
    assert table.loc["happy/0.png", "removed"] == "dropped: blank"
    assert table.loc["sad/2.png", "label"] == "happy"
    measured.decisions.undo()
    assert [one.path for one in read_queue(measured)] == ["sad/2.png"]
    queue_pictures(measured, ["happy/0.png"], reason="again")
    assert [one.path for one in read_queue(measured)] == ["sad/2.png", "happy/0.png"]
    decide(measured, ["sad/2.png"], "keep", reason="seen")
    queue_pictures(measured, ["happy/1.png"], reason="later")
    measured.decisions.undo()
    waiting = [one.path for one in read_queue(measured)]
    assert waiting == ["sad/2.png", "happy/0.png", "happy/1.png"]


def test_a_picture_that_was_relabelled_is_kept_with_its_new_label(measured: Dataset) -> None:
    decide(measured, ["sad/0.png"], "relabel", reason="seen", label="happy")
    by_model = Decision("sad/1.png", "relabel", "read", "happy", by="vgg-s")
    measured.decisions.add([by_model])
    decide(measured, ["sad/0.png", "sad/1.png", "sad/2.png"], "keep", reason="again")
    held = measured.decisions.current()
    assert [(one.action, one.label, one.by) for one in held.values()] == [
        ("relabel", "happy", ""), ("relabel", "happy", ""), ("keep", "", ""),
    ]  # fmt: skip
    labels = load_cleaned(measured).set_index("path")["label"]
    assert labels[list(held)].tolist() == ["happy", "happy", "sad"]
    measured.decisions.undo()
    assert measured.decisions.current()["sad/1.png"] == by_model
    assert set(measured.decisions.current()) == {"sad/0.png", "sad/1.png"}
    decide(measured, ["sad/0.png"], "drop", reason="blurred")
    decide(measured, ["sad/0.png"], "keep", reason="not so blurred")
    assert load_cleaned(measured).set_index("path").loc["sad/0.png", "label"] == "happy"


def test_page_and_command_line_export_the_same_bytes(
    measured: Dataset, tmp_path: Path, portrait: Image
) -> None:
    two = np.concatenate([portrait, portrait], axis=1)
    (Path(measured.spec.path) / "sad" / "two.png").write_bytes(encode(two, "PNG"))
    build_index(measured)  # with faces, as the page does
    rules = {"unreadable": 1.0, "blank": 9.0, "crowded": 1.0}
    measured.save_recipe(DatasetRecipe(rules=rules, near="one"))
    decide(measured, ["happy/3.png"], "drop", reason="=1+1")
    from_page = export_dataset(measured, tmp_path / "page")
    recipe = tmp_path / "page" / "recipe.yaml"
    command = [sys.executable, "-m", "emotion_core", "data", "clean", measured.spec.path,
               "--recipe", recipe, "--out", tmp_path / "cli"]  # fmt: skip
    subprocess.run(list(map(str, command)), cwd=ROOT, check=True, capture_output=True, timeout=120)
    assert {"cleaned.csv", "removed.csv", "recipe.yaml", "CARD.md"} <= set(from_page)
    assert "sad/two.png,sad,crowded (1)" in from_page["removed.csv"].read_text()
    for name, path in from_page.items():
        assert (tmp_path / "cli" / name).read_bytes() == path.read_bytes(), name
    (Path(measured.spec.path) / "sad" / "new.png").write_bytes(encode(make_picture(), "PNG"))
    again = subprocess.run(
        list(map(str, command)), cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert again.returncode == 2
    assert "earlier state of it" in again.stderr
    command.append("--changed")
    subprocess.run(list(map(str, command)), cwd=ROOT, check=True, capture_output=True, timeout=120)


def test_an_export_beside_its_pictures_is_no_new_source(measured: Dataset, folder: Path) -> None:
    export_dataset(measured, folder)
    (folder / "sad" / "new.png").write_bytes(encode(make_picture(seed=77), "PNG"))
    source = open_source(SourceSpec(str(folder)))
    assert source.kind == "folders"
    assert len(source.items()) == 25
    assert open_source(SourceSpec(str(folder / "train.csv"))).kind == "table"
    for path in folder.glob("*/*.png"):  # in one heap, nothing but the export has labels
        path.rename(folder / path.name)
    (folder / "notes.csv").write_text("page,note\n1,none\n")
    assert open_source(SourceSpec(str(folder))).kind == "table"


def test_an_export_leaves_nothing_of_the_one_before(measured: Dataset, tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "test.csv").write_text("somebody's own")
    for out in (tmp_path / "out", tmp_path / "own"):
        export_dataset(measured, out, recipe=DatasetRecipe(split=SplitChoice("given")))
    assert (tmp_path / "own" / "test.csv").read_text() == "somebody's own"
    export_dataset(measured, tmp_path / "own", recipe=DatasetRecipe(split=SplitChoice("given")))
    assert (tmp_path / "own" / "test.csv").read_text() == "somebody's own"
    folded = DatasetRecipe(split=SplitChoice(folds=2))
    split = export_dataset(measured, tmp_path / "out", recipe=folded)
    assert "folds.csv" in split
    again = export_dataset(measured, tmp_path / "out", recipe=DatasetRecipe())
    assert set(split) != set(again)
    assert {path.name for path in (tmp_path / "out").iterdir()} == set(again)


def test_a_path_that_looks_like_a_formula_leads_to_its_picture(tmp_path: Path) -> None:
    paths = ["=1.png", "-2.png", "@3.png", "4.png"]
    for seed, path in enumerate(paths):
        (tmp_path / path).write_bytes(encode(make_picture(seed=seed), "PNG"))
    rows = "".join(f"{path},happy\n" for path in paths)
    (tmp_path / "labels.csv").write_text("path,label\n" + rows)
    dataset = new_dataset("set", SourceSpec(str(tmp_path / "labels.csv")), owner="me")
    build_index(dataset, with_faces=False)
    written = export_dataset(dataset, tmp_path, recipe=DatasetRecipe(split=SplitChoice("given")))
    assert "./=1.png" in written["cleaned.csv"].read_text()
    again = new_dataset("again", SourceSpec(str(written["cleaned.csv"])), owner="me")
    build_index(again, with_faces=False)
    index = load_index(again)
    assert sorted(index["path"]) == sorted(paths)
    assert index["is_readable"].all()


def test_faces_are_cut_out_and_skips_have_reasons(tmp_path: Path, portrait: np.ndarray) -> None:
    folder = make_class_folders(tmp_path / "set", {"happy": 2, "sad": 2})
    (folder / "happy" / "face.png").write_bytes(encode(portrait, "PNG"))
    (folder / "sad" / "nobody.png").write_bytes(encode(make_picture(300, 300), "PNG"))
    dataset = new_dataset("set", SourceSpec(str(folder)), owner="me")
    build_index(dataset, with_faces=False)
    recipe = DatasetRecipe(split=SplitChoice("given"))
    assert crop_dataset(dataset, tmp_path / "faces.zip", recipe=recipe, side_px=64) == (5, 1)
    with zipfile.ZipFile(tmp_path / "faces.zip") as archive:
        held = pd.read_csv(archive.open("faces.csv"))
        skipped = pd.read_csv(archive.open("skipped.csv"))
        for name in held["image_path"]:
            assert decode_photo(archive.read(name)).shape == (64, 64, 3)
    assert skipped.to_dict("records") == [
        {"image_path": "sad/nobody.png", "reason": "no face was found"}
    ]
    assert held["emotion"].value_counts().to_dict() == {"happy": 3, "sad": 2}
    again = dataset_at(SourceSpec(str(tmp_path / "faces.zip")))
    assert build_index(again, with_faces=False) == 5


def test_faces_that_cannot_be_split_keep_the_split_of_the_source(tmp_path: Path) -> None:
    folder = make_class_folders(tmp_path / "set", {"test/happy": 2, "train/happy": 3, "sad": 1})
    dataset = new_dataset("set", SourceSpec(str(folder)), owner="me")
    build_index(dataset, with_faces=False)
    with pytest.raises(BadTable, match="'sad' has one picture"):
        load_cleaned(dataset)
    crop_dataset(dataset, tmp_path / "faces.zip")
    with zipfile.ZipFile(tmp_path / "faces.zip") as archive:
        held = pd.read_csv(archive.open("faces.csv"), keep_default_na=False)
    of = {path.rpartition("/")[0]: split for path, split in held[["source", "split"]].to_numpy()}
    assert of == {"sad": "train", "test/happy": "test", "train/happy": "train"}
    again = dataset_at(SourceSpec(str(tmp_path / "faces.zip")))
    build_index(again, with_faces=False)
    assert load_index(again)["split"].value_counts().to_dict() == {"train": 4, "test": 2}


def test_the_report_opens_offline(measured: Dataset, tmp_path: Path) -> None:
    (Path(measured.spec.path) / "sad" / "<b>.png").write_bytes(b"broken")
    build_index(measured, with_faces=False)
    files = report_dataset(measured, tmp_path)
    page = files["report.html"].read_text()
    assert "25 pictures, 25 with a label, 1 unreadable" in page
    assert "<b>.png" not in page
    assert "&lt;b&gt;.png" in page
    assert page.count("data:image/jpeg;base64,") == 12
    for outside in ("http:", "https:", "<script", "@import", "url("):
        assert outside not in page


def test_what_cannot_be_split_is_reported_and_laid_out_all_the_same(
    tmp_path: Path,
) -> None:
    folder = make_class_folders(tmp_path / "set", {"happy": 6, "sad": 1})
    dataset = new_dataset("set", SourceSpec(str(folder)), owner="me")
    build_index(dataset, with_faces=False)
    with pytest.raises(BadTable, match="'sad' has one picture"):
        load_cleaned(dataset)
    assert "7 pictures" in report_dataset(dataset, tmp_path)["report.html"].read_text()
    assert len(draw_map(dataset)) == 7


def test_a_recipe_is_adopted_once_and_whole(measured: Dataset) -> None:
    decide(measured, ["happy/0.png", "sad/0.png"], "drop", reason="before")
    recipe = DatasetRecipe(decisions={"happy/0.png": Decision("happy/0.png", "drop", "blank")})
    adopt_decisions(measured, recipe)
    adopt_decisions(measured, recipe)
    assert len(measured.decisions.steps()) == 2
    assert measured.recipe().to_yaml() == recipe.to_yaml()
    measured.decisions.undo()
    assert set(measured.decisions.current()) == {"happy/0.png", "sad/0.png"}


def test_models_suggest_and_never_for_rows_that_judge(measured: Dataset) -> None:
    told: list[tuple[int, int]] = []
    found = draw_map(measured, "pca", on_progress=lambda *now: told.append(now))
    assert len(found) == 24
    assert told[-1] == (24, 24)
    assert np.isfinite(found[["x", "y"]]).all().all()
    probs = found.filter(like="prob_")
    assert probs.sum(axis=1).between(0.999, 1.001).all()
    held = load_readings(measured, "map")
    assert held is not None
    assert held.equals(found)
    cleaned = load_cleaned(measured)
    suggested = suggest_labels(cleaned, found.assign(read="fear", confidence=0.9), threshold=0.8)
    judging = set(cleaned["path"][cleaned["split"] == "val"])
    assert judging
    assert not set(suggested["path"]) & judging
    assert len(suggested) == 24 - len(judging)
    assert not len(suggest_labels(cleaned, found.assign(confidence=0.5), threshold=0.8))
    measured.decisions.add(accept_labels(suggested.head(2), at_s=1.0))
    assert (load_cleaned(measured)["label"] == "fear").sum() == 2
    with pytest.raises(BadTable, match="no map"):
        draw_map(measured, "spiral")


def test_nothing_is_said_of_a_picture_that_took_the_place_of_another(
    measured: Dataset, folder: Path
) -> None:
    draw_map(measured, "pca")
    (folder / "sad" / "0.png").write_bytes(encode(make_picture(), "PNG"))
    build_index(measured, with_faces=False)
    held = load_readings(measured, "map")
    assert held is not None
    assert set(load_index(measured)["path"]) - set(held["path"]) == {"sad/0.png"}


def test_other_maps_are_laid_out(measured: Dataset) -> None:
    first = draw_map(measured, "tsne", seed=3)
    again = draw_map(measured, "tsne", seed=3)
    assert np.allclose(first[["x", "y"]], again[["x", "y"]])


def test_disagreement_is_the_entropy_of_the_votes() -> None:
    votes = pd.DataFrame({"a": [10, 5, 0], "b": [0, 5, 0]})
    assert vote_entropy(votes).fillna(-1).tolist() == [0, 1, -1]


def test_labels_are_judged_and_ranked(
    measured: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(label_noise, "_EPOCHS_MAX", 2)
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(yaml.safe_dump(tiny(epochs=1)))
    decide(measured, ["happy/0.png"], "drop", reason="blank")
    decide(measured, ["happy/1.png"], "relabel", reason="seen", label="sad")
    told: list[tuple[int, int]] = []
    ranked = judge_labels(
        measured, recipe_name=str(recipe), folds=2, on_progress=lambda *now: told.append(now)
    )
    assert told[-1][0] == told[-1][1]
    cut, learned = dict.fromkeys(total for _, total in told)
    parts = [[one for one in told if one[1] == total] for total in (cut, learned)]
    assert parts[0] + parts[1] == told
    assert all(part == sorted(part) for part in parts)
    assert len(ranked) == 23
    assert ranked.set_index("path").loc["happy/1.png", "given"] == "sad"
    held = load_readings(measured, "noise")
    assert held is not None
    assert held.equals(ranked)
    assert not (measured.folder / "noise-work").exists()
    with alone_in(measured.folder), pytest.raises(TrainingError, match="Another process"):
        judge_labels(measured, recipe_name=str(recipe), folds=2)


def test_folds_that_few_pictures_leave_empty_are_none(
    measured: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(yaml.safe_dump(tiny(epochs=1)))
    monkeypatch.setattr(label_noise, "_EPOCHS_MAX", 2)
    gaps = pd.Series([0, 2, 4] * 8)
    monkeypatch.setattr(label_noise, "fold_rows", lambda *_, **__: gaps)
    ranked = judge_labels(measured, recipe_name=str(recipe), folds=5)
    assert len(ranked) == 24


def test_a_data_set_with_one_label_cannot_be_judged(tmp_path: Path) -> None:
    folder = make_class_folders(tmp_path / "one", {"happy": 5})
    dataset = new_dataset("one", SourceSpec(str(folder)), owner="me")
    build_index(dataset, with_faces=False)
    with pytest.raises(TrainingError, match="have 1 label"):
        judge_labels(dataset)


def test_faces_come_as_the_rule_says(measured: Dataset, tmp_path: Path, portrait: Image) -> None:
    source = measured.open()
    faces = load_faces(source, ["happy/0.png", "sad/0.png"], CropRule(1.2, align=True))
    assert faces.shape == (2, 48, 48, 1)
    assert faces.std() > 5
    source.close()
    folder = tmp_path / "found"
    (folder / "happy").mkdir(parents=True)
    turned = cv2.warpAffine(portrait, cv2.getRotationMatrix2D((256, 256), 12, 1), (512, 512))
    (folder / "happy" / "0.png").write_bytes(encode(turned, "PNG"))
    with closing(new_dataset("found", SourceSpec(str(folder)), owner="me").open()) as photos:
        rules = [CropRule(1.2, align=True), CropRule(1.2, align=False), CropRule(1.6, align=True)]
        cut = [load_faces(photos, ["happy/0.png"], rule)[0] for rule in rules]
    seen = find_faces(turned, load_detector())
    for one, rule in zip(cut, rules, strict=True):
        assert np.array_equal(one, crop_faces(turned, seen, rule)[0])
    assert not np.array_equal(cut[0], cut[1])
    assert not np.array_equal(cut[0], cut[2])


def test_jobs_measure_draw_and_export(tmp_path: Path) -> None:
    dataset = new_dataset("drawn", None, owner="me", drawn={"n": 60, "seed": 1})
    settings = {"with_faces": False}
    job = start_task("index", dataset, owner="me", settings=settings)
    assert start_task("index", dataset, owner="me", settings=settings).id == job.id
    with pytest.raises(InputError, match="with other settings"):
        start_task("index", dataset, owner="me")
    done = over(job, "me")
    assert (done.state, done.summary) == ("done", {"measured": 60, "pictures": 60})
    exported = over(start_task("export", dataset, owner="me", settings={"with_crops": True}), "me")
    assert exported.state == "done", exported.message
    names = set(exported.results())
    assert {"dataset.zip", "faces.zip", "report.html", "cleaned.csv", "CARD.md"} <= names
    assert [job.kind for job in tasks_of(dataset, "me")] == ["dataset-export", "dataset-index"]
    with pytest.raises(BadTable):
        start_task("burn", dataset, owner="me")
    delete_dataset(dataset)
    failed = over(start_task("index", dataset, owner="me"), "me")
    assert (failed.state, "not yours" in failed.message) == ("failed", True)


def test_progress_goes_on_from_drawing_to_measuring() -> None:
    dataset = new_dataset("drawn", None, owner="me", drawn={"n": 40, "seed": 1})
    told: list[tuple[int, int]] = []
    build_index(dataset, with_faces=False, on_progress=lambda *step: told.append(step))
    assert told == sorted(told)
    assert {total for _, total in told} == {80}
    assert told[-1] == (80, 80)


def test_a_data_set_that_was_deleted_does_not_come_back(measured: Dataset) -> None:
    path = load_index(measured)["path"].iloc[0]
    log = measured.decisions
    delete_dataset(measured)
    ways = [
        lambda: queue_pictures(measured, [path], reason="as in a second tab"),
        lambda: decide(measured, [path], "drop", reason="blank"),
        lambda: log.add([Decision(path, "drop", "blank")]),
        lambda: measured.save_recipe(DatasetRecipe()),
        lambda: build_index(measured),
    ]
    for way in ways:
        with pytest.raises((InputError, StorageError), match="no such data set"):
            way()
    assert not measured.folder.exists()


def test_what_is_in_use_is_said_and_can_be_deleted_later(
    measured: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Windows, where an open file stays."""
    (measured.folder / "source").mkdir()
    with monkeypatch.context() as kept:
        kept.setattr("emotion_core.workbench.store.shutil.rmtree", lambda *_, **__: None)
        with pytest.raises(StorageError, match="something of it is in use"):
            delete_dataset(measured)
    assert load_dataset(measured.id).id == measured.id
    delete_dataset(measured)
    assert not measured.folder.exists()
    delete_dataset(measured)  # in a second tab


def test_an_upload_that_was_killed_is_swept_after_a_day(measured: Dataset) -> None:
    code = """
import os, signal
from emotion_core import files
def die(path):
    files.Path(path).write_bytes(b"faces")
    os.kill(os.getpid(), signal.SIGKILL)
files.atomic_path = lambda target: die(target.parent.mkdir() or target)
from emotion_core.workbench.store import new_dataset
new_dataset("faces.zip", b"faces", owner="me")
"""
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode < 0
    root = measured.folder.parent
    left = next(one for one in root.iterdir() if one.is_dir() and one != measured.folder)
    assert (left / "source").is_dir()
    sweep_datasets()
    assert left.is_dir(), "somebody may be writing it"
    old_s = time.time() - limits.JOB_EXPIRY_S - 1
    for folder in (left, measured.folder):
        os.utime(folder, (old_s, old_s))
    sweep_datasets()
    assert (left.exists(), measured.folder.exists()) == (False, True)
