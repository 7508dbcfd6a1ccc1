"""`data index|report|clean|split|crop|noise|fetch`, run as commands."""

import json
import shutil
import sys
import zipfile
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pandas as pd
import pytest

from emotion_core.datasets import kaggle
from emotion_core.datasets.kaggle import DATASETS, fetch_dataset
from emotion_core.errors import InputError
from tests.builders import make_class_folders
from tests.steps import called, complaints, mien


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_class_folders(tmp_path / "set", {"train/angry": 12, "train/happy": 12, "test": 3})


def test_index_measures_once_and_writes_a_csv(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "index.csv"
    first = mien("data", "index", folder, "--out", out)
    assert first.returncode == 0, first.stderr
    assert first.stdout.startswith("27 pictures, 27 measured now, 0 unreadable")
    table = pd.read_csv(out)
    assert len(table) == 27
    assert "thumb" not in table
    assert (table["face_count"] >= 0).all()
    again = called("data", "index", folder)
    assert again.stdout.startswith("27 pictures, 0 measured now")


def test_what_is_read_from_is_never_written_over(folder: Path, tmp_path: Path) -> None:
    packed = Path(shutil.make_archive(str(tmp_path / "own"), "zip", folder))
    before = packed.read_bytes()
    refused = called("data", "crop", packed, "--out", packed, "--side", 16)
    assert (refused.returncode, "is what is read from" in refused.stderr) == (2, True)
    assert packed.read_bytes() == before
    answers = folder / "answers.csv"  # which the next command would take for labels
    refused = called("evaluate", "--data", folder, "--out", answers)
    assert (refused.returncode, "answers.csv lies in" in refused.stderr) == (2, True)
    assert not answers.exists()
    (tmp_path / "split").mkdir()
    (tmp_path / "split" / "train.csv").write_text("by hand")
    refused = called("data", "split", folder, "--out", tmp_path / "split")
    assert (refused.returncode, "train.csv already exists" in refused.stderr) == (2, True)
    assert (tmp_path / "split" / "train.csv").read_text() == "by hand"
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "report.html").write_text("mine")
    refused = called("data", "report", folder, "--out", tmp_path / "report")
    assert (refused.returncode, "report.html already exists" in refused.stderr) == (2, True)


def test_no_other_input_and_no_other_result_is_written_over(folder: Path, tmp_path: Path) -> None:
    held = tmp_path / "held.csv"
    held.write_text("file,expected_emotion\n")
    for command in (
        ("data", "index", folder, "--votes", held),
        ("data", "crop", folder, "--recipe", held),
        ("data", "fer2013", "--csv", held, "--votes", tmp_path / "other.csv"),
        ("submit", "--data", folder, "--sample", held),
        ("evaluate", "--benchmark", "film", "--data", held),
    ):
        refused = called(*command, "--out", held)
        told = (refused.returncode, "is what is read from" in refused.stderr)
        assert told == (2, True), (command, refused.stderr)
    assert held.read_text() == "file,expected_emotion\n"
    both = called("evaluate", "--data", folder, "--json", tmp_path / "e", "--out", tmp_path / "e")
    assert (both.returncode, "named for two results" in both.stderr) == (2, True)
    for rows in ("", "60.png\n60.png\n"):
        held.write_text(f"image_path\n{rows}")
        refused = called("submit", "--data", folder, "--out", tmp_path / "s.csv", "--sample", held)
        assert (refused.returncode, "names no picture" in refused.stderr) == (2, True)


def test_what_a_label_means_is_checked_before_it_is_kept(folder: Path, tmp_path: Path) -> None:
    for said, why in {
        "joy=happy": "no picture has this label. There are: angry, happy",
        "angry=anger_": "this is no label that is known here",
    }.items():
        refused = called("data", "report", folder, "--out", tmp_path / "report", "--label", said)
        assert (refused.returncode, why in refused.stderr) == (2, True), refused.stderr
    told = called("data", "report", folder, "--out", tmp_path / "report", "--label", "angry=")
    assert told.returncode == 0, told.stderr


