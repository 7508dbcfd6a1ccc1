"""Keeping native libraries out of each other's way."""

import os
import sys
from importlib.util import find_spec

#: The environment in which Keras runs on TensorFlow, whatever else is installed.
TENSORFLOW = {"KERAS_BACKEND": "tensorflow"}
#: What Keras can train on here.
BACKENDS = ("tensorflow", "jax", "torch")
#: Threads of one network. Two nearly halve its time; more gain little and take the cores of others.
NET_THREADS = min(2, os.cpu_count() or 1)


def bind_srtp() -> None:
    """Bind libsrtp to its own OpenSSL before TensorFlow can get between.

    TensorFlow exports BoringSSL symbols. A libsrtp (aiortc, streamlit-webrtc) that is loaded after
    it is bound to those, and the first `srtp_init` ends the process. Loaded here, and bound to its
    own libraries first, it is safe in whatever order the rest follows. Only a program that imports
    TensorFlow, then streamlit-webrtc and then this library is beyond help.
    """
    if "pylibsrtp" in sys.modules or find_spec("pylibsrtp") is None:
        return
    deepbind = getattr(os, "RTLD_DEEPBIND", 0)  # Linux only, where the fault is
    if not deepbind:
        return
    flags = sys.getdlopenflags()
    sys.setdlopenflags(flags | deepbind)
    try:
        import pylibsrtp  # noqa: F401
    finally:
        sys.setdlopenflags(flags)
