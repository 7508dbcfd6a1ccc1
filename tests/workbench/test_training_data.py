"""A data set as a training takes it: faces, targets, and the room they take."""

import errno
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from emotion_core.affect import ANCHOR_DISC, ANCHORS, ray_label
from emotion_core.datasets.cleaning import SplitChoice
from emotion_core.datasets.decisions import RELABEL, Decision
from emotion_core.datasets.sources import SourceSpec
from emotion_core.errors import BadTable, StorageError, TrainingError
from emotion_core.training.examples import Rows
from emotion_core.training.recipe import Recipe, parse_recipe
from emotion_core.training.recipes import changed_recipe
from emotion_core.workbench.index import build_index
from emotion_core.workbench.store import Dataset, new_dataset
from emotion_core.workbench.training_data import (
    crop_rule,
    prepare_data,
    training_rows,
)
from tests.builders import make_class_folders, make_voted_faces, tiny

TINY: Recipe = parse_recipe(tiny(epochs=2))


@pytest.fixture
def dataset(learnable: Dataset) -> Dataset:
    return learnable


def test_a_data_set_becomes_examples(dataset: Dataset) -> None:
    told: list[tuple[int, int]] = []
    data = prepare_data(dataset, TINY, on_progress=lambda *now: told.append(now))
    assert data.labels == ("happy", "neutral")
    assert told[-1] == (60, 60)
    assert (len(data.train) + len(data.val), data.test) == (60, None)
    assert data.train.images.shape[1:] == (48, 48, 1)
    assert all(name.startswith(("happy/", "neutral/")) for name in data.val.names)
    truth = [data.labels[one] for one in data.val.truth]
    assert truth == [name.split("/")[0] for name in data.val.names]
    told.clear()
    same = prepare_data(dataset, TINY, on_progress=lambda *now: told.append(now))
    assert told == [], "the faces were cut out anew"
    assert same.content_hash == data.content_hash
    assert np.array_equal(np.asarray(same.train.images), np.asarray(data.train.images))
    assert isinstance(same.train.images, Rows), "they stay on the disk"


def test_decisions_and_recipe_decide_what_is_trained_on(dataset: Dataset) -> None:
    path = training_rows(dataset, TINY)["path"].iloc[0]
    before = prepare_data(dataset, TINY).content_hash
    dataset.decisions.add([Decision(path, RELABEL, reason="seen", label="sad", at_s=1.0)])
    with pytest.raises(BadTable, match="has one picture"):
        prepare_data(dataset, TINY)
    without = prepare_data(dataset, replace(TINY, leave_out=("sad",)))
    assert without.labels == ("happy", "neutral")
    assert without.content_hash != before
    with pytest.raises(TrainingError, match="No labelled picture of set is left"):
        training_rows(dataset, replace(TINY, leave_out=("sad", "happy", "neutral")))


def test_votes_become_distributions(tmp_path: Path) -> None:
    from emotion_core.datasets.fer2013 import save_arrays

    faces = make_voted_faces(40)
    split, single = np.flatnonzero(faces.usage == 0)[:2]
    for row, counts in ((split, (6, 4)), (single, (9, 1))):
        faces.votes[row] = 0
        faces.votes[row, :2] = counts if faces.votes[row - 1, 0] else counts[::-1]
    save_arrays(faces, tmp_path / "faces.npz")
    made = new_dataset("votes", SourceSpec(str(tmp_path / "faces.npz"), by_votes=True), owner="me")
    build_index(made, with_faces=False)
    made.save_recipe(replace(made.recipe(), split=SplitChoice("given")))
    soft = prepare_data(made, TINY)
    hard = prepare_data(made, changed_recipe(TINY, ["loss.soft_votes=false"]))
    assert set(np.unique(hard.train.targets)) == {0, 1}
    assert soft.train.targets.sum(axis=1) == pytest.approx(np.ones(len(soft.train)))
    assert np.array_equal(soft.train.truth, hard.train.truth)


