"""The recipes of the four student systems, setting by setting."""

from pathlib import Path

import keras
import numpy as np
import pytest

from emotion_core.datasets.sources import SourceSpec
from emotion_core.datasets.splits import RULES
from emotion_core.training.fit import train
from emotion_core.training.recipe import Head, Plateau, Recipe
from emotion_core.training.recipes import changed_recipe, load_recipe, recipe_names
from emotion_core.workbench.index import build_index
from emotion_core.workbench.store import Dataset, new_dataset
from emotion_core.workbench.training_data import prepare_data
from tests.builders import write_faces

SEEDS = [name for name in recipe_names() if name.startswith("seed-")]
FULL = {"rotation_deg": 15, "shift": 0.15, "shear_deg": 0.2, "zoom": 0, "brightness": (0.6, 1.4)}
CROPPED = {
    "rotation_deg": 2,
    "shift": 0.05,
    "shear_deg": 0.1,
    "zoom": 0.05,
    "brightness": (0.5, 1.5),
}


def differs(recipe: Recipe, **expected: object) -> dict[str, object]:
    """What of the augmentation is not as expected; nothing else may be on."""
    held = recipe.augmentation.__dict__
    wanted = {name: type(value)() for name, value in held.items()} | expected
    return {name: (held[name], wanted[name]) for name in held if held[name] != wanted[name]}


def test_there_is_a_recipe_for_every_published_training() -> None:
    assert len(SEEDS) == 21
    for name in SEEDS:
        recipe = load_recipe(name)
        assert recipe.split == name[:8]
        assert recipe.split in RULES
        assert recipe.source, "says where it comes from"
        assert recipe.average == recipe.calm_epochs == recipe.loss.mixup == 0


@pytest.mark.parametrize(
    ("name", "network", "variant", "pooling", "epochs"),
    [
        ("vggface", "vggface", "resnet50", "avg", 20),
        ("xception", "application", "Xception", "max", 15),
        ("bit", "bit", None, "avg", 20),
        ("efficientnet", "application", "EfficientNetB1", "max", 20),
    ],
)
def test_seed_000(name: str, network: str, variant: str, pooling: str, epochs: int) -> None:
    for ending, sees, looks in [("", "whole", FULL), ("-cropped", "face", CROPPED)]:
        recipe = load_recipe(f"seed-000-{name}{ending}")
        assert (recipe.network, recipe.options.get("variant")) == (network, variant)
        expected = "avg" if (name, ending) == ("xception", "-cropped") else pooling
        assert recipe.head == Head(pooling=expected, zeros=name == "bit")  # type: ignore[arg-type]
        assert (recipe.sees, recipe.batch, recipe.weights) == (sees, 16, "pretrained")
        assert (recipe.crop.side_px, recipe.crop.channels) == (224, 3)
        (stage,) = recipe.stages
        assert (stage.epochs, stage.learning_rate, stage.optimizer) == (epochs, 5e-5, "adam")
        assert (stage.train, stage.schedule) == ("all", "constant")
        assert stage.plateau == Plateau("val_accuracy", patience=2, factor=0.2)
        assert stage.early_stop is not None
        assert (stage.early_stop.monitor, stage.early_stop.patience) == ("val_accuracy", 6)
        assert not differs(recipe, flip=True, six_way=True, **looks)


def test_seed_000_affect() -> None:
    recipe = load_recipe("seed-000-affect")
    assert (recipe.outputs, recipe.affect, recipe.monitor) == (("affect",), "anchors", "val_mae")
    assert recipe.head == Head()
    assert not differs(recipe, flip=True, **FULL)
    assert recipe.stages[0].early_stop is not None
    assert recipe.stages[0].early_stop.monitor == "val_mae"


@pytest.mark.parametrize(
    ("name", "variant", "side", "batch", "epochs", "has_plateau", "weights", "looks"),
    [
        ("best", "B1", 240, 64, 20, True, "pretrained", {"rotation_deg": 15, "shift": 0.15}),
        ("b0", "B0", 224, 128, 15, True, "pretrained", {"rotation_deg": 15, "shift": 0.15}),
        ("b1", "B1", 240, 64, 17, True, "pretrained", {"rotation_deg": 15, "shift": 0.15}),
        (
            "b2", "B2", 260, 64, 20, False, "pretrained",
            {"rotation_deg": 20, "shift": 0.15, "zoom": 0.15},
        ),
        ("b2-no-aug", "B2", 260, 64, 10, False, "pretrained", None),
        ("b2-no-transfer", "B2", 260, 64, 10, False, "none", None),
        (
            "b4", "B4", 380, 16, 7, True, "pretrained",
            {"rotation_deg": 10, "shift": 0.15, "brightness": (0.75, 1.25)},
        ),
    ],
)  # fmt: skip
def test_seed_002(
    name: str,
    variant: str,
    side: int,
    batch: int,
    epochs: int,
    has_plateau: bool,
    weights: str,
    looks: dict | None,
) -> None:
    recipe = load_recipe(f"seed-002-{name}")
    assert recipe.options == {"variant": f"EfficientNet{variant}"}
    assert (recipe.crop.side_px, recipe.batch, recipe.epochs) == (side, batch, epochs)
    assert (recipe.head, recipe.weights, recipe.sees) == (Head(), weights, "whole")
    (stage,) = recipe.stages
    assert (stage.optimizer, stage.learning_rate, stage.train) == ("adam", 1e-3, "all")
    expected = Plateau("val_accuracy", patience=3, factor=0.1, min_rate=3e-7)
    assert stage.plateau == (expected if has_plateau else None)
    assert stage.early_stop is None
    assert not (differs(recipe) if looks is None else differs(recipe, flip=True, **looks))


