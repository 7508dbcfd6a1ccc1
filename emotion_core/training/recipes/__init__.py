"""The recipes that come with the library, and how recipes are read from files."""

from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from ...errors import TrainingError
from ...yaml_text import read_yaml
from ..recipe import Recipe, parse_recipe


def load_recipe(name_or_path: str | Path, changes: Sequence[str] = ()) -> Recipe:
    """Read a recipe that comes with the library, by its name, or one of your own, by its path.

    A file that says `like: NAME` holds only what differs from that recipe.

    Args:
        name_or_path: Which one.
        changes: `SETTING=VALUE`, such as `batch=16`, `stages.0.epochs=3` or
            `augmentation.flip=false`; the value is YAML.

    Raises:
        TrainingError: There is no such recipe, or it is not a valid one.
    """
    return changed_recipe(parse_recipe(_values_of(name_or_path)), changes)


def changed_recipe(recipe: Recipe, changes: Sequence[str]) -> Recipe:
    """Return a recipe with some settings changed, as `load_recipe` describes them.

    Raises:
        TrainingError: There is no such setting, or its value is impossible.
    """
    values = recipe.as_dict()
    for change in changes:
        path, equals, text = change.partition("=")
        *way, last = path.split(".")
        try:
            place = values
            for step in way:
                place = place[int(step)] if isinstance(place, list) else place[step]
            value = read_yaml(text)
            if isinstance(place, list):
                place[int(last)] = value
            elif equals and isinstance(place, dict):
                place[last] = value
            else:
                raise KeyError(path)
        except (LookupError, ValueError, TypeError, RecursionError, yaml.YAMLError) as error:
            raise TrainingError(
                f"{change!r} changes no setting. Write SETTING=VALUE, such as batch=16 or "
                "stages.0.epochs=3."
            ) from error
    return parse_recipe(values)


def _values_of(name_or_path: str | Path, *, depth: int = 0) -> dict[str, Any]:
    shipped = resources.files(__package__) / f"{name_or_path}.yaml"
    source = shipped if shipped.is_file() else Path(name_or_path)
    if not source.is_file():
        raise TrainingError(
            f"No recipe {str(name_or_path)!r}. Give a file, or one of: {', '.join(recipe_names())}."
        )
    try:
        values = read_yaml(source.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise TrainingError(f"{name_or_path} is not a YAML file: {error}") from error
    if not isinstance(values, dict):
        raise TrainingError(f"{name_or_path} holds no settings.")
    if "like" not in values:
        return values
    if depth > 4:
        raise TrainingError(f"{name_or_path} is like a recipe that is like another without end.")
    like = str(values.pop("like"))
    beside = Path(name_or_path).parent / like
    base = _values_of(beside if beside.is_file() else like, depth=depth + 1)
    if "network" in values:  # the options of another network mean nothing to this one
        base.pop("options", None)
    return _merged(base, values)


def _merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return `base` with `changes`; tables are merged, all else is replaced."""
    merged = dict(base)
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merged(merged[key], value) if both else value
    return merged


def recipe_names() -> list[str]:
    """Return the names of the recipes that come with the library."""
    return sorted(
        entry.name.removesuffix(".yaml")
        for entry in resources.files(__package__).iterdir()
        if entry.name.endswith(".yaml")
    )