def test_votes_mean_what_the_recipe_says_of_their_words(tmp_path: Path) -> None:
    folder = make_class_folders(tmp_path / "set", {"images": 12})
    split = ["val" if n % 4 == 3 else "train" for n in range(12)]
    told = [(n, word) for n in range(12) for word in ["sad"] * 3 + ["joy"] * (5 if n < 6 else 2)]
    rows = [f"images/{n}.png,{word},{split[n]}" for n, word in told]
    (folder / "labels.csv").write_text("\n".join(["image,label,split", *rows, ""]))
    made = new_dataset("votes", SourceSpec(str(folder)), owner="me")
    build_index(made, with_faces=False)
    made.save_recipe(replace(made.recipe(), labels={"joy": "happy"}, split=SplitChoice("given")))
    data = prepare_data(made, TINY)
    assert data.labels == ("happy", "sad")
    shares = np.unique(data.train.targets, axis=0)
    assert shares == pytest.approx(np.array([[0.4, 0.6], [0.625, 0.375]]))


def test_faces_that_others_make_room_for_are_cut_out_anew(dataset: Dataset) -> None:
    prepare_data(dataset, TINY)
    (kept,) = (dataset.folder / "faces").glob("*.npy")
    kept.unlink()
    assert len(prepare_data(dataset, TINY).train)
    for n, name in enumerate(["a.npy", "b.npy", ".c.npy", ".d.npy"]):
        other = kept.with_name(name)
        other.touch()
        if n != 2:  # still being written
            os.utime(other, (n + 1, n + 1))
    prepare_data(dataset, TINY)
    assert {one.name for one in kept.parent.iterdir()} == {kept.name, "b.npy", ".c.npy"}


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="nothing reserves room here")
def test_faces_take_their_room_before_they_are_cut(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(StorageError, match="disk is full"):
        prepare_data(dataset, TINY)
    assert not list((dataset.folder / "faces").iterdir())


def test_what_a_killed_process_was_writing_goes(dataset: Dataset) -> None:
    prepare_data(dataset, TINY)
    (kept,) = (dataset.folder / "faces").glob("*.npy")
    old, new = kept.with_name(".0a.npy"), kept.with_name(".0b.npy")
    for half in (old, new):
        half.write_bytes(b"half")
    os.utime(old, (1e9, 1e9))
    prepare_data(dataset, TINY)
    assert (kept.exists(), old.exists(), new.exists()) == (True, False, True)


def test_affect_targets_are_seeded_and_read_back(dataset: Dataset) -> None:
    rays = changed_recipe(TINY, ["outputs=[affect]", "monitor=val_mse", "affect=rays"])
    anchors = changed_recipe(rays, ["affect=anchors"])
    for recipe in (rays, anchors):
        first, second = (prepare_data(dataset, recipe).train.affect for _ in range(2))
        assert first is not None
        assert second is not None
        assert np.array_equal(first, second)
        assert np.abs(first).max() <= 1.1
    near, around = (prepare_data(dataset, recipe) for recipe in (rays, anchors))
    assert near.train.affect is not None
    assert around.train.affect is not None
    for point, truth in zip(near.train.affect, near.train.truth, strict=True):
        assert ray_label(*map(float, point)).label in (near.labels[truth], "neutral")
    for point, truth in zip(around.train.affect, around.train.truth, strict=True):
        away = 4 * point - np.array(ANCHORS[around.labels[truth]])
        assert np.hypot(*away) <= ANCHOR_DISC + 0.02


def test_a_network_of_whole_pictures_wants_as_much_around_a_face(dataset: Dataset) -> None:
    rows = training_rows(dataset, TINY).assign(face_size_px=24)
    assert crop_rule(rows, replace(TINY, sees="whole")).margin == 2.0
    assert crop_rule(rows, TINY) == TINY.crop
    none = rows.assign(face_size_px=0)
    assert crop_rule(none, replace(TINY, sees="whole")).margin == 1.0


def test_faces_are_no_longer_mapped_when_their_file_is_named(
    learnable: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows moves no file that is."""
    maps, moved = Path("/proc/self/maps"), []
    if not maps.is_file():
        pytest.skip("this system does not say what is mapped")
    replace = os.replace

    def look(source: Path, target: Path) -> None:
        if target.suffix == ".npy":
            moved.append(target)
            assert str(source) not in maps.read_text()
        replace(source, target)

    build_index(learnable)
    monkeypatch.setattr("emotion_core.files.os.replace", look)
    prepare_data(learnable, TINY)
    assert moved
