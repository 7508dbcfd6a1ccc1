"""FER2013 by its own labels, cleaned as for FER+: what the peers were trained on."""

import numpy as np

from ..datasets.fer2013 import (
    VotedFaces,
    distinct_training_faces,
    emotion_targets,
    validation_faces,
)
from ..datasets.naming import in_label_order
from ..labels import FER2013
from .examples import Examples, TrainingData
from .ferplus import ABOUT

_LABELS = "FER2013's own, one person each; people who look again agree with two thirds of them"
LIMITS = (
    "Trained on labels of one person each, a third of which others see differently: it answers "
    "fear, anger and sadness more often than people do.",
    "Trained on small grey pictures from a web search; its makers recorded neither age, gender "
    "nor origin, so no error rate by group can be given.",
)


def fer2013_data(faces: VotedFaces) -> TrainingData:
    """Return the splits as published, cleaned: the public test validates.

    Raises:
        TrainingError: There is nothing to train on or to validate with.
    """
    labels = in_label_order(FER2013)
    return TrainingData(
        labels=tuple(labels),
        train=_examples(distinct_training_faces(faces), labels),
        val=_examples(validation_faces(faces), labels),
        test=_examples(faces.split("test"), labels),
        content_hash=faces.content_hash(),
        rule="FER2013's own labels, 7 emotions",
        about={"faces": ABOUT["faces"], "labels": _LABELS},
        limits=LIMITS,
    )


def _examples(faces: VotedFaces, labels: list[str]) -> Examples:
    columns = np.array([labels.index(name) for name in FER2013])[faces.labels]
    return Examples(
        faces.images[..., None],
        np.eye(len(labels), dtype=np.float32)[columns],
        given=emotion_targets(faces.votes),
    )
