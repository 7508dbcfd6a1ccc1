"""Training in small: it can be killed, it goes on, it stops for what is wrong."""

import json
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
from emotion_core.training.fer2013 import fer2013_data
from emotion_core.training.ferplus import ferplus_data
from emotion_core.training.recipe import parse_recipe
from emotion_core.training.recipes import changed_recipe
from tests.builders import make_voted_faces, tiny
from tests.steps import JAX

ROOT = Path(__file__).resolve().parent.parent.parent


SCRIPT = """
    import sys, time
    from pathlib import Path
    import tensorflow
    tensorflow.config.experimental.enable_op_determinism()
    from emotion_core.training.ferplus import ferplus_data
    from emotion_core.training.fit import train
    from emotion_core.training.recipe import parse_recipe
    from emotion_core.training.recipes import changed_recipe
    from tests.builders import make_voted_faces
    from tests.training.test_training import KILLED

    def slow(row):
        print(row["epoch"], flush=True)
        time.sleep(0.3)

    data = ferplus_data(make_voted_faces(64))
    recipe = changed_recipe(parse_recipe(KILLED), [f"stages.1.epochs={sys.argv[2]}"])
    train(recipe, data, Path(sys.argv[1]), on_epoch=slow)
"""
#: Two stages, a plateau and Adam's own state: all of it has to survive.
KILLED = {
    **tiny(),
    "stages": [
        {"epochs": 1, "learning_rate": 0.01, "train": "head", "optimizer": "adam"},
        {
            "epochs": 3,
            "learning_rate": 0.01,
            "optimizer": "nadam",
            "plateau": {"patience": 1, "factor": 0.5},
        },
    ],
}


def test_a_set_without_test_faces_is_trained_on_and_one_without_clear_faces_is_not() -> None:
    faces = make_voted_faces(64)
    assert ferplus_data(faces).test is not None
    assert ferplus_data(faces.rows(faces.usage != 2)).test is None
    faces.votes[faces.usage == 1] = 0
    faces.votes[faces.usage == 1, :2] = 5
    with pytest.raises(TrainingError, match="and 0 to validate with"):
        ferplus_data(faces)


def test_tensorboard_can_read_every_epoch(tmp_path: Path) -> None:
    import tensorflow as tf

    from emotion_core.training.fit import train

    _, state = train(parse_recipe(tiny(epochs=3)), ferplus_data(make_voted_faces(64)), tmp_path)
    found: dict[str, dict[int, float]] = {}
    for path in (tmp_path / "tensorboard").glob("events*"):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                assert value.metadata.plugin_data.plugin_name == "scalars"
                held = float(tf.make_ndarray(value.tensor))
                found.setdefault(value.tag, {})[event.step] = held
    assert found["val_accuracy"] == pytest.approx(
        {row["epoch"]: row["val_accuracy"] for row in state.history}
    )
    assert set(found["loss"]) == {1, 2, 3}


#: Columns of the history that differ from run to run.
TIMES = ("seconds", "images_per_s")


