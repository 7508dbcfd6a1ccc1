"""Trainings that start from a model, and FER2013 by its own labels."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from emotion_core.cards import read_card
from emotion_core.datasets.fer2013 import (
    EMOTIONS,
    clean_training_faces,
    distinct_training_faces,
    emotion_targets,
    save_arrays,
)
from emotion_core.errors import ModelError, TrainingError
from emotion_core.labels import FER2013
from emotion_core.registry import model_folder, verify_model
from emotion_core.training.fer2013 import fer2013_data
from emotion_core.training.recipe import Recipe, parse_recipe
from emotion_core.training.recipes import load_recipe
from emotion_core.workbench.teachers import start_of
from tests.builders import make_voted_faces, tiny

ROOT = Path(__file__).resolve().parent.parent.parent


def from_default(**changes: object) -> Recipe:
    like = load_recipe("vgg-s")
    return parse_recipe(
        {**tiny(), "network": like.network, "options": like.options, "weights": "model:vgg-s",
         **changes}
    )  # fmt: skip


def started(recipe: Recipe, labels: Sequence[str], *, given: int = 0) -> list[np.ndarray]:
    from emotion_core.training.fit import build_model
    from emotion_core.training.weights import load_weights

    model = build_model(recipe, len(labels), given=given)
    load_weights(model, recipe, start=start_of(recipe, labels))
    return [np.array(one) for one in model.get_weights()]


def test_a_training_starts_from_a_model() -> None:
    import keras

    from emotion_core.training import zoo  # noqa: F401 – its layers are registered

    path = model_folder("vgg-s") / "model.keras"
    own = keras.models.load_model(path, compile=False).get_weights()
    labels = verify_model("vgg-s").labels
    same = started(from_default(), labels)
    assert all(np.array_equal(one, other) for one, other in zip(same, own, strict=True))
    beside = started(from_default(loss={"given_weight": 0.3}), labels, given=7)
    assert all(np.array_equal(one, held) for one, held in zip(beside[:-2], own, strict=True))
    for others in (labels[:3], [f"my {name}" for name in labels]):
        other = started(from_default(), others)
        assert all(
            np.array_equal(one, held) for one, held in zip(other[:-2], own[:-2], strict=True)
        )
        assert other[-2].shape == (own[-2].shape[0], len(others))
        assert not np.array_equal(other[-2], own[-2]), "the head is new where the labels are"


def test_adjusted_logits_count_the_prior_that_a_model_brings_once(tmp_path: Path) -> None:
    import keras

    from emotion_core.training.ferplus import ferplus_data
    from emotion_core.training.fit import _Loop

    recipe = from_default(loss={"logit_adjustment": 0.5})
    labels, data = verify_model("vgg-s").labels, ferplus_data(make_voted_faces(80))
    start = start_of(recipe, labels)
    loop = _Loop(recipe, data.train, tmp_path, None, None, start, None, None, None)
    own = keras.models.load_model(model_folder("vgg-s") / "model.keras", compile=False)
    for served, held in zip(loop.served, own.get_weights(), strict=True):
        assert served == pytest.approx(held, abs=1e-6)


def test_what_does_not_fit_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelError, match="nobody"):
        start_of(from_default(weights="model:nobody"), EMOTIONS)
    with pytest.raises(TrainingError, match=r"se-resnet-n.*its layers are others"):
        started(from_default(weights="model:se-resnet-n"), EMOTIONS)
    narrow = from_default(options={"widths": [4, 8], "depths": [1, 1], "dropout": 0.1})
    with pytest.raises(TrainingError, match="its layers are others"):
        started(narrow, EMOTIONS)
    assert start_of(parse_recipe(tiny()), EMOTIONS) is None
    from emotion_core.training.fit import build_model
    from emotion_core.training.weights import load_weights

    with pytest.raises(TrainingError, match="Nobody found the model"):
        load_weights(build_model(from_default(), 8), from_default())


def test_own_labels_are_cleaned_as_the_votes_are() -> None:
    faces = make_voted_faces(80)
    faces.images[0] = faces.images[6]  # a copy of a test picture in training
    faces.images[1] = 7  # a blank one
    faces.votes[2] = [0, 0, 0, 0, 0, 0, 0, 0, 10, 0]  # nobody knows
    assert len(distinct_training_faces(faces)) == 40 - 2
    assert len(clean_training_faces(faces)) == 40 - 3
    data = fer2013_data(faces)
    assert set(data.labels) == set(FER2013)
    assert (len(data.train), len(data.val), len(data.test or ())) == (38, 20, 20)
    named = [data.labels[row] for row in data.val.truth]
    assert named == [FER2013[label] for label in faces.split("val").labels]
    assert data.train.given is not None
    votes = emotion_targets(distinct_training_faces(faces).votes)
    assert np.array_equal(data.train.given, votes)
    assert not data.train.given[0].any(), "nobody knows what it looks like"


def test_the_command_trains_on_them(tmp_path: Path) -> None:
    save_arrays(make_voted_faces(120), tmp_path / "faces.npz")
    recipe = parse_recipe(tiny(epochs=2))
    (tmp_path / "tiny.yaml").write_text(recipe.to_yaml())
    options = ("--data", tmp_path / "faces.npz", "--out", tmp_path / "models")
    command = [sys.executable, "-m", "emotion_core", "train", tmp_path / "tiny.yaml", "--fer2013"]
    command = [*map(str, command), *map(str, options)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    card = read_card(tmp_path / "models" / "tiny" / "card.json")
    assert len(card.labels) == 7
    assert "own labels" in card.metrics["test"]["rule"]
