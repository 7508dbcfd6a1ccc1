"""The networks: the published sizes, one step, saved and read again, exported."""

from pathlib import Path

import numpy as np
import pytest

from emotion_core.errors import TrainingError
from emotion_core.training.recipe import Head
from tests.builders import tiny

COLOUR = {"channels": 3, "classes": 9}
#: Parameters in all and trainable ones, as the student systems state them.
PUBLISHED = [
    ("elu_cnn", {"input_px": 48, "classes": 7}, 7_831_815, 7_827_719),
    (
        "elu_cnn",
        {
            "input_px": 48,
            "classes": 7,
            "widths": ((512, 256), (128, 128), (256, 256)),
            "dense": 128,
        },
        3_700_231,
        3_696_903,
    ),
    ("vggface", {"input_px": 224, **COLOUR}, 23_579_593, 23_526_473),
    ("bit", {"input_px": 224, **COLOUR}, 23_518_793, 23_518_793),
    ("application", {"variant": "Xception", "input_px": 224, **COLOUR}, 20_879_921, 20_825_393),
    ("application", {"variant": "EfficientNetB0", "input_px": 224, **COLOUR}, 4_061_100, None),
    ("application", {"variant": "EfficientNetB1", "input_px": 240, **COLOUR}, 6_586_768, 6_524_713),
    ("application", {"variant": "EfficientNetB2", "input_px": 260, **COLOUR}, 7_781_250, None),
    ("application", {"variant": "EfficientNetB4", "input_px": 380, **COLOUR}, 17_689_960, None),
    ("compact_vgg", {"input_px": 48, "classes": 8}, 1_176_616, None),
    ("compact_se_resnet", {"input_px": 48, "classes": 8}, 1_251_268, None),
    (
        "compact_se_resnet",
        {"input_px": 48, "classes": 8, "widths": (64, 128, 256, 512), "depths": (1, 2, 2, 1)},
        6_489_904,
        None,
    ),
]
#: Every network, as small as it can be.
SMALL = [
    (
        "compact_vgg",
        {"input_px": 24, "widths": (4, 8), "depths": (1, 1), "reduction": 1, "trim": 2},
    ),
    ("compact_se_resnet", {"input_px": 24, "widths": (4, 8), "reduction": 2}),
    ("elu_cnn", {"input_px": 24, "widths": ((4,), (4,)), "dense": 8}),
    ("vggface", {"input_px": 32, "channels": 3, "width": 4, "depths": (1, 1)}),
    ("bit", {"input_px": 32, "channels": 3, "width": 4, "depths": (1, 1), "groups": 4}),
]
#: Other shapes of these, and what a survey trains as well.
FURTHER = [
    ("vggface", {"variant": "senet50", "input_px": 32, "channels": 3, "width": 4, "depths": (1,)}),
    ("vggface", {"variant": "vgg16", "input_px": 32, "channels": 3, "width": 2}),
    ("application", {"variant": "MobileNetV3Small", "input_px": 32, "channels": 3}),
]


def values(tensor: object) -> np.ndarray:
    """A copy, which later steps leave alone."""
    import keras

    return keras.ops.convert_to_numpy(tensor).copy()


def count(weights: list) -> int:
    return sum(int(np.prod(one.shape)) for one in weights)


def test_a_trimmed_edge_is_not_looked_at() -> None:
    from emotion_core.training.zoo import build_network

    network = build_network("compact_vgg", input_px=24, classes=2, widths=(4,), depths=(1,), trim=4)
    faces = np.random.default_rng(0).integers(0, 256, (2, 24, 24, 1)).astype(np.float32)
    framed = faces.copy()
    framed[:, :4] = framed[:, -4:] = framed[:, :, :4] = framed[:, :, -4:] = 0
    assert values(network(faces)) == pytest.approx(values(network(framed)), abs=1e-6)
    framed[:, 4] = 0
    assert values(network(faces)) != pytest.approx(values(network(framed)), abs=1e-6)


@pytest.mark.parametrize(("network", "options", "total", "trainable"), PUBLISHED)
def test_networks_have_their_published_sizes(
    network: str, options: dict, total: int, trainable: int | None
) -> None:
    import keras

    from emotion_core.training.zoo import build_network

    model = build_network(network, **options)
    assert model.count_params() == total
    if trainable is not None:
        assert count(model.trainable_weights) == trainable
    keras.backend.clear_session()


