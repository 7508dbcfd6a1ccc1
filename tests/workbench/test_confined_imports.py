"""What reads models of one's own is confined, and who asks for more than to be read is refused."""

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

import numpy as np
import pytest

from emotion_core.errors import JobCancelled, ModelError, ModelNotTrusted
from emotion_core.registry import list_models, load_model, user_models_folder
from emotion_core.workbench import imports
from emotion_core.workbench.imports import import_model
from tests.steps import ROOT, called, mien
from tests.workbench.foreign import asked_for, keras_file, request, saved_model, small


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


def test_it_is_read_only_when_somebody_trusts_it(tmp_path: Path) -> None:
    asked = request(keras_file(small(), tmp_path))
    with pytest.raises(ModelNotTrusted, match="--trust"):
        import_model(asked, is_trusted=False)
    assert "mine" not in [entry.id for entry in list_models()]


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


@pytest.mark.parametrize(
    "operation", ["DebugIdentity", pytest.param("WriteFile", marks=pytest.mark.slow)]
)
def test_a_saved_model_writes_nothing_while_it_is_imported(operation: str, tmp_path: Path) -> None:
    path = doer_of(operation, tmp_path)
    with pytest.raises(ModelNotTrusted, match=f"does more than compute: {operation}"):
        import_model(request(path), is_trusted=True)
    assert not (tmp_path / "written").exists()


def test_a_saved_model_answers_as_it_did(tmp_path: Path) -> None:
    model = small()
    import_model(request(saved_model(model, tmp_path)), is_trusted=True)
    faces = np.random.default_rng(1).integers(0, 256, (5, 24, 24, 1), np.uint8)
    expected = np.asarray(model(faces / np.float32(255)))
    assert load_model("mine").classify(faces).probs == pytest.approx(expected, abs=1e-4)


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
