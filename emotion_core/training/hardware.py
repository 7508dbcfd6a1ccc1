"""What a training runs on: which backend, one GPU or several, and in which precision."""

import os
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import keras

#: At most so many, so that several trainings have room beside each other.
_FEED_PROCESSES = 8


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


def is_accelerated() -> bool:
    """Return whether networks are computed on a GPU, or another chip beside the processor."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        return bool(tf.config.list_logical_devices("GPU"))
    if backend == "jax":
        import jax

        return bool(jax.default_backend() != "cpu")
    return False


def runs_on_tensorflow_cpu() -> bool:
    """Return whether networks are computed by TensorFlow on a processor."""
    return bool(keras.backend.backend() == "tensorflow") and not is_accelerated()


def wants_xla() -> bool:
    """Return whether steps are compiled as a whole.

    JAX does one operation after another without it. TensorFlow on a processor takes a third more
    time a step with it than with oneDNN.
    """
    return bool(keras.backend.backend() == "jax")


def writes_litert() -> bool:
    """Return whether Keras runs on the backend that LiteRT files are written by."""
    return bool(keras.backend.backend() == "tensorflow")


def feed_processes() -> int:
    """Return in how many processes faces are changed for training; 0 is in that of the training."""
    return min(_FEED_PROCESSES, usable_cores()) if is_accelerated() else 0


def usable_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def policy_for(precision: str) -> str:
    """Return the Keras dtype policy of a recipe's precision.

    `auto` is bfloat16 where the processor or a GPU has instructions for it, and float32 where it
    would take many times as long.
    """
    if precision != "auto":
        return precision
    return "mixed_bfloat16" if _has_bfloat16() else "float32"


def _has_bfloat16() -> bool:
    if keras.backend.backend() == "jax" and is_accelerated():
        import jax

        return min(float(getattr(one, "compute_capability", 8)) for one in jax.devices()) >= 8
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        told = tf.config.experimental.get_device_details
        cards = [told(one) for one in tf.config.list_physical_devices("GPU")]
        if cards:
            return all(one.get("compute_capability", (0, 0)) >= (8, 0) for one in cards)
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8").split()
    except OSError:
        return False
    return bool({"avx512_bf16", "amx_bf16"} & set(flags))
