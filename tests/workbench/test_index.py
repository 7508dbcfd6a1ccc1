"""Measuring: every picture once, whatever stops it or comes between."""

import multiprocessing
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from filelock import FileLock

from emotion_core.datasets.fer2013 import save_arrays
from emotion_core.datasets.measures import INDEX_COLUMNS
from emotion_core.datasets.sources import SourceSpec
from emotion_core.errors import EmotionError, InputError, JobCancelled, StorageError
from emotion_core.workbench.index import build_index, load_index
from emotion_core.workbench.store import (
    Dataset,
    new_dataset,
)
from tests.builders import encode, make_class_folders, make_picture, make_voted_faces
from tests.steps import until

ROOT = Path(__file__).resolve().parent.parent.parent


def test_every_picture_is_measured_once(dataset: Dataset, folder: Path) -> None:
    (folder / "sad" / "broken.png").write_bytes(b"no picture")
    told: list[tuple[int, int]] = []
    assert build_index(dataset, with_faces=False, on_progress=lambda *now: told.append(now)) == 25
    assert told[-1] == (25, 25)
    index = load_index(dataset)
    assert set(INDEX_COLUMNS) <= set(index.columns)
    assert list(index["path"]) == sorted(index["path"])
    broken = index.set_index("path").loc["sad/broken.png"]
    assert not broken["is_readable"]
    assert "not a picture" in broken["error"]
    assert build_index(dataset, with_faces=False) == 0
    assert load_index(dataset).equals(index)


def test_a_damaged_index_is_measured_again(measured: Dataset) -> None:
    path = measured.folder / "index.parquet"
    whole = load_index(measured)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(StorageError, match="Measure the data set again"):
        load_index(measured)
    assert build_index(measured, with_faces=False) == len(whole)
    assert load_index(measured).equals(whole)


def test_a_change_costs_only_itself(measured: Dataset, folder: Path) -> None:
    before = load_index(measured).set_index("path")
    (folder / "happy" / "0.png").write_bytes(encode(make_picture(50, 50, seed=99), "PNG"))
    (folder / "happy" / "1.png").unlink()
    (folder / "sad" / "new.png").write_bytes(encode(make_picture(seed=98), "PNG"))
    (folder / "happy" / "2.png").rename(folder / "sad" / "moved.png")
    assert build_index(measured, with_faces=False) == 3
    after = load_index(measured).set_index("path")
    assert after.loc["happy/0.png", "width"] == 50
    assert after.loc["sad/moved.png", "raw_label"] == "sad"
    assert {"happy/1.png", "happy/2.png"} == set(before.index) - set(after.index)
    (folder / "sad" / "new.png").unlink()
    assert build_index(measured, with_faces=False) == 0
    assert "sad/new.png" not in set(load_index(measured)["path"])


def test_hashes_stay_whole_beside_pictures_that_cannot_be_read(
    measured: Dataset, folder: Path
) -> None:
    before = load_index(measured).set_index("path")["phash"]
    assert (before % 2**11 != 0).any(), "some need all of their 64 bits"
    (folder / "sad" / "broken.png").write_bytes(b"no picture")
    build_index(measured, with_faces=False)
    after = load_index(measured).set_index("path")["phash"]
    assert after.drop("sad/broken.png").equals(before)


def test_votes_that_are_no_longer_there_are_forgotten(tmp_path: Path) -> None:
    folder = make_class_folders(tmp_path / "set", {"happy": 1, "sad": 1})
    table = folder / "labels.csv"
    alone = "image,label\nhappy/0.png,happy\nsad/0.png,sad\n"
    table.write_text(alone + "happy/0.png,happy\nhappy/0.png,sad\n")
    dataset = new_dataset("set", SourceSpec(str(table)), owner="me")
    build_index(dataset, with_faces=False)
    assert "vote_happy" in load_index(dataset)
    table.write_text(alone)
    build_index(dataset, with_faces=False)
    assert not [name for name in load_index(dataset) if name.startswith("vote_")]


def test_what_could_not_be_read_is_tried_again(tmp_path: Path) -> None:
    folder = make_class_folders(tmp_path / "set", {"happy": 2, "sad": 2})
    (folder / "labels.csv").write_text("image,label\nhappy/0.png,happy\nlate.png,sad\n")
    dataset = new_dataset("set", SourceSpec(str(folder / "labels.csv")), owner="me")
    assert build_index(dataset, with_faces=False) == 2
    stamp = dataset.stamp("index")
    assert build_index(dataset, with_faces=False) == 0
    assert dataset.stamp("index") == stamp, "nothing has changed"
    (folder / "late.png").write_bytes(encode(make_picture(), "PNG"))
    assert build_index(dataset, with_faces=False) == 1
    assert load_index(dataset)["is_readable"].all()
    assert build_index(dataset, with_faces=False) == 0


def test_pictures_of_a_table_in_hidden_and_linked_folders_are_measured_when_they_change(
    tmp_path: Path,
) -> None:
    folder = make_class_folders(tmp_path / "set", {".hidden": 1, "seen": 1})
    (folder / "linked").symlink_to(folder / "seen")
    rows = ".hidden/0.png,happy\nlinked/0.png,sad\n"
    (folder / "labels.csv").write_text("image,label\n" + rows)
    dataset = new_dataset("set", SourceSpec(str(folder / "labels.csv")), owner="me")
    assert build_index(dataset, with_faces=False) == 2
    for name in (".hidden", "seen"):
        (folder / name / "0.png").write_bytes(encode(make_picture(50, 50, seed=99), "PNG"))
    assert build_index(dataset, with_faces=False) == 2
    assert load_index(dataset)["width"].tolist() == [50, 50]


