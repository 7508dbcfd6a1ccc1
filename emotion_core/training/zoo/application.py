"""Every network of `keras.applications`, with its own preprocessing in front."""

from typing import Any

import keras
from keras import layers

from ...errors import TrainingError
from .blocks import MinusMeanBGR

#: What the families want in place of RGB 0..255; all others scale inside.
_CAFFE = ("VGG", "ResNet")
_TORCH_MEAN, _TORCH_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_CAFFE_MEAN = (103.939, 116.779, 123.68)


def features(pixels: Any, *, variant: str) -> Any:
    """The convolutional part of `keras.applications.<variant>`, as one layer `backbone`.

    Raises:
        TrainingError: Keras has no such network, or it takes no picture of this size.
    """
    build = getattr(keras.applications, variant, None)
    if not variant[:1].isupper() or not callable(build):
        raise TrainingError(
            f"keras.applications has no network {variant!r}. Choose one of: "
            f"{', '.join(application_names())}."
        )
    shape = (*pixels.shape[1:3], 3)
    try:
        backbone = build(include_top=False, weights=None, input_shape=shape)
    except ValueError as error:
        raise TrainingError(f"{variant} cannot take pictures of {shape}: {error}") from error
    backbone.name = "backbone"
    return backbone(_preprocess(pixels, variant))


def application_names() -> list[str]:
    """Return the names of the networks in `keras.applications`."""
    return sorted(name for name in dir(keras.applications) if name[:1].isupper())


def _preprocess(pixels: Any, variant: str) -> Any:
    """Scale RGB 0..255 as the weights of a family want it."""
    if pixels.shape[-1] == 1:
        pixels = layers.Concatenate()([pixels, pixels, pixels])
    if variant.startswith("EfficientNetB"):
        # Keras adds this behind its normalisation when it fetches the weights itself; its own
        # layers are built before there are any here, so the same is done in front
        scale = [1 / std**0.5 for std in _TORCH_STD]
        offset = [255 * mean * (1 - one) for mean, one in zip(_TORCH_MEAN, scale, strict=True)]
        return layers.Rescaling(scale, offset)(pixels)
    if variant.startswith(("EfficientNetV2", "ConvNeXt", "MobileNetV3")):
        return pixels  # they scale inside
    if variant.startswith("DenseNet"):
        scale = [1 / (255 * std) for std in _TORCH_STD]
        offset = [-mean / std for mean, std in zip(_TORCH_MEAN, _TORCH_STD, strict=True)]
        return layers.Rescaling(scale, offset)(pixels)
    if variant.startswith(_CAFFE) and not variant.endswith("V2"):
        return MinusMeanBGR(_CAFFE_MEAN)(pixels)
    return layers.Rescaling(1 / 127.5, -1.0)(pixels)
