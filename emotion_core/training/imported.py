"""Read one foreign model file; `sandbox` runs this, with a folder as the argument.

request.json  what to read and how: the fields of `workbench.imports.ImportRequest`
model.tflite  what is made of it
answer.json   `parameters`, `difference`, `notes`; or `refused` and `is_unsafe`
"""

import json
import os
import re
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np

from ..cards import NETWORK_FILE
from ..errors import EmotionError, ModelError, ModelNotTrusted
from ..files import read_json, write_json
from .litert import export_litert
from .recipes import changed_recipe, load_recipe
from .saved_model import check_saved_model
from .zoo import build_network

_CONFIG_MAX_BYTES = 50_000_000
#: Layers that carry code, or point to another file.
_CODE = ("Lambda", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer")
#: Where layers may come from; the networks here register some of their own.
_HOMES = ("keras", "builtins", "emotion_core.training.zoo")  # and what lies in them
_PROBE = 16
#: How Keras makes its messages bold.
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
#: Policies and types of other precision in a description.
_OTHER_FLOATS = re.compile(r'"(mixed_)?b?float(16|64)"')
#: How LiteRT calls what it can only hand back to TensorFlow.
_LEFT_TO_TENSORFLOW = re.compile(r"\(Flex(\w+)\)")


def _imagenet(pixels: Any) -> Any:
    mean, spread = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    return keras.layers.Rescaling(
        [1 / 255 / one for one in spread],
        [-middle / one for middle, one in zip(mean, spread, strict=True)],
    )(pixels)


#: From 0..255 to what the file wants, by the names that `--pixels` takes.
PIXELS: dict[str, Any] = {
    "0..255": lambda pixels: pixels,
    "0..1": keras.layers.Rescaling(1 / 255),
    "-1..1": keras.layers.Rescaling(1 / 127.5, -1),
    "imagenet": _imagenet,
}


def read_foreign(request: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Read a model file and write it as LiteRT, which alone is loaded ever after.

    Args:
        request: What to read and how.
        folder: Where `model.tflite` goes.

    Returns:
        `parameters`, `difference` from what Keras answers, and `notes` for the card.

    Raises:
        ModelNotTrusted: The file carries code or is damaged.
        ModelError: It does not fit what was said of it.
    """
    name = request["name"]
    foreign = _load(Path(request["file"]), request, folder)
    side, channels = request["side_px"], request["channels"]
    takes = getattr(foreign, "input_shape", None)
    if isinstance(takes, tuple) and len(takes) == 4:
        if takes[0] is not None:
            raise ModelError(
                f"The network in {name} takes batches of {takes[0]} alone. Save it again for any "
                "number of pictures, with None as the first side of its input."
            )
        wanted = (side, side, channels)
        if any(one not in (None, other) for one, other in zip(takes[1:], wanted, strict=True)):
            taken = "×".join(str(one or "any") for one in takes[1:])
            raise ModelError(
                f"The network in {name} does not take {side}×{side}×{channels} but {taken}. "
                "Set its side and colour, or give --input."
            )
    pixels = keras.Input((side, side, channels), name="pixels")
    try:
        answers = foreign(PIXELS[request["pixels"]](pixels))
    except Exception as error:
        raise ModelError(
            f"The network in {name} does not take {side}×{side}×{channels}: "
            f"{_one_line(error)}. Set its side and colour, or give --input."
        ) from error
    if isinstance(answers, dict):
        # a Keras file keeps the order of its answers, a SavedModel their names alone
        order = answers if isinstance(foreign, keras.Model) else sorted(answers)
        answers = [answers[name] for name in order]
    held = list(answers) if isinstance(answers, list | tuple) else [answers]
    _check_widths([tuple(one.shape) for one in held], request)
    probe = np.random.default_rng(0).integers(0, 256, (_PROBE, side, side, channels), np.uint8)
    held, notes = _as_probabilities(pixels, held, request, probe)
    model = keras.Model(pixels, held[0] if len(held) == 1 else held)
    try:
        difference = export_litert(model, folder / NETWORK_FILE, probe)
    except RuntimeError as error:
        left = _LEFT_TO_TENSORFLOW.search(str(error))
        if left is None:
            raise
        raise ModelError(
            f"{name} needs an operation that LiteRT, which runs the models here, does not have: "
            f"{left[1]}. Build LSTM and GRU layers with unroll=True; leave out others that are "
            "unusual, and save it again."
        ) from error
    count = int(model.count_params())
    return {"parameters": count, "difference": difference, "notes": notes}


def _load(path: Path, request: dict[str, Any], folder: Path) -> Any:
    """Return a network that can be called."""
    name = request["name"]
    if path.is_dir():
        return _saved_model(path, request)
    with path.open("rb") as file:
        magic = file.read(8)
    if magic[:4] == b"PK\x03\x04":
        _refuse_code(_keras_config(path, name), name)
        with _ending_in(path, ".keras", folder) as named:
            model = keras.models.load_model(named, compile=False, safe_mode=True)
        return _in_float32(model)
    if magic == b"\x89HDF\r\n\x1a\n":
        return _hdf5(path, request, folder)
    raise ModelNotTrusted(
        f"{name} is no model that can be read: neither a .keras file, nor HDF5 (.h5), nor "
        "the folder of a SavedModel."
    )


@contextmanager
def _ending_in(path: Path, ending: str, folder: Path) -> Iterator[Path]:
    """Yield a file under the ending of what it holds: Keras opens files by their endings."""
    named = folder / f"given{ending}"
    try:
        os.link(path, named)
    except OSError:  # it lies on another disk, or belongs to somebody else
        shutil.copyfile(path, named)
    try:
        yield named
    finally:
        named.unlink()


def _in_float32(model: Any) -> Any:
    """Return a network that computes in float32, in which alone LiteRT runs all of it."""
    described = model.to_json()
    if not _OTHER_FLOATS.search(described):
        return model
    whole = keras.models.model_from_json(_OTHER_FLOATS.sub('"float32"', described))
    whole.set_weights(model.get_weights())
    return whole


def _keras_config(path: Path, name: str) -> Any:
    with zipfile.ZipFile(path) as archive:
        entry = archive.getinfo("config.json")
        if entry.file_size > _CONFIG_MAX_BYTES:
            raise ModelNotTrusted(f"The description in {name} is too large.")
        return json.loads(archive.read(entry))


def _hdf5(path: Path, request: dict[str, Any], folder: Path) -> Any:
    import h5py

    name = request["name"]
    with h5py.File(path, "r") as file:
        described = file.attrs.get("model_config")
        weights_ending = ".h5" if "layer_names" in file.attrs else ".weights.h5"
    if described is not None:
        text = described.decode() if isinstance(described, bytes) else str(described)
        _refuse_code(json.loads(text), name)
        with _ending_in(path, ".h5", folder) as named:
            model = keras.models.load_model(named, compile=False)
        return _in_float32(model)
    if not request["recipe"]:
        raise ModelError(
            f"{name} holds weights alone. Choose the recipe that builds the same network, or "
            "give --recipe."
        )
    recipe = changed_recipe(load_recipe(request["recipe"]), ["weights=none"])
    network = build_network(
        recipe.network,
        input_px=request["side_px"],
        classes=len(request["labels"]),
        channels=request["channels"],
        outputs=tuple(request["outputs"]),
        head=recipe.head,
        **recipe.options,
    )
    with _ending_in(path, weights_ending, folder) as named:
        network.load_weights(named)
    return network


def _saved_model(path: Path, request: dict[str, Any]) -> Any:
    # before it is loaded, which would run what begins it
    kind = check_saved_model(path, request["name"])
    if "int" in kind and request["pixels"] != "0..255":
        raise ModelError(
            f"The SavedModel {request['name']} takes whole numbers ({kind}), which are pixels of "
            "0..255 (--pixels)."
        )
    layer = keras.layers.TFSMLayer(
        str(path),
        call_endpoint="serving_default",
        dtype=kind if "float" in kind else None,  # to which it casts what it is given
    )

    def answer(pixels: Any) -> Any:
        answers = layer(keras.ops.cast(pixels, kind))
        return keras.tree.map_structure(lambda one: keras.ops.cast(one, "float32"), answers)

    return answer


def _refuse_code(config: Any, name: str) -> None:
    """Raise where a description names a layer that carries code, wherever in it."""
    if isinstance(config, list):
        for part in config:
            _refuse_code(part, name)
    if not isinstance(config, dict):
        return
    kind, home = config.get("class_name"), config.get("module")
    if isinstance(kind, str) and kind.rpartition(".")[2] in _CODE:
        raise ModelNotTrusted(
            f"{name} has a {kind} layer, which carries code. Build it without, save it again."
        )
    if isinstance(home, str) and not f"{home}.".startswith(tuple(f"{one}." for one in _HOMES)):
        raise ModelNotTrusted(f"{name} asks for code of {home}, which is not read.")
    for part in config.values():
        _refuse_code(part, name)


def _check_widths(shapes: list[tuple[Any, ...]], request: dict[str, Any]) -> None:
    name, n = request["name"], len(request["labels"])
    wanted = [(None, 2 if output == "affect" else n) for output in request["outputs"]]
    if shapes != wanted and shapes == wanted[::-1]:
        raise ModelError(
            f"{name} gives its answers in another order. Name them in its own: "
            f"--outputs {','.join(request['outputs'][::-1])}."
        )
    if shapes != wanted:
        raise ModelError(
            f"{name} answers {[list(shape[1:]) for shape in shapes]}; "
            f"{' and '.join(request['outputs'])} over {n} labels would be "
            f"{[list(shape[1:]) for shape in wanted]}. Name its labels in order (--labels)."
        )


def _as_probabilities(
    pixels: Any, held: list[Any], request: dict[str, Any], probe: Any
) -> tuple[list[Any], list[str]]:
    """Make what answers emotions sum to 1, where it does not already.

    Answers from 0 to 1 are those of a sigmoid for each label: they are divided by their sum. Others
    are logits.
    """
    if "emotion" not in request["outputs"]:
        return held, []
    where = request["outputs"].index("emotion")
    answered = np.asarray(keras.Model(pixels, held[where])(probe.astype(np.float32)))
    if (answered >= 0).all() and np.allclose(answered.sum(axis=1), 1, atol=1e-3):
        return held, []
    if (answered >= 0).all() and (answered <= 1).all():
        total = keras.ops.sum(held[where], axis=-1, keepdims=True)
        held[where] = held[where] / keras.ops.maximum(total, 1e-7)
        return held, ["Its answers stand for each label alone; they were divided by their sum."]
    held[where] = keras.layers.Softmax(name="probabilities")(held[where])
    return held, ["Its answers were no probabilities; a softmax was put on them."]


def _one_line(error: BaseException) -> str:
    """Return what an error says, without where Keras met it."""
    plain = _COLOURS.sub("", str(error))
    lines = [line.strip() for line in plain.splitlines() if line.strip()]
    told = [line for line in lines if not line.startswith("Exception encountered")]
    return (told or [type(error).__name__])[0][:200].rstrip(".")


def main(path: str) -> None:
    """Do what the request in a folder asks for, and say there how it ended."""
    folder = Path(path)
    request = read_json(folder / "request.json") or {}
    try:
        answer = read_foreign(request, folder)
    except EmotionError as error:
        answer = {"refused": str(error), "is_unsafe": isinstance(error, ModelNotTrusted)}
    except Exception as error:  # noqa: BLE001 – a damaged file fails anywhere in a reader
        told = f"{request['name']} cannot be read as a model: {_one_line(error)}."
        answer = {"refused": told, "is_unsafe": True}
    write_json(folder / "answer.json", answer)
