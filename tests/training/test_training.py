"""Training in small: it learns, it can be killed, it exports what it learned."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

from emotion_core.errors import StorageError, TrainingError
from emotion_core.training.augment import Augmentation, augment_face
from emotion_core.training.recipe import load_recipe, parse_recipe, recipe_names
from tests.builders import make_voted_faces

ROOT = Path(__file__).resolve().parent.parent.parent
TINY = {
    "name": "tiny",
    "network": "compact_vgg",
    "options": {"input_px": 48, "widths": [4, 8], "depths": [1, 1], "dropout": 0.1},
    "epochs": 4,
    "batch": 8,
    "learning_rate": 0.05,
    "warmup_epochs": 0.5,
    "average": 0.9,
    "precision": "float32",
}
SCRIPT = """
    import sys, time
    from pathlib import Path
    import tensorflow
    tensorflow.config.experimental.enable_op_determinism()
    from emotion_core.training.fit import train
    from emotion_core.training.recipe import parse_recipe
    from tests.builders import make_voted_faces
    from tests.training.test_training import TINY

    def slow(row):
        print(row["epoch"], flush=True)
        time.sleep(0.3)

    train(parse_recipe(TINY), make_voted_faces(64), Path(sys.argv[1]), on_epoch=slow)
"""


def test_the_shipped_recipes_are_valid() -> None:
    assert {"vgg-s", "vgg-xs", "se-resnet-s"} <= set(recipe_names())
    seeds = {load_recipe(name).seed for name in recipe_names()}
    assert len(seeds) == len(recipe_names())
    for name in recipe_names():
        assert load_recipe(name).name == name


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"epoch": 3}, "unknown settings: epoch"),
        ({"restarts": [9]}, "restarts"),
        ({"epochs": 0}, "epochs is 0"),
        ({"learning_rate": "high"}, "learning_rate is 'high'"),
        ({"augmentation": {"rotate": 3}}, "unknown settings: rotate"),
        ({"augmentation": 3}, "table of settings"),
        ({"crop": {"margins": 3}}, "unknown settings: margins"),
    ],
)
def test_bad_recipes_are_refused_by_the_name_of_the_setting(changes: dict, word: str) -> None:
    with pytest.raises(TrainingError, match=word):
        parse_recipe({**TINY, **changes})


def test_files_that_are_no_recipes(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("name: [")
    (tmp_path / "b.yaml").write_text("just text")
    (tmp_path / "c.yaml").write_text("name: only")
    for name, word in [("a", "not a YAML"), ("b", "holds no settings"), ("c", "incomplete")]:
        with pytest.raises(TrainingError, match=word):
            load_recipe(tmp_path / f"{name}.yaml")
    with pytest.raises(TrainingError, match="vgg-s"):
        load_recipe("nothing")


def test_augmentation_follows_its_seed() -> None:
    face = make_voted_faces(1).images[0]
    first = augment_face(face, Augmentation(), seed=(1, 2, 3))
    assert np.array_equal(first, augment_face(face, Augmentation(), seed=(1, 2, 3)))
    others = [augment_face(face, Augmentation(), seed=(1, 2, i)) for i in range(4, 24)]
    assert all(not np.array_equal(first, other) for other in others)
    assert all(other.shape == (48, 48) and other.dtype == np.uint8 for other in others)
    nothing = Augmentation(0, 0, 0, flip=False, gamma=0, blur=0, noise=0, erase=0)
    assert np.array_equal(augment_face(face, nothing, seed=(1, 2, 3)), face)


def test_the_last_epochs_are_calm() -> None:
    recipe = parse_recipe({**TINY, "epochs": 5, "calm_epochs": 2})
    assert recipe.augmentation_of(2) == recipe.augmentation
    calm = recipe.augmentation_of(3)
    assert (calm.blur, calm.noise, calm.erase) == (0, 0, 0)
    assert calm.rotation_deg == recipe.augmentation.rotation_deg


def test_unknown_networks_and_options_are_refused() -> None:
    from emotion_core.training.zoo import build_network

    with pytest.raises(TrainingError, match=r"'lenet'.*compact_vgg"):
        build_network("lenet", input_px=48, classes=8)
    with pytest.raises(TrainingError, match="colour"):
        build_network("compact_vgg", input_px=48, classes=8, colour=True)


@pytest.mark.parametrize(
    ("network", "parameters"), [("compact_vgg", 1_176_616), ("compact_se_resnet", 1_251_268)]
)
def test_each_network_builds_and_standardises_its_input(network: str, parameters: int) -> None:
    import keras

    from emotion_core.training.zoo import build_network

    keras.utils.set_random_seed(0)
    model = build_network(network, input_px=48, classes=8)
    assert model.count_params() == parameters
    faces = np.random.default_rng(0).integers(60, 120, (2, 48, 48, 1)).astype(np.float32)
    plain = np.asarray(model(faces))
    assert plain.sum(axis=1) == pytest.approx([1, 1], abs=1e-5)
    # a darker, flatter photo of the same face reads alike; without its layer it would not
    assert np.asarray(model(faces * 0.8 + 5)) == pytest.approx(plain, abs=0.05)


def test_it_learns_exports_and_writes_a_card(tmp_path: Path) -> None:
    from emotion_core.cards import read_card
    from emotion_core.classify import LiteRTClassifier
    from emotion_core.training.export import write_model
    from emotion_core.training.fit import predict_probs, train

    faces = make_voted_faces(400)
    recipe = parse_recipe({**TINY, "epochs": 6})
    model, state = train(recipe, faces, tmp_path / "run")
    assert state.epoch == 6
    assert state.best_score > 0.9
    assert state.best_score == max(row["val_accuracy"] for row in state.history)
    card = write_model(recipe, model, state, faces, tmp_path / "model")
    assert card == read_card(tmp_path / "model" / "card.json")
    assert card.metrics["test"]["accuracy"] > 0.9
    assert "Not allowed" in (tmp_path / "model" / "CARD.md").read_text()
    classifier = LiteRTClassifier(tmp_path / "model" / "model.tflite", card)
    from emotion_core.metrics import scale_temperature

    test = faces.split("test").images
    expected = scale_temperature(predict_probs(model, test), card.temperature)
    assert classifier.classify(test[..., None]).probs == pytest.approx(expected, abs=1e-4)


def test_an_export_that_differs_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from emotion_core.training import export
    from emotion_core.training.zoo import build_network

    model = build_network("compact_vgg", input_px=48, classes=8, widths=(4,), depths=(1,))
    monkeypatch.setattr(
        export, "predict_probs", lambda _, images: np.zeros((len(images), 8), np.float32)
    )
    with pytest.raises(TrainingError, match="differs from the Keras model"):
        export.export_litert(model, tmp_path / "a.tflite", make_voted_faces(4).images)
    assert list(tmp_path.glob("*.tflite")) == []


def run_script(folder: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "0"}
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SCRIPT), str(folder)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def test_a_killed_training_goes_on_and_ends_as_if_nothing_had_happened(tmp_path: Path) -> None:
    from emotion_core.training.checkpoint import load_checkpoint

    with run_script(tmp_path / "whole") as whole:
        assert whole.wait(timeout=180) == 0
    for _ in range(2):
        with run_script(tmp_path / "killed") as victim:
            assert victim.stdout is not None
            victim.stdout.readline()  # one epoch more is finished
            time.sleep(0.1)
            victim.send_signal(signal.SIGKILL)
            assert victim.wait(timeout=30) == -signal.SIGKILL
    with run_script(tmp_path / "killed") as survivor:
        assert survivor.wait(timeout=180) == 0
    one, other = (load_checkpoint(tmp_path / name / "checkpoints") for name in ("whole", "killed"))
    assert one is not None
    assert other is not None
    losses = [[row["loss"] for row in held.state.history] for held in (one, other)]
    assert len(losses[0]) == 4
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)
    for first, second in zip(one.best, other.best, strict=True):
        assert first == pytest.approx(second, abs=1e-6)
    for first, second in zip(one.model.get_weights(), other.model.get_weights(), strict=True):
        assert first == pytest.approx(second, abs=1e-6)


def test_a_spoilt_checkpoint_is_passed_over_for_the_one_before(tmp_path: Path) -> None:
    from emotion_core.training.checkpoint import load_checkpoint
    from emotion_core.training.fit import train

    train(parse_recipe({**TINY, "epochs": 3}), make_voted_faces(64), tmp_path)
    kept = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert kept == ["epoch-0002", "epoch-0003"]
    (tmp_path / "checkpoints" / "epoch-0003" / "model.keras").write_bytes(b"cut")
    held = load_checkpoint(tmp_path / "checkpoints")
    assert held is not None
    assert held.state.epoch == 2
    (tmp_path / "checkpoints" / "epoch-0002" / "state.json").unlink()
    with pytest.raises(TrainingError, match="No checkpoint"):
        load_checkpoint(tmp_path / "checkpoints")


def test_a_checkpoint_that_cannot_be_written_leaves_the_earlier_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from emotion_core.training import checkpoint
    from emotion_core.training.fit import train

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    def fill_the_disk(_: object) -> None:
        monkeypatch.setattr(checkpoint, "_sync", full)

    recipe, faces = parse_recipe({**TINY, "epochs": 2}), make_voted_faces(64)
    with pytest.raises(StorageError, match="No space left"):
        train(recipe, faces, tmp_path, on_epoch=fill_the_disk)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["epoch-0001"]


def test_a_set_without_faces_and_a_diverging_loss_are_named(tmp_path: Path) -> None:
    from emotion_core.training.fit import train

    faces = make_voted_faces(64)
    with pytest.raises(TrainingError, match="0 faces to train on"):
        train(parse_recipe(TINY), faces.rows(faces.usage > 0), tmp_path / "a")
    recipe = parse_recipe({**TINY, "learning_rate": 1e30, "epochs": 9})
    with pytest.raises(TrainingError, match="diverged"):
        train(recipe, faces, tmp_path / "b")


def test_a_run_goes_on_only_with_its_own_recipe_and_data(tmp_path: Path) -> None:
    from emotion_core.training.fit import train

    train(parse_recipe({**TINY, "epochs": 1}), make_voted_faces(64), tmp_path)
    for recipe, faces in [
        ({**TINY, "epochs": 1, "seed": 5}, make_voted_faces(64)),
        ({**TINY, "epochs": 1}, make_voted_faces(64, seed=1)),
    ]:
        with pytest.raises(TrainingError, match="another recipe or other data"):
            train(parse_recipe(recipe), faces, tmp_path)


def test_the_learning_rate_rises_falls_and_rises_again() -> None:
    from emotion_core.training.schedule import CosineCycles

    schedule = CosineCycles(
        0.1, warmup_steps=10, starts=[0, 100], total_steps=150, restart_scale=0.5
    )
    rates = [float(schedule(step)) for step in (0, 5, 10, 55, 99, 110, 150)]
    expected = [0, 0.05, 0.1, 0.05, 0.0, 0.05, 0]
    assert rates == pytest.approx(expected, abs=1e-3)
    assert CosineCycles.from_config(schedule.get_config()).get_config() == schedule.get_config()


def test_it_trains_on_jax_with_tensorflow_blocked(tmp_path: Path) -> None:
    code = """
        import sys
        sys.modules["tensorflow"] = None
        import keras
        assert keras.backend.backend() == "jax"
        from pathlib import Path
        from emotion_core.training.fit import train
        from emotion_core.training.recipe import parse_recipe
        from tests.builders import make_voted_faces
        from tests.training.test_training import TINY
        recipe = parse_recipe({**TINY, "epochs": 1, "batch": 16})
        model, state = train(recipe, make_voted_faces(64), Path(sys.argv[1]))
        assert state.averaged_steps == 2, state
        print(state.epoch)
    """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )
    assert result.returncode == 0, result.stderr[-800:]
    assert result.stdout.strip() == "1"