@pytest.mark.parametrize(
    ("network", "options"),
    [*SMALL, *(pytest.param(*one, marks=pytest.mark.slow) for one in FURTHER)],
)
def test_each_network_learns_is_saved_and_answers_alike_everywhere(
    network: str, options: dict, tmp_path: Path
) -> None:
    import keras

    from emotion_core.training.examples import Examples
    from emotion_core.training.feed import answers_of
    from emotion_core.training.formats import export_as
    from emotion_core.training.litert import export_litert
    from emotion_core.training.zoo import build_network

    keras.utils.set_random_seed(0)
    model = build_network(network, classes=3, **options)
    shape = (6, options["input_px"], options["input_px"], options.get("channels", 1))
    faces = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    targets = np.eye(3, dtype=np.float32)[[0, 1, 2, 0, 1, 2]]
    model.compile("sgd", "categorical_crossentropy", jit_compile=False)
    before = [values(one) for one in model.trainable_weights]
    assert np.isfinite(model.train_on_batch(faces.astype(np.float32), targets))
    changed = [
        np.abs(old - values(new)).max() > 0
        for old, new in zip(before, model.trainable_weights, strict=True)
    ]
    assert np.mean(changed) > 0.9, "a part of the network does not learn"
    (answer,) = answers_of(model, faces)
    assert answer.sum(axis=1) == pytest.approx(np.ones(6), abs=1e-5)
    model.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras", compile=False)
    again.compile(jit_compile=False)
    assert answers_of(again, faces)[0] == pytest.approx(answer, abs=1e-6)
    assert export_litert(model, tmp_path / "m.tflite", faces) <= 1e-4
    val = Examples(faces, targets)
    made = export_as("onnx", again, tmp_path / "m.onnx", val, outputs=("emotion",))
    assert made.difference <= 1e-4


def test_a_network_that_onnx_does_not_know_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnx

    from emotion_core.training.examples import Examples
    from emotion_core.training.formats import export_as
    from emotion_core.training.zoo import build_network

    def refuse(*_: object, **__: object) -> None:
        raise onnx.checker.ValidationError("No Op registered for LayerScale")

    model = build_network(SMALL[0][0], classes=3, **SMALL[0][1])
    model.compile(jit_compile=False)
    val = Examples(np.zeros((3, 24, 24, 1), np.uint8), np.eye(3, dtype=np.float32))
    monkeypatch.setattr(onnx.checker, "check_model", refuse)
    with pytest.raises(TrainingError, match="cannot be written as ONNX"):
        export_as("onnx", model, tmp_path / "m.onnx", val, outputs=("emotion",))
    assert list(tmp_path.iterdir()) == []


def one_step(norm: type, precision: str) -> tuple[np.ndarray, list[np.ndarray]]:
    """The answer of a normalisation that learns, and its weights after a step."""
    import keras

    keras.utils.set_random_seed(0)
    faces = np.random.default_rng(0).normal(3, 2, (16, 8, 8, 4)).astype(np.float32)
    inputs = keras.Input((8, 8, 4))
    layer = norm(momentum=0.9, dtype=precision)
    pooled = keras.layers.GlobalMaxPooling2D()(layer(keras.layers.Conv2D(4, 3)(inputs)))
    model = keras.Model(inputs, pooled)
    model.compile(keras.optimizers.SGD(0.1), "mse", jit_compile=False)
    answer = values(model(faces, training=True))
    model.train_on_batch(faces, np.ones((16, 4), np.float32))
    return answer, [values(one) for one in model.weights]


@pytest.mark.parametrize(("precision", "near"), [("float32", 1e-4), ("mixed_bfloat16", 3e-2)])
def test_normalisation_in_one_operation_is_that_of_keras(precision: str, near: float) -> None:
    import keras
    import tensorflow as tf

    from emotion_core.training.zoo.blocks import BatchNorm

    (expected, plain), (answer, quick) = (
        one_step(keras.layers.BatchNormalization, precision),
        one_step(BatchNorm, precision),
    )
    assert answer == pytest.approx(expected, abs=near)
    for one, other in zip(quick, plain, strict=True):
        assert one == pytest.approx(other, rel=1e-2, abs=near)
    layer = BatchNorm(dtype=precision)
    layer.build((2, 4, 4, 3))
    learn = tf.function(lambda x: layer(x, training=True))
    graph = learn.get_concrete_function(tf.zeros((2, 4, 4, 3))).graph
    assert any(one.type.startswith("FusedBatchNorm") for one in graph.get_operations())


def test_a_compact_network_reads_a_dim_photo_alike() -> None:
    import keras

    from emotion_core.training.zoo import build_network

    keras.utils.set_random_seed(0)
    model = build_network("compact_vgg", input_px=48, classes=8)
    faces = np.random.default_rng(0).integers(60, 120, (2, 48, 48, 1)).astype(np.float32)
    plain = values(model(faces))
    assert values(model(faces * 0.8 + 5)) == pytest.approx(plain, abs=0.05)


