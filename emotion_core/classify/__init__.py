"""Reading faces: crops to `Scores`, by one model or by a committee."""

from .committee import VOTES, Committee
from .contract import Classifier, Recognizer
from .litert import LiteRTClassifier

__all__ = ["VOTES", "Classifier", "Committee", "LiteRTClassifier", "Recognizer"]
