"""Model files from elsewhere, and what is said of them."""

from pathlib import Path

import keras
from keras import layers

from emotion_core.workbench.imports import ImportRequest

LABELS = ("angry", "happy", "neutral")
CANONICAL = ["anger", "happy", "neutral"]


def small(*, activation: str | None = "softmax", channels: int = 1) -> keras.Model:
    """A network that wants pixels in 0..1."""
    keras.utils.set_random_seed(3)
    pixels = keras.Input((24, 24, channels))
    x = layers.Flatten()(layers.Conv2D(4, 3, activation="relu")(pixels))
    return keras.Model(pixels, layers.Dense(3, activation=activation)(x))


def request(file: Path, **changes: object) -> ImportRequest:
    fields = {"id": "mine", "labels": LABELS, "side_px": 24, "channels": 1, "pixels": "0..1"}
    return ImportRequest(**{**fields, "file": str(file), **changes})  # type: ignore[arg-type]


def asked_for(folder: Path, **changes: object) -> ImportRequest:
    """A request for a sound file, with what is wrong in it."""
    file = changes.pop("file", None) or keras_file(small(), folder)
    return request(Path(str(file)), **changes)


def keras_file(model: keras.Model, folder: Path) -> Path:
    model.save(folder / "m.keras")
    return folder / "m.keras"


def hdf5_file(model: keras.Model, folder: Path) -> Path:
    model.save(folder / "m.h5")
    return folder / "m.h5"


def saved_model(model: keras.Model, folder: Path) -> Path:
    model.export(str(folder / "m"), format="tf_saved_model", verbose=False)
    return folder / "m"
