"""Figures of a training as TensorBoard reads them: `tensorboard --logdir RUN/tensorboard`."""

from pathlib import Path

import keras

_WRITTEN_ELSEWHERE = ("epoch", "stage")


def log_epoch(folder: Path, row: dict[str, float]) -> None:
    """Add a row of the history to the events in a folder; nothing on other backends.

    What TensorFlow itself can write is enough: the package `tensorboard` is needed to read it only.
    """
    if keras.backend.backend() != "tensorflow":
        return
    import tensorflow as tf

    # what the package's own `scalar` would write
    metadata = tf.compat.v1.SummaryMetadata(
        plugin_data=tf.compat.v1.SummaryMetadata.PluginData(plugin_name="scalars")
    )
    writer = tf.summary.create_file_writer(str(folder))
    with writer.as_default(step=int(row["epoch"])):
        for name, value in row.items():
            if name not in _WRITTEN_ELSEWHERE:
                tf.summary.write(name, tf.constant(value, tf.float32), metadata=metadata)
    writer.close()
