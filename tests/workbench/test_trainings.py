"""Runs: prepared, worked on by a real worker, paused, stopped, killed, resumed, promoted."""

import json
import os
import shutil
import signal
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from emotion_core.affect import scores_from_affect
from emotion_core.analysis import ReadOptions, read_frames, read_picture
from emotion_core.card_text import card_text
from emotion_core.crops import crop_faces
from emotion_core.datasets.cleaning import GIVEN, SplitChoice, fingerprint_of
from emotion_core.datasets.decisions import Decision
from emotion_core.datasets.sources import SourceSpec
from emotion_core.errors import InputError, JobCancelled, StorageError, TrainingError
from emotion_core.faces import load_detector
from emotion_core.jobs import list_jobs, load_job, new_job, owner_hash
from emotion_core.labels import UNCERTAIN
from emotion_core.media.photo import decode_photo
from emotion_core.media.sample import sample_photo
from emotion_core.registry import like_minded, list_models, load_model, load_recognizer
from emotion_core.runs import (
    Run,
    alone_in,
    delete_run,
    is_busy,
    list_runs,
    load_run,
    request_stop,
)
from emotion_core.training.recipe import Recipe, parse_recipe
from emotion_core.training.recipes import changed_recipe, load_recipe
from emotion_core.types import Affect, Frame, Scores
from emotion_core.workbench import evaluation, teachers
from emotion_core.workbench.evaluation import evaluate, submission
from emotion_core.workbench.faces import load_faces, read_probs
from emotion_core.workbench.index import build_index, load_index
from emotion_core.workbench.store import Dataset, new_dataset, recipe_hash
from emotion_core.workbench.training_data import (
    _limits,
    prepare_data,
    training_rows,
    validation_again,
)
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
from tests.builders import encode, make_class_folders, make_voted_faces, tiny, write_faces
from tests.steps import until

TINY: Recipe = parse_recipe(tiny(epochs=2))
LONG: Recipe = parse_recipe(tiny(epochs=400, batch=2, name="long"))


@pytest.fixture
def dataset(learnable: Dataset) -> Dataset:
    return learnable


def again(run: Run) -> Run:
    return load_run(run.id)


def test_who_learned_a_table_of_faces_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from emotion_core.datasets.fer2013 import save_arrays

    faces = make_voted_faces(40)
    save_arrays(faces, tmp_path / "faces.npz")
    made = new_dataset("faces", SourceSpec(str(tmp_path / "faces.npz")), owner="me")
    build_index(made, with_faces=False)
    model = load_model("vgg-xs", prior="data")
    measured = evaluate(made, model)
    assert measured.learned_here == []
    taught = Decision(measured.table["path"].iloc[0], "relabel", "read", "happy", by="vgg-s")
    made.decisions.add([taught])
    without = evaluate(made, model)
    assert len(without.table) == len(measured.table) - 1
    assert without.removed["labelled by a model"] == 1
    tested = evaluate(made, model, split="test")
    assert tested.removed["labelled by a model"] == 1, "whatever its split"
    made.decisions.undo()
    radius = np.hypot(measured.table["valence"], measured.table["arousal"])
    assert 0 <= radius.min() < radius.max() <= 1
    card = model.card
    for known in ({"data_sha256": faces.content_hash()}, {"data_set_id": made.id}):
        monkeypatch.setattr(model, "_card", replace(card, training={**card.training, **known}))
        assert evaluate(made, model).learned_here == ["vgg-xs"]


