"""Weights that networks start from: published files, fetched on request, or files of one's own."""

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from ..download import FetchedFile
from ..errors import TrainingError, reason_of
from .recipe import MODEL_WEIGHTS, Recipe

_KERAS = "https://storage.googleapis.com/tensorflow/keras-applications/"
_VGGFACE = "https://github.com/rcmalli/keras-vggface/releases/download/v2.0/"


def _keras(variant: str, folder: str, name: str, checksum: str) -> tuple[str, FetchedFile]:
    return variant, FetchedFile(name, f"{folder}{name}", checksum)


def _efficientnet(variant: str, md5: str) -> tuple[str, FetchedFile]:
    base = "https://storage.googleapis.com/keras-applications/"
    return _keras(variant, base, f"{variant.lower()}_notop.h5", f"md5:{md5}")


def _convnext(size: str, sha256: str) -> tuple[str, FetchedFile]:
    name = f"convnext_{size.lower()}_notop.h5"
    return _keras(f"ConvNeXt{size}", f"{_KERAS}convnext/", name, f"sha256:{sha256}")


#: Weights of `keras.applications` without their top, by variant; checksums as Keras states them.
_APPLICATIONS = dict(
    [
        _efficientnet("EfficientNetB0", "50bc09e76180e00e4465e1a485ddc09d"),
        _efficientnet("EfficientNetB1", "74c4e6b3e1f6a1eea24c589628592432"),
        _efficientnet("EfficientNetB2", "111f8e2ac8aa800a7a99e3239f7bfb39"),
        _efficientnet("EfficientNetB3", "af6d107764bb5b1abb91932881670226"),
        _efficientnet("EfficientNetB4", "ebc24e6d6c33eaebbd558eafbeedf1ba"),
        _efficientnet("EfficientNetB5", "38879255a25d3c92d5e44e04ae6cec6f"),
        _efficientnet("EfficientNetB6", "9ecce42647a20130c1f39a5d4cb75743"),
        _efficientnet("EfficientNetB7", "cbcfe4450ddf6f3ad90b1b398090fe4a"),
        _convnext("Tiny", "d547c096cabd03329d7be5562c5e14798aa39ed24b474157cef5e85ab9e49ef1"),
        _convnext("Small", "6fc8009faa2f00c1c1dfce59feea9b0745eb260a7dd11bee65c8e20843da6eab"),
        _convnext("Base", "40a20c5548a5e9202f69735ecc06c990e6b7c9d2de39f0361e27baeb24cb7c45"),
        _convnext("Large", "96f02b6f0753d4f543261bc9d09bed650f24dd6bc02ddde3066135b63d23a1cd"),
        _convnext("XLarge", "de3f8a54174130e0cecdc71583354753d557fcf1f4487331558e2a16ba0cfe05"),
        _keras(
            "Xception",
            f"{_KERAS}xception/",
            "xception_weights_tf_dim_ordering_tf_kernels_notop.h5",
            "md5:b0042744bf5b25fce3cb969f33bebb97",
        ),
        _keras(
            "ResNet50",
            f"{_KERAS}resnet/",
            "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5",
            "md5:4d473c1dd8becc155b73f8504c6f6626",
        ),
        _keras(
            "MobileNetV3Small",
            f"{_KERAS}mobilenet_v3/",
            "weights_mobilenet_v3_small_224_1.0_float_no_top_v2.h5",
            "md5:d3e8ec802a04aa4fc771ee12a9a9b836",
        ),
        _keras(
            "VGG16",
            f"{_KERAS}vgg16/",
            "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
            "md5:6d6bbae143d832006294945121d1f1fc",
        ),
    ]
)
_FACES = {
    variant: FetchedFile(name, f"{_VGGFACE}{name}", "")
    for variant in ("resnet50", "senet50", "vgg16")
    for name in [f"rcmalli_vggface_tf_notop_{variant}.h5"]
}
_BIT = FetchedFile(
    "BiT-M-R50x1.npz", "https://storage.googleapis.com/bit_models/BiT-M-R50x1.npz", ""
)


#: All of them by the names that `weights_name` gives.
_PUBLISHED = {
    **_APPLICATIONS,
    **{f"vggface-{variant}": file for variant, file in _FACES.items()},
    "BiT-M-R50x1": _BIT,
}


@dataclass(frozen=True)
class Start:
    """A finished model that a training begins with.

    Attributes:
        path: Its Keras file.
        has_head: Whether its head is taken over, too: it answers the labels that are trained.
    """

    path: Path
    has_head: bool


def published_weights(recipe: Recipe) -> FetchedFile | None:
    """Return the published weights of a recipe's network, or None where there are none."""
    return _PUBLISHED.get(weights_name(recipe))


def weights_name(recipe: Recipe) -> str:
    """Return the name of the published weights of a recipe's network, as `models weights` takes it.

    It follows from the network and its variant: a recipe of one's own may bear any name. Empty
    for networks of which none are published.
    """
    variant = str(recipe.options.get("variant", ""))
    names = {
        "application": variant,
        "vggface": f"vggface-{variant or 'resnet50'}",
        "bit": "BiT-M-R50x1",
    }
    return names.get(recipe.network, "")


