"""The training page without a browser: empty, begun, followed, read, refused."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Checkbox

from emotion_core.datasets.sources import SourceSpec
from emotion_core.jobs import list_jobs, new_job, owner_hash
from emotion_core.registry import DEFAULT_MODEL, committees, list_models, model_folder
from emotion_core.runs import Run, alone_in, list_runs, load_run
from emotion_core.texts import say
from emotion_core.training.recipe import parse_recipe
from emotion_core.training.recipes import load_recipe, recipe_names
from emotion_core.workbench.index import build_index
from emotion_core.workbench.store import (
    COMMAND_LINE,
    Dataset,
    delete_dataset,
    load_dataset,
    new_dataset,
)
from emotion_core.workbench.teachers import suits_datasets
from emotion_core.workbench.trainings import begin_run, pause_run, promote_run, work_on
from pages._shared.errors import plain
from pages._shared.training_measure import points_of
from tests.builders import tiny, write_faces
from tests.steps import ROOT, fresh_app, until
from tests.workbench.foreign import keras_file, small

OWNER = "tester"


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    folder = write_faces(tmp_path / "set")
    made = new_dataset("my_[set]", SourceSpec(str(folder)), owner=OWNER)
    build_index(made, with_faces=False)
    return made


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A work folder with a finished run, and the run's id."""
    place = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("MIEN_HOME", str(place / "home"))
        folder = write_faces(place / "set")
        made = new_dataset("my_[set]", SourceSpec(str(folder)), owner=OWNER)
        build_index(made, with_faces=False)
        run = begin_run(made, parse_recipe(tiny(epochs=6)), owner=OWNER, name="my_[run]")
        work_on(run)
    return place / "home", run.id


@pytest.fixture
def done(trained: tuple[Path, str], work_home: Path) -> Run:
    home, run_id = trained
    shutil.copytree(home, work_home)
    return load_run(run_id)


def opened() -> AppTest:
    app = fresh_app().switch_page("pages/training.py").run()
    assert not app.exception
    return app


def new(app: AppTest) -> AppTest:
    app.button(key="training_view-new").click().run()
    assert not app.exception
    return app


def mine() -> list[Run]:
    return list_runs(owner_hash(OWNER))


def wait_for_job(state: str) -> None:
    def has_come() -> bool:
        job = list_jobs(OWNER)[0]
        assert job.state == state or not job.is_over, job.message
        return job.state == state

    until(has_come)


def test_it_invites_when_it_is_empty() -> None:
    app = opened()
    assert say("training.empty") in [info.value for info in app.info]
    app.button(key="training_begin").click().run()
    assert not app.exception
    assert say("training.no_dataset") in [info.value for info in app.info]
    assert app.button(key="training_draw")


def test_a_training_is_begun_followed_and_paused(dataset: Dataset) -> None:
    app = new(opened())
    assert app.selectbox(key="training_recipe").value == "quick"
    app.toggle(key="training_settings").set_value(True).run()
    assert not app.exception
    app.number_input(key="recipe-quick-stage1-epochs").set_value(300)
    app.number_input(key="recipe-quick-batch").set_value(8)
    app.text_input(key="training_name_0").set_value("*first*").run()
    app.button(key="training_start").click().run()
    assert not app.exception
    assert not app.error
    (run,) = mine()
    assert (run.name, run.epochs, run.recipe["batch"]) == ("*first*", 300, 8)
    assert dataset.id == run.dataset["id"]
    until(lambda: load_run(run.id).history)
    app.run()
    assert not app.exception
    assert any(metric.label == say("figure.images_per_s") for metric in app.metric)
    app.button(key=f"pause-{run.id}").click().run()
    until(lambda: all(job.is_over for job in list_jobs(OWNER)))
    app.run()
    assert not app.exception
    assert app.button(key=f"resume-{run.id}")
    epochs = len(load_run(run.id).history)
    app.button(key=f"stop-{run.id}").click().run()
    until(lambda: load_run(run.id).state == "done")
    app.run()
    assert not app.exception
    assert len(load_run(run.id).history) == epochs, "it ends with what it has"
    assert "resume" not in " ".join(button.key for button in app.button)
    app.button(key=f"delete-run-{run.id}").click().run()
    assert mine() == []


