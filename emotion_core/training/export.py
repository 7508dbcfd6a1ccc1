"""From a trained network to a model folder: LiteRT and Keras files, calibration, card."""

import datetime
import tempfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from .. import metrics
from ..cards import KERAS_FILE, NETWORK_FILE, Card
from ..datasets.fer2013 import (
    EMOTIONS,
    VotedFaces,
    clean_training_faces,
    emotion_targets,
    majority_labels,
    validation_faces,
)
from ..errors import TrainingError
from ..files import atomic_write, sha256_of, write_json
from .checkpoint import TrainingState
from .fit import predict_probs
from .recipe import Recipe

#: Largest difference of a probability between Keras and LiteRT that an export may have.
TOLERANCE = 1e-4
#: The answered faces of the validation split have to be right this often.
ACCURACY_GOAL = 0.85

INTENDED = (
    "Describing which of eight expressions a visible face looks like, in research, teaching and "
    "media work, for people who know of it and agree."
)
FORBIDDEN = (
    "Judging what somebody feels, intends or is; work places, schools, hiring, policing, "
    "insurance, diagnosis, lie detection; identifying anybody."
)
LIMITS = (
    "It judges the look of a face, not a mind: posed, subtle and mixed expressions are often "
    "read as neutral.",
    "Contempt, disgust and fear are rare in the training data and are missed more often than not.",
    "Trained on small grey pictures from a web search; its makers recorded neither age, gender "
    "nor origin, so no error rate by group can be given.",
    "Faces turned away, covered, blurred or under 24 px are read worse, without a warning.",
)
TRAINING_DATA = {
    "faces": "FER2013, 28,709 training pictures (Goodfellow et al. 2013); no licence on the "
    "photographs is stated, use for research is the custom",
    "labels": "FER+ votes of ten people per picture (Barsoum et al. 2016), MIT licence",
}


def export_litert(model: Any, target: Path, probe: NDArray[np.uint8]) -> float:
    """Write a float32 LiteRT file and check it against Keras.

    Args:
        model: A float32 Keras model from pixels to probabilities.
        target: Where the `.tflite` goes.
        probe: uint8 (n, h, h), faces to compare on.

    Returns:
        The largest absolute difference of a probability.

    Raises:
        TrainingError: The file answers differently from the model; nothing is written.
    """
    from ai_edge_litert.interpreter import Interpreter

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / NETWORK_FILE
        model.export(str(path), format="litert", verbose=False)
        content = path.read_bytes()
    net = Interpreter(model_content=content, num_threads=1)
    source = net.get_input_details()[0]["index"]
    net.resize_tensor_input(source, [len(probe), *probe.shape[1:], 1])
    net.allocate_tensors()
    net.set_tensor(source, probe[..., None].astype(np.float32))
    net.invoke()
    answered = net.get_tensor(net.get_output_details()[0]["index"])
    difference = float(np.abs(answered - predict_probs(model, probe)).max())
    if not difference <= TOLERANCE:
        raise TrainingError(
            f"The LiteRT file differs from the Keras model by {difference:.2g} (at most "
            f"{TOLERANCE} is allowed), so it was not written."
        )
    atomic_write(target, content)
    return difference


def write_model(
    recipe: Recipe,
    model: Any,
    state: TrainingState,
    faces: VotedFaces,
    folder: Path,
) -> Card:
    """Calibrate a trained model, measure it once on the test split and write its folder.

    Temperature and threshold come from the validation split alone.

    Args:
        recipe: What it was trained by.
        model: The float32 model that `train` returned.
        state: The state that `train` returned.
        faces: All three splits.
        folder: The model's folder; made when missing.

    Returns:
        The card that was written.
    """
    val = validation_faces(faces)
    val_truth = majority_labels(val.votes)
    clear = val_truth >= 0
    val_probs = predict_probs(model, val.images)
    temperature = metrics.fit_temperature(val_probs[clear], val_truth[clear])
    calibrated = metrics.scale_temperature(val_probs, temperature)
    usable = emotion_targets(val.votes).any(axis=1)
    plurality = emotion_targets(val.votes).argmax(axis=1)
    threshold = metrics.abstain_threshold(
        calibrated[usable], plurality[usable], accuracy_goal=ACCURACY_GOAL
    )
    folder.mkdir(parents=True, exist_ok=True)
    difference = export_litert(model, folder / NETWORK_FILE, val.images[:64])
    model.save(folder / KERAS_FILE)
    card = Card(
        id=recipe.name,
        title=recipe.title or recipe.name,
        outputs=("emotion",),
        labels=EMOTIONS,
        crop=recipe.crop,
        scaling="grey values 0..255; the network subtracts each picture's mean and divides by "
        "sqrt(variance + 64)",
        files={name: sha256_of(folder / name) for name in (NETWORK_FILE, KERAS_FILE)},
        temperature=temperature,
        threshold=threshold,
        threshold_rule=f"lowest at which the answered validation faces (plurality of the votes, "
        f"n {int(usable.sum())}) are right in at least {ACCURACY_GOAL:.0%}",
        network=f"{recipe.network} {recipe.options}",
        parameters=int(model.count_params()),
        training={
            **TRAINING_DATA,
            "data_sha256": faces.content_hash(),
            "faces_trained_on": len(clean_training_faces(faces)),
            "recipe": f"{recipe.name}.yaml",
            "seed": recipe.seed,
            "epochs": recipe.epochs,
            "best_epoch": state.best_epoch,
            "date": datetime.date.today().isoformat(),
            "keras": keras.__version__,
            "litert_difference": difference,
            "hours": round(sum(row["seconds"] for row in state.history) / 3600, 2),
        },
        metrics={
            "validation": measure(calibrated, val.votes),
            "answered_at_threshold": round(
                float((calibrated[usable].max(axis=1) >= threshold).mean()), 4
            ),
            "test": _measure_test(model, faces, temperature),
        },
        limits=LIMITS,
        intended=INTENDED,
        forbidden=FORBIDDEN,
    )
    write_json(folder / "card.json", card.as_dict())
    atomic_write(folder / "CARD.md", card_text(card))
    return card