def test_seed_003() -> None:
    recipe = load_recipe("seed-003-convnext")
    assert recipe.options == {"variant": "ConvNeXtXLarge"}
    assert recipe.head == Head(hidden=512, activation="relu", dropout=0.1)
    assert (recipe.batch, recipe.crop.side_px) == (104, 224)
    first, second = recipe.stages
    assert (first.train, first.learning_rate, first.decay_rate) == ("head", 5e-4, 0.9)
    assert (second.train, second.learning_rate, second.decay_rate) == (7, 1e-5, 0.98)
    for stage in recipe.stages:
        assert (stage.schedule, stage.decay_steps, stage.epochs) == ("exponential", 100, 50)
        assert stage.optimizer == "adam"
    assert first.early_stop is not None
    assert first.early_stop.patience == 10
    assert not differs(
        recipe,
        rotation_deg=45,
        shift=0.2,
        shear_deg=0.2,
        zoom=0.2,
        flip=True,
        brightness=(0.2, 1.5),
        channel_shift=50,
    )
    assert load_recipe("seed-003-without-uncertain").leave_out == ("uncertain",)
    affect = load_recipe("seed-003-affect")
    assert affect.head == Head(hidden=1024, activation="linear", dropout=0.1)
    assert (affect.outputs, affect.affect, affect.monitor) == (("affect",), "rays", "val_mse")
    assert affect.leave_out == ("uncertain",)
    assert len(affect.stages) == 1


def test_seed_004() -> None:
    for name, smoothing, options in [
        ("seed-004", 0.0, {}),
        (
            "seed-004-smoothed",
            0.1,
            {"widths": [[512, 256], [128, 128], [256, 256]], "dense": 128},
        ),
    ]:
        recipe = load_recipe(name)
        assert (recipe.network, recipe.options) == ("elu_cnn", options)
        assert recipe.loss.label_smoothing == smoothing
        assert (recipe.batch, recipe.crop.side_px, recipe.crop.channels) == (64, 48, 1)
        (stage,) = recipe.stages
        assert (stage.epochs, stage.optimizer, stage.learning_rate) == (120, "nadam", 1e-3)
        assert stage.plateau == Plateau("val_loss", patience=7, factor=0.84, min_rate=3e-4)
        assert stage.early_stop is not None
        assert (stage.early_stop.monitor, stage.early_stop.patience) == ("val_loss", 30)
        assert not differs(
            recipe, rotation_deg=15, shift=0.15, shear_deg=0.15, zoom=0.15, flip=True
        )


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Some faces of two labels."""
    home = tmp_path_factory.mktemp("few")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MIEN_HOME", str(home / "mien"))
        made = new_dataset("few", SourceSpec(str(write_faces(home / "set", 24))), owner="me")
        build_index(made)
    return made


#: One of each loop: two stages, one output of emotions, one of valence and arousal.
QUICK = ("seed-003-affect", "seed-004")


@pytest.mark.parametrize(
    "name",
    [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in SEEDS],
)
def test_each_recipe_takes_two_steps(name: str, few: Dataset, tmp_path: Path) -> None:
    recipe = load_recipe(name)
    changes = [f"stages.{i}.epochs=1" for i in range(len(recipe.stages))]
    changes.append("weights=none")
    if recipe.network != "elu_cnn":  # the others take any size
        changes.append("crop.side_px=71")
    if "ConvNeXt" in recipe.options.get("variant", ""):  # the same layers, a twelfth of them
        changes.append("options.variant=ConvNeXtTiny")
    recipe = changed_recipe(recipe, changes)
    data = prepare_data(few, recipe)
    two_steps = changed_recipe(recipe, [f"batch={-(-len(data.train) // 2)}"])
    model, state = train(two_steps, data, tmp_path)
    assert len(state.history) == len(recipe.stages)
    assert all(np.isfinite(row["loss"]) for row in state.history)
    assert {"images_per_s", "seconds", "rate"} <= set(state.history[0])
    assert recipe.monitor in state.history[0], "what decides about the best epoch"
    assert model.count_params() > 1e6
    keras.backend.clear_session()
