"""`train`, `resume`, `compare`, `promote`, `evaluate`, `submit`, `models weights`, as commands."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
import yaml

from emotion_core.datasets.fer2013 import save_arrays
from emotion_core.jobs import owner_hash
from emotion_core.runs import list_runs
from emotion_core.workbench.store import COMMAND_LINE
from tests.builders import make_voted_faces, tiny, write_faces
from tests.steps import JAX, ROOT, called, complaints, mien, obey_signals, until


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Sixty labelled faces that a network can tell apart, and six without a label."""
    return write_faces(tmp_path / "set", unlabelled=6)


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(tiny(epochs=6, name="mine")))
    return path


def test_from_a_folder_to_a_submission(folder: Path, recipe: Path, tmp_path: Path) -> None:
    trained = mien("train", recipe, "--data", folder, "--set", "stages.0.epochs=8")
    assert trained.returncode == 0, trained.stderr
    lines = trained.stdout.splitlines()
    run = re.match(r"run ([0-9a-f]{16}): mine", lines[0])
    assert run
    assert sum(line.startswith("epoch ") for line in lines) == 8
    assert lines[-2].startswith("validation, n ")
    assert "images_per_s" in lines[3]

    compared = called("compare", "--out", tmp_path / "runs.csv")
    assert compared.returncode == 0, compared.stderr
    table = pd.read_csv(tmp_path / "runs.csv")
    assert table["run"].tolist() == [run[1]]
    assert table["val_accuracy"].iloc[0] > 0.8

    promoted = called("promote", run[1], "--id", "first")
    assert promoted.returncode == 0, promoted.stderr
    assert "first" in called("models", "list").stdout
    assert called("models", "verify", "first").stdout.strip() == "first: as its card says"

    # the other forms are looked at in tests/training/test_zoo.py and on the page
    for form, name in {"litert-int8": "m.tflite", "keras": "m.keras"}.items():
        exported = called("export", run[1], "--format", form, "--out", tmp_path / name)
        assert exported.returncode == 0, exported.stderr
        assert (tmp_path / name).exists()
        assert ("validation faces right" in exported.stdout) is (form == "litert-int8")
    twice = called("export", run[1], "--format", "keras", "--out", tmp_path / "m.keras")
    assert (twice.returncode, "there already" in twice.stderr) == (2, True)
    unknown = called("export", run[1], "--format", "caffe", "--out", tmp_path / "x")
    assert (unknown.returncode, "no form 'caffe'" in unknown.stderr) == (2, True)

    evaluated = called("evaluate", "--data", folder, "--model", "first", "--split", "val",
                     "--json", tmp_path / "e.json", "--out", tmp_path / "e.csv")  # fmt: skip
    assert evaluated.returncode == 0, evaluated.stderr
    figures = json.loads((tmp_path / "e.json").read_text())
    assert figures["plain"]["accuracy"] == pytest.approx(table["val_accuracy"].iloc[0], abs=0.01)
    assert figures["plain"]["n"] == np.sum(figures["confusion"])
    assert len(pd.read_csv(tmp_path / "e.csv")) == figures["plain"]["n"]
    assert "kappa" in evaluated.stdout

    out = tmp_path / "submission.csv"
    submitted = called("submit", "--data", folder, "--model", "first", "--out", out)
    assert submitted.returncode == 0, submitted.stderr
    content = out.read_bytes()
    assert content.startswith(b"image_path,emotion\r\n60.png,")
    assert content.count(b"\r\n") == 7
    sample = tmp_path / "sample.csv"
    sample.write_text("image_path,emotion\r\n65.png,neutral\r\n60.png,neutral\r\n")
    again = called("submit", "--data", folder, "--model", "first", "--out", out, "--sample", sample)
    assert again.returncode == 0, again.stderr
    assert pd.read_csv(out)["image_path"].tolist() == ["65.png", "60.png"]


