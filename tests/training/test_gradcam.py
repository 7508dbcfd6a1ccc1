"""Grad-CAM against what can be worked out by hand, and through the worker."""

from pathlib import Path

import keras
import numpy as np
import pytest

from emotion_core.crops import crop_faces
from emotion_core.draw import draw_heat
from emotion_core.errors import TrainingError
from emotion_core.faces import load_detector
from emotion_core.jobs import list_jobs
from emotion_core.registry import load_model, model_folder
from emotion_core.training.gradcam import _features, grad_cam
from emotion_core.training.zoo import build_network
from emotion_core.types import Image
from emotion_core.workbench.heatmaps import has_heatmaps, read_heatmaps, start_heatmaps
from tests.steps import over

FACES = np.random.default_rng(0).integers(0, 256, (20, 24, 24, 1), np.uint8)


def test_with_mean_pooling_it_is_the_class_activation_map() -> None:
    """Selvaraju et al. 2017, section 3.1: both are the same where pooling is followed by scores."""
    keras.utils.set_random_seed(1)
    model = build_network("compact_vgg", input_px=24, classes=3, widths=[4, 8], depths=[1, 1])
    asked = np.arange(len(FACES)) % 3
    heat = grad_cam(model, FACES, asked)
    planes = np.asarray(
        keras.Model(model.input, model.get_layer("pool").input)(FACES.astype(np.float32))
    )
    kernel = np.asarray(model.get_layer("emotion").kernel)
    for face, label in enumerate(asked):
        expected = np.maximum(planes[face] @ kernel[:, label], 0)
        shown = heat[face]
        assert shown.shape == (24, 24)
        assert shown.min() >= 0
        if expected.max() == 0:
            assert shown.max() == 0
            continue
        assert shown.max() == pytest.approx(1)
        # the strongest feature lies where the heat is strongest
        top = np.unravel_index(expected.argmax(), expected.shape)
        place = (np.array(top) + 0.5) * 24 / expected.shape[0]
        assert shown[tuple(place.astype(int))] > 0.7


def test_it_looks_where_the_difference_is() -> None:
    """One label counts what is bright, the other what is dark."""
    pixels = keras.Input((16, 16, 1))
    planes = keras.layers.Conv2D(2, 1, name="planes")(pixels)
    mean = keras.layers.GlobalAveragePooling2D(name="pool")(planes)
    model = keras.Model(pixels, keras.layers.Dense(2, activation="softmax", name="emotion")(mean))
    kernel, bias = np.array([[[[1, -1]]]], np.float32), np.array([0, 255], np.float32)
    model.get_layer("planes").set_weights([kernel, bias])
    model.get_layer("emotion").set_weights([np.eye(2, dtype=np.float32), np.zeros(2, np.float32)])
    face = np.zeros((2, 16, 16, 1), np.uint8)
    face[:, :, :8] = 255
    bright, dark = grad_cam(model, face, np.array([0, 1]))
    assert bright == pytest.approx(face[0, :, :, 0] / 255)
    assert dark == pytest.approx(1 - face[0, :, :, 0] / 255)


def test_a_network_without_planes_says_so() -> None:
    numbers = keras.Input((64,))
    model = keras.Model(numbers, keras.layers.Dense(2)(numbers))
    with pytest.raises(TrainingError, match="lie on a plane"):
        grad_cam(model, FACES, np.zeros(20, np.int64))


def test_a_squeeze_inside_a_block_is_not_taken_for_the_pooling() -> None:
    keras.utils.set_random_seed(1)
    model = build_network("compact_se_resnet", input_px=24, classes=3, widths=[4, 8], reduction=2)
    named = next(layer for layer in model.layers if layer.name == "pool")
    assert _features(model) is named.input
    assert sum(isinstance(layer, type(named)) for layer in model.layers) > 1


def test_a_worker_shows_where_the_default_looks(portrait: Image) -> None:
    model = load_model()
    assert has_heatmaps(model.card)
    crops = crop_faces(portrait, load_detector().detect(portrait), model.card.crop)
    happy = np.array([list(model.card.labels).index("happy")])
    job = over(start_heatmaps("vgg-s", crops, happy, owner="me"), "me")
    assert job.state == "done", job.message or job.log()
    looks = read_heatmaps(job, crops)
    network = keras.models.load_model(model_folder("vgg-s") / "model.keras", compile=False)
    assert looks.heat == pytest.approx(grad_cam(network, crops, happy), abs=1e-4)
    # a smile is read from the lower half of the face
    assert looks.heat[0, 24:].mean() > looks.heat[0, :24].mean()
    assert not (job.folder / "input").exists(), "nothing of the face stays"
    with np.load(Path(job.folder) / "result" / "heat.npz") as held:
        assert held.files == ["heat"]
    assert [one.id for one in list_jobs("me")] == [job.id]


def test_the_heat_is_drawn_on_grey_and_colour() -> None:
    heat = np.zeros((24, 24), np.float32)
    heat[:, 12:] = 1
    for channels in (1, 3):
        drawn = draw_heat(np.full((24, 24, channels), 128, np.uint8), heat, side_px=96)
        assert drawn.shape == (96, 96, 3)
        assert drawn[48, 90, 0] > drawn[48, 5, 0] + 60, "yellow on the right, blue on the left"
