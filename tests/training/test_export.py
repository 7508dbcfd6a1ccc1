"""What a training leaves: files that answer as the network does, and a card."""

from pathlib import Path

import numpy as np
import pytest

from emotion_core.errors import StorageError, TrainingError
from emotion_core.training.examples import Examples
from emotion_core.training.ferplus import ferplus_data
from emotion_core.training.recipe import parse_recipe
from tests.builders import make_voted_faces, tiny


def test_it_learns_exports_and_writes_a_card(tmp_path: Path) -> None:
    from emotion_core.cards import read_card
    from emotion_core.classify import LiteRTClassifier
    from emotion_core.training.export import write_model
    from emotion_core.training.feed import answers_of
    from emotion_core.training.fit import train

    data = ferplus_data(make_voted_faces(400))
    recipe = parse_recipe(tiny(epochs=6))
    model, state = train(recipe, data, tmp_path / "run")
    assert state.epoch == 6
    assert state.best_score > 0.9
    assert state.best_score == max(row["val_accuracy"] for row in state.history)
    card = write_model(recipe, model, state, data, tmp_path / "model")
    assert card == read_card(tmp_path / "model" / "card.json")
    assert card.metrics["test"]["accuracy"] > 0.9
    assert "Not allowed" in (tmp_path / "model" / "CARD.md").read_text()
    classifier = LiteRTClassifier(tmp_path / "model" / "model.tflite", card)
    from emotion_core.calibration import scale_temperature

    assert data.test is not None
    test = data.test.images
    expected = scale_temperature(answers_of(model, test)[0], card.temperature)
    assert classifier.classify(test).probs == pytest.approx(expected, abs=1e-4)


def test_weights_in_eight_bits_are_served_and_measured(tmp_path: Path) -> None:
    from emotion_core.calibration import scale_temperature
    from emotion_core.classify import LiteRTClassifier
    from emotion_core.training import litert
    from emotion_core.training.export import write_model
    from emotion_core.training.feed import answers_of
    from emotion_core.training.fit import train

    data = ferplus_data(make_voted_faces(400))
    wide = {"widths": [16, 32, 64], "depths": [1, 1, 1], "dropout": 0.1}
    recipe = parse_recipe(tiny(epochs=6, options=wide, quantise=True))
    model, state = train(recipe, data, tmp_path / "run")
    card = write_model(recipe, model, state, data, tmp_path / "model")
    network = tmp_path / "model" / "model.tflite"
    assert network.stat().st_size < 1.6 * card.parameters, "a byte a weight"
    assert card.training["weights_bits"] == 8
    assert 1e-4 < card.training["litert_difference"] < 0.2, "it is not the float32 file"
    assert data.test is not None
    classifier = LiteRTClassifier(network, card)
    probs = classifier.classify(np.asarray(data.test.images)).probs
    shown = probs[data.test.clear].argmax(axis=1) == data.test.truth[data.test.clear]
    assert shown.mean() == pytest.approx(card.metrics["test"]["accuracy"], abs=1e-4)
    exact = answers_of(model, data.test.images)[0]
    assert np.abs(probs - exact).max() < 0.3
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(litert, "QUANTISED_LOSS_MAX", -1.0)
        card = write_model(recipe, model, state, data, tmp_path / "costly")
    assert "weights_bits" not in card.training
    assert card.training["accuracy_loss_of_8_bits"] <= 0.005
    assert card.training["litert_difference"] < 1e-4
    served = LiteRTClassifier(tmp_path / "costly" / "model.tflite", card).classify
    expected = scale_temperature(exact, card.temperature)
    assert served(np.asarray(data.test.images)).probs == pytest.approx(expected, abs=1e-4)