def test_a_committee_is_measured_with_its_members(folder: Path, tmp_path: Path) -> None:
    told = called("evaluate", "--data", folder, "--model", "vgg-xs", "--model", "se-resnet-s",
                "--vote", "hard", "--json", tmp_path / "e.json")  # fmt: skip
    assert told.returncode == 0, told.stderr
    held = json.loads((tmp_path / "e.json").read_text())
    assert held["model"] == "hard(vgg-xs,se-resnet-s)"
    assert set(held["members"]) == {"vgg-xs", "se-resnet-s"}
    assert held["plain"]["n"] == 60


def test_weights_of_a_committee_are_fitted_where_it_is_not_measured(
    folder: Path, tmp_path: Path
) -> None:
    options = ("evaluate", "--data", folder, "--model", "vgg-xs", "--model", "se-resnet-s")
    refused = called(*options, "--fit-weights", "val")
    assert (refused.returncode, "cannot be judged on all" in refused.stderr) == (2, True)
    told = called(
        *options, "--split", "train", "--fit-weights", "val", "--json", tmp_path / "e.json"
    )
    assert told.returncode == 0, told.stderr
    held = json.loads((tmp_path / "e.json").read_text())
    assert sum(held["weights"].values()) == pytest.approx(1, abs=1e-3)
    best = max(held["members"].values())
    assert held["gain"] == pytest.approx(held["plain"]["accuracy"] - best, abs=1e-4)
    assert set(held["latency_ms"]) == {"vgg-xs", "se-resnet-s"}
    assert "the committee gains" in told.stdout
    given = ",".join(str(weight) for weight in held["weights"].values())
    again = called(*options, "--split", "train", "--weights", given, "--json", tmp_path / "f.json")
    assert again.returncode == 0, again.stderr
    assert json.loads((tmp_path / "f.json").read_text())["plain"] == held["plain"]
    for weights, word in [
        ("1", "do not fit"),
        ("a,b", "are no weights"),
        ("-1,2", "do not fit"),
        ("nan,1", "do not fit"),
    ]:
        wrong = called(*options, "--weights", weights)
        assert (wrong.returncode, word in wrong.stderr) == (2, True), wrong.stderr


def test_an_interrupted_training_is_resumed(folder: Path, recipe: Path) -> None:
    command = [sys.executable, "-m", "emotion_core", "train", str(recipe), "--data", str(folder),
               "--set", "stages.0.epochs=12", "--set", "batch=2"]  # fmt: skip
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ, preexec_fn=obey_signals,
    ) as running:  # fmt: skip
        assert running.stdout is not None
        assert running.stderr is not None
        run = re.search(r"[0-9a-f]{16}", running.stdout.readline())
        assert run
        while not (line := running.stdout.readline()).startswith("epoch 2 "):
            assert line, running.stderr.read()
        time.sleep(0.2)
        running.send_signal(signal.SIGINT)
        said = running.stderr.read()
        assert running.wait(timeout=30) == 130
    assert f"resume {run[0]}" in said
    resumed = called("resume", run[0])
    assert resumed.returncode == 0, resumed.stderr
    epochs = re.findall(r"^epoch (\d+) ", resumed.stdout, re.M)
    assert epochs[-1] == "12"
    assert int(epochs[0]) >= 3


@pytest.mark.parametrize("is_published", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_what_jax_trained_is_written_by_tensorflow(
    folder: Path, tmp_path: Path, *, is_published: bool
) -> None:
    small = tiny(epochs=2, name="mine")
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(small))
    options: tuple[object, ...] = ("--data", folder)
    if is_published:
        save_arrays(make_voted_faces(120), tmp_path / "faces.npz")
        options = ("--ferplus", "--data", tmp_path / "faces.npz", "--out", tmp_path / "models")
    done = mien("train", tmp_path / "mine.yaml", *options, environment=JAX)
    assert done.returncode == 0, done.stderr[-800:]
    lines = done.stdout.splitlines()
    assert sum(line.startswith("epoch ") for line in lines) == 2, "it was trained twice"
    made = Path(lines[-1])
    assert {"model.tflite", "model.keras", "card.json"} <= {path.name for path in made.iterdir()}


def test_other_commands_run_on_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    called("train", "no-such-recipe")
    assert os.environ["KERAS_BACKEND"] == "jax"
    called("compare")
    assert os.environ["KERAS_BACKEND"] == "tensorflow"