def test_where_no_label_leads_the_answer_is_wrong_and_uncertain(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load_model("vgg-xs", prior="data")
    n = len(load_index(dataset))
    shares = np.full((n, 8), 1 / 8, np.float32)

    def read(*_: object, **__: object) -> list[list[Scores]]:
        point = Affect(np.full(n, 0.25, np.float32), np.full(n, -0.6, np.float32))
        return [[Scores(shares, model.labels, point)] * 2]

    monkeypatch.setattr(evaluation, "read_both_ways", read)
    measured = evaluate(dataset, model)
    assert measured.plain["accuracy"] == 0
    assert measured.confusion.sum() == 0
    assert set(measured.table["label"]) == {UNCERTAIN}
    assert measured.table["valence"].to_numpy() == pytest.approx([0.25] * n)


def test_a_start_that_knows_the_validation_faces_is_a_limit(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = replace(TINY, teachers=("vgg-xs",))
    assert prepare_data(dataset, recipe).limits == ()
    card = load_model("vgg-xs").card
    learned = {**card.training, "fingerprint": fingerprint_of(load_index(dataset))}
    knows = replace(card, training=learned)
    monkeypatch.setattr(teachers, "verify_model", lambda _: knows)
    (limit,) = prepare_data(dataset, recipe).limits
    assert "taught by vgg-xs" in limit
    assert prepare_data(dataset, TINY).limits == ()
    given = replace(recipe, split=GIVEN)
    assert _limits(dataset, given) == (), "it keeps apart what shipped models learned"
    monkeypatch.setattr(teachers, "verify_model", lambda _: replace(knows, id="mine"))
    (limit,) = _limits(dataset, given)
    assert "taught by mine" in limit


def test_what_cannot_be_trained_is_said_before(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"efficientnetb1_notop\.h5 are not here"):
        begin_run(dataset, load_recipe("seed-002-best"), owner="me")
    with pytest.raises(TrainingError, match="are no file here"):
        begin_run(dataset, replace(TINY, weights="missing.h5"), owner="me")
    with pytest.raises(TrainingError, match="vgg-s learns FER2013's labels beside the votes"):
        begin_run(dataset, load_recipe("vgg-s"), owner="me")
    with pytest.raises(TrainingError, match="1 label, and at least two are needed"):
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
    cut, learned = len(training_rows(dataset, TINY)), told[-1][1]
    assert learned % 8 == 0
    assert told[-1] == (learned, learned)
    parts = [[one for one in told if one[1] == total] for total in (cut, learned)]
    assert parts[0] + parts[1] == told
    assert all(part == sorted(part) for part in parts)
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
    assert (promoted.id, promoted.title, promoted.threshold) == ("mine", "mine", 0.6)
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
    with (
        alone_in(done.folder),
        pytest.raises(TrainingError, match="Another process"),
    ):
        delete_run(done)
    delete_run(done)
    delete_run(done)
    request_stop(done)
    assert not done.folder.exists()
    assert "mine" in [entry.id for entry in list_models()], "a promoted model outlives its run"
    assert run.id not in [one.id for one in list_runs(owner_hash("me"))]


def test_the_default_is_tuned_to_labels_of_ones_own(dataset: Dataset) -> None:
    recipe = changed_recipe(load_recipe("fine-tune"), ["stages.0.epochs=2", "batch=8"])
    run = begin_run(dataset, recipe, owner="me")
    card = work_on(run)
    assert state_of(again(run), None) == "done"
    assert card.labels == ("happy", "neutral")
    assert card.parameters == pytest.approx(load_model("vgg-s").card.parameters, rel=0.01)


def test_a_network_of_whole_pictures_reads_those_of_data_sets_whole(tmp_path: Path) -> None:
    portrait = decode_photo(sample_photo())[::2, ::2]
    for number in range(20):
        folder = tmp_path / "set" / ("happy", "neutral")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.png").write_bytes(encode(portrait - number, "PNG"))
    made = new_dataset("set", SourceSpec(str(tmp_path / "set")), owner="me")
    build_index(made)
    run = begin_run(made, parse_recipe(tiny(epochs=1, sees="whole", split="seed-004")), owner="me")
    work_on(run)
    card = promote_run(again(run), "whole")
    assert card.sees == "whole"
    assert "reads those of data sets whole" in card_text(card)
    model = load_model("whole", prior="data")
    with closing(made.open()) as source:
        paths = ["happy/0.png", "neutral/1.png"]
        (scores,) = read_probs(source, paths, [model])
        whole = load_faces(source, paths, card.crop, is_whole_wanted=True)
    assert scores.probs == pytest.approx(model.classify(whole).probs, abs=1e-6)
    found = read_picture(portrait, load_detector(), load_model()).faces
    faces = crop_faces(portrait, found, card.crop)
    assert np.abs(whole[0].astype(int) - faces[0]).mean() > 1, "there is a difference to be seen"


def test_a_submission_knows_pictures_by_their_bare_names(tmp_path: Path) -> None:
    folder = write_faces(tmp_path / "twice", unlabelled=2)
    made = new_dataset("twice", SourceSpec(str(folder)), owner="me")
    build_index(made, with_faces=False)
    model = load_model("vgg-xs")
    said = submission(made, model)
    assert said["image_path"].tolist() == ["60.png", "61.png"]
    assert "uncertain" not in said["emotion"].tolist()
    rows = ["0.png,happy", "0.png,sad", "1.png,happy", "2.png,"]
    for name in ("0", "1", "2"):
        shutil.copy(folder / "test_kaggle" / "60.png", tmp_path / f"{name}.png")
    (tmp_path / "t.csv").write_text("\n".join(["path,label", *rows]))
    voted = new_dataset("voted", SourceSpec(str(tmp_path / "t.csv")), owner="me")
    build_index(voted, with_faces=False)
    assert submission(voted, model)["image_path"].tolist() == ["2.png"], "the first is disputed"
    unsure = submission(made, model, threshold=1.0)
    assert unsure["emotion"].tolist() == ["uncertain"] * 2
    (folder / "test").mkdir()
    shutil.copy(folder / "test_kaggle" / "60.png", folder / "test")
    build_index(made, with_faces=False)
    with pytest.raises(InputError, match=r"are called 60\.png"):
        submission(made, load_model("vgg-xs"))


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
    assert load_model("mine").card.training["data_set_id"] == dataset.id
    assert evaluate(dataset, load_recognizer(["mine"], vote="soft", prior="data")).learned_here
    assert [voter.id for voter in like_minded([card, load_model("mine").card])] == [
        name for name in (card.id, "mine") if "emotion" in outputs
    ]
    model = load_model("mine")
    held = np.asarray(prepare_data(dataset, recipe).val.images)
    scores = model.classify(held, flip=True)
    assert scores.affect is not None
    index = load_index(dataset)
    with closing(dataset.open()) as source:
        (read,) = read_probs(source, index["path"].tolist(), [model])
    told = evaluate(dataset, model).table
    assert read.affect is not None
    assert told["path"].tolist() == index["path"].tolist()
    assert told["valence"].to_numpy() == pytest.approx(read.affect.valence)
    assert told["arousal"].to_numpy() == pytest.approx(read.affect.arousal)
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
    reading = read_picture(image, detector, model, options=ReadOptions(flip=False))
    crops = crop_faces(image, reading.faces, model.card.crop)
    alone = model.classify(crops).affect
    assert alone is not None
    assert reading.affect.valence == pytest.approx(alone.valence)
    frames = [Frame(image, i, i / 25) for i in range(5)]
    for seen in read_frames(frames, detector, model):
        assert seen.reading.affect.valence == pytest.approx(alone.valence, abs=1e-5)
        assert seen.reading.affect.arousal == pytest.approx(alone.arousal, abs=1e-5)


@pytest.mark.parametrize(
    ("bored_are_in", "changes", "said"),
    [
        ("train", {"outputs": ["emotion", "affect"], "monitor": "val_mse"}, "no point of valence"),
        ("test", {}, "No face to train on is labelled bored"),
    ],
)
def test_a_training_that_cannot_be_is_refused_before_anything_is_cut_out(
    tmp_path: Path, bored_are_in: str, changes: dict, said: str
) -> None:
    folder = make_class_folders(tmp_path / "set", {"images": 12})
    labels = ["happy,train", "sad,train", "happy,val", f"bored,{bored_are_in}"] * 3
    rows = [f"images/{n}.png,{told}" for n, told in enumerate(labels)]
    (folder / "labels.csv").write_text("\n".join(["image,label,split", *rows, ""]))
    made = new_dataset("set", SourceSpec(str(folder)), owner="me")
    build_index(made, with_faces=False)
    given = SplitChoice("given")
    made.save_recipe(replace(made.recipe(), labels={"bored": "bored"}, split=given))
    with pytest.raises(TrainingError, match=said):
        begin_run(made, parse_recipe(tiny(epochs=1, **changes)), owner="me")
    assert list_runs(owner_hash("me")) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"network": "nonsense"}, "nonsense"),
        ({"options": {"foo": 1}}, "foo"),
        ({"stage": {"train": 500}}, "last 500 layers"),
    ],
)
def test_a_network_that_cannot_be_is_refused_before_faces_are_cut_out(
    dataset: Dataset, changes: dict, said: str
) -> None:
    run = begin_run(dataset, parse_recipe(tiny(epochs=1, **changes)), owner="me")
    told: list[int] = []
    with pytest.raises(TrainingError, match=said):
        work_on(run, on_progress=lambda done, _: told.append(done))
    assert told == []


