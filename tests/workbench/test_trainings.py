"""Runs: prepared, worked on by a real worker, paused, stopped, killed, resumed, promoted."""

import errno
import json
import os
import shutil
import signal
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import yaml

from emotion_core.affect import ANCHOR_DISC, ANCHORS, ray_label, scores_from_affect
from emotion_core.analysis import read_frames, read_picture
from emotion_core.crops import crop_faces
from emotion_core.datasets.cleaning import SplitChoice
from emotion_core.datasets.decisions import RELABEL, Decision
from emotion_core.datasets.sources import SourceSpec
from emotion_core.errors import BadTable, InputError, JobCancelled, StorageError, TrainingError
from emotion_core.faces import load_detector
from emotion_core.jobs import list_jobs, load_job, owner_hash
from emotion_core.media.photo import decode_photo
from emotion_core.media.sample import sample_photo
from emotion_core.registry import like_minded, list_models, load_model, load_recognizer
from emotion_core.runs import Run, alone_in, delete_run, list_runs, load_run, request_stop
from emotion_core.training.examples import Rows
from emotion_core.training.recipe import Recipe, parse_recipe
from emotion_core.training.recipes import changed_recipe, load_recipe
from emotion_core.types import Frame
from emotion_core.workbench.evaluation import evaluate, submission
from emotion_core.workbench.index import build_index
from emotion_core.workbench.learning import (
    crop_rule,
    prepare_data,
    training_rows,
    validation_again,
)
from emotion_core.workbench.store import Dataset, new_dataset
from emotion_core.workbench.sweeps import run_all, surveyed, varied
from emotion_core.workbench.trainings import (
    begin_run,
    compare_runs,
    export_run,
    job_of,
    pause_run,
    promote_run,
    start_run,
    state_of,
    work_on,
)
from tests.builders import make_class_folders, make_voted_faces, tiny, write_faces
from tests.steps import until

