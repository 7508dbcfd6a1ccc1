"""Building, training and measuring networks, in Keras 3 on any of its backends.

`recipe`, `recipes`, `settings`, `examples` and `weights` load without Keras: pages read them.
"""

import os

# TensorFlow reads these when it is imported, which happens below this package only. By itself it
# takes oneDNN on a few processors only; on others with AVX2 a step then takes twice as long.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