def run_script(folder: Path, *, epochs: int = 3) -> subprocess.Popen[str]:
    """Train one epoch of the head and some of all, slowly, in a process of its own."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "0"}
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SCRIPT), str(folder), str(epochs)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def kill(victim: subprocess.Popen[str]) -> None:
    victim.send_signal(signal.SIGKILL)
    assert victim.wait(timeout=30) == -signal.SIGKILL


def kill_after_an_epoch(folder: Path, *, after_s: float, epochs: int) -> int:
    """Return the epoch that it finished before it was killed."""
    with run_script(folder, epochs=epochs) as victim:
        assert victim.stdout is not None
        finished = int(victim.stdout.readline())
        time.sleep(after_s)
        kill(victim)
    return finished


def kill_during_a_save(folder: Path, *, epochs: int) -> None:
    """Kill it while the temporary file of a checkpoint lies there."""
    checkpoints = folder / "checkpoints"
    before = {path.name for path in checkpoints.glob(".*")}
    with run_script(folder, epochs=epochs) as victim:
        while not {path.name for path in checkpoints.glob(".*")} - before:
            assert victim.poll() is None, "it ended before it was seen saving"
        kill(victim)


def test_a_killed_training_goes_on_and_ends_as_if_nothing_had_happened(tmp_path: Path) -> None:
    reached = kill_after_an_epoch(tmp_path / "killed", after_s=0.1, epochs=3)
    went_on_at = check_same_as_uninterrupted(tmp_path, epochs=3)
    assert went_on_at > reached, "it began anew"


@pytest.mark.slow
def test_many_kills_change_nothing(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    reached = [0]
    for number in range(22):
        if number % 2:
            kill_during_a_save(tmp_path / "killed", epochs=60)
        else:
            after_s = float(random.uniform(0, 0.8))
            folder = tmp_path / "killed"
            reached.append(kill_after_an_epoch(folder, after_s=after_s, epochs=60))
            assert reached[-1] > reached[-2], "it began anew"
    check_same_as_uninterrupted(tmp_path, epochs=60)


def check_same_as_uninterrupted(tmp_path: Path, *, epochs: int) -> int:
    """Let the killed training end, train once without a kill, and compare all that is kept.

    Returns the epoch with which the killed one went on.
    """
    from emotion_core.training.checkpoint import load_checkpoint

    for name in ("whole", "killed"):
        with run_script(tmp_path / name, epochs=epochs) as undisturbed:
            told, _ = undisturbed.communicate(timeout=180)
            assert undisturbed.returncode == 0
    one, other = (load_checkpoint(tmp_path / name / "checkpoints") for name in ("whole", "killed"))
    assert one is not None
    assert other is not None
    histories = [
        [{k: v for k, v in row.items() if k not in TIMES} for row in held.state.history]
        for held in (one, other)
    ]
    assert len(histories[0]) == epochs + 1
    for row, same in zip(*histories, strict=True):
        assert row == pytest.approx(same, abs=1e-5)
    for first, second in zip(one.best, other.best, strict=True):
        assert first == pytest.approx(second, abs=1e-6)
    for first, second in zip(one.weights, other.weights, strict=True):
        assert first == pytest.approx(second, abs=1e-6)
    for first, second in zip(one.optimizer, other.optimizer, strict=True):
        assert first == pytest.approx(second, abs=1e-6)
    return int(told.split()[0])  # of the one that ran last


def test_a_spoilt_checkpoint_is_passed_over_for_the_one_before(tmp_path: Path) -> None:
    from emotion_core.training.checkpoint import load_checkpoint
    from emotion_core.training.fit import train

    train(parse_recipe(tiny(epochs=3)), ferplus_data(make_voted_faces(64)), tmp_path)
    kept = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert kept == ["epoch-0002", "epoch-0003"]
    (tmp_path / "checkpoints" / "epoch-0003" / "weights.npz").write_bytes(b"cut")
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

    recipe, data = parse_recipe(tiny(epochs=2)), ferplus_data(make_voted_faces(64))
    with pytest.raises(StorageError, match=r"No space left.*needs \d+ MB"):
        train(recipe, data, tmp_path, on_epoch=fill_the_disk)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["epoch-0001"]


def test_a_set_without_faces_and_a_diverging_loss_are_named(tmp_path: Path) -> None:
    from emotion_core.training.fit import train

    faces = make_voted_faces(64)
    with pytest.raises(TrainingError, match="0 faces to train on"):
        ferplus_data(faces.rows(faces.usage > 0))
    recipe = parse_recipe(tiny(epochs=9, stage={"learning_rate": 1e30}))
    with pytest.raises(TrainingError, match="diverged"):
        train(recipe, ferplus_data(faces), tmp_path / "b")


def test_a_run_of_an_older_version_goes_on(tmp_path: Path) -> None:
    from emotion_core.training.fit import train

    data = ferplus_data(make_voted_faces(64))
    train(parse_recipe(tiny(epochs=1)), data, tmp_path)
    held = json.loads((tmp_path / "recipe.json").read_text(encoding="utf-8"))
    del held["evenness"], held["loss"]["cutmix"], held["augmentation"]["light"]
    (tmp_path / "recipe.json").write_text(json.dumps(held), encoding="utf-8")
    _, state = train(parse_recipe(tiny(epochs=1)), data, tmp_path)
    assert state.epoch == 1
    held["evenness"] = 0.5
    (tmp_path / "recipe.json").write_text(json.dumps(held), encoding="utf-8")
    with pytest.raises(TrainingError, match="another recipe"):
        train(parse_recipe(tiny(epochs=1)), data, tmp_path)


def test_the_last_epochs_are_calm_also_after_a_stage_that_ended_early(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from emotion_core.training import fit
    from emotion_core.training.augment import Augmentation

    shown: list[float] = []

    class Noted(fit.FaceFeed):
        def __init__(self, *arguments: object, **options: object) -> None:
            super().__init__(*arguments, **options)
            settings: Augmentation = self._augmentation
            shown.append(settings.erase)

    monkeypatch.setattr(fit, "FaceFeed", Noted)
    stop = {"monitor": "val_accuracy", "patience": 1}
    recipe = tiny(calm_epochs=2, augmentation={"erase": 0.5})
    first = {"epochs": 6, "learning_rate": 1e-9, "early_stop": stop}
    recipe["stages"] = [first, {**first, "epochs": 4, "early_stop": None}]
    fit.train(parse_recipe(recipe), ferplus_data(make_voted_faces(32)), tmp_path)
    assert shown == [0.5] * (len(shown) - 2) + [0, 0]
    assert len(shown) < 10, "the first stage has ended early"


def test_what_has_learned_nothing_yet_may_begin_otherwise(tmp_path: Path) -> None:
    from emotion_core.training.fit import train

    def interrupt(done: int, steps: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(parse_recipe(tiny()), ferplus_data(make_voted_faces(64)), tmp_path, on_step=interrupt)
    other = ferplus_data(make_voted_faces(64, seed=1))
    _, state = train(parse_recipe(tiny(epochs=1)), other, tmp_path)
    assert state.epoch == 1


def test_a_run_goes_on_only_with_its_own_recipe_and_data(tmp_path: Path) -> None:
    from emotion_core.training.fit import train

    train(parse_recipe(tiny(epochs=1)), ferplus_data(make_voted_faces(64)), tmp_path)
    for recipe, faces in [
        (tiny(epochs=1, seed=5), make_voted_faces(64)),
        (tiny(epochs=1), make_voted_faces(64, seed=1)),
    ]:
        with pytest.raises(TrainingError, match="another recipe or other data"):
            train(parse_recipe(recipe), ferplus_data(faces), tmp_path)
    with pytest.raises(TrainingError, match="another recipe or other data"):
        train(parse_recipe(tiny(epochs=1)), fer2013_data(make_voted_faces(64)), tmp_path)


def test_checkpoints_are_counted_beyond_four_digits(tmp_path: Path) -> None:
    from emotion_core.training.checkpoint import (
        Checkpoint,
        TrainingState,
        load_checkpoint,
        save_checkpoint,
    )

    for epoch in (9_998, 9_999, 10_000, 10_001):
        save_checkpoint(tmp_path, Checkpoint([], [], [], [], TrainingState(epoch=epoch)))
    held = load_checkpoint(tmp_path)
    assert held is not None
    assert held.state.epoch == 10_001


def test_the_prior_is_that_which_a_network_learns() -> None:
    from emotion_core.training.measure import learned_prior

    targets = np.eye(2, dtype=np.float32)[[0] * 8 + [1] * 2]
    for change, wanted in [
        ("seed=1", [0.8, 0.2]),
        ("evenness=1", [0.5, 0.5]),
        ("evenness=0.5", [2 / 3, 1 / 3]),
        ("loss.class_weights=balanced", [0.5, 0.5]),
        ("loss.logit_adjustment=0.5", [0.8, 0.2]),
    ]:
        recipe = changed_recipe(parse_recipe(tiny()), [change])
        assert learned_prior(recipe, targets) == pytest.approx(wanted), change


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
        from emotion_core.training.ferplus import ferplus_data
        from tests.builders import tiny
        recipe = parse_recipe(tiny(epochs=1, batch=16))
        model, state = train(recipe, ferplus_data(make_voted_faces(64)), Path(sys.argv[1]))
        assert state.averaged_steps == 2, state
        assert model.jit_compile, "JAX would do one operation after another"

        print(state.epoch)
    """
    assert _on_jax(code, str(tmp_path)) == "1"


