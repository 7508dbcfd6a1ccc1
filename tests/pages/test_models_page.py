"""The models page without a browser: all of them, one of them, one that is broken or old."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from emotion_core.benchmarks import PEERS
from emotion_core.errors import ModelError, StorageError
from emotion_core.registry import (
    DEFAULT_MODEL,
    delete_model,
    list_models,
    load_model,
    model_folder,
    models_folder,
)
from emotion_core.texts import say
from pages._shared.errors import plain
from pages._shared.training_charts import curves
from tests.pages.test_pages import markdown_of
from tests.steps import ROOT, fresh_app


def opened() -> AppTest:
    app = fresh_app().switch_page("pages/models.py").run()
    assert not app.exception
    return app


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of models of one's own with the default in it."""
    folder = tmp_path / "models"
    shutil.copytree(models_folder() / DEFAULT_MODEL, folder / DEFAULT_MODEL)
    monkeypatch.setenv("MIEN_MODELS", str(folder))
    yield folder
    st.cache_resource.clear()  # the models of this folder are nobody else's


def change_card(folder: Path, **changes: object) -> None:
    path = folder / DEFAULT_MODEL / "card.json"
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **changes}))


def test_all_models_stand_beside_each_other_and_others() -> None:
    app = opened()
    shown = [element.value for element in app.subheader]
    titles = [entry.card.title for entry in list_models() if entry.card]
    assert [title for title in titles if title in shown] == titles
    beside = [element.value for column in app.columns for element in column.subheader]
    assert set(titles) <= set(beside)
    told = [caption.value for caption in app.caption]
    for entry in list_models():
        held = entry.card.metrics["test"]
        assert plain(say("models.tile_rule", rule=held["rule"], n=held["n"])) in told
    tables = [frame.value for frame in app.dataframe]
    assert len(tables) == 4
    first = tables[0]
    assert set(titles) <= set(first["model"])
    assert set(PEERS["ferplus"]["model"]) <= set(first["model"])
    assert any("3, " in name for name in first["model"]), "the committee stands there, too"
    ours = first[first["model"] == titles[0]]
    kept = load_model().card.metrics["benchmarks"]["ferplus"]["rows"]
    expected = [100 * row["accuracy"] for row in kept if not row["mirrored"]]
    assert ours["accuracy"].tolist() == pytest.approx(expected)
    assert say("benchmark.peers") in [caption.value for caption in app.caption]


def test_models_of_one_title_are_told_apart(copied: Path) -> None:
    mine = copied / "mine"
    shutil.copytree(copied / DEFAULT_MODEL, mine)
    card = json.loads((mine / "card.json").read_text(encoding="utf-8"))
    kept = card["metrics"].pop("benchmarks")
    (mine / "card.json").write_text(json.dumps({**card, "id": "mine"}))
    app = opened()
    rows = app.dataframe[0].value
    assert (rows["model"] == f"{card['title']} ({DEFAULT_MODEL})").sum() == len(
        [row for row in kept["ferplus"]["rows"] if not row["mirrored"]]
    )


def test_one_model_is_opened_measured_and_left() -> None:
    app = opened()
    app.button(key=f"open-{DEFAULT_MODEL}").click().run()
    assert not app.exception
    card = load_model().card
    text = markdown_of(app)
    assert say("models.forbidden", text=plain(card.forbidden)) in text
    assert plain(card.limits[0]) in text
    assert say("models.robustness") in text
    priors = app.dataframe[0].value
    assert priors["prior"].tolist() == [say("options.prior_data"), say("options.prior_balanced")]
    assert priors["accuracy"].tolist() == pytest.approx(
        [100 * card.metrics[name]["accuracy"] for name in ("test", "test_balanced")]
    )
    assert not app.metric
    app.button(key=f"measure-{DEFAULT_MODEL}").click().run()
    assert app.metric[0].label == say("models.median_ms")
    assert app.metric[3].value == "200"
    app.button(key="model_back").click().run()
    assert app.button(key=f"open-{DEFAULT_MODEL}")


def test_a_card_of_an_older_version_is_shown_as_far_as_it_goes(copied: Path) -> None:
    old = {
        "n": 10, "rule": "labels as given", "accuracy": 0.8, "accuracy_interval_95": [0.5, 0.9],
        "mean_recall": 0.7, "ece_15_bins": 0.05, "nll": 0.6, "brier": 0.3, "recall": {},
        "target_n": 10,
    }  # fmt: skip
    change_card(copied, metrics={"validation": old, "answered_at_threshold": 1.0}, prior=[])
    app = opened()
    assert not app.dataframe, "there is no benchmark of it"
    app.button(key=f"open-{DEFAULT_MODEL}").click().run()
    assert not app.exception
    assert say("models.prior_unknown") in [caption.value for caption in app.caption]
    change_card(copied, metrics={})
    app = opened()
    assert say("models.no_figures") in [caption.value for caption in app.caption]
    app.button(key=f"open-{DEFAULT_MODEL}").click().run()
    assert not app.exception