def test_a_sweep_is_ranked_and_goes_on_where_it_was(
    folder: Path, recipe: Path, tmp_path: Path
) -> None:
    command = ("sweep", recipe, "--data", folder, "--vary", "batch=8,16", "--seeds", "1",
               "--set", "stages.0.epochs=1", "--out", tmp_path / "s.csv")  # fmt: skip
    first = called(*command)
    assert first.returncode == 0, first.stderr
    assert len(re.findall(r"^run [0-9a-f]{16}: ", first.stdout, re.M)) == 2
    table = pd.read_csv(tmp_path / "s.csv")
    assert table["rank"].tolist() == [1, 2]
    assert set(table["name"]) == {"batch=8, seed=1", "batch=16, seed=1"}
    assert table["val_accuracy"].is_monotonic_decreasing
    again = called(*command)
    assert again.returncode == 0, again.stderr
    assert "epoch 1" not in again.stdout, "what was finished was trained again"
    assert pd.read_csv(tmp_path / "s.csv")["run"].tolist() == table["run"].tolist()
    other = tmp_path / "other.yaml"
    other.write_text(yaml.safe_dump(tiny(epochs=1, name="other", title="The other one")))
    two = called("sweep", recipe, other, "--data", folder, "--set", "stages.0.epochs=1",
               "--out", tmp_path / "two.csv")  # fmt: skip
    assert two.returncode == 0, two.stderr
    assert "The other one" in pd.read_csv(tmp_path / "two.csv")["name"].tolist()
    refused = called("sweep", recipe, "--data", folder, "--vary", "batch")
    assert (refused.returncode, "varies nothing" in refused.stderr) == (2, True)


@pytest.mark.slow
def test_a_sweep_on_ray_outlives_a_lost_worker(folder: Path, recipe: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "emotion_core", "sweep", recipe, "--data", folder,
               "--seeds", "0,1", "--set", "stages.0.epochs=30", "--set", "batch=2",
               "--ray", "local", "--out", tmp_path / "s.csv"]  # fmt: skip
    with subprocess.Popen(
        [str(part) for part in command], cwd=ROOT, env=os.environ, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as running:  # fmt: skip
        victim = worker_that_trains(running)
        victim.kill()
        before = {run.id: run.history for run in list_runs(owner_hash(COMMAND_LINE))}
        told, complaints_told = running.communicate(timeout=240)
        assert running.returncode == 0, complaints_told
    assert len(re.findall(r"^run [0-9a-f]{16}: ", told, re.M)) == 2
    assert pd.read_csv(tmp_path / "s.csv")["epochs"].tolist() == [30, 30]
    for run in list_runs(owner_hash(COMMAND_LINE)):
        assert [row["epoch"] for row in run.history] == list(range(1, 31))
        kept = len(before[run.id])
        assert run.history[:kept] == before[run.id], "trained anew: even the seconds are the same"
    assert max(len(history) for history in before.values()) >= 3


def worker_that_trains(driver: subprocess.Popen[str]) -> psutil.Process:
    """The process of the cluster that has finished some epochs of a training."""

    def has_begun() -> bool:
        assert driver.poll() is None
        return any(len(run.history) >= 3 for run in list_runs(owner_hash(COMMAND_LINE)))

    until(has_begun)
    below = psutil.Process(driver.pid).children(recursive=True)
    return next(one for one in below if one.name().startswith("ray::_train"))


def test_without_a_cluster_it_says_so(folder: Path, recipe: Path) -> None:
    told = called("sweep", recipe, "--data", folder, "--seeds", "0,1", "--ray", "127.0.0.1:9")
    assert told.returncode == 2
    assert "No Ray answers at 127.0.0.1:9" in told.stderr
    assert len(complaints(told)) == 1


def test_a_backend_that_is_not_here_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "foo")
    told = called("train", "quick", "--data", folder)
    assert told.returncode == 2
    assert "KERAS_BACKEND is 'foo', on which nothing is trained here" in told.stderr


