"""Models of one's own from files: read confined, given a card, or refused."""

import dataclasses
import json
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

from emotion_core.errors import JobCancelled, ModelError, ModelNotTrusted
from emotion_core.registry import (
    list_models,
    load_model,
    model_being_added,
    user_models_folder,
)
from emotion_core.training.imported import _refuse_code
from emotion_core.workbench import imports
from emotion_core.workbench.imports import PIXELS, ImportRequest, id_of, import_model
from tests.steps import ROOT, called, mien

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


@pytest.mark.parametrize(
    ("write", "activation"),
    [
        (keras_file, "softmax"),
        (keras_file, None),
        (hdf5_file, "softmax"),
        (saved_model, "softmax"),
        pytest.param(hdf5_file, None, marks=pytest.mark.slow),
        pytest.param(saved_model, None, marks=pytest.mark.slow),
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


def test_a_cancelled_import_leaves_nothing_and_another_backend_does_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    monkeypatch.setenv("TMPDIR", str(tmp_path / "elsewhere"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.setattr(imports, "_LOOK_S", 0.01)
    asked = asked_for(tmp_path)

    def cancel() -> None:
        if list(user_models_folder().glob(".mine.partial/scratch/*")):
            raise JobCancelled

    with pytest.raises(JobCancelled):
        import_model(asked, is_trusted=True, on_wait=cancel)
    assert not list(user_models_folder().iterdir())
    import_model(asked, is_trusted=True)
    names = {one.name for one in (user_models_folder() / "mine").iterdir()}
    assert names == {"CARD.md", "card.json", "model.tflite"}
    assert not list((tmp_path / "elsewhere").iterdir())


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


def test_it_is_read_only_when_somebody_trusts_it(tmp_path: Path) -> None:
    asked = request(keras_file(small(), tmp_path))
    with pytest.raises(ModelNotTrusted, match="--trust"):
        import_model(asked, is_trusted=False)
    assert "mine" not in [entry.id for entry in list_models()]


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


def doer_of(operation: str, folder: Path) -> Path:
    """A SavedModel that runs an operation, which would write to `written` if it writes."""
    import tensorflow as tf

    raw, target = tf.raw_ops, str(folder / "written")

    def rows() -> object:
        return raw.TensorDataset(components=["x"], output_shapes=[tf.TensorShape([])])

    does: dict[str, Callable[[object], object]] = {
        "ReadFile": lambda _: tf.io.read_file("/etc/hostname"),
        "WriteFile": lambda _: tf.io.write_file(target, "x"),
        "DatasetToTFRecord": lambda _: raw.DatasetToTFRecord(
            input_dataset=rows(), filename=target, compression_type=""
        ),
        "CacheDataset": lambda _: raw.CacheDataset(
            input_dataset=rows(),
            filename=target,
            output_types=[tf.string],
            output_shapes=[tf.TensorShape([])],
        ),
        "PrintV2": lambda _: tf.print("x"),
        "SaveV2": lambda _: raw.SaveV2(
            prefix=target, tensor_names=["a"], shape_and_slices=[""], tensors=[tf.zeros(1)]
        ),
        "DebugIdentity": lambda x: raw.DebugIdentity(
            input=x, device_name="/cpu:0", tensor_name="n:0", debug_urls=[f"file://{target}"]
        ),
        "Copy": lambda x: raw.Copy(
            input=x, tensor_name="n", debug_ops_spec=[f"DebugIdentity;file://{target};0"]
        ),
        "CopyHost": lambda x: raw.CopyHost(input=x, tensor_name="n", debug_ops_spec=[]),
        "PyFuncStateless": lambda x: raw.PyFuncStateless(input=[x], token="x", Tout=[tf.float32]),
        "GenerateVocabRemapping": lambda _: raw.GenerateVocabRemapping(
            new_vocab_file=target, old_vocab_file=target, new_vocab_offset=0, num_new_vocab=1
        ),
    }

    class Doer(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, 24, 24, 1])])
        def serve(self, pixels: object) -> object:
            answer = tf.reduce_mean(pixels, axis=(1, 2)) * [[1.0, 2.0, 3.0]]
            done = does[operation](answer)
            with tf.control_dependencies([] if done is None else tf.nest.flatten(done)):
                return tf.identity(answer)

    doer = Doer()
    tf.saved_model.save(doer, str(folder / "m"), {"serving_default": doer.serve})
    return folder / "m"


@pytest.mark.parametrize(
    "operation",
    [
        "ReadFile", "WriteFile", "DatasetToTFRecord", "CacheDataset", "PrintV2", "SaveV2",
        "DebugIdentity", "Copy", "CopyHost", "PyFuncStateless", "GenerateVocabRemapping",
    ],
)  # fmt: skip
def test_a_saved_model_that_does_more_than_compute_is_refused(
    operation: str, tmp_path: Path
) -> None:
    from emotion_core.training.saved_model import check_saved_model

    path = doer_of(operation, tmp_path)
    with pytest.raises(ModelNotTrusted, match=f"does more than compute: {operation}"):
        check_saved_model(path, "m")


@pytest.mark.parametrize("operation", ["DebugIdentity", "WriteFile"])
def test_a_saved_model_writes_nothing_while_it_is_imported(operation: str, tmp_path: Path) -> None:
    path = doer_of(operation, tmp_path)
    with pytest.raises(ModelNotTrusted, match=f"does more than compute: {operation}"):
        import_model(request(path), is_trusted=True)
    assert not (tmp_path / "written").exists()


def test_page_and_reader_know_the_same_pixels() -> None:
    from emotion_core.training import imported

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


@pytest.mark.parametrize("step", [4, pytest.param(1, marks=pytest.mark.slow)])
def test_hostile_files_are_refused(step: int, test_data: Path) -> None:
    files = sorted((test_data / "bad_inputs" / "archives").glob("*model*"))
    assert len(files) >= 8
    for file in files[::step]:
        with pytest.raises(ModelError) as refusal:
            import_model(request(file), is_trusted=True)
        assert file.name in str(refusal.value)
        assert "Traceback" not in str(refusal.value)
    assert not list(user_models_folder().iterdir())


CONFINED = """
    import mmap, sys, types
    from emotion_core import sandbox
    name = "what_it_tries"
    module = types.ModuleType(name)
    def main(target):
        import socket, subprocess
        for try_it in (
            lambda: socket.create_connection(("127.0.0.1", int(target))),
            lambda: subprocess.run(["true"]),
            # addresses that no memory stands behind: only a bound on them refuses so many
            lambda: mmap.mmap(-1, 13_000_000_000, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000),
        ):
            try:
                try_it()
                print("allowed")
            except (PermissionError, OSError, MemoryError) as error:
                print(type(error).__name__)
    module.main = main
    sys.modules[name] = module
    sys.argv = ["sandbox", name, sys.argv[1]]
    sandbox.main()
"""


def test_the_confined_process_has_no_network_no_programs_and_bounded_memory() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        told = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(CONFINED), str(port)],
            cwd=ROOT, capture_output=True, text=True, check=True,
        )  # fmt: skip
    tried = told.stdout.split()
    assert len(tried) == 3
    assert "allowed" not in tried, told.stdout