def test_a_training_that_is_paused_while_it_waits_is_paused(dataset: Dataset) -> None:
    run = begin_run(dataset, TINY, owner="me")
    job = new_job("train", run.name, owner="me", settings={"run": run.id})
    assert state_of(again(run), job) == "waiting"
    assert state_of(again(run), replace(job, state="cancelled")) == "paused"
    assert state_of(again(run), replace(job, state="interrupted")) == "interrupted"


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
        if total > len(training_rows(dataset, TINY)) and done > total * 0.6:  # it learns
            raise JobCancelled

    while_it_waits, while_it_rests = training_rows(dataset, TINY)["path"].iloc[:2]
    dataset.decisions.add([Decision(while_it_waits, "drop", reason="seen", label="", at_s=1.0)])
    with pytest.raises(JobCancelled):
        work_on(run, on_progress=pause)
    paused = again(run)
    assert state_of(paused, None) == "paused"
    assert paused.dataset["recipe_sha256"] == recipe_hash(dataset) != run.dataset["recipe_sha256"]
    dataset.decisions.add([Decision(while_it_rests, "drop", reason="seen", label="", at_s=2.0)])
    with pytest.raises(TrainingError, match=r"data set set has changed since.*Undo that"):
        work_on(run)
    assert again(run).dataset == paused.dataset
    dataset.decisions.undo()
    work_on(run)
    assert again(run).state == "done"


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


