"""Recipes: everything that decides a training, as data."""

from dataclasses import asdict, dataclass, field, fields, replace
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from ..errors import TrainingError
from ..types import CropRule
from .augment import Augmentation

#: The rule that reads most of the pasted validation faces right: python -m benchmarks.crop_fit.
DEFAULT_CROP = CropRule(margin=1.2, shift_y=0.0, align=True)


@dataclass(frozen=True)
class Recipe:
    """What is trained, and how.

    Attributes:
        name: Also the id of the model that comes out.
        network: A key of `zoo.NETWORKS`.
        title: A short name for people.
        crop: How faces are cut out of pictures for it.
        options: Options of the network.
        seed: Seeds the weights, the order of the faces, augmentation and dropout.
        epochs: Passes over the training faces.
        batch: Faces per step.
        learning_rate: Its highest value, after the warm-up; it falls along a cosine.
        warmup_epochs: Epochs in which it rises from zero, in every cycle.
        restarts: Finished epochs after which it rises once more.
        restart_scale: Its highest value after a restart, relative to the cycle before.
        momentum: Nesterov momentum of stochastic gradient descent.
        weight_decay: Decoupled, on kernels only.
        average: Momentum of the weights' moving average that is evaluated and kept; 0 = none.
        precision: Keras dtype policy of the training; what is exported is float32.
        augmentation: How far the training faces are changed.
        calm_epochs: In this many last epochs faces are only moved, mirrored and brightened, so
            that the network ends on faces as they come.
    """

    name: str
    network: str
    title: str = ""
    crop: CropRule = DEFAULT_CROP
    options: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    epochs: int = 40
    batch: int = 96
    learning_rate: float = 0.1
    warmup_epochs: float = 1.0
    restarts: tuple[int, ...] = ()
    restart_scale: float = 0.5
    momentum: float = 0.9
    weight_decay: float = 5e-4
    average: float = 0.998
    precision: str = "mixed_bfloat16"
    augmentation: Augmentation = field(default_factory=Augmentation)
    calm_epochs: int = 0

    def augmentation_of(self, epoch: int) -> Augmentation:
        """Return the augmentation of an epoch, counted from 0."""
        if epoch < self.epochs - self.calm_epochs:
            return self.augmentation
        return replace(self.augmentation, blur=0.0, noise=0.0, erase=0.0)

    def as_dict(self) -> dict[str, Any]:
        """Return the recipe as plain values, as they stand in a file."""
        return asdict(self)


def parse_recipe(values: dict[str, Any]) -> Recipe:
    """Make a recipe from plain values.

    Raises:
        TrainingError: A setting is unknown, missing or impossible; the message names it.
    """
    values = dict(values)
    _check_names(values, Recipe, "recipe")
    augmentation = values.pop("augmentation", {})
    _check_names(augmentation, Augmentation, "augmentation")
    crop = values.pop("crop", asdict(DEFAULT_CROP))
    _check_names(crop, CropRule, "crop")
    try:
        recipe = Recipe(
            **{**values, "restarts": tuple(values.get("restarts", ()))},
            crop=CropRule(**crop),
            augmentation=Augmentation(**augmentation),
        )
    except TypeError as error:
        raise TrainingError(f"The recipe is incomplete: {error}.") from error
    if list(recipe.restarts) != sorted({e for e in recipe.restarts if 0 < e < recipe.epochs}):
        raise TrainingError(
            f"The recipe's restarts {list(recipe.restarts)} have to rise within its "
            f"{recipe.epochs} epochs."
        )
    for name in ("epochs", "batch", "learning_rate"):
        value = getattr(recipe, name)
        if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
            raise TrainingError(f"The recipe's {name} is {value!r}; it has to be above zero.")
    return recipe


def scaled_epochs(recipe: Recipe, *, n: int, samples: int, longest: int) -> Recipe:
    """Return a recipe with more epochs for a small data set.

    Args:
        recipe: Its epochs are the fewest.
        n: Faces in the data set.
        samples: Faces that the network should see in all, repeated ones included.
        longest: Never more epochs than this.
    """
    wanted = min(longest, -(-samples // max(1, n)))
    return replace(recipe, epochs=max(recipe.epochs, wanted))


def load_recipe(name_or_path: str | Path) -> Recipe:
    """Read a recipe that comes with the library, by its name, or one of your own, by its path.

    Raises:
        TrainingError: There is no such recipe, or it is not a valid one.
    """
    shipped = resources.files(__package__) / "recipes" / f"{name_or_path}.yaml"
    source = shipped if shipped.is_file() else Path(name_or_path)
    if not source.is_file():
        raise TrainingError(
            f"No recipe {name_or_path!r}. Give a file, or one of: {', '.join(recipe_names())}."
        )
    try:
        values = yaml.safe_load(source.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise TrainingError(f"{name_or_path} is not a YAML file: {error}") from error
    if not isinstance(values, dict):
        raise TrainingError(f"{name_or_path} holds no settings.")
    return parse_recipe(values)


def recipe_names() -> list[str]:
    """Return the names of the recipes that come with the library."""
    folder = resources.files(__package__) / "recipes"
    return sorted(
        entry.name.removesuffix(".yaml")
        for entry in folder.iterdir()
        if entry.name.endswith(".yaml")
    )


def _check_names(values: object, kind: type, title: str) -> None:
    if not isinstance(values, dict):
        raise TrainingError(f"The {title} has to be a table of settings, not {values!r}.")
    known = {f.name for f in fields(kind)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise TrainingError(
            f"The {title} has unknown settings: {', '.join(map(str, unknown))}. "
            f"Known are: {', '.join(sorted(known))}."
        )
