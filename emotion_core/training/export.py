"""From a trained network to a model folder: LiteRT and Keras files, calibration, card."""

import datetime
from functools import partial
from pathlib import Path
from typing import Any

import keras
import pandas as pd

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
from ..files import atomic_path, atomic_write, sha256_of, write_json
from .checkpoint import TrainingState
from .examples import TrainingData
from .feed import answers_by, answers_of
from .litert import export_litert, export_quantised, litert
from .measure import measure_model
from .recipe import AFFECT, Recipe

_PROBE = 64
LARGE = "It is too large for the pages: videos and evaluations read with it, in jobs and commands."


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
    difference, loss = 0.0, 0.0
    answer = partial(answers_of, model)
    if is_light and recipe.quantise:
        target = folder / NETWORK_FILE
        difference, loss = export_quantised(model, target, data.val, recipe.outputs)
        answer = partial(answers_by, litert(target.read_bytes()))  # what is served is measured
    elif is_light:
        difference = export_litert(model, folder / NETWORK_FILE, data.val.images[:_PROBE])
    with atomic_path(folder / KERAS_FILE) as temporary:
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
            **({"weights_bits": 8, "accuracy_loss": loss} if recipe.quantise else {}),
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
