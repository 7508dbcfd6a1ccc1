"""Recipes: those that come along, and those that are refused."""

from datetime import date
from pathlib import Path

import pytest
import yaml

from emotion_core.errors import TrainingError
from emotion_core.training.recipe import fitted_to, parse_recipe
from emotion_core.training.recipes import changed_recipe, load_recipe, recipe_names
from emotion_core.training.weights import (
    published_weights,
    weights_name,
    weights_named,
    weights_path,
)
from tests.builders import TINY, tiny


def test_the_shipped_recipes_are_valid() -> None:
    vggs = ("vgg-plain", "vgg-s", "vgg-xs", "fer2013-l")
    shipped = (*vggs, *(f"se-resnet-{size}" for size in ("plain", "s", "m", "n", "l")))
    assert set(shipped) <= set(recipe_names())
    seeds = {load_recipe(name).seed for name in shipped}
    assert len(seeds) == len(shipped)
    for name in recipe_names():
        recipe = load_recipe(name)
        assert recipe.name == name
        assert parse_recipe(yaml.safe_load(recipe.to_yaml())) == recipe


def test_published_weights_are_found_by_the_name_that_is_told() -> None:
    recipes = [load_recipe(name) for name in recipe_names()]
    published = [recipe for recipe in recipes if recipe.weights == "pretrained"]
    assert {"application", "vggface", "bit"} <= {recipe.network for recipe in published}
    for recipe in published:
        assert weights_named(weights_name(recipe)) == published_weights(recipe) is not None
    mine = changed_recipe(load_recipe("seed-002-b2"), ["options.variant=EfficientNetB5"])
    assert weights_named(weights_name(mine)) == published_weights(mine) is not None


def test_a_mistyped_network_is_told_with_what_it_looks_like() -> None:
    mistyped = changed_recipe(load_recipe("mobilenet-s"), ["options.variant=MobilNetV3Small"])
    with pytest.raises(TrainingError, match=r"MobilNetV3Small\. Did you mean MobileNetV3Small\?"):
        weights_path(mistyped)
    unlike = changed_recipe(load_recipe("mobilenet-s"), ["options.variant=NASNetLarge"])
    with pytest.raises(TrainingError, match=r"NASNetLarge\. Set the"):
        weights_path(unlike)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"epoch": 3}, "unknown settings: epoch"),
        ({"stages": []}, "stages are empty"),
        ({"stages": [{"epochs": 3}]}, r"stages\[0\] is incomplete: it lacks learning_rate"),
        (tiny(stage={"restarts": [9]}), "restarts"),
        (tiny(epochs=0), "epochs is 0"),
        (tiny(stage={"learning_rate": "high"}), "learning_rate is 'high'"),
        (tiny(stage={"optimizer": "lion"}), r"optimizer is 'lion'; choose one of \['sgd'"),
        (tiny(stage={"plateau": {"patience": 0}}), "plateau's patience is 0"),
        ({"batch": True}, "batch is True"),
        ({"batch": 2.5}, "batch is 2.5; it has to be a whole number"),
        ({"average": 1}, "average is 1.0; it has to be 0 to 0.99999"),
        ({"outputs": ["age"]}, "outputs are"),
        ({"outputs": ["affect"]}, "monitor is val_accuracy, which is not measured"),
        (tiny(stage={"early_stop": {"monitor": "val_mse"}}), r"early_stop\.monitor is val_mse"),
        ({"name": "../models"}, "name is '../models'; it becomes a folder"),
        ({"seed": 20240101}, "seed is 20240101; it has to be 0 to 4e"),
        ({"augmentation": {"rotate": 3}}, "unknown settings: rotate"),
        ({"augmentation": 3}, "table of settings"),
        ({"crop": {"margins": 3}}, "unknown settings: margins"),
        ({"crop": {"side_px": -5}}, "crop cannot be cut"),
        ({"crop": {"channels": 2}}, "crop cannot be cut"),
        ({"options": {"classes": 3}}, "options name classes"),
        ({"batch": 10**400}, "it has to be a whole number"),
        ({"crop": {"margin": float("nan")}}, "margin is nan; it has to be a number"),
        ({"options": []}, "options is \\[\\]; it has to be a table"),
        ({"outputs": ["emotion", "emotion"]}, "outputs are"),
        (tiny(stage={"train": -3}), "train is -3"),
        (tiny(stage={"warmup_epochs": float("inf")}), "warmup_epochs"),
        (
            tiny(epochs=2, stage={"warmup_epochs": 3}),
            "3 are more than the 2 epochs it has",
        ),
        (tiny(epochs=9, stage={"warmup_epochs": 4, "restarts": [3]}), "than the 3 epochs of the"),
        (tiny(stage={"learning_rate": float("inf")}), "learning_rate is inf"),
        ({"augmentation": {"brightness": [0.5, float("inf")]}}, "brightness is"),
        ({"options": {"when": date(2020, 1, 1)}}, "options cannot be kept"),
        (tiny(stage={"schedule": "exponential", "warmup_epochs": 1}), "neither warmup_epochs"),
        (tiny(epochs=3, stage={"schedule": "exponential", "restarts": [1]}), "nor restarts"),
    ],
)
def test_bad_recipes_are_refused_by_the_name_of_the_setting(changes: dict, word: str) -> None:
    with pytest.raises(TrainingError, match=word):
        parse_recipe({**TINY, **changes})


