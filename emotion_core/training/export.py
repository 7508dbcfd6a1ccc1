"""From a trained network to a model folder: LiteRT and Keras files, calibration, card."""

import datetime
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .. import limits, metrics
from ..affect import scores_from_affect
from ..cards import (
    FORBIDDEN,
    HISTORY_FILE,
    INTENDED,
    KERAS_FILE,
    LIMITS,
    NETWORK_FILE,
    Card,
    card_text,
)
from ..classify import outputs_of
from ..errors import TrainingError
from ..files import atomic_path, atomic_write, sha256_of, write_json
from ..labels import LabelSet
from ..types import Affect
from .checkpoint import TrainingState
from .examples import Examples, TrainingData
from .feed import answers_of, largest_gap
from .recipe import AFFECT, EMOTION, Recipe

#: Largest difference of an output between Keras and LiteRT that an export may have.
TOLERANCE = 1e-4
_PROBE = 64
LARGE = "It is too large for the pages: videos and evaluations read with it, in jobs and commands."
#: A model of valence and arousal alone abstains until a label is at least so much likelier.
_MORE_THAN_CHANCE = 0.01


def export_litert(model: Any, target: Path, probe: NDArray[np.uint8]) -> float:
    """Write a float32 LiteRT file and check it against Keras.

    Args:
        model: A float32 Keras model from pixels to its outputs.
        target: Where the `.tflite` goes.
        probe: uint8 (n, h, h, c), faces to compare on.

    Returns:
        The largest absolute difference of an output.

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
    net.resize_tensor_input(source, list(probe.shape))
    net.allocate_tensors()
    net.set_tensor(source, probe.astype(np.float32))
    net.invoke()
    answered = [net.get_tensor(detail["index"]) for detail in outputs_of(net)]
    difference = largest_gap(answered, answers_of(model, probe))
    if not difference <= TOLERANCE:
        raise TrainingError(
            f"The LiteRT file differs from the Keras model by {difference:.2g} (at most "
            f"{TOLERANCE} is allowed), so it was not written."
        )
    atomic_write(target, content)
    return difference


def write_model(
    recipe: Recipe, model: Any, state: TrainingState, data: TrainingData, folder: Path
) -> Card:
    """Calibrate a trained model, measure it once on the test split and write its folder.

    Temperature and threshold come from the validation split alone.

    Args:
        recipe: What it was trained by.
        model: The float32 model that `train` returned.
        state: The state that `train` returned.
        data: What it was trained on.
        folder: The model's folder; made when missing.

    Returns:
        The card that was written.

    Raises:
        TrainingError: The exported file answers differently.
        StorageError: A file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # four bytes a number
    is_light = 4 * model.count_params() <= limits.LITERT_MAX_BYTES
    difference = 0.0
    if is_light:
        difference = export_litert(model, folder / NETWORK_FILE, data.val.images[:_PROBE])
    with atomic_path(folder / KERAS_FILE) as temporary:
        model.save(temporary)
    history = pd.DataFrame(state.history).to_csv(index=False, lineterminator="\n")
    atomic_write(folder / HISTORY_FILE, history)
    figures: dict[str, Any] = {}
    answers = answers_of(model, data.val.images)
    probs = label_probs(recipe, answers, data.labels)
    temperature, threshold, answered = metrics.calibrate(probs, data.val.truth, data.val.clear)
    calibrated = metrics.scale_temperature(probs, temperature)
    if EMOTION not in recipe.outputs:  # a point near no label gives all of them the same
        threshold = max(threshold, round(1 / len(data.labels) + _MORE_THAN_CHANCE, 4))
        answered = float((calibrated.max(axis=1) >= threshold).mean())
    figures["validation"] = _measure(calibrated, data.val, data)
    figures["answered_at_threshold"] = round(answered, 4)
    if data.test is not None:
        figures["test"] = _measure_twice(recipe, model, data.test, data, temperature)
    if AFFECT in recipe.outputs:
        where = recipe.outputs.index(AFFECT)
        figures["validation_affect"] = measure_affect(answers[where], data.val)
        if data.test is not None:
            points = answers_of(model, data.test.images)[where]
            figures["test_affect"] = measure_affect(points, data.test)
    card = Card(
        id=recipe.name,
        title=recipe.title or recipe.name,
        outputs=recipe.outputs,
        labels=data.labels,
        crop=data.crop or recipe.crop,
        scaling="grey or RGB values 0..255; the network scales them itself",
        files={
            name: sha256_of(folder / name)
            for name in (NETWORK_FILE, KERAS_FILE, HISTORY_FILE)
            if is_light or name != NETWORK_FILE
        },
        coordinates=recipe.affect if AFFECT in recipe.outputs else "",
        temperature=temperature,
        threshold=threshold,
        threshold_rule=f"lowest at which the answered validation faces (n {len(data.val)}) are "
        f"right in at least {metrics.ACCURACY_GOAL:.0%}",
        network=f"{recipe.network} {recipe.options}",
        parameters=int(model.count_params()),
        training={
            **data.about,
            "data_sha256": data.content_hash,
            "faces_trained_on": len(data.train),
            "recipe": f"{recipe.name}.yaml",
            "source": recipe.source,
            "seed": recipe.seed,
            "epochs": state.epoch,
            "best_epoch": state.best_epoch,
            "date": datetime.date.today().isoformat(),
            "keras": keras.__version__,
            "litert_difference": difference,
            "hours": round(sum(row["seconds"] for row in state.history) / 3600, 2),
        },
        metrics=figures,
        limits=(*LIMITS, *data.limits, *(() if is_light else (LARGE,))),
        intended=INTENDED,
        forbidden=FORBIDDEN,
    )
    write_json(folder / "card.json", card.as_dict())
    atomic_write(folder / "CARD.md", card_text(card))
    return card


