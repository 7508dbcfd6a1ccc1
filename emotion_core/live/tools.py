"""What a camera is read with."""

from dataclasses import dataclass

from ..analysis import VideoOptions
from ..classify import Recognizer
from ..draw import DrawOptions
from ..faces import Detector


@dataclass(frozen=True)
class LiveTools:
    """What reads and draws; it may be changed while the camera runs.

    Attributes:
        recognizer: A model or a committee.
        detector: Finds the faces.
        options: How frames are read.
        drawing: What is drawn.
    """

    recognizer: Recognizer
    detector: Detector
    options: VideoOptions
    drawing: DrawOptions