def test_a_broken_model_is_a_box_and_the_others_stay(copied: Path) -> None:
    shutil.copytree(copied / DEFAULT_MODEL, copied / "broken")
    (copied / "broken" / "model.tflite").write_bytes(b"")
    app = opened()
    assert len(app.error) == 1
    assert "broken" in app.error[0].value
    assert app.button(key=f"open-{DEFAULT_MODEL}")
    (copied / "committees.json").write_text("{")
    app = opened()
    assert any("committees.json" in error.value for error in app.error)


def test_a_model_that_was_removed_meanwhile_hides_no_other(copied: Path) -> None:
    shutil.copytree(copied / DEFAULT_MODEL, copied / "mine")
    path = copied / "mine" / "card.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "id": "mine", "title": "A mine"}))
    app = opened()
    shutil.rmtree(copied / "mine")
    app.run()
    assert not app.exception
    assert [box.value.startswith("There is no model 'mine'") for box in app.error] == [True]
    assert [frame.value for frame in app.dataframe], "the page ends there"


def test_committees_of_one_size_stand_beside_each_other(copied: Path) -> None:
    held = json.loads((ROOT / "models" / "committees.json").read_text(encoding="utf-8"))
    (figures,) = held["figures"].values()
    held["figures"] = {"soft(a,b,c)": figures, "soft(a,b,vgg-s)": figures}
    (copied / "committees.json").write_text(json.dumps(held))
    names = list(opened().dataframe[0].value["model"])
    assert sum("3, " in name for name in names) == 4, names
    assert any(name.endswith(": a, b, vgg-s") for name in names)


def _refuse(*_: object) -> None:
    raise OSError(16, "in use")


def test_what_was_promoted_can_be_removed_and_what_comes_along_cannot(
    work_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = work_home / "models" / "mine"
    shutil.copytree(model_folder(DEFAULT_MODEL), mine)
    held = json.loads((mine / "card.json").read_text())
    (mine / "card.json").write_text(json.dumps({**held, "id": "mine"}))
    app = opened()
    app.button(key=f"open-{DEFAULT_MODEL}").click().run()
    assert f"delete-model-{DEFAULT_MODEL}" not in [one.key for one in app.button]
    with pytest.raises(ModelError, match="comes with Mien"):
        delete_model(DEFAULT_MODEL)
    with monkeypatch.context() as patched:
        patched.setattr("emotion_core.registry.os.replace", _refuse)
        with pytest.raises(StorageError, match="mine was not removed: in use"):
            delete_model("mine")
    app.button(key="model_back").click().run()
    app.button(key="open-mine").click().run()
    app.button(key="delete-model-mine").click().run()
    assert not app.exception
    assert "open-mine" not in [one.key for one in app.button]
    assert not mine.exists()
    with pytest.raises(ModelError, match="no model 'mine'"):
        delete_model("mine")


def test_home_leads_here() -> None:
    app = fresh_app()
    app.run()
    app.button(key="open_models").click().run()
    assert not app.exception
    assert [element.value for element in app.title] == [say("models.title")]


def test_the_prior_can_be_chosen_and_is_noted(copied: Path) -> None:
    app = fresh_app().switch_page("pages/photo.py").run()
    app.button(key="try_sample").click().run()
    assert app.radio(key="prior").value == "balanced"
    balanced = app.dataframe[0].value
    app.radio(key="prior").set_value("data").run()
    assert not app.exception
    as_trained = app.dataframe[0].value
    assert as_trained[say("label.contempt")].iloc[0] < balanced[say("label.contempt")].iloc[0]
    (_, held), *_ = app.session_state["photo_results"].items()
    assert held.provenance.options["prior"] == "data"
    change_card(copied, prior=[])
    app = fresh_app().switch_page("pages/photo.py").run()
    title = load_model().card.title
    assert say("options.prior_unknown", names=title) in [one.value for one in app.caption]


def test_a_curve_goes_on_where_some_epochs_were_not_validated() -> None:
    history = [{"epoch": n, "loss": 1 / n, "val_loss": float("nan")} for n in range(1, 8)]
    history[2]["val_loss"], history[6]["val_loss"] = 0.5, 0.4
    loss, validated = curves({"mine": history}, ("loss", "val_loss")).data
    assert (loss.mode, len(loss.x)) == ("lines", 7)
    assert (validated.mode, validated.x, validated.y) == ("lines+markers", (3, 7), (0.5, 0.4))