def label_probs(
    recipe: Recipe, answers: list[NDArray[np.float32]], labels: Sequence[str]
) -> NDArray[np.float32]:
    """Return the probabilities of the labels, float32 (n, k), from a network's outputs.

    Where it answers valence and arousal alone, they are read from these.

    Args:
        recipe: What the network was trained by.
        answers: One array per output, in its order.
        labels: The k labels.
    """
    named = dict(zip(recipe.outputs, answers, strict=True))
    if EMOTION in named:
        return named[EMOTION]
    affect = Affect(*np.clip(named[AFFECT], -1, 1).T)
    return scores_from_affect(affect, LabelSet(labels), system=recipe.affect).probs


def measure_affect(points: NDArray[np.float32], examples: Examples) -> dict[str, Any]:
    """Return the errors of valence and arousal, float32 (n, 2), in -1..1."""
    if examples.affect is None:
        return {}
    error = points - examples.affect
    return {
        "n": len(examples),
        "mse": round(float(np.square(error).mean()), 5),
        "mae": round(float(np.abs(error).mean()), 5),
    }


def _measure(probs: NDArray[np.float32], examples: Examples, data: TrainingData) -> dict[str, Any]:
    figures = metrics.figures(probs, examples.targets, examples.clear, data.labels)
    return {"rule": data.rule, **figures}


def _measure_twice(
    recipe: Recipe, model: Any, test: Examples, data: TrainingData, temperature: float
) -> dict[str, Any]:
    answers = (answers_of(model, test.images, flip=flip) for flip in (False, True))
    plain, mirrored = (
        metrics.scale_temperature(label_probs(recipe, one, data.labels), temperature)
        for one in answers
    )
    with_flip = _measure(mirrored, test, data)
    return {
        **_measure(plain, test, data),
        "accuracy_with_flip": with_flip["accuracy"],
        "ece_with_flip": with_flip["ece_15_bins"],
    }