def test_short_trainings_are_not_calm_all_the_time() -> None:
    recipe = parse_recipe(tiny(epochs=5, calm_epochs=6, augmentation={"erase": 0.5}))
    assert [recipe.augmentation_with(left).erase for left in (5, 4, 3, 2, 1)] == [0.5] * 3 + [0, 0]


def test_only_one_stage_is_fitted_to_a_data_set() -> None:
    with pytest.raises(TrainingError, match="2 stages"):
        fitted_to(load_recipe("mobilenet-s"), n=100, samples=100, longest=5)


def test_a_recipe_like_another_holds_only_what_differs(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(
        "like: vgg-plain\nname: mine\nbatch: 32\naugmentation: {flip: false}\n"
    )
    mine, base = load_recipe(tmp_path / "mine.yaml"), load_recipe("vgg-plain")
    assert (mine.batch, mine.augmentation.flip) == (32, False)
    assert mine.augmentation.rotation_deg == base.augmentation.rotation_deg
    assert mine.stages == base.stages
    (tmp_path / "yours.yaml").write_text("like: mine.yaml\nname: yours\n")  # beside it
    assert load_recipe(tmp_path / "yours.yaml").batch == 32
    (tmp_path / "round.yaml").write_text(f"like: {tmp_path / 'round.yaml'}\nname: round\n")
    with pytest.raises(TrainingError, match="without end"):
        load_recipe(tmp_path / "round.yaml")


def test_files_that_are_no_recipes(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("name: [")
    (tmp_path / "b.yaml").write_text("just text")
    (tmp_path / "c.yaml").write_text("name: only")
    for name, word in [("a", "not a YAML"), ("b", "holds no settings"), ("c", "incomplete")]:
        with pytest.raises(TrainingError, match=word):
            load_recipe(tmp_path / f"{name}.yaml")
    with pytest.raises(TrainingError, match="vgg-s"):
        load_recipe("nothing")


def test_a_value_that_is_refused_is_named_in_few_words(tmp_path: Path) -> None:
    for value in ("x" * 10_000, [["x" * 100] * 100] * 100):
        with pytest.raises(TrainingError) as refused:
            parse_recipe(tiny(batch=value))
        assert len(str(refused.value)) < 500
    levels = [f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    text = "\n".join(["name: bomb", "a0: &a0 [x,x,x,x,x,x,x,x,x,x]", *levels])
    (tmp_path / "bomb.yaml").write_text(text)
    with pytest.raises(TrainingError, match="1,000,000 values"):
        load_recipe(tmp_path / "bomb.yaml")
