"""FER2013 with the votes of FER+, as the shipped models are trained on it."""

import numpy as np

from ..datasets.fer2013 import (
    EMOTIONS,
    VotedFaces,
    clean_training_faces,
    emotion_targets,
    majority_labels,
    validation_faces,
)
from ..labels import FER2013
from .examples import Examples, TrainingData

ABOUT = {
    "faces": "FER2013, 28,709 training pictures (Goodfellow et al. 2013); no licence on the "
    "photographs is stated, use for research is the custom",
    "labels": "FER+ votes of ten people per picture (Barsoum et al. 2016), MIT licence",
}
LIMITS = (
    "Contempt, disgust and fear are rare in the training data: contempt is hardly ever found, and "
    "how often the others are is known from few faces.",
    "Trained on small grey pictures from a web search; its makers recorded neither age, gender "
    "nor origin, so no error rate by group can be given.",
)


def ferplus_data(faces: VotedFaces) -> TrainingData:
    """Return the splits as published, cleaned: the public test validates.

    Raises:
        TrainingError: There is nothing to train on or to validate with.
    """
    return TrainingData(
        labels=EMOTIONS,
        train=_examples(clean_training_faces(faces)),
        val=_examples(validation_faces(faces)),
        test=_examples(faces.split("test")),
        content_hash=faces.content_hash(),
        rule="FER+ majority, 8 emotions",
        about=ABOUT,
        limits=LIMITS,
    )


def _examples(faces: VotedFaces) -> Examples:
    """Return the faces that have votes for emotions; those with a majority count."""
    targets = emotion_targets(faces.votes)
    usable = targets.any(axis=1)
    return Examples(
        faces.images[usable][..., None],
        targets[usable],
        is_clear=(majority_labels(faces.votes) >= 0)[usable],
        given=np.eye(len(FER2013), dtype=np.float32)[faces.labels[usable]],
    )
