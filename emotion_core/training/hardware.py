"""What a training runs on: several GPUs at once, and the precision a processor is made for."""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import keras


def strategy() -> AbstractContextManager[object]:
    """Return the scope in which a network is built: all GPUs where there are several.

    On the TensorFlow backend it is `tf.distribute.MirroredStrategy`; elsewhere nothing.
    """
    if keras.backend.backend() != "tensorflow":
        return nullcontext()
    import tensorflow as tf

    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    if len(devices) < 2:
        return nullcontext()
    scope: AbstractContextManager[object] = tf.distribute.MirroredStrategy(
        [device.name for device in devices]
    ).scope()
    return scope


def runs_on_tensorflow_cpu() -> bool:
    """Return whether networks are computed by TensorFlow on a processor."""
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return not tf.config.list_logical_devices("GPU")


def policy_for(precision: str) -> str:
    """Return the Keras dtype policy of a recipe's precision.

    `auto` is bfloat16 where the processor or a GPU has instructions for it, and float32 where it
    would take many times as long.
    """
    if precision != "auto":
        return precision
    return "mixed_bfloat16" if _has_bfloat16() else "float32"


def _has_bfloat16() -> bool:
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        for device in tf.config.list_physical_devices("GPU"):
            details = tf.config.experimental.get_device_details(device)
            return tuple(details.get("compute_capability", (0, 0))) >= (8, 0)
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8").split()
    except OSError:
        return False
    return bool({"avx512_bf16", "amx_bf16"} & set(flags))
