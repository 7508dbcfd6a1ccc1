"""Many trainings: what is varied, and what goes wrong in one of them."""

import time

import pytest
import yaml

from emotion_core.errors import TrainingError
from emotion_core.jobs import owner_hash
from emotion_core.runs import Run, list_runs, load_run
from emotion_core.training.recipe import Recipe, parse_recipe
from emotion_core.training.recipes import changed_recipe
from emotion_core.workbench.store import Dataset
from emotion_core.workbench.sweeps import run_all, surveyed, varied
from emotion_core.workbench.trainings import begin_run, work_on
from tests.builders import tiny

TINY: Recipe = parse_recipe(tiny(epochs=2))


def test_what_goes_wrong_in_one_trial_ends_no_other(
    learnable: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhausted(run: Run, **options: object) -> object:
        if run.recipe["batch"] == 64:
            raise MemoryError("no room for 64 faces\nand a trace")
        return work_on(run, **options)

    monkeypatch.setattr("emotion_core.workbench.sweeps.work_on", exhausted)
    failed: list[str] = []
    recipes = varied(changed_recipe(TINY, ["stages.0.epochs=1"]), ["batch=64,8"])
    table = run_all(
        learnable, recipes, owner="me", on_failure=lambda name, why: failed.append(f"{name}: {why}")
    )
    assert failed == ["batch=64: no room for 64 faces"]
    assert table["name"].tolist() == ["batch=8"]


def test_a_trial_that_is_done_counts_and_not_a_later_one_that_rests(learnable: Dataset) -> None:
    recipe = changed_recipe(TINY, ["stages.0.epochs=1"])
    run_all(learnable, [recipe], owner="me")
    (done,) = list_runs(owner_hash("me"))
    time.sleep(0.01)
    resting = begin_run(learnable, recipe, owner="me")
    assert list_runs(owner_hash("me"))[0].id == resting.id
    table = run_all(learnable, [recipe], owner="me")
    assert table["run"].tolist() == [done.id]
    assert load_run(resting.id).state == ""


def test_who_takes_from_a_model_that_is_not_shipped_is_told_how_to_make_it(
    learnable: Dataset,
) -> None:
    recipe = changed_recipe(TINY, ["weights=model:vgg-plain"])
    with pytest.raises(TrainingError, match=r"takes from the model vgg-plain.*train vgg-plain"):
        begin_run(learnable, recipe, owner="me")
    with pytest.raises(TrainingError, match=r"Keras file of se-resnet-m.*train se-resnet-m"):
        begin_run(learnable, changed_recipe(TINY, ["weights=model:se-resnet-m"]), owner="me")


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