def test_a_training_that_cannot_begin_stands_in_no_line(dataset: Dataset) -> None:
    run = begin_run(dataset, LONG, owner="me")
    (run.folder / "stop").mkdir()  # as if the disk would not have it
    with pytest.raises(StorageError, match="cannot be written"):
        start_run(run, owner="me")
    assert list_jobs("me") == []
    delete_run(run)
    with pytest.raises(InputError, match="no such training"):
        start_run(run, owner="me")
    assert list_jobs("me") == []
    assert not run.folder.exists()


def test_a_killed_worker_leaves_a_run_that_goes_on(dataset: Dataset) -> None:
    run = begin_run(dataset, parse_recipe(tiny(epochs=30, batch=4)), owner="me")
    start_run(run, owner="me")
    until(lambda: again(run).history)
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
    assert done.history[: len(before)] == before, "trained anew: even the seconds are the same"
    assert state_of(done, job_of(done, "me")) == "done"
    assert [row["epoch"] for row in done.history] == list(range(1, 31))
    assert len(list_jobs("me")) == 1, "one training is one line"


def is_over(run: Run) -> bool:
    job = job_of(again(run), "me")
    return job is not None and job.is_over


def _pid(folder: Path) -> int:
    return int(json.loads((folder / "process.json").read_text())["pid"])


def test_heatmaps_of_a_run_that_was_deleted_does_not_bring_it_back(work_home: Path) -> None:
    folder = work_home / "runs" / ("0" * 16)
    assert not is_busy(folder)
    assert not folder.exists()
