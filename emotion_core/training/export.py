"""From a trained network to a model folder: LiteRT and Keras files, calibration, card."""

import datetime
from functools import partial
from pathlib import Path
from typing import Any

import keras
import pandas as pd

from .. import limits
from ..card_text import write_card
from ..cards import (
    FORBIDDEN,
    HISTORY_FILE,
    INTENDED,
    KERAS_FILE,
    LARGE,
    LIMITS,
    NETWORK_FILE,
    Card,
)
from ..files import atomic_path, atomic_write, sha256_of
from .checkpoint import TrainingState
from .examples import TrainingData
from .feed import answers_by, answers_of
from .half_precision import save_half
from .litert import export_litert, export_quantised, litert
from .measure import measure_model
from .recipe import AFFECT, Recipe

_PROBE = 64


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
    served = _serve(recipe, model, data, folder / NETWORK_FILE) if is_light else {}
    answer = partial(answers_of, model)
    if "weights_bits" in served:  # what is served is measured
        answer = partial(answers_by, litert((folder / NETWORK_FILE).read_bytes()))
    with atomic_path(folder / KERAS_FILE) as temporary:
        if "weights_bits" in served:
            save_half(model, temporary)
        else:
            model.save(temporary)
    history = pd.DataFrame(state.history).to_csv(index=False, lineterminator="\n")
    atomic_write(folder / HISTORY_FILE, history)
    measured = measure_model(recipe, answer, data)
    card = Card(
        id=recipe.name,
        title=recipe.title or recipe.name,
        outputs=recipe.outputs,
        labels=data.labels,
        crop=data.crop or recipe.crop,
        sees=recipe.sees,
        scaling="grey or RGB values 0..255; the network scales them itself",
        files={
            name: sha256_of(folder / name)
            for name in (NETWORK_FILE, KERAS_FILE, HISTORY_FILE)
            if is_light or name != NETWORK_FILE
        },
        coordinates=recipe.affect if AFFECT in recipe.outputs else "",
        temperature=measured.temperature,
        threshold=measured.threshold,
        threshold_rule=measured.threshold_rule,
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
            "begins_with": "" if recipe.weights == "none" else recipe.weights,
            "teachers": ", ".join(recipe.teachers),
            "seed": recipe.seed,
            "epochs": state.epoch,
            "best_epoch": state.best_epoch,
            "date": datetime.date.today().isoformat(),
            "keras": keras.__version__,
            **served,
            "hours": round(sum(row["seconds"] for row in state.history) / 3600, 2),
        },
        metrics=measured.figures,
        limits=(*LIMITS, *data.limits, *(() if is_light else (LARGE,))),
        intended=INTENDED,
        forbidden=FORBIDDEN,
    )
    write_card(card, folder)
    return card


def _serve(recipe: Recipe, model: Any, data: TrainingData, target: Path) -> dict[str, float]:
    """Write the LiteRT file, in 8 bits where that is asked for and costs little; return what came
    of it, for the card."""
    found: dict[str, float] = {}
    if recipe.quantise:
        gap, loss, is_close = export_quantised(model, target, data.val, recipe.outputs)
        if is_close:
            return {"litert_difference": gap, "weights_bits": 8, "accuracy_loss": loss}
        found = {"accuracy_loss_of_8_bits": loss}
    return {"litert_difference": export_litert(model, target, data.val.images[:_PROBE]), **found}