TINY: Recipe = parse_recipe(tiny(epochs=2))
LONG: Recipe = parse_recipe(tiny(epochs=400, batch=2, name="long"))


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Sixty faces of two labels that a network can tell apart."""
    folder = write_faces(tmp_path / "set")
    made = new_dataset("set", SourceSpec(str(folder)), owner="me")
    build_index(made, with_faces=False)
    return made


def again(run: Run) -> Run:
    return load_run(run.id)


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
    with pytest.raises(BadTable, match="one group only"):
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


def test_what_goes_wrong_in_one_trial_ends_no_other(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhausted(run: Run, **options: object) -> object:
        if run.recipe["batch"] == 64:
            raise MemoryError("no room for 64 faces\nand a trace")
        return work_on(run, **options)

    monkeypatch.setattr("emotion_core.workbench.sweeps.work_on", exhausted)
    failed: list[str] = []
    recipes = varied(changed_recipe(TINY, ["stages.0.epochs=1"]), ["batch=64,8"])
    table = run_all(
        dataset, recipes, owner="me", on_failure=lambda name, why: failed.append(f"{name}: {why}")
    )
    assert failed == ["batch=64: no room for 64 faces"]
    assert table["name"].tolist() == ["batch=8"]


def test_a_survey_without_weights_trains_whole_networks() -> None:
    kwargs = {"head_epochs": 2, "unfreeze": 3, "tune_epochs": 4}
    (frozen,) = surveyed(changed_recipe(TINY, ["weights=pretrained"]), ["VGG16"], **kwargs)
    assert [stage.train for stage in frozen.stages] == ["head", 3]
    (whole,) = surveyed(TINY, ["VGG16"], **kwargs)
    assert [(stage.train, stage.epochs) for stage in whole.stages] == [("all", 6)]


def test_a_value_of_a_sweep_is_taken_whole() -> None:
    long = "{widths: [48, 96, 192, 384], depths: [2, 3, 3, 3], dropout: 0.3, trim: 4}"
    (one, other) = varied(TINY, [f"options={long},{{widths: [4, 8], depths: [1, 1]}}"])
    assert one.options == yaml.safe_load(long)
    assert other.options == {"widths": [4, 8], "depths": [1, 1]}


def test_who_learned_a_table_of_faces_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from emotion_core.datasets.fer2013 import save_arrays

    faces = make_voted_faces(40)
    save_arrays(faces, tmp_path / "faces.npz")
    made = new_dataset("faces", SourceSpec(str(tmp_path / "faces.npz")), owner="me")
    build_index(made, with_faces=False)
    model = load_model("vgg-xs", prior="data")
    assert evaluate(made, model).learned_here == []
    training = {**model.card.training, "data_sha256": faces.content_hash()}
    monkeypatch.setattr(model, "_card", replace(model.card, training=training))
    assert evaluate(made, model).learned_here == ["vgg-xs"]


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


def test_what_cannot_be_trained_is_said_before(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"efficientnetb1_notop\.h5 are not here"):
        begin_run(dataset, load_recipe("seed-002-best"), owner="me")
    with pytest.raises(TrainingError, match="are no file here"):
        begin_run(dataset, replace(TINY, weights="missing.h5"), owner="me")
    with pytest.raises(TrainingError, match="vgg-s learns FER2013's labels beside the votes"):
        begin_run(dataset, load_recipe("vgg-s"), owner="me")
    with pytest.raises(TrainingError, match="1 label, and two are needed"):
        begin_run(dataset, replace(TINY, leave_out=("happy",)), owner="me")
    dataset.save_recipe(replace(dataset.recipe(), split=SplitChoice("given")))
    with pytest.raises(TrainingError, match="no val pictures"):
        begin_run(dataset, TINY, owner="me")
    unmeasured = new_dataset(
        "new", SourceSpec(str(make_class_folders(tmp_path / "new", {"sad": 2}))), owner="me"
    )
    with pytest.raises(InputError, match="not been measured"):
        begin_run(unmeasured, TINY, owner="me")
    assert list_runs(owner_hash("me")) == []


def test_a_run_is_trained_reported_compared_and_promoted(dataset: Dataset) -> None:
    run = begin_run(dataset, parse_recipe(tiny(epochs=8)), owner="me", name="first")
    with pytest.raises(TrainingError, match="not finished"):
        promote_run(run)
    told: list[tuple[int, int]] = []
    card = work_on(run, on_progress=lambda *now: told.append(now))
    done = again(run)
    assert state_of(done, None) == "done"
    assert (len(done.history), done.epochs) == (8, 8)
    assert told[-1][0] == told[-1][1]
    assert sorted(told) == told
    answers = done.answers()
    assert answers is not None
    probs = answers[["prob_happy", "prob_neutral"]].to_numpy()
    truth = answers["truth"].to_numpy()
    hit = np.array(["happy", "neutral"])[probs.argmax(axis=1)] == truth
    assert hit.mean() == pytest.approx(card.metrics["validation"]["accuracy"], abs=1e-4)
    assert not (done.folder / "checkpoints").exists()
    with pytest.raises(TrainingError, match="is done"):
        work_on(done)
    assert state_of(again(run), None) == "done"
    report = done.report()
    assert report is not None
    assert report["parameters"] == card.parameters
    assert report["latency"]["calls"] == 200
    assert 0 < report["latency"]["median_ms"] <= report["latency"]["p95_ms"]
    table = compare_runs([done, begin_run(dataset, TINY, owner="me")])
    assert table["name"].tolist() == ["first", TINY.name]
    assert table["val_accuracy"].isna().tolist() == [False, True]
    promoted = promote_run(done, "mine", threshold=0.6)
    assert (promoted.id, promoted.threshold) == ("mine", 0.6)
    assert load_model("mine").threshold == 0.6
    assert "mine" in [entry.id for entry in list_models() if not entry.problem]
    share = (probs.max(axis=1) >= 0.6).mean()
    assert promoted.metrics["answered_at_threshold"] == pytest.approx(share, abs=1e-4)
    # what validated it stays what it was, whatever becomes of the data set
    data = prepare_data(dataset, TINY)
    faces = np.asarray(data.val.images)
    others = {path: "sad" for path in data.train.names[:2]}
    for path, label in others.items():
        dataset.decisions.add([Decision(path, "relabel", "seen", label)])
    labels, examples = validation_again(done)
    assert labels == data.labels
    assert (examples.names, examples.truth.tolist()) == (data.val.names, data.val.truth.tolist())
    assert np.array_equal(examples.images, faces)
    with pytest.raises(TrainingError, match=r"end in \.keras"):
        export_run(done, "keras", done.folder / "model-without-an-ending")
    with pytest.raises(TrainingError, match="no longer"):
        validation_again(done, ["gone.png"])
    assert load_model("mine").classify(np.asarray(faces)).probs == pytest.approx(probs, abs=1e-3)
    for name, word in [("mine", "already"), ("vgg-s", "already"), ("a/b", "cannot be")]:
        with pytest.raises(TrainingError, match=word):
            promote_run(done, name)
    delete_run(done)
    assert "mine" in [entry.id for entry in list_models()], "a promoted model outlives its run"
    assert run.id not in [one.id for one in list_runs(owner_hash("me"))]


def test_the_default_is_tuned_to_labels_of_ones_own(dataset: Dataset) -> None:
    recipe = changed_recipe(load_recipe("fine-tune"), ["stages.0.epochs=2", "batch=8"])
    run = begin_run(dataset, recipe, owner="me")
    card = work_on(run)
    assert state_of(again(run), None) == "done"
    assert card.labels == ("happy", "neutral")
    assert card.parameters == pytest.approx(load_model("vgg-s").card.parameters, rel=0.01)


def test_a_submission_knows_pictures_by_their_bare_names(tmp_path: Path) -> None:
    folder = write_faces(tmp_path / "twice", unlabelled=2)
    made = new_dataset("twice", SourceSpec(str(folder)), owner="me")
    build_index(made, with_faces=False)
    assert submission(made, load_model("vgg-xs"))["image_path"].tolist() == ["60.png", "61.png"]
    (folder / "test").mkdir()
    shutil.copy(folder / "test_kaggle" / "60.png", folder / "test")
    build_index(made, with_faces=False)
    with pytest.raises(InputError, match=r"are called 60\.png"):
        submission(made, load_model("vgg-xs"))


def test_what_a_killed_process_was_writing_goes(dataset: Dataset) -> None:
    prepare_data(dataset, TINY)
    (kept,) = (dataset.folder / "faces").glob("*.npy")
    old, new = kept.with_name(".0a.npy"), kept.with_name(".0b.npy")
    for half in (old, new):
        half.write_bytes(b"half")
    os.utime(old, (1e9, 1e9))
    prepare_data(dataset, TINY)
    assert (kept.exists(), old.exists(), new.exists()) == (True, False, True)


def test_a_wish_to_stop_does_not_outlive_the_run(dataset: Dataset) -> None:
    run = begin_run(dataset, TINY, owner="me")
    request_stop(run)
    with pytest.raises(TrainingError, match="before its first epoch"):
        work_on(run)
    assert work_on(again(run)).id == TINY.name


def test_one_process_at_a_time_works_on_a_run(dataset: Dataset) -> None:
    run = begin_run(dataset, TINY, owner="me")
    with alone_in(run.folder), pytest.raises(TrainingError, match="Another process"):
        work_on(run)
    assert again(run).state == "", "the other one goes on undisturbed"
    assert state_of(again(run), None) == "interrupted"
    with alone_in(run.folder):
        assert state_of(again(run), None) == "running"
    assert state_of(again(run), None) == "interrupted"


@pytest.mark.parametrize("outputs", [["affect"], ["emotion", "affect"]])
def test_a_model_that_answers_valence_and_arousal_reads_faces(
    dataset: Dataset, outputs: list[str]
) -> None:
    recipe = parse_recipe(tiny(epochs=4, outputs=outputs, monitor="val_mse"))
    run = begin_run(dataset, recipe, owner="me")
    card = work_on(run)
    assert card.metrics["validation_affect"]["n"] == card.metrics["validation"]["target_n"]
    promote_run(again(run), "mine")
    assert evaluate(dataset, load_recognizer(["mine"], vote="soft", prior="data")).learned_here
    assert [voter.id for voter in like_minded([card, load_model("mine").card])] == [
        name for name in (card.id, "mine") if "emotion" in outputs
    ]
    model = load_model("mine")
    held = np.asarray(prepare_data(dataset, recipe).val.images)
    scores = model.classify(held, flip=True)
    assert scores.affect is not None
    answers = again(run).answers()
    assert answers is not None
    probs = answers[["prob_happy", "prob_neutral"]].to_numpy()
    assert model.classify(held).probs == pytest.approx(probs, abs=1e-3)
    if outputs == ["affect"]:
        assert "point near no label" in card.threshold_rule
        share = (probs.max(axis=1) >= card.threshold).mean()
        assert card.metrics["answered_at_threshold"] == pytest.approx(share, abs=1e-4)
        read = scores_from_affect(scores.affect, model.labels, system="rays").probs
        assert scores.probs.argmax(axis=1).tolist() == read.argmax(axis=1).tolist()
        assert model.threshold > 1 / 2, "a point near no label is no answer"
    # the same point reaches a picture's reading and, smoothed, a video's
    detector, image = load_detector(), decode_photo(sample_photo())
    reading = read_picture(image, detector, model)
    crops = crop_faces(image, reading.faces, model.card.crop)
    alone = model.classify(crops).affect
    assert alone is not None
    assert reading.affect.valence == pytest.approx(alone.valence)
    frames = [Frame(image, i, i / 25) for i in range(5)]
    for seen in read_frames(frames, detector, model):
        assert seen.reading.affect.valence == pytest.approx(alone.valence, abs=1e-5)
        assert seen.reading.affect.arousal == pytest.approx(alone.arousal, abs=1e-5)


def test_others_see_nothing_of_it(dataset: Dataset) -> None:
    run = begin_run(dataset, TINY, owner="me")
    assert [one.id for one in list_runs(owner_hash("me"))] == [run.id]
    assert list_runs(owner_hash("you")) == []
    with pytest.raises(InputError, match="not yours"):
        load_run(run.id, owner_hash("you"))
    with pytest.raises(InputError, match="no such training"):
        load_run(f"../runs/{run.id}")


def test_a_failed_run_says_why(dataset: Dataset) -> None:
    diverging = parse_recipe(tiny(epochs=9, stage={"learning_rate": 1e30}))
    run = begin_run(dataset, diverging, owner="me")
    with pytest.raises(TrainingError, match="diverged"):
        work_on(run)
    failed = again(run)
    assert state_of(failed, None) == "failed"
    assert "lower learning rate" in failed.message


def test_a_changed_data_set_is_not_mixed_into_a_run(dataset: Dataset) -> None:
    run = begin_run(dataset, parse_recipe(tiny(epochs=3)), owner="me")

    def pause(done: int, total: int) -> None:
        if done > total * 0.6:
            raise JobCancelled

    with pytest.raises(JobCancelled):
        work_on(run, on_progress=pause)
    assert state_of(again(run), None) == "paused"
    path = training_rows(dataset, TINY)["path"].iloc[0]
    dataset.decisions.add([Decision(path, "drop", reason="seen", label="", at_s=1.0)])
    with pytest.raises(TrainingError, match="other data"):
        work_on(run)


def test_a_worker_trains_pauses_resumes_and_stops(dataset: Dataset) -> None:
    run = begin_run(dataset, LONG, owner="me")
    job = start_run(run, owner="me")
    until(lambda: len(again(run).history) >= 2)
    assert state_of(again(run), job_of(again(run), "me")) == "running"
    assert load_job(job.id, "me").total
    pause_run(job)
    until(lambda: load_job(job.id, "me").is_over)
    paused = again(run)
    assert state_of(paused, job_of(paused, "me")) == "paused"
    second = start_run(paused, owner="me")
    until(lambda: len(again(run).history) >= len(paused.history) + 2)
    assert again(run).history[: len(paused.history)] == paused.history
    request_stop(run)
    until(lambda: load_job(second.id, "me").is_over)
    done = again(run)
    assert load_job(second.id, "me").state == "done", load_job(second.id, "me").message
    assert state_of(done, job_of(done, "me")) == "done"
    assert len(done.history) < done.epochs
    assert done.report() is not None


def test_a_killed_worker_leaves_a_run_that_goes_on(dataset: Dataset) -> None:
    run = begin_run(dataset, parse_recipe(tiny(epochs=30, batch=4)), owner="me")
    start_run(run, owner="me")
    before: list[dict[str, float]] = []
    for _ in range(3):
        until(partial(has_more, run, len(before)))
        assert again(run).history[: len(before)] == before
        job = job_of(again(run), "me")
        assert job is not None
        os.kill(_pid(job.folder), signal.SIGKILL)
        until(lambda: is_over(run))
        # the system takes a moment to take the lock from who was killed
        until(lambda: state_of(again(run), job_of(again(run), "me")) == "interrupted")
        before = again(run).history
        start_run(again(run), owner="me")
    until(lambda: is_over(run))
    done = again(run)
    assert state_of(done, job_of(done, "me")) == "done"
    assert [row["epoch"] for row in done.history] == list(range(1, 31))
    assert len(list_jobs("me")) == 4


def has_more(run: Run, epochs: int) -> bool:
    return len(again(run).history) > epochs


def is_over(run: Run) -> bool:
    job = job_of(again(run), "me")
    return job is not None and job.is_over


def _pid(folder: Path) -> int:
    return int(json.loads((folder / "process.json").read_text())["pid"])
