"""Where a network looks: Grad-CAM (Selvaraju et al. 2017, doi:10.1109/ICCV.2017.74)."""

from typing import Any

import cv2
import keras
import numpy as np
from numpy.typing import NDArray

from ..errors import TrainingError

#: Faces whose gradients are held at once.
_BATCH = 16
_POOLINGS = (
    keras.layers.GlobalAveragePooling2D,
    keras.layers.GlobalMaxPooling2D,
    keras.layers.Flatten,
)


def grad_cam(
    model: Any, faces: NDArray[np.uint8], class_id: NDArray[np.int64], *, where: int = 0
) -> NDArray[np.float32]:
    """Return how much each place of a face speaks for one label.

    The features before the pooling, weighted by the mean gradient of the label's score, with what
    speaks against it left out. The score is the one before the softmax.

    Args:
        model: A Keras model under TensorFlow, from faces to probabilities.
        faces: uint8 (n, h, w, c), as the model takes them.
        class_id: int64 (n,), the label that is asked about.
        where: Which of its outputs answers expressions.

    Returns:
        float32 (n, h, w) in 0..1; all 0 where nothing speaks for the label.

    Raises:
        TrainingError: The network has no features that lie on a plane.
    """
    import tensorflow as tf

    last = next(layer for layer in model.layers if layer.output is model.outputs[where])
    is_dense = isinstance(last, keras.layers.Dense)
    before = last.input if is_dense or isinstance(last, keras.layers.Softmax) else last.output
    split = keras.Model(model.input, [_features(model), before])
    found = [np.empty((0, *faces.shape[1:3]), np.float32)]
    for start in range(0, len(faces), _BATCH):
        pixels = tf.constant(faces[start : start + _BATCH].astype(np.float32))
        with tf.GradientTape() as tape:
            tape.watch(pixels)  # so that every step is recorded, also through frozen layers
            features, scores = split(pixels, training=False)
            if is_dense:
                scores = scores @ last.kernel + last.bias
            rows = np.arange(len(pixels))
            asked = tf.gather_nd(scores, np.stack([rows, class_id[start : start + _BATCH]], 1))
        weights = tf.reduce_mean(tape.gradient(asked, features), axis=(1, 2), keepdims=True)
        maps = tf.nn.relu(tf.reduce_sum(weights * features, axis=-1)).numpy()
        found.append(np.stack([_spread(one, faces.shape[1:3]) for one in maps]))
    return np.concatenate(found)


def _features(model: Any) -> Any:
    """Return what goes into the last pooling; those before it belong to single blocks."""
    for layer in reversed(model.layers):
        if isinstance(layer, _POOLINGS) and len(layer.input.shape) == 4:
            return layer.input
    raise TrainingError(
        "Where this network looks cannot be shown: it has no features that lie on a plane before "
        "its pooling."
    )


def _spread(plane: NDArray[np.float32], size: tuple[int, ...]) -> NDArray[np.float32]:
    """Return a map of features over the whole face, its strongest place 1."""
    height, width = size
    wide = cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR)
    top = float(wide.max())
    return np.asarray(wide / top if top > 0 else wide * 0, np.float32)