def test_a_survey_ranks_backbones_and_names_what_fails(folder: Path, tmp_path: Path) -> None:
    told = called("survey", "VGG16", "compact_vgg", "NoSuchNet", "--data", folder,
                "--set", "weights=none", "--set", "crop.side_px=32", "--head-epochs", "1",
                "--tune-epochs", "1", "--unfreeze", "2", "--out", tmp_path / "s.csv",
                "--submissions", tmp_path / "said")  # fmt: skip
    assert told.returncode == 0, told.stderr
    assert "NoSuchNet" in told.stderr
    table = pd.read_csv(tmp_path / "s.csv")
    assert set(table["name"]) == {"VGG16", "compact_vgg"}
    assert table["ms_per_face"].gt(0).all()
    assert table["fits_40_ms"].notna().all()
    assert table["epochs"].tolist() == [2, 2]
    said = sorted(path.name for path in (tmp_path / "said").iterdir())
    assert said == [f"{rank}-{name}.csv" for rank, name in enumerate(table["name"], start=1)]
    for name in said:
        answers = pd.read_csv(tmp_path / "said" / name)
        assert answers["image_path"].tolist() == [f"{number}.png" for number in range(60, 66)]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["train", "quick"], "--data SOURCE"),
        (["train", "nothing"], "No recipe 'nothing'"),
        (["train", "quick", "--data", "SET", "--set", "batch"], "changes no setting"),
        (["train", "quick", "--data", "SET", "--set", "stages.7.epochs=1"], "changes no setting"),
        (["train", "quick", "--data", "SET", "--set", "batch=none"], "batch is 'none'"),
        (["train", "seed-003-convnext", "--data", "SET"], "models weights ConvNeXtXLarge"),
        (["train", "vgg-s", "--ferplus", "--fer2013"], "label the same faces in two ways"),
        (
            ["train", "vgg-s", "--ferplus", "--set", "crop.side_px=64"],
            "the recipe vgg-s wants others",
        ),
        (
            ["train", "vgg-s", "--ferplus", "--set", "leave_out=[fear]", "--set", "split=seed-004"],
            "asks for others (split, leave_out)",
        ),
        (["train", "vgg-s", "--ferplus", "--name", "mine"], "--name has no meaning for --ferplus"),
        (
            ["train", "quick", "--data", "SET", "--out", "OUT"],
            "--out has no meaning for a data set",
        ),
        (["evaluate", "--data", "SET", "--keep"], "--keep has no meaning for a data set"),
        (
            ["evaluate", "--data", "SET", "--benchmark", "film", "--fit-weights", "val"],
            "--fit-weights has no meaning for a benchmark",
        ),
        (["resume", "0123456789abcdef"], "no such training"),
        (["promote", "nothing"], "no such training"),
        (["evaluate", "--data", "SET", "--split", "test"], "no labelled picture"),
        (["evaluate", "--data", "SET", "--model", "none"], "no model 'none'"),
        (["submit", "--data", "SET/train", "--out", "OUT"], "nothing to submit"),
        (["submit", "--data", "SET", "--out", "OUT", "--sample", "none.csv"], "cannot be opened"),
        (["models", "weights", "quick"], "No weights are published"),
        (["models", "weights", "survey-efficientnetb0", "--from", "none"], "is not at none"),
        (["models", "weights", "seed-000-bit", "--from", "none"], "is not at none"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    arguments: list[str], word: str, folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.csv"
    told = called(*[one.replace("SET", str(folder)).replace("OUT", str(out)) for one in arguments])
    assert told.returncode == 2, told.stdout
    assert len(complaints(told)) == 1
    assert word in complaints(told)[0]
    assert not out.exists()


def test_weights_are_brought_by_hand(tmp_path: Path) -> None:
    (tmp_path / "BiT-M-R50x1.npz").write_bytes(b"weights")
    placed = called("models", "weights", "seed-000-bit", "--from", tmp_path)
    assert placed.returncode == 0, placed.stderr
    assert Path(placed.stdout.strip()).read_bytes() == b"weights"
    (tmp_path / "efficientnetb1_notop.h5").write_bytes(b"not these")
    refused = called("models", "weights", "seed-002-best", "--from", tmp_path)
    assert refused.returncode == 2
    assert "checksum differs" in complaints(refused)[0]
