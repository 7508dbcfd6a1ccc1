"""Models of one's own from files: read, given a card, or refused for what they are."""

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

from emotion_core.errors import ModelError, ModelNotTrusted
from emotion_core.registry import load_model, model_being_added, user_models_folder
from emotion_core.training import imported
from emotion_core.training.imported import _refuse_code
from emotion_core.workbench import imports
from emotion_core.workbench.imports import PIXELS, id_of, import_model
from tests.workbench.foreign import (
    CANONICAL,
    asked_for,
    hdf5_file,
    keras_file,
    request,
    saved_model,
    small,
)


@pytest.fixture(autouse=True)
def read_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read in this process: what confines the other one is looked at in test_confined_imports."""
    monkeypatch.setattr(imports, "_read_confined", lambda folder, *_: imported.main(str(folder)))


@pytest.mark.parametrize(
    ("write", "activation"),
    [
        (keras_file, "softmax"),
        (keras_file, None),
        (hdf5_file, "softmax"),
        (saved_model, "softmax"),
        (hdf5_file, None),
        (saved_model, None),
    ],
)
def test_a_model_of_ones_own_answers_as_it_did(
    write: Callable[[keras.Model, Path], Path], activation: str | None, tmp_path: Path
) -> None:
    model = small(activation=activation)
    card = import_model(request(write(model, tmp_path)), is_trusted=True)
    assert list(card.labels) == CANONICAL
    assert any("softmax" in limit for limit in card.limits) == (activation is None)
    faces = np.random.default_rng(1).integers(0, 256, (5, 24, 24, 1), np.uint8)
    expected = np.asarray(model(faces / np.float32(255)))
    if activation is None:
        expected = np.exp(expected) / np.exp(expected).sum(axis=1, keepdims=True)
    assert load_model("mine").classify(faces).probs == pytest.approx(expected, abs=1e-4)
    assert [path.name for path in user_models_folder().iterdir()] == ["mine"]


@pytest.mark.parametrize("precision", ["mixed_float16", "float64"])
def test_a_model_of_other_precision_is_read_in_single(precision: str, tmp_path: Path) -> None:
    keras.config.set_dtype_policy(precision)
    try:
        other = small()
        file = keras_file(other, tmp_path)
    finally:
        keras.config.set_dtype_policy("float32")
    import_model(request(file), is_trusted=True)
    whole = small()
    whole.set_weights([np.asarray(one, np.float32) for one in other.get_weights()])
    faces = np.random.default_rng(1).integers(0, 256, (5, 24, 24, 1), np.uint8)
    expected = np.asarray(whole(faces / np.float32(255)))
    assert load_model("mine").classify(faces).probs == pytest.approx(expected, abs=1e-4)


def test_a_model_for_one_picture_at_a_time_is_refused(tmp_path: Path) -> None:
    pixels = keras.Input(batch_shape=(1, 24, 24, 1))
    model = keras.Model(pixels, layers.Dense(3)(layers.Flatten()(pixels)))
    with pytest.raises(ModelError, match="takes batches of 1 alone"):
        import_model(request(keras_file(model, tmp_path)), is_trusted=True)


def test_named_answers_come_in_the_order_of_the_file(tmp_path: Path) -> None:
    pixels = keras.Input((24, 24, 1))
    flat = layers.Flatten()(pixels)
    emotion = layers.Dense(2, activation="softmax")(flat)
    model = keras.Model(pixels, {"va": layers.Dense(2, activation="tanh")(flat), "expr": emotion})
    asked = request(
        keras_file(model, tmp_path), labels=("happy", "sad"), outputs=("affect", "emotion")
    )
    import_model(asked, is_trusted=True)
    faces = np.random.default_rng(1).integers(0, 256, (5, 24, 24, 1), np.uint8)
    expected = model(faces / np.float32(255))
    scores = load_model("mine").classify(faces)
    assert scores.probs == pytest.approx(np.asarray(expected["expr"]), abs=1e-4)
    assert scores.affect is not None
    assert scores.affect.valence == pytest.approx(np.asarray(expected["va"])[:, 0], abs=1e-3)


def test_an_operation_that_litert_does_not_have_is_named(tmp_path: Path) -> None:
    pixels = keras.Input((24, 24, 1))
    rows = layers.LSTM(4)(layers.Reshape((24, 24))(pixels))
    file = keras_file(keras.Model(pixels, layers.Dense(3)(rows)), tmp_path)
    with pytest.raises(ModelError, match=r"LiteRT.*does not have: TensorList.*unroll=True"):
        import_model(request(file), is_trusted=True)


def test_an_answer_for_each_label_alone_is_a_share_of_their_sum(tmp_path: Path) -> None:
    model = small(activation="sigmoid")
    card = import_model(request(keras_file(model, tmp_path)), is_trusted=True)
    assert any("divided by their sum" in limit for limit in card.limits)
    faces = np.random.default_rng(1).integers(0, 256, (5, 24, 24, 1), np.uint8)
    expected = np.asarray(model(faces / np.float32(255)))
    shares = expected / expected.sum(axis=1, keepdims=True)
    assert load_model("mine").classify(faces).probs == pytest.approx(shares, abs=1e-4)


def test_two_do_not_add_a_model_under_one_name(tmp_path: Path) -> None:
    with model_being_added("mine") as folder:
        with pytest.raises(ModelError, match="Another model is being added"):
            import_model(asked_for(tmp_path), is_trusted=True)
        assert folder.is_dir(), "the other one's work is gone"
        (folder / "card.json").write_text("{}")
    assert (user_models_folder() / "mine" / "card.json").is_file()
    with pytest.raises(OSError), model_being_added("mine"):  # noqa: PT011 – the number differs
        pass
    assert [one.name for one in user_models_folder().iterdir() if one.is_dir()] == ["mine"]


def test_weights_alone_go_into_the_network_of_a_recipe(tmp_path: Path) -> None:
    from emotion_core.training.recipes import load_recipe
    from emotion_core.training.zoo import build_network

    recipe = load_recipe("vgg-xs")
    network = build_network(
        recipe.network, input_px=48, classes=3, head=recipe.head, **recipe.options
    )
    network.save_weights(tmp_path / "m.weights.h5")
    asked = request(tmp_path / "m.weights.h5", side_px=48, pixels="0..255")
    with pytest.raises(ModelError, match=r"weights alone.*--recipe"):
        import_model(asked, is_trusted=True)
    card = import_model(
        request(tmp_path / "m.weights.h5", side_px=48, pixels="0..255", recipe="vgg-xs"),
        is_trusted=True,
    )
    faces = np.random.default_rng(1).integers(0, 256, (3, 48, 48, 1), np.uint8)
    expected = np.asarray(network(faces.astype(np.float32)))
    assert load_model(card.id).classify(faces).probs == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"labels": ("happy", "sad")}, "2 labels would be"),
        ({"labels": ("happy", "happy", "sad")}, "two labels or more"),
        ({"labels": ("happy", "angry", "anger")}, "two labels or more"),
        ({"coordinates": "polar"}, "rays or anchors"),
        ({"side_px": 4}, "8 to 1024"),
        ({"side_px": 32}, "does not take 32×32×1"),
        ({"channels": 3}, "does not take 24×24×3"),
        ({"pixels": "0..3"}, "Pixels are one of"),
        ({"id": "vgg-s"}, "already"),
        ({"id": "a/b"}, "cannot be a model's name"),
        ({"id": "-x"}, "begin with a letter"),
        ({"file": "nowhere.keras"}, "no file nowhere.keras"),
    ],
)
def test_what_does_not_fit_is_said(changes: dict, word: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=word):
        import_model(asked_for(tmp_path, **changes), is_trusted=True)
    assert not list(user_models_folder().iterdir())


def test_page_and_reader_know_the_same_pixels() -> None:
    assert tuple(imported.PIXELS) == PIXELS


def test_lambdas_are_refused_in_every_form(tmp_path: Path) -> None:
    mark = tmp_path / "it-ran"

    def run(x: object) -> object:
        mark.touch()
        return x

    pixels = keras.Input((24, 24, 1))
    x = layers.Lambda(run, output_shape=(24, 24, 1))(pixels)
    model = keras.Model(pixels, layers.Dense(3)(layers.Flatten()(x)))
    files = [keras_file(model, tmp_path), hdf5_file(model, tmp_path)]
    mark.unlink(missing_ok=True)
    for file in files:
        with pytest.raises(ModelNotTrusted, match="Lambda layer, which carries code"):
            import_model(request(file), is_trusted=True)
    assert not mark.exists()
    assert not list(user_models_folder().iterdir())


def test_a_file_is_opened_as_what_it_is_whatever_its_name(tmp_path: Path) -> None:
    import h5py
    from keras.src.legacy.saving import legacy_h5_format

    from emotion_core.training.imported import read_foreign
    from emotion_core.training.recipes import load_recipe
    from emotion_core.training.zoo import build_network

    def read(file: Path, **changes: object) -> dict:
        asked = request(file, **changes)
        return read_foreign({**dataclasses.asdict(asked), "name": file.name}, tmp_path)

    zipped, hdf5 = keras_file(small(), tmp_path), hdf5_file(small(), tmp_path)
    count = small().count_params()
    for file, name in ((hdf5, "a.keras"), (hdf5, "A.H5"), (hdf5, "a"), (zipped, "b.h5")):
        assert read(shutil.copy(file, tmp_path / name))["parameters"] == count, name
    recipe = load_recipe("vgg-xs")
    network = build_network(
        recipe.network, input_px=48, classes=3, head=recipe.head, **recipe.options
    )
    network.save_weights(tmp_path / "w.weights.h5")
    with h5py.File(tmp_path / "w.h5", "w") as legacy:  # as Keras 2 wrote weights alone
        legacy_h5_format.save_weights_to_hdf5_group(legacy, network)
    for name in ("w.weights.h5", "w.h5"):
        moved = (tmp_path / name).rename(tmp_path / "weights")
        assert read(moved, side_px=48, recipe="vgg-xs")["parameters"] == network.count_params()
    both = tmp_path / "both.keras"
    both.write_bytes(hdf5.read_bytes() + b"PK\x05\x06" + bytes(18))  # a ZIP of nothing at its end
    assert read(both)["parameters"] == count
    assert not list(tmp_path.glob("given*"))


def test_what_a_saved_model_takes_and_the_order_of_its_answers_are_minded(tmp_path: Path) -> None:
    import tensorflow as tf

    from emotion_core.training.imported import read_foreign

    weights = tf.Variable(np.random.default_rng(2).normal(0, 0.05, (576, 3)).astype(np.float32))

    def net(pixels: object) -> object:
        return tf.nn.softmax(tf.reshape(tf.cast(pixels, tf.float32) / 255, [-1, 576]) @ weights)

    def two(pixels: object) -> object:
        return {"emotion": net(pixels), "affect": tf.tanh(net(pixels)[:, :2])}

    def read(n: int | None, kind: object, does: Callable, **changes: object) -> dict:
        module = tf.Module()
        module.weights = weights
        module.serve = tf.function(does, input_signature=[tf.TensorSpec([n, 24, 24, 1], kind)])
        tf.saved_model.save(module, str(tmp_path / "m"), {"serving_default": module.serve})
        asked = request(tmp_path / "m", **{"pixels": "0..255", **changes})
        return read_foreign({**dataclasses.asdict(asked), "name": "m"}, tmp_path)

    assert read(None, tf.uint8, net)["parameters"] == 1728
    with pytest.raises(ModelError, match=r"whole numbers \(uint8\).*0\.\.255"):
        read(None, tf.uint8, net, pixels="0..1")
    with pytest.raises(ModelError, match="batches of 1 alone"):
        read(1, tf.float32, net)
    with pytest.raises(ModelError, match=r"another order.*--outputs affect,emotion"):
        read(None, tf.float32, two, outputs=("emotion", "affect"))
    assert read(None, tf.float64, two, outputs=("affect", "emotion"))["notes"] == []


def test_a_model_is_called_as_its_file() -> None:
    assert [id_of(name) for name in ("a/my.weights.h5", "my.keras", "my")] == ["my"] * 3


@pytest.mark.parametrize("home", ["os", "kerasanything", "builtins_of_mine.x", "keras_hub"])
def test_no_code_comes_from_what_is_called_like_keras(home: str) -> None:
    _refuse_code({"class_name": "Dense", "module": "keras.layers"}, "model")
    with pytest.raises(ModelNotTrusted, match=f"asks for code of {home}"):
        _refuse_code({"config": [{"class_name": "Dense", "module": home}]}, "model")


def test_a_model_of_points_needs_labels_that_have_some(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"\(anchors\): bored, excited\."):
        asked_for(
            tmp_path, outputs=("affect",), coordinates="anchors", labels=("excited", "bored")
        ).check()
    asked_for(tmp_path, outputs=("affect",), coordinates="anchors").check()