def test_the_steps_on_jax_are_those_of_keras() -> None:
    code = """
        import numpy as np
        from emotion_core.training.average import WeightAverage
        from emotion_core.training.feed import FaceFeed
        from emotion_core.training.ferplus import ferplus_data
        from emotion_core.training.fit import build_model
        from emotion_core.training.jax_steps import JaxSteps
        from emotion_core.training.rates import RateControl
        from emotion_core.training.recipe import parse_recipe
        from emotion_core.training.stages import compile_stage
        from tests.builders import make_voted_faces, tiny

        loss = {"given_weight": 0.5}
        recipe = parse_recipe({**tiny(epochs=2, batch=16), "average": 0.9, "loss": loss})
        examples = ferplus_data(make_voted_faces(64)).train

        def started():
            model = build_model(recipe, 8, given=7)
            compile_stage(model, recipe, recipe.stages[0], examples)
            model.optimizer.build(model.trainable_variables)
            rate = RateControl(
                recipe.stages[0], first_step=1, steps_per_epoch=4, history=[]
            )
            return model, rate, WeightAverage(0.9, model.get_weights(), 0)

        feed = FaceFeed(examples, recipe, epoch=0)
        model, rate, average = started()
        seen = []
        mean = JaxSteps(model).run(feed, rate, average, seen.append)
        assert seen == list(range(len(feed))) and len(feed) > 1, seen

        other, rate, kept = started()
        kept.set_model(other)
        losses = []
        for number in range(len(feed)):
            other.optimizer.learning_rate = rate.at(number)
            losses.append(float(other.train_on_batch(*feed[number])[0]))
            kept.on_train_batch_end(number)
        assert np.isclose(mean, np.mean(losses), rtol=1e-4), (mean, losses)
        pairs = [
            *zip(model.get_weights(), other.get_weights(), strict=True),
            *zip(average.values, kept.values, strict=True),
        ]
        assert max(np.abs(one - two).max() for one, two in pairs) < 1e-4
        start = build_model(recipe, 8, given=7).get_weights()
        moved = zip(start, average.values, strict=True)
        assert max(np.abs(one - two).max() for one, two in moved) > 1e-3
        print(average.steps == kept.steps == len(feed))
    """
    assert _on_jax(code) == "True"