def test_what_is_asked_for_is_kept_while_one_looks_elsewhere(
    dataset: Dataset, tmp_path: Path
) -> None:
    other = new_dataset("other", SourceSpec(str(write_faces(tmp_path / "other"))), owner=OWNER)
    build_index(other, with_faces=False)
    app = new(opened())
    first = app.selectbox(key="training_dataset").value
    second = ({dataset.id, other.id} - {first}).pop()
    app.selectbox(key="training_dataset").set_value(second).run()
    app.text_input(key="training_name_0").set_value("mine").run()
    app.button(key="training_view-measure").click().run()
    app.multiselect(key="measure_models").set_value(["vgg-xs"]).run()
    app.switch_page("pages/photo.py").run()
    app.switch_page("pages/training.py").run()
    assert app.multiselect(key="measure_models").value == ["vgg-xs"]
    app = new(app)
    assert app.selectbox(key="training_dataset").value == second
    assert app.text_input(key="training_name_0").value == "mine"
    app.session_state["dataset"] = first  # as opening it on its page does
    app.run()
    assert app.selectbox(key="training_dataset").value == first
    assert not app.exception


def test_a_finished_training_is_read_and_promoted(done: Run) -> None:
    app = opened()
    assert not app.error
    app.button(key=f"open-run-{done.id}").click().run()
    assert not app.exception
    assert not app.error
    shown = {metric.label: metric.value for metric in app.metric}
    report = done.report()
    assert report is not None
    accuracy = report["metrics"]["validation"]["accuracy"]
    assert shown[say("training.accuracy_validation")] == f"{accuracy:.1%}"
    assert say("training.confusion") in [text.value for text in app.markdown]
    for name, word in [("vgg-s", "already"), ("../x", "cannot be"), ("mine", "ready")]:
        app.text_input(key=f"promote-name-{done.id}").set_value(name).run()
        app.button(key=f"promote-{done.id}").click().run()
        assert not app.exception
        told = [box.value for box in (*app.error, *app.success)]
        assert any(word in text for text in told), told
    assert "mine" in [entry.id for entry in list_models() if entry.card]
    app.button(key="run_back").click().run()
    assert app.button(key=f"open-run-{done.id}")


def test_other_forms_are_written_and_offered(done: Run) -> None:
    app = opened()
    app.button(key=f"open-run-{done.id}").click().run()
    for form, word in [("savedmodel", "answers as Keras does"), ("litert-int8", "changes by")]:
        app.selectbox(key=f"form-{done.id}").set_value(form).run()
        for _ in range(2):  # the second press finds the job of the first
            app.button(key=f"export-{done.id}").click().run()
            assert not app.exception
        wait_for_job("done")
        app.run()
        assert not app.exception
        assert any(word in text.value for text in app.caption)
    names = {name for job in list_jobs(OWNER) for name in job.results()}
    assert names == {"tiny.zip", "tiny.int8.tflite"}
    assert len(list_jobs(OWNER)) == 2


def test_where_the_network_looked_is_shown(done: Run) -> None:
    app = opened()
    app.button(key=f"open-run-{done.id}").click().run()
    app.selectbox(key=f"heatmap-of-{done.id}").set_value("happy").run()
    app.button(key=f"heatmap-{done.id}-happy").click().run()
    app = opened()  # as after a refresh
    app.button(key=f"open-run-{done.id}").click().run()
    app.selectbox(key=f"heatmap-of-{done.id}").set_value("happy").run()

    def is_shown() -> bool:  # the page takes what the job found, and deletes the job
        app.run()
        assert not app.exception
        assert not app.error
        return say("heatmap.about") in [text.value for text in app.caption]

    until(is_shown)
    assert [job for job in list_jobs(OWNER) if job.kind == "looking-run"] == []


def test_a_promoted_model_of_other_labels_breaks_no_other_page(done: Run) -> None:
    promote_run(done, "mine")
    home = fresh_app().run()
    told = home.dataframe[0].value
    assert told[say("home.accuracy_column")].notna().all()
    assert told[say("home.rule_column")].str.endswith(", validation").sum() == 1
    cards = [entry.card for entry in list_models() if entry.card]
    assert not [one for one in committees(cards) if "mine" in one]
    app = fresh_app().switch_page("pages/photo.py").run()
    assert not app.exception
    choices = app.selectbox(key="model").options
    assert any("mine" in choice or "tiny" in choice for choice in choices)


