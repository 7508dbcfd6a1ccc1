"""Reading faces: crops to `Scores`, by one model or by a committee."""

from .committee import VOTES, Calibration, Committee
from .contract import Classifier, Recognizer
from .latency import BUDGET_MS, measure_latency
from .litert import LiteRTClassifier, outputs_of
from .network import NetworkClassifier, balanced_scores

__all__ = [
    "BUDGET_MS",
    "VOTES",
    "Calibration",
    "Classifier",
    "Committee",
    "LiteRTClassifier",
    "NetworkClassifier",
    "Recognizer",
    "balanced_scores",
    "measure_latency",
    "outputs_of",
]