def test_eight_bits_that_move_valence_and_arousal_are_not_served(tmp_path: Path) -> None:
    import keras

    from emotion_core.training.litert import export_quantised

    random = np.random.default_rng(0)
    faces = random.integers(0, 256, (64, 48, 48, 1)).astype(np.uint8)
    faces[:, 0, 0] = 0
    val = Examples(faces, np.eye(2, dtype=np.float32)[[0] * 64])
    pixels = keras.Input((48, 48, 1))
    flat = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(pixels))
    model = keras.Model(pixels, keras.layers.Dense(2)(flat))
    weights = random.normal(0, 0.01, (2304, 2))
    for corner, is_close in ((0.0, True), (50.0, False)):  # of a pixel that is always black
        weights[0] = corner
        model.layers[-1].set_weights([weights, np.zeros(2)])
        target = tmp_path / f"{corner}.tflite"
        assert export_quantised(model, target, val, ("affect",))[2] == is_close
        assert target.exists() == is_close


def test_a_full_disk_and_a_place_that_is_none_are_said(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    from emotion_core.training.fit import build_model
    from emotion_core.training.formats import export_as

    faces = np.zeros((2, 48, 48, 1), np.uint8)
    val = Examples(faces, np.eye(8, dtype=np.float32)[[0, 1]])
    model = build_model(parse_recipe(tiny(options={"widths": [32, 64], "depths": [1, 1]})), 8)
    (tmp_path / "file").touch()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, before[1]))  # as small as a full disk
    try:
        for form, reason in (("savedmodel", "File too large"), ("litert", "File too large")):
            with pytest.raises(StorageError, match=f"cannot be written: {reason}"):
                export_as(form, model, tmp_path / "out.tflite", val, outputs=("emotion",))
        with pytest.raises(StorageError, match=r"x cannot be written: .* is not a directory"):
            export_as("savedmodel", model, tmp_path / "file" / "x", val, outputs=("emotion",))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [one.name for one in tmp_path.iterdir() if one.name != "mien-home"] == ["file"]


def test_half_precision_halves_the_file_and_spares_what_it_cannot_hold(tmp_path: Path) -> None:
    import keras

    from emotion_core.training.fit import build_model
    from emotion_core.training.half_precision import save_half

    model = build_model(parse_recipe(tiny(options={"widths": [32, 64], "depths": [1, 1]})), 8)
    weights = model.get_weights()
    weights[-1][0] = 1e6  # beyond 16 bits
    model.set_weights(weights)
    model.save(tmp_path / "whole.keras")
    save_half(model, tmp_path / "half.keras")
    whole, half = ((tmp_path / f"{name}.keras").stat().st_size for name in ("whole", "half"))
    assert half < 0.5 * whole
    read = keras.models.load_model(tmp_path / "half.keras", compile=False)
    for one, other in zip(read.get_weights(), weights, strict=True):
        assert one.dtype == other.dtype
        assert one == pytest.approx(other, rel=1e-3, abs=1e-6)
    assert read.get_weights()[-1][0] == 1e6
    assert any((one != other).any() for one, other in zip(read.get_weights(), weights, strict=True))


def test_an_export_that_differs_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from emotion_core.training import litert
    from emotion_core.training.zoo import build_network

    model = build_network("compact_vgg", input_px=48, classes=8, widths=(4,), depths=(1,))
    monkeypatch.setattr(
        litert, "answers_of", lambda _, images: [np.zeros((len(images), 8), np.float32)]
    )
    with pytest.raises(TrainingError, match="differs from the Keras model"):
        litert.export_litert(model, tmp_path / "a.tflite", make_voted_faces(4).images[..., None])
    assert list(tmp_path.glob("*.tflite")) == []


def test_errors_of_valence_and_arousal_are_those_of_what_is_served() -> None:
    from emotion_core.training.measure import measure_affect

    happy = np.tile(np.array([1.0, 0.0], np.float32), (4, 1))
    faces = Examples(np.zeros((4, 8, 8, 1), np.uint8), np.eye(4, dtype=np.float32), affect=happy)
    beyond = np.tile(np.array([1.5, 0.1], np.float32), (4, 1))
    assert measure_affect(beyond, faces) == {"n": 4, "mse": 0.005, "mae": 0.05}
