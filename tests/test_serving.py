"""Large networks: read with Keras by workers and commands, kept from the pages."""

from pathlib import Path

import numpy as np
import pytest

from emotion_core import limits
from emotion_core.datasets.sources import SourceSpec
from emotion_core.errors import CardMismatch
from emotion_core.registry import like_minded, load_model, model_folder, reads_faces, verify_model
from emotion_core.runs import load_run
from emotion_core.serving import KerasClassifier, load_recognizer
from emotion_core.training.recipe import parse_recipe
from emotion_core.videos import VideoTask, load_timeline, start_video_job
from emotion_core.workbench.index import build_index
from emotion_core.workbench.store import new_dataset
from emotion_core.workbench.training_data import prepare_data
from emotion_core.workbench.trainings import begin_run, export_run, promote_run, work_on
from tests.builders import tiny, write_faces
from tests.steps import fresh_app, mien, over


@pytest.mark.parametrize("outputs", [["emotion"], ["emotion", "affect"]])
def test_a_large_network_is_read_by_workers_and_commands(
    outputs: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = new_dataset("set", SourceSpec(str(write_faces(tmp_path / "set"))), owner="me")
    build_index(made, with_faces=False)
    monkeypatch.setattr(limits, "LITERT_MAX_BYTES", 100)
    recipe = parse_recipe(tiny(epochs=2, outputs=outputs))
    run = begin_run(made, recipe, owner="me")
    work_on(run)
    run = load_run(run.id)
    report = run.report()
    assert report is not None
    assert 20 <= report["latency"]["calls"] <= 200
    assert report["model_mb"] > 0
    card = promote_run(run, "bulky")
    assert set(card.files) == {"model.keras", "history.csv"}
    assert any("too large for the pages" in limit for limit in verify_model("bulky").limits)
    assert (reads_faces(card), reads_faces(card, in_job=True)) == (False, True)
    assert "bulky" not in [one.id for one in like_minded()]
    with pytest.raises(CardMismatch, match="no LiteRT network"):
        load_model("bulky")

    # the page that begins a training checks its teachers, and loads no network that needs Keras
    taught = parse_recipe(tiny(teachers=["bulky"], outputs=outputs))
    with monkeypatch.context() as patched:
        patched.setattr("emotion_core.workbench.teachers.load_model", None)
        begin_run(made, taught, owner="me")
    network = load_recognizer(["bulky"])
    assert isinstance(network, KerasClassifier)
    faces = np.asarray(prepare_data(made, recipe).val.images)
    scores = network.classify(faces, flip=True)
    assert (scores.affect is not None) == ("affect" in outputs)
    answers = run.answers()
    assert answers is not None
    probs = answers[["prob_happy", "prob_neutral"]].to_numpy()
    assert network.classify(faces).probs == pytest.approx(probs, abs=1e-4)
    assert len(network.classify(faces[:0])) == 0
    # LiteRT is there for who asks, and answers alike
    assert export_run(run, "litert", tmp_path / "m.tflite").difference <= 1e-4
    if "affect" in outputs:
        return

    job = start_video_job("clip.mp4", None, VideoTask(model_ids=("bulky",), end_s=0.5), owner="me")
    job = over(job, "me")
    assert job.state == "done", job.message or job.log()
    (table,) = (path for name, path in job.results().items() if name.endswith(".parquet"))
    assert set(load_timeline(table)["model_id"]) == {"bulky"}
    told = mien("evaluate", "--data", tmp_path / "set", "--model", "bulky")
    assert told.returncode == 0, told.stderr
    assert (model_folder("bulky") / "CARD.md").is_file()

    for page, is_offered in (("photo", False), ("video", True)):
        app = fresh_app().switch_page(f"pages/{page}.py").run()
        assert not app.exception
        options = app.selectbox(key="model").options
        assert any("bulky" in one or "tiny" in one for one in options) is is_offered, page