def measure(probs: NDArray[np.float32], votes: NDArray[np.uint8]) -> dict[str, Any]:
    """Return the figures of calibrated probabilities (n, 8) against FER+ votes (n, 10)."""
    truth = majority_labels(votes)
    clear = truth >= 0
    target = emotion_targets(votes)
    usable = target.any(axis=1)
    shown = metrics.recalls(probs[clear], truth[clear])
    counts = np.bincount(truth[clear], minlength=len(EMOTIONS))
    hits = round(metrics.accuracy(probs[clear], truth[clear]) * int(clear.sum()))
    return {
        "rule": "FER+ majority, 8 emotions",
        "n": int(clear.sum()),
        "accuracy": round(metrics.accuracy(probs[clear], truth[clear]), 4),
        "accuracy_interval_95": [
            round(bound, 4) for bound in metrics.wilson_interval(hits, int(clear.sum()))
        ],
        "mean_recall": round(metrics.mean_recall(probs[clear], truth[clear]), 4),
        "recall": {
            name: {"n": int(n), "recall": round(float(value), 4) if n else None}
            for name, n, value in zip(EMOTIONS, counts, shown, strict=True)
        },
        "ece_15_bins": round(metrics.expected_calibration_error(probs[clear], truth[clear]), 4),
        "vote_n": int(usable.sum()),
        "vote_nll": round(metrics.negative_log_likelihood(probs[usable], target[usable]), 4),
        "vote_brier": round(metrics.brier_score(probs[usable], target[usable]), 4),
    }


def _measure_test(model: Any, faces: VotedFaces, temperature: float) -> dict[str, Any]:
    test = faces.split("test")
    plain = metrics.scale_temperature(predict_probs(model, test.images), temperature)
    mirrored = metrics.scale_temperature(predict_probs(model, test.images, flip=True), temperature)
    with_flip = measure(mirrored, test.votes)
    return {
        **measure(plain, test.votes),
        "accuracy_with_flip": with_flip["accuracy"],
        "ece_with_flip": with_flip["ece_15_bins"],
    }


def card_text(card: Card) -> str:
    """Return a card as Markdown, for people."""
    test = card.metrics["test"]
    low, high = test["accuracy_interval_95"]
    recalls = "\n".join(
        f"| {name} | {row['n']} | {'–' if not row['n'] else format(row['recall'], '.1%')} |"
        for name, row in test["recall"].items()
    )
    limits = "\n".join(f"- {limit}" for limit in card.limits)
    data = "\n".join(f"- {key}: {value}" for key, value in card.training.items())
    return f"""# {card.title} (`{card.id}`)

{card.network}, {card.parameters:,} parameters. Outputs: {", ".join(card.outputs)}.
Labels in order: {", ".join(card.labels)}.

Input: {card.crop.side_px} px square, {"grey" if card.crop.channels == 1 else "RGB"};
{card.scaling}.
Crop: a square of {card.crop.margin} times the longer side of the face's box, moved down by
{card.crop.shift_y} of it, {"eyes level" if card.crop.align else "not turned"}.

Calibration: temperature {card.temperature}, from the validation split. It abstains under
{card.threshold:.2f}: {card.threshold_rule}; it answers
{card.metrics["answered_at_threshold"]:.1%} of them.

## How good it is

FER+ labels by the authors' majority rule, FER2013 private test, given crops, n {test["n"]}:
accuracy {test["accuracy"]:.1%} (95 % interval {low:.1%} to {high:.1%}), with mirror image \
{test["accuracy_with_flip"]:.1%};
mean recall {test["mean_recall"]:.1%}; ECE (15 bins) {test["ece_15_bins"]:.1%};
against the votes, n {test["vote_n"]}: NLL {test["vote_nll"]:.3f}, Brier {test["vote_brier"]:.3f}.

| expression | n | recall |
|---|---|---|
{recalls}

## What it was trained on

{data}

## Known failures

{limits}

## Use

Intended: {card.intended}

Not allowed: {card.forbidden}
"""