def test_pictures_that_are_not_there_or_have_no_label_are_told(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_text("image_path,emotion\nimages/a.png,happy\n")
    refused = called("data", "split", tmp_path / "l.csv", "--out", tmp_path / "out")
    assert (refused.returncode, "Check the paths" in refused.stderr) == (2, True)
    flat = make_class_folders(tmp_path / "flat", {"": 3})
    refused = called("data", "crop", flat, "--out", tmp_path / "f.zip")
    assert (refused.returncode, "has a label" in refused.stderr) == (2, True)
    assert not (tmp_path / "f.zip").exists()


def test_report_and_split_write_their_files(folder: Path, tmp_path: Path) -> None:
    reported = called("data", "report", folder, "--out", tmp_path / "report")
    assert reported.returncode == 0, reported.stderr
    counts = json.loads((tmp_path / "report" / "report.json").read_text())
    assert counts["classes"] == {"anger": {"train": 12}, "happy": {"train": 12}}
    assert counts["splits"] == {"train": 24, "test": 3}
    assert (tmp_path / "report" / "report.html").read_text().startswith("<!doctype html>")
    split = called("data", "split", folder, "--out", tmp_path / "split", "--rule", "seed-000",
                 "--share", "0.25", "--folds", "3")  # fmt: skip
    assert split.returncode == 0, split.stderr
    assert len(pd.read_csv(tmp_path / "split" / "val.csv")) == 6
    assert set(pd.read_csv(tmp_path / "split" / "folds.csv")["fold"]) == {0, 1, 2}
    assert [Path(line).name for line in split.stdout.split()] == ["train.csv", "val.csv",
                                                                   "folds.csv"]  # fmt: skip


def test_what_is_not_measured_or_cannot_be_is_said(folder: Path, tmp_path: Path) -> None:
    rows = [f"train/angry/{n}.png,angry" for n in range(12)] + [f"no/{n}.png,happy" for n in (1, 2)]
    (folder / "some.csv").write_text("\n".join(["image;emotion", *rows]).replace(",", ";"))
    told = called(
        "evaluate", "--data", folder / "some.csv", "--json", tmp_path / "some.json"
    ).stdout
    assert "not measured: unreadable 2" in told
    assert json.loads((tmp_path / "some.json").read_text())["removed"] == {"unreadable": 2}
    (folder / "none.csv").write_text("image,emotion\nno/1.png,happy\n")
    for command in (
        ("evaluate", "--data", folder / "none.csv"),
        ("evaluate", "--data", folder, "--split", "dev"),
        ("evaluate", "--data", folder, "--json", folder),
        ("data", "index", folder, "--votes", "missing.csv"),
        ("data", "split", folder / "test", "--out", tmp_path / "split"),
    ):
        refused = called(*command)
        assert refused.returncode == 2, command
        assert len(refused.stderr.strip().splitlines()) == 1, refused.stderr
    (folder / "test" / "1.png").write_bytes(b"")
    refused = called("submit", "--data", folder, "--out", tmp_path / "all.csv")
    assert "test/1.png cannot be read" in refused.stderr
    assert not (tmp_path / "all.csv").exists()


def test_what_labels_mean_is_remembered_and_a_rare_one_is_cut_out(tmp_path: Path) -> None:
    folder = make_class_folders(tmp_path / "set", {"ire": 3, "happy": 3, "fear": 1})
    called("data", "report", folder, "--out", tmp_path / "report", "--label", "ire=anger")
    called("data", "crop", folder, "--out", tmp_path / "faces.zip")
    with zipfile.ZipFile(tmp_path / "faces.zip") as archive:
        held = {name.split("/")[1] for name in archive.namelist() if name.startswith("faces/")}
    assert held == {"anger", "happy", "fear"}


def test_cutting_faces_out_leaves_stderr_to_itself(tmp_path: Path) -> None:
    folder = make_class_folders(tmp_path / "set", {"sad": 2, "happy": 2}, side=300)
    cut = mien("data", "crop", folder, "--out", tmp_path / "faces.zip")
    assert (cut.returncode, cut.stderr) == (0, "")
    assert "4 pictures skipped" in cut.stdout


def test_what_is_written_at_the_end_is_tried_before_long_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(*_: object, **__: object) -> None:
        raise AssertionError("the work has begun")

    for work in (
        *("data.judge_labels", "data.crop_dataset", "evaluate.submission"),
        *("evaluate.evaluate_on", "benchmark.run_benchmark"),
    ):
        monkeypatch.setattr(f"emotion_core.cli.{work}", late)
    folder = make_class_folders(tmp_path / "set", {"sad": 2, "happy": 2})
    for command in (
        ("data", "noise", folder),
        ("data", "crop", folder),
        ("submit", "--data", folder),
        ("evaluate", "--data", folder),
        ("evaluate", "--data", folder, "--benchmark", "photos"),
    ):
        refused = called(*command, "--out", folder)
        assert (refused.returncode, "is a folder" in refused.stderr) == (2, True), command


@pytest.mark.parametrize("source", ["~nobody-of-this-name/x", "x" * 300])
def test_a_source_that_cannot_be_looked_for_is_refused(source: str) -> None:
    refused = called("data", "index", source)
    assert (refused.returncode, len(complaints(refused))) == (2, 1), refused.stderr


def test_names_beyond_the_terminal_stop_nothing(tmp_path: Path) -> None:
    out = tmp_path / "\u65e5\u672c"
    done = mien(
        "data", "drawn", "--out", out, "--n", 10, environment={"PYTHONIOENCODING": "cp1252"}
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "\\u65e5" in done.stdout
    again = called("data", "drawn", "--out", next(out.rglob("*.png")), "--n", 10)
    assert (again.returncode, len(complaints(again))) == (2, 1)


def test_what_is_no_answer_is_refused_before_pictures_are_measured(tmp_path: Path) -> None:
    refused = called("data", "clean", tmp_path / "none", "--out", tmp_path / "out", "--label", "=")
    assert (refused.returncode, "NAME=MEANING" in refused.stderr) == (2, True)


def test_unknown_labels_are_named_and_answered(tmp_path: Path) -> None:
    folder = make_class_folders(tmp_path / "set", {"joyful": 6, "sad": 6})
    refused = called("data", "clean", folder, "--out", tmp_path / "out")
    assert refused.returncode == 2
    assert len(complaints(refused)) == 1
    assert "joyful" in complaints(refused)[0]
    assert not (tmp_path / "out").exists()
    wrong = called("data", "clean", folder, "--out", tmp_path / "out", "--label", "joyful")
    assert (wrong.returncode, "NAME=MEANING" in wrong.stderr) == (2, True)
    done = called("data", "clean", folder, "--out", tmp_path / "out", "--label", "joyful=happy")
    assert done.returncode == 0, done.stderr
    assert set(pd.read_csv(tmp_path / "out" / "cleaned.csv")["emotion"]) == {"happy", "sad"}
    again = called("data", "clean", folder, "--out", tmp_path / "out")
    assert again.returncode == 0, "what was answered holds"
    # by what a label means, as messages name it
    none = called("data", "clean", folder, "--out", tmp_path / "none", "--label", "happy=")
    assert none.returncode == 0, none.stderr
    assert set(pd.read_csv(tmp_path / "none" / "cleaned.csv")["emotion"]) == {"sad"}


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("report", "gone", "--out", "x"), "cannot be opened"),
        (("clean", "set", "--out", "x", "--recipe", "gone.yaml"), "gone.yaml"),
        (("split", "set", "--out", "x", "--rule", "mine"), "no split rule"),
        (("index", "set", "--kind", "sql"), "no kind of data set"),
        (("fetch", "other"), "no Kaggle data set"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    folder: Path, arguments: tuple[str, ...], word: str
) -> None:
    paths = {"set": folder, "gone": folder / "gone", "x": folder.parent / "x"}
    result = called("data", *(paths.get(one, one) for one in arguments))
    assert result.returncode == 2
    assert word in complaints(result)[-1]
    assert not (folder.parent / "x").exists()


class Refused(Exception):
    """What kagglehub raises when Kaggle refuses."""


def kagglehub(answer: str | Exception) -> ModuleType:
    """The package as if Kaggle had answered so; the network is outside."""

    def download(handle: str) -> str:
        assert handle == DATASETS["skillbox"]
        if isinstance(answer, Exception):
            raise answer
        return answer

    hub = ModuleType("kagglehub")
    hub.competition_download = download
    hub.exceptions = SimpleNamespace(KaggleApiHTTPError=Refused)
    return hub


def test_kaggle_gives_a_folder_or_the_steps_by_hand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kaggle, "find_spec", lambda name: None)
    with pytest.raises(
        InputError,
        match=r"requirements-kaggle\.txt.*by hand from https://www.kaggle.com/competitions/skillbox",
    ):
        fetch_dataset("skillbox")
    monkeypatch.setattr(kaggle, "find_spec", lambda name: name)
    monkeypatch.setitem(sys.modules, "kagglehub", kagglehub(str(tmp_path)))
    assert fetch_dataset("skillbox") == tmp_path
    for error in (ConnectionError("no route"), ValueError("no token"), Refused("403\n\nmore")):
        monkeypatch.setitem(sys.modules, "kagglehub", kagglehub(error))
        with pytest.raises(InputError, match=r"Kaggle gave nothing: .*the rules on https"):
            fetch_dataset("skillbox")
