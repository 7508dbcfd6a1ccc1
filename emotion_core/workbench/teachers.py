"""What a recipe takes from other models: teachers, and weights to start from."""

from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import closing
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ..calibration import scale_temperature
from ..cards import KERAS_FILE, Card
from ..datasets.cleaning import fingerprint_of
from ..errors import TrainingError
from ..files import work_path
from ..registry import list_models, load_model, model_folder, verify_model
from ..serving import open_network
from ..texts import say
from ..training.recipe import EMOTION, MODEL_WEIGHTS, Recipe
from ..training.recipes import recipe_names
from ..training.weights import Start
from .index import load_index
from .store import Dataset


def suits_datasets(recipe: Recipe, here: Collection[str]) -> bool:
    """Return whether a recipe can be trained on a data set of one's own.

    Those cannot that learn FER2013's labels beside the votes, or take from a model that is not
    here.

    Args:
        recipe: Which one.
        here: Ids of the models that are here.
    """
    start = recipe.weights.removeprefix(MODEL_WEIGHTS)
    starts_here = start == recipe.weights or start in here
    return not recipe.loss.given_weight and starts_here and set(recipe.teachers) <= set(here)


def sources_of(recipe: Recipe) -> list[Card]:
    """Return the cards of the models that a recipe starts from or is taught by.

    Raises:
        TrainingError: One is missing, but a recipe here makes it.
        ModelError, ModelNotTrusted: One is missing or broken.
    """
    start = recipe.weights.removeprefix(MODEL_WEIGHTS)
    starts = [] if start == recipe.weights else [start]
    return [_card_of(model_id, recipe) for model_id in dict.fromkeys([*starts, *recipe.teachers])]


def _card_of(model_id: str, recipe: Recipe) -> Card:
    """Return the card of a model that a recipe takes from; who has to make it first is told how."""
    is_here = any(entry.id == model_id for entry in list_models())
    if not is_here and model_id in recipe_names():
        raise TrainingError(_told("error.needs_model", recipe, model_id))
    return verify_model(model_id)


def _told(text: str, recipe: Recipe, model_id: str) -> str:
    return say(text, recipe=recipe.name, id=model_id, folder=work_path() / "models")


def learned_here(dataset: Dataset, cards: Iterable[Card]) -> list[str]:
    """Return the ids of those that were trained on a data set, whatever has changed in it since.

    It may be one of the studio's, the same pictures under another name, or FER2013 with the votes
    of FER+.
    """
    with closing(dataset.open()) as source:
        state = {dataset.id, fingerprint_of(load_index(dataset)), source.content_hash()} - {""}
    known = ("data_set_id", "fingerprint", "data_sha256")
    return [card.id for card in cards if state & {card.training.get(key) for key in known}]


def check_teachers(recipe: Recipe, labels: Sequence[str]) -> list[Card]:
    """Return the cards of a recipe's teachers, checked for whether they can teach.

    No network is loaded.

    Args:
        recipe: Whose.
        labels: What the faces are labelled by.

    Raises:
        ModelError, ModelNotTrusted: A teacher is missing or broken.
        TrainingError: It has other labels, another input or no answer for expressions.
    """
    wanted = (recipe.crop.side_px, recipe.crop.channels)
    cards = [_card_of(model_id, recipe) for model_id in recipe.teachers]
    for card in cards:
        if (card.crop.side_px, card.crop.channels) != wanted:
            raise TrainingError(say("error.teacher_input", id=card.id, px=card.crop.side_px))
        if EMOTION not in card.outputs:
            raise TrainingError(say("error.teacher_outputs", id=card.id))
        if card.labels != tuple(labels):
            told = ", ".join(card.labels)
            raise TrainingError(say("error.teacher_labels", id=card.id, labels=told))
    return cards


def teacher_of(
    recipe: Recipe, labels: Sequence[str], *, on_gpu: bool = False
) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]] | None:
    """Return what asks the recipe's teachers, or None where it has none.

    Their answers are taken as the networks give them, before calibration, which has been fitted to
    labels and not to votes.

    Args:
        recipe: Whose.
        labels: What the faces are labelled by.
        on_gpu: Ask their Keras files, on the GPU that the training runs on, where all have one.

    Returns:
        From faces, uint8 (n, h, h, c), to the teachers' mean distribution, float32 (n, k).

    Raises:
        ModelError, CardMismatch, ModelNotTrusted: A teacher cannot be loaded.
        TrainingError: It has other labels or another input.
    """
    cards = check_teachers(recipe, labels)
    if not cards:
        return None
    if on_gpu and all(KERAS_FILE in card.files for card in cards):
        # heavy: Keras and its backend, which whoever trains has imported
        from ..training.teacher import ask_keras

        files = [model_folder(card.id) / KERAS_FILE for card in cards]
        return ask_keras(files, [card.outputs.index(EMOTION) for card in cards])
    # one thread each: two that wait for each other would stand in the way of the training's own
    load = partial(open_network, threads=1)
    teachers = [load_model(card.id, prior="data", load=load) for card in cards]

    def ask(faces: NDArray[np.uint8]) -> NDArray[np.float32]:
        answers = [
            scale_temperature(teacher.classify(faces).probs, 1 / teacher.card.temperature)
            for teacher in teachers
        ]
        return np.asarray(np.mean(answers, axis=0), np.float32)

    return ask


def start_of(recipe: Recipe, labels: Sequence[str]) -> Start | None:
    """Return the model that a recipe starts from, or None: it names none.

    Args:
        recipe: Whose.
        labels: What the faces are labelled by.

    Raises:
        ModelError, CardMismatch, ModelNotTrusted: There is no such model, or it is broken.
        TrainingError: It has no Keras file.
    """
    if not recipe.weights.startswith(MODEL_WEIGHTS):
        return None
    card = _card_of(recipe.weights.removeprefix(MODEL_WEIGHTS), recipe)
    if KERAS_FILE not in card.files and card.id in recipe_names():
        raise TrainingError(_told("error.needs_keras", recipe, card.id))
    if KERAS_FILE not in card.files:
        raise TrainingError(say("error.start_without_keras", id=card.id))
    return Start(model_folder(card.id) / KERAS_FILE, has_head=card.labels == tuple(labels))
