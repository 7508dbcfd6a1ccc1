"""A recipe as a form: every setting by its kind, its help from the recipe's own documentation."""

import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import streamlit as st
import yaml

from emotion_core.cards import KERAS_FILE
from emotion_core.errors import TrainingError
from emotion_core.texts import say
from emotion_core.training.recipe import MODEL_WEIGHTS, Recipe, parse_recipe
from emotion_core.yaml_text import read_yaml

from . import resources
from .options import KEPT

#: Asked above the form, or following from what is asked.
_NOT_HERE = ("name", "title", "source", "stages")


def edit(recipe: Recipe, *, key: str) -> Recipe:
    """Show a recipe's settings and return it as they are set.

    Raises:
        TrainingError: A setting is impossible; the message names it.
    """
    values = {**recipe.as_dict(), "stages": []}
    for number, stage in enumerate(recipe.stages, start=1):
        with st.expander(say("training.stage", n=number), expanded=number == 1):
            values["stages"].append(_table(stage, key=f"{key}-stage{number}"))
    groups = [one.name for one in fields(Recipe) if is_dataclass(getattr(recipe, one.name))]
    plain = [one.name for one in fields(Recipe) if one.name not in (*groups, *_NOT_HERE)]
    with st.expander(say("training.more_settings")):
        values |= _table(recipe, key=key, only=plain)
    for name in groups:
        with st.expander(say(f"training.group_{name}")):
            values[name] = _table(getattr(recipe, name), key=f"{key}-{name}")
    return parse_recipe(values)


def _table(held: Any, *, key: str, only: list[str] | None = None) -> dict[str, Any]:
    """Show the settings of a dataclass in columns; return what they are set to."""
    kind = type(held)
    hints, helps = get_type_hints(kind), _helps(kind)
    names = [one.name for one in fields(kind) if only is None or one.name in only]
    found: dict[str, Any] = {}
    columns = st.columns(3)
    for number, name in enumerate(names):
        with columns[number % 3]:
            found[name] = _setting(
                hints[name], name, getattr(held, name), helps.get(name), f"{key}-{name}"
            )
    return found


def _setting(kind: Any, name: str, value: Any, text: str | None, key: str) -> Any:
    options = [one for one in get_args(kind) if one is not NoneType]
    is_union = get_origin(kind) in (UnionType, Union)
    if name == "weights":  # a path of the server is nothing that a page may ask for
        held = [entry.card for entry in resources.models() if entry.card]
        startable = [f"{MODEL_WEIGHTS}{card.id}" for card in held if KERAS_FILE in card.files]
        choices = ["none", "pretrained", *startable]
        if value not in choices:  # a file of a run of one's own, or a model that is not here
            choices.append(value)
        index = choices.index(value)
        return st.selectbox(name, choices, index=index, help=text, key=key, **KEPT)
    if get_origin(kind) is Literal:
        choices = list(get_args(kind))
        return st.selectbox(name, choices, index=choices.index(value), help=text, key=key, **KEPT)
    if kind is bool:
        return st.checkbox(name, value=value, help=text, key=key, **KEPT)
    if kind is int:
        return st.number_input(name, value=value, step=1, help=text, key=key, **KEPT)
    if kind is float:
        step = max(abs(value), 1e-3) / 10
        return st.number_input(
            name, value=value, format="%.6g", step=step, help=text, key=key, **KEPT
        )
    if kind is str or (is_union and any(get_origin(one) is Literal for one in options)):
        return _word(st.text_input(name, value=str(value), help=text, key=key, **KEPT), kind)
    written = st.text_input(name, value=_as_text(value), help=text, key=key, **KEPT)
    return _from_text(written, name) if written.strip() else _nothing(kind)


def _nothing(kind: Any) -> Any:
    """Return what an emptied field of a kind means."""
    return {tuple: [], dict: {}}.get(get_origin(kind))


def _word(text: str, kind: Any) -> Any:
    return int(text) if kind is not str and text.isdecimal() else text


def _as_text(value: Any) -> str:
    if is_dataclass(value) and not isinstance(value, type):
        value = value.__dict__
    if isinstance(value, tuple):
        value = list(value)
    if value is None:
        return ""
    return yaml.safe_dump(_plain(value), default_flow_style=True, width=10_000).strip()


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value


def _from_text(text: str, name: str) -> Any:
    try:
        return read_yaml(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise TrainingError(say("training.bad_value", name=name, value=text)) from error


def _helps(kind: type) -> dict[str, str]:
    """Return what the documentation of a dataclass says of each of its fields."""
    text = (kind.__doc__ or "").partition("Attributes:")[2]
    found = re.findall(r"^ {8}(\w+): (.+(?:\n {12}.+)*)", text, re.M)
    return {name: re.sub(r"\s+", " ", told) for name, told in found}
