"""Dataclasses from plain values: every setting known, of its type and in its range."""

import math
import sys
from dataclasses import MISSING, Field, asdict, field, fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from ..errors import TrainingError, shown

T = TypeVar("T")


def number(default: Any, *, low: float | None = None, high: float | None = None) -> Any:
    """Return a dataclass field for a number within `low` to `high`, both included."""
    return field(default=default, metadata={"low": low, "high": high})


def above_zero(default: Any = MISSING) -> Any:
    """Return a dataclass field for a number above zero; required without a default."""
    return field(default=default, metadata={"above": 0})


def read_settings(kind: type[T], values: object, *, title: str) -> T:
    """Make a dataclass, nested ones included, from plain values as a YAML gives them.

    Args:
        kind: The dataclass. Its hints may be bool, int, float, str, `Literal`, `tuple[X, ...]`,
            dict, another such dataclass, or one of these `| None`.
        values: A dict of settings.
        title: What the dataclass is called in messages, such as `recipe`.

    Raises:
        TrainingError: A setting is unknown, missing, of a wrong type or out of range; the message
            names it.
    """
    if not isinstance(values, dict):
        raise TrainingError(f"The {title} has to be a table of settings, not {shown(values)}.")
    known: dict[str, Field[Any]] = {one.name: one for one in fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(set(map(str, values)) - set(known))
    if unknown:
        raise TrainingError(
            f"The {title} has unknown settings: {', '.join(unknown)}. "
            f"Known are: {', '.join(sorted(known))}."
        )
    needed = [
        name
        for name, one in known.items()
        if one.default is MISSING and one.default_factory is MISSING and name not in values
    ]
    if needed:
        raise TrainingError(f"The {title} is incomplete: it lacks {', '.join(needed)}.")
    hints = get_type_hints(kind)
    values = {name: _with_defaults(known[name], value) for name, value in values.items()}
    held = {name: _value(hints[name], value, f"{title}'s {name}") for name, value in values.items()}
    for name, value in held.items():
        _check_range(value, known[name].metadata, f"{title}'s {name}")
    return kind(**held)


def _with_defaults(known: Field[Any], value: object) -> object:
    """Return a table of settings on top of the default of its place."""
    if isinstance(value, dict) and is_dataclass(known.default):
        return {**asdict(known.default), **value}  # type: ignore[arg-type]
    return value


def _value(kind: Any, value: object, title: str) -> Any:
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (UnionType, Union):
        options = [one for one in inner if one is not NoneType]
        if value is None and NoneType in inner:
            return None
        exact = [one for one in options if isinstance(one, type) and type(value) is one]
        return _value(exact[0] if exact else options[0], value, title)
    if origin is Literal:
        if value not in inner or isinstance(value, bool):
            raise TrainingError(f"The {title} is {shown(value)}; choose one of {list(inner)}.")
        return value
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise TrainingError(f"The {title} is {shown(value)}; it has to be a list.")
        return tuple(_value(inner[0], one, f"{title}[{n}]") for n, one in enumerate(value))
    if is_dataclass(kind):
        return read_settings(kind, value, title=title)  # type: ignore[arg-type]
    if origin is dict or kind is dict:
        if not isinstance(value, dict):
            raise TrainingError(f"The {title} is {shown(value)}; it has to be a table.")
        return {str(key): one for key, one in value.items()}
    return _plain(kind, value, title)


def _plain(kind: type, value: object, title: str) -> Any:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if is_number and abs(value) > sys.float_info.max and not isinstance(value, float):  # type: ignore[arg-type]
        is_number = False  # a whole number of hundreds of digits
    if kind is float and isinstance(value, str):
        try:  # YAML takes 3e-7 for a word; people mean the number
            return float(value)
        except ValueError:
            is_number = False
    if kind is float and is_number:
        return float(value)  # type: ignore[arg-type]
    if kind is int and is_number and float(value).is_integer():  # type: ignore[arg-type]
        return int(value)  # type: ignore[call-overload]
    if kind in (bool, str) and isinstance(value, kind):
        return value
    words = {float: "a number", int: "a whole number", bool: "true or false", str: "a word"}
    raise TrainingError(f"The {title} is {shown(value)}; it has to be {words[kind]}.")


def _check_range(value: object, limits: Any, title: str) -> None:
    if not isinstance(value, int | float):
        return
    if not math.isfinite(value):
        raise TrainingError(f"The {title} is {shown(value)}; it has to be a number.")
    if "above" in limits and not value > limits["above"]:
        raise TrainingError(f"The {title} is {shown(value)}; it has to be above zero.")
    low, high = limits.get("low"), limits.get("high")
    if (low is not None and value < low) or (high is not None and value > high):
        to = f" to {high:g}" if high is not None else " or more"
        raise TrainingError(f"The {title} is {shown(value)}; it has to be {low:g}{to}.")