@pytest.mark.parametrize("form", ["onnx", "litert-int8"])
def test_two_heads_keep_their_order_in_other_forms(form: str, tmp_path: Path) -> None:
    import keras

    from emotion_core.training.examples import Examples
    from emotion_core.training.formats import export_as
    from emotion_core.training.zoo import build_network

    keras.utils.set_random_seed(0)
    outputs = ("emotion", "affect")
    small = {"widths": (4,), "depths": (1,)}
    # both have two numbers, so that only the values tell them apart
    model = build_network("compact_vgg", input_px=24, classes=2, outputs=outputs, **small)
    model.compile(jit_compile=False)
    faces = np.random.default_rng(0).integers(0, 256, (6, 24, 24, 1)).astype(np.uint8)
    val = Examples(faces, np.eye(2, dtype=np.float32)[[0, 1] * 3], np.zeros((6, 2), np.float32))
    made = export_as(form, model, tmp_path / "m", val, outputs=outputs)
    assert made.difference < (0.05 if form == "litert-int8" else 1e-4)
    if form == "onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(str(tmp_path / "m"))
        assert [one.name for one in session.get_outputs()] == ["emotion", "affect"]


def test_two_heads_answer_two_questions() -> None:
    from emotion_core.training.zoo import build_network

    model = build_network(
        "compact_vgg",
        input_px=24,
        classes=4,
        outputs=("emotion", "affect"),
        head=Head(hidden=6, dropout=0.1, zeros=True),
        widths=(4,),
        depths=(1,),
    )
    emotion, affect = model(np.zeros((2, 24, 24, 1), np.float32))
    assert values(emotion) == pytest.approx(np.full((2, 4), 0.25))
    assert affect.shape == (2, 2)


def test_preprocessing_is_what_the_weights_want() -> None:
    import keras

    from emotion_core.training.zoo import application, vggface

    pixels = keras.Input((32, 32, 3))
    picture = np.full((1, 32, 32, 3), (10.0, 20.0, 30.0), np.float32)
    for variant, expected in [
        ("Xception", (10 / 127.5 - 1, 20 / 127.5 - 1, 30 / 127.5 - 1)),
        ("ResNet50", (30 - 103.939, 20 - 116.779, 10 - 123.68)),
        ("DenseNet121", ((10 / 255 - 0.485) / 0.229, (20 / 255 - 0.456) / 0.224, -1.2816)),
        ("EfficientNetV2B0", (10, 20, 30)),
        ("ConvNeXtTiny", (10, 20, 30)),
    ]:
        layer = keras.Model(pixels, application._preprocess(pixels, variant) * 1.0)
        seen = values(layer(picture))[0, 0, 0]
        assert seen == pytest.approx(expected, abs=1e-3), variant
    scaled = keras.Model(pixels, application._preprocess(pixels, "EfficientNetB1") * 1.0)
    for channel, (mean, std) in enumerate(((0.485, 0.229), (0.456, 0.224), (0.406, 0.225))):
        # what Keras computes with its own weights: normalised by std (its file holds std squared
        # as variance), then divided by the root of std
        seen = values(scaled(picture))[0, 0, 0, channel] / 255
        asked = ((picture[0, 0, 0, channel] / 255 - mean) / std) / std**0.5
        assert (seen - mean) / std == pytest.approx(asked, abs=1e-3)
    assert vggface._MEAN_2 == (91.4953, 103.8827, 131.0912)


def test_the_last_layers_of_a_backbone_can_be_trained_alone() -> None:
    from emotion_core.training.recipe import Stage
    from emotion_core.training.stages import set_trainable
    from emotion_core.training.zoo import build_network

    model = build_network("application", variant="ConvNeXtTiny", input_px=32, channels=3, classes=3)
    set_trainable(model, Stage(1, 0.1, train="head"))
    assert [one.path for one in model.trainable_weights] == ["emotion/kernel", "emotion/bias"]
    set_trainable(model, Stage(1, 0.1, train=7))
    learning = {one.path.split("/")[0] for one in model.trainable_weights}
    assert any("pointwise_conv_1" in name for name in learning)
    assert not any("depthwise" in name for name in learning)
    set_trainable(model, Stage(1, 0.1))
    assert len(model.trainable_weights) > 100
    with pytest.raises(TrainingError, match="last 999 layers"):
        set_trainable(model, Stage(1, 0.1, train=999))


