"""From a trained network to a model folder: LiteRT and Keras files, calibration, card."""

import datetime
import tempfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .. import limits, metrics
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
from .checkpoint import TrainingState
from .examples import TrainingData
from .feed import answers_of, largest_gap
from .measure import measure_model
from .recipe import AFFECT, Recipe

#: Largest difference of an output between Keras and LiteRT that an export may have.
TOLERANCE = 1e-4
_PROBE = 64
LARGE = "It is too large for the pages: videos and evaluations read with it, in jobs and commands."


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

    Temperature and thresholds come from the validation split alone.

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
    measured = measure_model(recipe, model, data)
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
        temperature=measured.temperature,
        threshold=measured.threshold,
        threshold_rule=f"lowest at which the answered validation faces (n {len(data.val)}) are "
        f"right in at least {metrics.ACCURACY_GOAL:.0%}",
        prior=measured.prior,
        balanced_threshold=measured.balanced_threshold,
        network=", ".join([recipe.network, *(f"{k} {v}" for k, v in recipe.options.items())]),
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
        metrics=measured.figures,
        limits=(*LIMITS, *data.limits, *(() if is_light else (LARGE,))),
        intended=INTENDED,
        forbidden=FORBIDDEN,
    )
    write_json(folder / "card.json", card.as_dict())
    atomic_write(folder / "CARD.md", card_text(card))
    return card