def weights_named(name: str) -> FetchedFile | None:
    """Return the published weights of that name, or None.

    Args:
        name: As `weights_name` gives it, such as `EfficientNetB0`, or that of the recipe which a
            survey makes of such a network, such as `survey-efficientnetb0`.
    """
    wanted = name.lower().removeprefix("survey-")
    return next((file for key, file in _PUBLISHED.items() if key.lower() == wanted), None)


def weights_path(recipe: Recipe) -> Path | None:
    """Return the file that a recipe starts from, or None for random weights or a model's.

    Raises:
        TrainingError: The file is not there, or no weights are published for the network; the
            message names the file and where to put it.
    """
    if recipe.weights == "none" or recipe.weights.startswith(MODEL_WEIGHTS):
        return None
    if recipe.weights != "pretrained":
        try:
            path = Path(recipe.weights).expanduser()
            is_file = path.is_file()
        except (OSError, RuntimeError, ValueError):
            is_file = False
        if not is_file:
            raise TrainingError(f"The recipe's weights {recipe.weights!r} are no file here.")
        return path
    file = published_weights(recipe)
    if file is None:
        name = weights_name(recipe) or recipe.network
        alike = get_close_matches(name, _PUBLISHED, 1, 0.8)
        raise TrainingError(
            f"No weights are published for the network {name}. "
            + (f"Did you mean {alike[0]}? Else set" if alike else "Set")
            + " the recipe's weights to 'none', or to a file of your own."
        )
    if not file.is_ready():
        raise TrainingError(
            f"The weights {file.name} are not here. Fetch them with: python -m emotion_core models "
            f"weights {weights_name(recipe)} (or download {file.url} elsewhere and bring it: "
            "--from PATH)."
        )
    return file.path


def put_weights(model: Any, values: Sequence[Any]) -> None:
    """`model.set_weights`, and what some layers derive from theirs, such as `Normalization`."""
    model.set_weights(list(values))
    for layer in model.layers:
        for inner in getattr(layer, "layers", [layer]):
            if hasattr(inner, "finalize_state"):
                inner.finalize_state()


def load_weights(model: Any, recipe: Recipe, *, start: Start | None = None) -> None:
    """Put the weights that a recipe starts from into its network: the backbone, a model's head.

    Args:
        model: A new network of the recipe.
        recipe: What it starts from.
        start: The model that the recipe names.

    Raises:
        TrainingError: The file is missing or does not fit the network.
    """
    if recipe.weights.startswith(MODEL_WEIGHTS):
        if start is None:
            raise TrainingError(f"Nobody found the model of the weights {recipe.weights!r}.")
        _start_from(model, start, recipe)
        return
    path = weights_path(recipe)
    if path is None:
        return
    if path.suffix == ".npz":
        from .zoo.bit import load_npz

        load_npz(model, path)
        return
    names = [layer.name for layer in model.layers]
    target = model.get_layer("backbone") if "backbone" in names else model
    try:
        target.load_weights(str(path))
    except (OSError, ValueError, KeyError, AttributeError, zipfile.BadZipFile) as error:
        raise TrainingError(
            f"The weights {path.name} do not fit the network {recipe.network}: {reason_of(error)}"
        ) from error


def _start_from(model: Any, start: Start, recipe: Recipe) -> None:
    """Copy the weights of a finished model of the same network, and the layers of its head.

    A narrower network keeps the channels that weigh most.
    """
    # heavy, and the page reads this module for its table of files
    import keras

    from .narrow import narrow_weights
    from .zoo.heads import backbone_layers

    source = keras.models.load_model(start.path, compile=False)
    layers, others = _weighted(model), _weighted(source)
    below, held = (
        len([layer for layer in backbone_layers(one) if layer.get_weights()])
        for one in (model, source)
    )
    named = {other.name: other for other in others[held:] if start.has_head}
    # a layer of the head that exists in training alone is not among the others
    head = [(named[layer.name], layer) for layer in layers[below:] if layer.name in named]
    pairs = [*zip(others[:held], layers[:below], strict=False), *head]
    taken = narrow_weights(source, pairs)
    if held != below or None in taken[:below]:
        raise TrainingError(
            f"The weights of {recipe.weights!r} do not fit the network {recipe.network} "
            f"{recipe.options}: its layers are others. Take a model of the same network and "
            "options, or of the same with wider layers."
        )
    for (_, layer), values in zip(pairs, taken, strict=True):
        if values is not None:
            layer.set_weights(values)


def _weighted(model: Any) -> list[Any]:
    """Return all layers with weights, in order; files of older versions name them otherwise."""
    nested = [inner for layer in model.layers for inner in getattr(layer, "layers", [layer])]
    return [layer for layer in nested if layer.get_weights()]