def test_the_network_is_taken_away_by_the_system_too() -> None:
    """Where Linux permits it, also code that is not Python reaches nobody."""
    script = (
        "import ctypes, socket, sys\n"
        "from emotion_core.sandbox import confine\n"
        "confine(memory_bytes=8_000_000_000, seconds=60)\n"
        "try:\n    socket.create_connection(('127.0.0.1', int(sys.argv[1]))); print('allowed')\n"
        "except OSError: print('refused')\n"
    )
    command = [shutil.which("unshare") or "false", "-rn", "true"]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("this system lets nobody have a network of one's own")
    with socket.create_server(("127.0.0.1", 0)) as server:
        command = [sys.executable, "-c", script, str(server.getsockname()[1])]
        told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "refused"


WAITS = """
    import subprocess, sys
    confined = (
        "import time; from emotion_core.sandbox import confine; "
        "confine(memory_bytes=8_000_000_000, seconds=int(__import__('sys').argv[1])); "
        "print('confined', flush=True); time.sleep(600)"
    )
    sys.exit(subprocess.run([sys.executable, "-c", confined, sys.argv[1]]).returncode)
"""


def importer_of_one_that_waits(seconds: int) -> subprocess.Popen[str]:
    """Start a process whose confined child never ends by itself; both hold its stdout."""
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(WAITS), str(seconds)],
        cwd=ROOT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout
    assert process.stdout.readline() == "confined\n"
    return process


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone ends a child with its parent")
def test_the_confined_process_ends_with_a_killed_importer() -> None:
    with importer_of_one_that_waits(seconds=60) as importer:
        importer.kill()
        began_s = time.monotonic()
        assert importer.stdout
        assert importer.stdout.read() == ""  # until nobody holds it, the child neither
        assert time.monotonic() - began_s < 30


def test_the_confined_process_ends_after_its_time() -> None:
    with importer_of_one_that_waits(seconds=1) as importer:
        assert importer.wait(60) == -signal.SIGALRM & 0xFF


def test_a_model_is_called_as_its_file() -> None:
    assert [id_of(name) for name in ("a/my.weights.h5", "my.keras", "my")] == ["my"] * 3


def test_the_command(tmp_path: Path) -> None:
    file = keras_file(small(), tmp_path)
    options = ("--labels", "angry,happy,neutral", "--input", "24x24x1", "--pixels", "0..1")
    refused = called("models", "import", file, *options)
    assert refused.returncode == 2
    assert "--trust" in refused.stderr
    told = mien("models", "import", file, *options, "--id", "mine", "--trust")
    assert told.returncode == 0, told.stderr
    assert told.stdout.startswith("mine: ready, ")
    assert "mine" in called("models", "list").stdout
    assert json.loads((user_models_folder() / "mine" / "card.json").read_text())["metrics"] == {}
    assert "nobody has measured here" in " ".join(called("models", "show", "mine").stdout.split())


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