@pytest.mark.parametrize(
    ("network", "options", "word"),
    [
        ("lenet", {}, r"'lenet'.*compact_vgg"),
        ("compact_vgg", {"colour": True}, "colour"),
        ("application", {"variant": "ResNet9"}, r"'ResNet9'.*ConvNeXtTiny"),
        ("application", {"variant": "Xception"}, "cannot take pictures of"),
        ("vggface", {"variant": "vgg19"}, "'vgg19'"),
        ("compact_se_resnet", {"reduction": 0}, "cannot be built"),
        ("compact_se_resnet", {"widths": []}, "cannot be built"),
    ],
)
def test_what_cannot_be_built_is_named(network: str, options: dict, word: str) -> None:
    from emotion_core.training.zoo import build_network

    with pytest.raises(TrainingError, match=word):
        build_network(network, input_px=48, classes=8, **options)


def test_published_bit_weights_find_their_places(tmp_path: Path) -> None:
    from emotion_core.training.zoo import bit, build_network

    options = {"width": 4, "depths": (1, 1), "groups": 4}
    model = build_network("bit", input_px=32, channels=3, classes=2, **options)
    names = [
        "root_block/standardized_conv2d/kernel",
        "block1/unit01/a/group_norm/gamma",
        "block1/unit01/a/proj/standardized_conv2d/kernel",
        "block2/unit01/c/standardized_conv2d/kernel",
        "group_norm/beta",
    ]
    random = np.random.default_rng(0)
    held = {
        f"resnet/{layer.name.replace('__', '/')}/{one.name}": random.normal(size=one.shape)
        for layer in model.get_layer("backbone").layers
        for one in layer.weights
    }
    assert {f"resnet/{name}" for name in names} <= set(held)
    np.savez(tmp_path / "bit.npz", **held)
    bit.load_npz(model, tmp_path / "bit.npz")
    for layer in model.get_layer("backbone").layers:
        for one in layer.weights:
            key = f"resnet/{layer.name.replace('__', '/')}/{one.name}"
            assert values(one) == pytest.approx(held[key], abs=1e-6)
    other = build_network("bit", input_px=32, channels=3, classes=2, **{**options, "width": 8})
    with pytest.raises(TrainingError, match="no weights of this BiT network"):
        bit.load_npz(other, tmp_path / "bit.npz")


def test_weights_that_a_layer_derives_more_from_reach_all_of_it(tmp_path: Path) -> None:
    import keras

    from emotion_core.training.fit import build_model
    from emotion_core.training.recipes import load_recipe
    from emotion_core.training.weights import load_weights, put_weights

    recipe = load_recipe("seed-002-b0", ["crop.side_px=32", "weights=none"])
    published = keras.applications.EfficientNetB0(
        include_top=False, weights=None, input_shape=(32, 32, 3)
    )
    norm = next(layer for layer in published.layers if hasattr(layer, "finalize_state"))
    mean, variance, count = norm.get_weights()
    norm.set_weights([mean + 0.5, variance * 0.05, count])
    published.save_weights(tmp_path / "b0.weights.h5")
    recipe = load_recipe(
        "seed-002-b0", ["crop.side_px=32", f"weights={tmp_path / 'b0.weights.h5'}"]
    )
    trained = build_model(recipe, 3)
    load_weights(trained, recipe)
    again = build_model(recipe, 3)
    put_weights(again, trained.get_weights())
    faces = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3)).astype(np.uint8)
    plain = build_model(recipe, 3)
    plain.set_weights(trained.get_weights())
    seen = [values(_derived(one)(faces.astype(np.float32))) for one in (trained, again, plain)]
    assert seen[0] == pytest.approx(seen[1], abs=1e-6)
    assert np.abs(seen[0] - seen[2]).max() > 1, "the check could not fail"


def _derived(model: object) -> object:
    backbone = model.get_layer("backbone")  # type: ignore[attr-defined]
    return next(layer for layer in backbone.layers if hasattr(layer, "finalize_state"))


def test_weights_that_were_cut_off_are_refused(tmp_path: Path) -> None:
    from emotion_core.training.fit import build_model
    from emotion_core.training.recipe import parse_recipe
    from emotion_core.training.weights import load_weights

    whole = build_model(parse_recipe(tiny()), 3)
    whole.save(tmp_path / "whole.keras")
    cut = tmp_path / "cut.keras"
    cut.write_bytes((tmp_path / "whole.keras").read_bytes()[:-200])
    recipe = parse_recipe(tiny(weights=str(cut)))
    with pytest.raises(TrainingError, match=r"cut\.keras do not fit"):
        load_weights(build_model(recipe, 3), recipe)
