"""Other forms of a finished network, each checked against Keras. A new one is a function and a
row in `FORMATS`."""

import shutil
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..cards import NETWORK_FILE
from ..errors import TrainingError, reason_of
from ..files import atomic_path, atomic_write
from .examples import Examples
from .feed import answers_by, answers_of, largest_gap
from .litert import TOLERANCE, accuracy_loss, convert, export_litert, litert, storage_errors
from .recipe import EMOTION

_PROBE, _CALIBRATION = 64, 200
#: The newest of ONNX that the converter writes well, and runtimes of the last years read.
_OPSET = 17


@dataclass(frozen=True)
class Exported:
    """What an export came to.

    Attributes:
        path: The file or folder.
        difference: Largest difference of an output from Keras on some faces.
        accuracy_loss: Share of the validation faces that it reads right less than Keras does; 0
            for exact forms.
        n: How many faces that was measured on.
    """

    path: Path
    difference: float
    accuracy_loss: float = 0.0
    n: int = 0


def export_as(
    kind: str, model: Any, target: Path, val: Examples, *, outputs: tuple[str, ...]
) -> Exported:
    """Write a network in another form and check it against Keras.

    Args:
        kind: A key of `FORMATS`.
        model: The float32 Keras model.
        target: The file or folder that is made; it must not exist.
        val: Faces to check on.
        outputs: What the network answers, in order.

    Raises:
        TrainingError: There is no such form, the target exists, or it answers differently.
        StorageError: It cannot be written.
    """
    if kind not in FORMATS:
        raise TrainingError(f"There is no form {kind!r}. Choose one of: {', '.join(FORMATS)}.")
    if target.exists():
        raise TrainingError(f"{target} is there already. Move it away, or name another place.")
    with storage_errors(target):
        return FORMATS[kind](model, target, val, outputs)


def _keras(model: Any, target: Path, val: Examples, _: tuple[str, ...]) -> Exported:
    import keras

    if target.suffix != ".keras":
        raise TrainingError(f"Keras reads files that end in .keras; {target.name} does not.")
    with atomic_path(target) as temporary:
        model.save(temporary)
    again = keras.models.load_model(target, compile=False)
    again.compile(jit_compile=False)
    probe = val.images[:_PROBE]
    return _checked(target, largest_gap(answers_of(again, probe), answers_of(model, probe)))


def _savedmodel(model: Any, target: Path, val: Examples, _: tuple[str, ...]) -> Exported:
    import tensorflow as tf

    partial = target.with_name(f".{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        model.export(str(partial), format="tf_saved_model", verbose=False)
        partial.replace(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    loaded = tf.saved_model.load(str(target))
    probe = val.images[:_PROBE]
    answer = loaded.serve(tf.constant(probe.astype(np.float32)))
    held = list(answer) if isinstance(answer, list | tuple) else [answer]
    return _checked(target, largest_gap([one.numpy() for one in held], answers_of(model, probe)))


def _litert(model: Any, target: Path, val: Examples, _: tuple[str, ...]) -> Exported:
    return Exported(target, export_litert(model, target, val.images[:_PROBE]))


def _litert_int8(model: Any, target: Path, val: Examples, outputs: tuple[str, ...]) -> Exported:
    """Weights and activations in 8 bits; input and outputs stay float32."""
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    chosen = np.random.default_rng(0).permutation(len(val))[:_CALIBRATION]
    converter.representative_dataset = lambda: (
        [val.images[[row]].astype(np.float32)] for row in chosen
    )
    content = convert(converter)
    atomic_write(target, content)
    given, expected = answers_by(litert(content), val.images), answers_of(model, val.images)
    loss = accuracy_loss(expected, given, val, outputs)
    n = int(val.clear.sum()) if EMOTION in outputs else 0
    return Exported(target, largest_gap(given, expected), loss, n)


def _onnx(model: Any, target: Path, val: Examples, outputs: tuple[str, ...]) -> Exported:
    """By way of LiteRT, where the network is flat already. Input `pixels`, outputs by name."""
    try:
        import onnx
        import onnxruntime
        import tf2onnx
    except ImportError as error:
        raise TrainingError(
            f"ONNX needs the package {error.name}: pip install -r requirements-onnx.txt."
        ) from error
    with tempfile.TemporaryDirectory() as folder:
        flat = Path(folder) / NETWORK_FILE
        model.export(str(flat), format="litert", verbose=False)
        # the pickers of operations warn of many that nothing here has
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made, _ = tf2onnx.convert.from_tflite(str(flat), opset=_OPSET)
    _name_ends(made.graph, outputs)
    probe = val.images[:_PROBE]
    try:
        onnx.checker.check_model(made, full_check=True)
        session = onnxruntime.InferenceSession(made.SerializeToString())
        given = session.run(None, {"pixels": probe.astype(np.float32)})
    except Exception as error:
        told = reason_of(error)[:160]
        raise TrainingError(
            f"This network cannot be written as ONNX ({told}). Take another form, such as "
            "savedmodel."
        ) from error
    difference = largest_gap(given, answers_of(model, probe))
    atomic_write(target, made.SerializeToString())
    return _checked(target, difference)


def _name_ends(graph: Any, outputs: tuple[str, ...]) -> None:
    """Put the outputs of an ONNX graph in their order and give both ends the names of ours."""
    # LiteRT numbers its outputs behind a colon, and lists them in an order of its own
    given = sorted(graph.output, key=lambda one: int(one.name.rpartition(":")[2] or 0))
    ends = {one.name: name for one, name in zip(given, outputs, strict=True)}
    ends[graph.input[0].name] = "pixels"
    for node in graph.node:
        for names in (node.input, node.output):
            for place, name in enumerate(names):
                names[place] = ends.get(name, name)
    ordered = [type(one).FromString(one.SerializeToString()) for one in given]
    del graph.output[:]
    graph.output.extend(ordered)
    for one in (*graph.output, *graph.input):
        one.name = ends.get(one.name, one.name)


def _checked(target: Path, difference: float) -> Exported:
    if not difference <= TOLERANCE:
        shutil.rmtree(target, ignore_errors=True)
        target.unlink(missing_ok=True)
        raise TrainingError(
            f"The exported file differs from the Keras model by {difference:.2g} (at most "
            f"{TOLERANCE} is allowed), so it was not kept."
        )
    return Exported(target, difference)


#: How each form is written.
FORMATS: dict[str, Callable[[Any, Path, Examples, tuple[str, ...]], Exported]] = {
    "keras": _keras,
    "savedmodel": _savedmodel,
    "litert": _litert,
    "litert-int8": _litert_int8,
    "onnx": _onnx,
}