def test_on_a_shared_studio_who_promoted_a_model_removes_it(
    done: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pages._shared.visitor.is_own_machine", lambda: False)
    app = opened()
    app.button(key=f"open-run-{done.id}").click().run()
    assert say("training.promote_shared") in [one.value for one in app.warning]
    app.text_input(key=f"promote-name-{done.id}").set_value("mine").run()
    app.button(key=f"promote-{done.id}").click().run()
    assert not app.exception
    app.switch_page("pages/models.py").run()
    app.button(key="open-mine").click().run()
    assert "delete-model-mine" in [one.key for one in app.button]
    monkeypatch.setattr("pages._shared.visitor.owner", lambda: "somebody else")
    app.run()
    assert not app.exception
    assert "delete-model-mine" not in [one.key for one in app.button]


def test_an_empty_page_shows_how_a_shipped_model_learned() -> None:
    app = opened()
    (title,) = [text.value for text in app.subheader if "an included model" in text.value]
    assert title.startswith("How SE-ResNet small"), "nobody taught it"
    assert len(app.get("plotly_chart")) == 2


def test_a_history_from_elsewhere_is_shown() -> None:
    app = opened()
    content = b"epoch,loss,val_accuracy,<b>own</b>\n0,1.8,0.2,1\n1,1.5,0.4,2\n"
    app.get("file_uploader")[0].set_value(
        [("history_[x].csv", content, "text/csv"), ("bad_[y].csv", b"a,b\nc,d\n", "text/csv")]
    )
    app.run()
    assert not app.exception
    shown = [chart.key for chart in app.get("plotly_chart")]
    assert sum(key.startswith("curves-foreign-0") for key in shown) == 2
    (error,) = app.error
    assert r"bad\_\[y\].csv" in error.value


def test_models_are_measured_alone_and_together(tmp_path: Path) -> None:
    made = new_dataset(
        "set", SourceSpec(str(write_faces(tmp_path / "m", unlabelled=6))), owner=OWNER
    )
    build_index(made, with_faces=False)
    app = opened()
    app.button(key="training_view-measure").click().run()
    app.selectbox(key="measure_split").set_value("all").run()
    app.button(key="measure_start").click().run()
    wait_for_job("done")
    app.run()
    assert not app.exception
    told = say(
        "training.measured",
        model=plain(DEFAULT_MODEL),
        data="set",
        split=say("training.measure_all"),
        prior=say("options.prior_balanced"),
    )
    assert told in [caption.value for caption in app.caption]
    shown = {metric.label: metric.value for metric in app.metric}
    alone = shown[say("figure.val_accuracy")]
    assert say("training.measure_affect") in [text.value for text in app.markdown]
    assert say("training.measure_gain") not in shown
    app.multiselect(key="measure_models").set_value(["vgg-s", "vgg-xs"]).run()
    assert say("training.measure_fitted") not in app.radio(key="measure_vote").options
    app.selectbox(key="measure_split").set_value("train").run()
    app.radio(key="measure_vote").set_value("fitted").run()
    app.button(key="measure_start").click().run()
    wait_for_job("done")
    app.run()
    assert not app.exception
    assert not app.error
    shown = {metric.label: metric.value for metric in app.metric}
    assert shown[say("training.measure_gain")][0] in "+-"
    assert alone.endswith("%")
    assert app.dataframe[0].value["Weight"].sum() == pytest.approx(1, abs=1e-3)
    app.button(key="measure_submit").click().run()
    wait_for_job("done")
    app.run()
    assert not app.exception
    told = say("training.measure_distribution", n="6")
    assert told in [text.value for text in app.markdown]
    again = fresh_app().switch_page("pages/training.py")
    again.query_params.update(app.query_params)
    again.run()
    assert told in [text.value for text in again.markdown], "it is there after a refresh, too"


def test_labels_without_points_have_no_circle(tmp_path: Path) -> None:
    def points(valence: float) -> list[str]:
        row = {"truth": "1", "valence": valence, "arousal": 0.0}
        pd.DataFrame([row, {**row, "truth": "NA"}]).to_csv(tmp_path / "answers.csv", index=False)
        return points_of(tmp_path / "answers.csv")["truth"].tolist()

    assert points(0.0) == []
    assert points(0.5) == ["1", "NA"]


def _trust(app: AppTest) -> Checkbox:
    return next(one for one in app.checkbox if one.label == say("training.bring_trust"))


def test_the_address_of_a_training_that_is_gone_says_so() -> None:
    app = opened()
    app.session_state["run"] = "0123456789abcdef"
    app.run()
    assert [box.value for box in app.warning] == [say("error.no_run")]
    assert "run" not in app.session_state


def test_a_model_is_brought(tmp_path: Path) -> None:
    app = opened()
    app.button(key="training_view-bring").click().run()
    assert app.button(key="bring_start").disabled
    file = keras_file(small(), tmp_path)
    app.get("file_uploader")[0].set_value(("my_[m].keras", file.read_bytes(), "")).run()
    assert app.button(key="bring_start").disabled, "nobody has said that they trust it"
    _trust(app).set_value(True).run()
    app.get("file_uploader")[0].set_value(("other.keras", b"another file", "")).run()
    assert not _trust(app).value, "the trust in one file went over to the next"
    app.get("file_uploader")[0].set_value(("my_[m].keras", file.read_bytes(), "")).run()
    _trust(app).set_value(True)
    app.text_input(key="bring_name").set_value("mine")
    app.number_input(key="bring_side").set_value(24)
    app.selectbox(key="bring_pixels").set_value("0..1")
    app.selectbox(key="bring_channels").set_value(1).run()
    app.button(key="bring_start").click().run()
    assert app.button(key="bring_start").disabled, "one file is read once"
    wait_for_job("failed")
    app.run()
    assert not app.exception
    assert any("7 labels would be" in box.value for box in app.error)
    app.text_input(key="bring_labels").set_value("angry, happy, neutral").run()
    app.button(key="bring_start").click().run()
    wait_for_job("done")
    app.run()
    assert not app.exception
    assert any("mine is ready" in box.value for box in app.success)
    assert "mine" in [entry.id for entry in list_models() if entry.card]
    assert not list((tmp_path / "mien-home" / "jobs").glob("*/input")), "the upload is gone"


def test_a_refresh_leads_back_to_where_one_was(done: Run) -> None:
    app = opened()
    assert not app.query_params
    app.button(key=f"open-run-{done.id}").click().run()
    app.run()
    assert app.query_params == {"run": done.id}
    again = fresh_app()
    again.query_params["run"] = done.id
    again.switch_page("pages/training.py").run()
    assert not again.exception
    assert plain(done.name) in [element.value for element in again.subheader]
    again.button(key="run_back").click().run()
    assert "run" not in again.query_params
    lost = fresh_app()
    lost.query_params["run"] = "0" * 16
    lost.switch_page("pages/training.py").run()
    assert not lost.exception
    assert lost.button(key=f"open-run-{done.id}"), "nobody's run is the list"


def test_a_run_is_repeated_with_the_file_that_it_began_with(done: Run) -> None:
    path = done.folder / "run.json"
    held = json.loads(path.read_text())
    held["recipe"].update(weights="/data/backbone.h5", leave_out=["fear"])
    path.write_text(json.dumps(held))
    app = opened()
    app.button(key=f"open-run-{done.id}").click().run()
    app.button(key=f"again-{done.id}").click().run()
    assert app.selectbox(key="recipe-again-1-weights").value == "/data/backbone.h5"
    app.text_input(key="recipe-again-1-leave_out").set_value("").run()
    assert not app.exception
    assert not app.error, "an emptied list is an empty one"


def test_a_training_that_cannot_be_started_leaves_no_run(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    del dataset
    for _ in range(20):
        new_job("train", "waits", owner=OWNER, settings={})
    app = new(opened())
    app.button(key="training_start").click().run()
    assert not app.exception
    assert any("20 of your jobs" in box.value for box in app.error)
    assert mine() == []


def test_a_training_is_repeated_with_one_change(done: Run) -> None:
    app = opened()
    app.button(key=f"open-run-{done.id}").click().run()
    app.button(key=f"again-{done.id}").click().run()
    assert not app.exception
    assert app.number_input(key="recipe-again-1-batch").value == done.recipe["batch"]
    app.number_input(key="recipe-again-1-batch").set_value(3).run()
    app.button(key="training_start").click().run()
    assert not app.exception
    (again,) = [run for run in mine() if run.id != done.id]
    assert again.recipe == {**done.recipe, "batch": 3}
    assert again.dataset["id"] == done.dataset["id"]
    pause_run(list_jobs(OWNER)[0])
    until(lambda: all(job.is_over for job in list_jobs(OWNER)))


def test_who_repeats_a_training_whose_data_set_is_gone_is_told(done: Run, tmp_path: Path) -> None:
    other = new_dataset("other", SourceSpec(str(write_faces(tmp_path / "b"))), owner=OWNER)
    build_index(other, with_faces=False)
    delete_dataset(load_dataset(done.dataset["id"], OWNER))
    app = opened()
    app.button(key=f"open-run-{done.id}").click().run()
    app.button(key=f"again-{done.id}").click().run()
    assert not app.exception
    assert "is gone" in app.warning[0].value
    assert app.selectbox(key="training_dataset").value == other.id
    app.switch_page("pages/dataset.py").run()
    assert not app.error


def test_the_command_lines_work_is_shown_on_a_machine_of_ones_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_faces(tmp_path / "set")
    dataset = new_dataset("typed", SourceSpec(str(folder)), owner=COMMAND_LINE)
    build_index(dataset, with_faces=False)
    run = begin_run(dataset, parse_recipe(tiny()), owner=COMMAND_LINE, name="typed")
    app = opened()
    assert app.dataframe[0].value["name"].tolist() == ["typed"]
    with alone_in(run.folder):
        app.button(key=f"open-run-{run.id}").click().run()
        assert not app.exception
        assert f"resume-{run.id}" not in [one.key for one in app.button]
    app.run()
    assert app.button(key=f"resume-{run.id}")
    app.switch_page("pages/dataset.py").run()
    assert "typed" in app.selectbox[0].options[0]
    monkeypatch.setattr("pages._shared.visitor.is_own_machine", lambda: False)
    app.switch_page("pages/training.py").run()
    assert [box.value for box in app.info] == [say("training.empty")]
    app.switch_page("pages/dataset.py").run()
    assert not app.selectbox


def test_a_shared_studio_takes_no_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pages._shared.visitor.is_own_machine", lambda: False)
    app = opened()
    app.button(key="training_view-bring").click().run()
    assert say("training.bring_shared") in [box.value for box in app.info]
    assert not app.get("file_uploader")


@pytest.mark.parametrize(
    ("key", "value", "word"),
    [
        ("recipe-quick-batch", 0, "batch is 0"),
        ("recipe-quick-stage1-learning_rate", -1.0, "learning_rate is -1.0"),
    ],
)
def test_impossible_settings_are_named(dataset: Dataset, key: str, value: float, word: str) -> None:
    del dataset
    app = new(opened())
    app.toggle(key="training_settings").set_value(True).run()
    app.number_input(key=key).set_value(value).run()
    assert not app.exception
    assert any(word in box.value.replace("\\", "") for box in app.error)
    assert mine() == []


def test_missing_weights_are_said_before_and_refused(dataset: Dataset) -> None:
    del dataset
    app = new(opened())
    app.selectbox(key="training_recipe").set_value("seed-002-best").run()
    assert any("models weights EfficientNetB1" in box.value for box in app.warning)
    app.button(key="training_start").click().run()
    assert not app.exception
    assert any("are not here" in box.value for box in app.error)
    assert mine() == []


def test_a_model_of_labels_of_its_own_reads_photos(done: Run) -> None:
    promoted = promote_run(done, "mine")
    folder = model_folder(promoted.id)
    card = json.loads((folder / "card.json").read_text())
    card["labels"] = ["grinning_[x]", "blank"]
    (folder / "card.json").write_text(json.dumps(card))
    app = fresh_app().switch_page("pages/photo.py").run()
    app.selectbox(key="model").set_value(("mine",)).run()
    app.session_state["photo_source"] = "sample"
    app.run()
    assert not app.exception
    assert not app.error
    assert any("blank" in text.value or "grinning" in text.value for text in app.markdown)


def test_only_recipes_that_can_start_here_are_offered() -> None:
    here = {entry.id for entry in list_models()}
    offered = {name for name in recipe_names() if suits_datasets(load_recipe(name), here)}
    assert {"quick", "fine-tune", "vgg-plain", "se-resnet-s", "fer2013-l"} <= offered
    assert not offered & {
        "vgg-s",
        "vgg-xs",
        "se-resnet-l",
        "se-resnet-m",
        "se-resnet-n",
    }


def test_home_lists_trainings_and_leads_to_them(done: Run) -> None:
    app = fresh_app()
    assert any(plain("my_[run]") in text.value for text in app.markdown)
    app.button(key=f"home-{done.id}").click().run()
    assert not app.exception
    assert say("training.title") in [title.value for title in app.title]
    assert app.session_state["run"] == done.id
    empty = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    empty.session_state["notice_accepted"] = True
    empty.session_state["owner"] = "somebody else"
    assert say("home.trainings_none") in [text.value for text in empty.run().caption]