def test_what_a_cancelled_run_measured_is_kept_though_a_picture_is_missing(
    tmp_path: Path,
) -> None:
    folder = make_class_folders(tmp_path / "set", {"happy": 2})
    rows = "happy/0.png,happy\nhappy/1.png,happy\nlate.png,sad\n"
    (folder / "labels.csv").write_text("image,label\n" + rows)
    dataset = new_dataset("set", SourceSpec(str(folder / "labels.csv")), owner="me")
    build_index(dataset, with_faces=False)

    def cancel(done: int, total: int) -> None:
        if done == total:
            raise JobCancelled

    with pytest.raises(JobCancelled):
        build_index(dataset, on_progress=cancel)
    build_index(dataset)
    index = load_index(dataset)
    assert index["is_readable"].tolist() == [True, True, False]
    assert (index["face_count"] >= 0).tolist() == [True, True, False]
    assert not (dataset.folder / "parts").exists()
    assert build_index(dataset) == 0
    assert not (dataset.folder / "parts").exists()


def test_two_who_measure_at_once_do_not_disturb_each_other(dataset: Dataset) -> None:
    waited: list[tuple[int, int]] = []
    with ThreadPoolExecutor() as pool, FileLock(dataset.folder / "index.lock"):
        second = pool.submit(
            build_index, dataset, with_faces=False, on_progress=lambda *now: waited.append(now)
        )
        until(lambda: waited)
        assert not dataset.has_index
        assert not second.done()
    assert second.result() == 24
    with FileLock(dataset.folder / "index.lock", timeout=0):
        assert dataset.has_index
    assert waited[0] == (0, 1)


def test_faces_in_a_table_that_was_replaced_are_measured_anew(tmp_path: Path) -> None:
    path = tmp_path / "faces.npz"
    save_arrays(make_voted_faces(12), path)
    dataset = new_dataset("faces", SourceSpec(str(path)), owner="me")
    assert build_index(dataset, with_faces=False) == 12
    before = load_index(dataset)["sha256"]
    assert build_index(dataset, with_faces=False) == 0
    faces = make_voted_faces(12)
    faces.images[:] = 255 - faces.images
    save_arrays(faces, path)
    os.utime(path, ns=(1, 1))
    assert build_index(dataset, with_faces=False) == 12
    assert (load_index(dataset)["sha256"] != before).all()


def test_faces_are_searched_when_asked(tmp_path: Path, portrait: np.ndarray) -> None:
    folder = make_class_folders(tmp_path / "set", {"happy": 1, "sad": 1})
    (folder / "happy" / "face.png").write_bytes(encode(portrait, "PNG"))
    dataset = new_dataset("set", SourceSpec(str(folder)), owner="me")
    build_index(dataset, with_faces=False)
    assert (load_index(dataset)["face_count"] == -1).all()
    assert build_index(dataset) == 3
    index = load_index(dataset).set_index("path")
    assert index["face_count"].to_dict() == {
        "happy/0.png": 0, "happy/face.png": 1, "sad/0.png": 0,
    }  # fmt: skip
    assert index.loc["happy/face.png", "face_size_px"] > 80
    assert build_index(dataset, with_faces=False) == 0


def test_a_cancelled_index_goes_on_where_it_was(dataset: Dataset, folder: Path) -> None:
    make_class_folders(folder, {"fear": 600}, side=8)

    def cancel(done: int, total: int) -> None:
        if 500 < done < total:
            raise JobCancelled

    with pytest.raises(JobCancelled):
        build_index(dataset, with_faces=False, on_progress=cancel)
    with pytest.raises(InputError, match="not been measured"):
        load_index(dataset)
    assert 0 < build_index(dataset, with_faces=False) < 200
    assert len(load_index(dataset)) == 624
    assert not (dataset.folder / "parts").exists()


def test_a_killed_index_goes_on_where_it_was(
    dataset: Dataset, folder: Path, work_home: Path
) -> None:
    make_class_folders(folder, {"fear": 3000}, side=8)
    code = (
        "import sys; from emotion_core.workbench import index, store; index._PART_ROWS = 256;"
        "index.build_index(store.load_dataset(sys.argv[1]), with_faces=False,"
        "on_progress=lambda done, total: print(done, flush=True))"
    )
    command = [sys.executable, "-c", code, dataset.id]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        while int(worker.stdout.readline()) < 1000:
            pass
        os.kill(worker.pid, signal.SIGKILL)
    left = build_index(dataset, with_faces=False)
    assert 0 < left <= 3024 - 768
    assert len(load_index(dataset)) == 3024


def test_what_is_measured_is_kept_when_a_measuring_process_is_killed(
    dataset: Dataset, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_class_folders(folder, {"fear": 600}, side=8)
    monkeypatch.setattr("emotion_core.workbench.index._PROCESSES_FROM", 1)

    def kill_one(done: int, total: int) -> None:
        for process in multiprocessing.active_children()[:1]:
            process.kill()

    with pytest.raises(EmotionError, match=r"set was ended from outside.*start again"):
        build_index(dataset, with_faces=False, on_progress=kill_one, workers=2)
    assert not dataset.has_index
    assert 0 < build_index(dataset, with_faces=False) < 624
    assert len(load_index(dataset)) == 624


def test_a_full_disk_keeps_the_index(measured: Dataset, folder: Path, monkeypatch) -> None:
    before = load_index(measured)
    (folder / "sad" / "new.png").write_bytes(encode(make_picture(seed=98), "PNG"))

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(pd.DataFrame, "to_parquet", full)
        with pytest.raises(StorageError, match="disk is full"):
            build_index(measured, with_faces=False)
    assert load_index(measured).equals(before)
