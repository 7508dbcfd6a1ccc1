"""Networks as LiteRT files: float32, or with weights in 8 bits, each checked against Keras."""

import contextlib
import io
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import metrics
from ..cards import NETWORK_FILE
from ..classify import outputs_of
from ..errors import StorageError, TrainingError, os_reason
from ..files import atomic_write
from .examples import Examples
from .feed import Ask, answers_by, answers_of, largest_gap
from .recipe import AFFECT, EMOTION

#: Largest difference of an output between Keras and LiteRT that an export may have.
TOLERANCE = 1e-4
#: Weights in 8 bits may cost this share of the validation faces that are read right.
QUANTISED_LOSS_MAX = 0.005
#: As for the accuracy, for valence and arousal: how far they may move on average, on -1 to 1.
QUANTISED_SHIFT_MAX = 0.02
_BATCH = 16


def export_litert(model: Any, target: Path, probe: NDArray[np.uint8]) -> float:
    """Write a float32 LiteRT file and check it against Keras.

    Args:
        model: A float32 Keras model from pixels to its outputs.
        target: Where the `.tflite` goes.
        probe: uint8 (n, h, h, c), faces to compare on.

    Returns:
        The largest absolute difference of an output.

    Raises:
        TrainingError: The file answers differently from the model; nothing is written.
        StorageError: It cannot be written.
    """
    with storage_errors(target), tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / NETWORK_FILE
        model.export(str(path), format="litert", verbose=False)
        content = path.read_bytes()
    difference = largest_gap(answers_by(litert(content), probe), answers_of(model, probe))
    if not difference <= TOLERANCE:
        raise TrainingError(
            f"The LiteRT file differs from the Keras model by {difference:.2g} (at most "
            f"{TOLERANCE} is allowed), so it was not written."
        )
    atomic_write(target, content)
    return difference


@contextlib.contextmanager
def storage_errors(target: Path) -> Iterator[None]:
    """Say why a file cannot be written, whether Python finds it or TensorFlow.

    Raises:
        StorageError: It cannot.
    """
    import tensorflow as tf

    try:
        yield
    except (OSError, tf.errors.OpError) as error:
        if isinstance(error, OSError):
            reason = os_reason(error)
        else:  # where; why [by what]
            reason = error.message.rpartition("; ")[2].partition(" [Op")[0]
        raise StorageError(
            f"{target} cannot be written: {reason}. Free some space, or name another place."
        ) from error


def export_quantised(
    model: Any, target: Path, val: Examples, outputs: tuple[str, ...]
) -> tuple[float, float, bool]:
    """Write a LiteRT file with weights in 8 bits; what flows between layers is rounded as it runs.

    It is a quarter of the size and several times as quick.

    Args:
        model: The float32 Keras model.
        target: Where the `.tflite` goes.
        val: Faces on which the loss is measured.
        outputs: What the network answers, in order.

    Returns:
        The largest difference of an output, the share of the validation faces that it reads right
        less than Keras does (0 without an emotion output), and whether it was written: it is not
        where that is more than `QUANTISED_LOSS_MAX`, or where valence and arousal move by more than
        `QUANTISED_SHIFT_MAX`.
    """
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    content = convert(converter)
    given = answers_by(litert(content), val.images)
    expected = answers_of(model, val.images)
    loss = accuracy_loss(expected, given, val, outputs)
    is_close = loss <= QUANTISED_LOSS_MAX
    if AFFECT in outputs:
        where = outputs.index(AFFECT)
        is_close &= float(np.abs(given[where] - expected[where]).mean()) <= QUANTISED_SHIFT_MAX
    if is_close:
        atomic_write(target, content)
    return largest_gap(given, expected), loss, is_close


def accuracy_loss(
    before: list[Any], after: list[Any], val: Examples, outputs: tuple[str, ...]
) -> float:
    """Return how much less of the clear faces the second answers read right, as a share."""
    if EMOTION not in outputs:
        return 0.0
    where, clear = outputs.index(EMOTION), val.clear
    shares = [metrics.accuracy(one[where][clear], val.truth[clear]) for one in (before, after)]
    return round(shares[0] - shares[1], 4)


def convert(converter: Any) -> bytes:
    """Return what a TFLite converter makes, without what it says meanwhile."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")  # it wonders about inputs that stay float32
        content: bytes = converter.convert()
    return content


def litert(content: bytes) -> Ask:
    """Return what asks a LiteRT network of pixels, float32 (n, h, h, c), for its outputs."""
    from ai_edge_litert.interpreter import Interpreter

    net = Interpreter(model_content=content, num_threads=1)
    source = net.get_input_details()[0]["index"]
    held: dict[str, tuple[int, ...]] = {}

    def ask(pixels: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        found = []
        for start in range(0, len(pixels), _BATCH):
            part = pixels[start : start + _BATCH]
            if held.get("shape") != part.shape:  # allocating packs all weights anew
                held["shape"] = part.shape
                net.resize_tensor_input(source, list(part.shape))
                net.allocate_tensors()
            net.set_tensor(source, part)
            net.invoke()
            found.append([np.array(net.get_tensor(one["index"])) for one in outputs_of(net)])
        return [np.concatenate(parts) for parts in zip(*found, strict=True)]

    return ask