def _on_jax(code: str, *arguments: str) -> str:
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *arguments],
        cwd=ROOT,
        env={**os.environ, **JAX},
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )
    assert result.returncode == 0, result.stderr[-800:]
    return result.stdout.strip()


DEVICES = """
    import sys
    from pathlib import Path
    import numpy
    import tensorflow as tf
    number = int(sys.argv[2])
    cpu = tf.config.list_physical_devices("CPU")[0]
    parts = [tf.config.LogicalDeviceConfiguration() for _ in range(number)]
    tf.config.set_logical_device_configuration(cpu, parts)
    from emotion_core.training.ferplus import ferplus_data
    from emotion_core.training.fit import train
    from emotion_core.training.recipe import parse_recipe
    from tests.builders import make_voted_faces
    from tests.training.test_training import PLAIN

    model, state = train(
        parse_recipe(PLAIN),
        ferplus_data(make_voted_faces(64)),
        Path(sys.argv[1]),
        on_epoch=lambda _: print(tf.distribute.get_strategy().num_replicas_in_sync),
    )
    numpy.savez(sys.argv[3], *model.get_weights())
"""
#: Without batch normalisation, whose statistics each device has for itself, and without dropout.
PLAIN = {
    **tiny(epochs=2, average=0.0),
    "network": "vggface",
    "options": {"variant": "vgg16", "width": 2},
    "head": {},
}


@pytest.mark.slow
def test_several_devices_train_as_one(tmp_path: Path) -> None:
    found = []
    for number in (1, 2):
        weights = tmp_path / f"{number}.npz"
        result = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(DEVICES), str(tmp_path / f"run{number}"),
             str(number), str(weights)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=180,
        )  # fmt: skip
        assert result.returncode == 0, result.stderr[-1500:]
        assert result.stdout.split() == [str(number)] * 2
        with np.load(weights) as held:
            found.append([held[name] for name in held.files])
    for one, other in zip(*found, strict=True):
        assert one == pytest.approx(other, abs=1e-4)
