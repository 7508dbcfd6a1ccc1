"""YAML of strangers: what a few bytes name many times over is refused before anybody copies it."""

from typing import Any

import yaml

#: 100,000 decisions about pictures are 700,000 values.
_VALUES_MAX = 1_000_000
#: In C where PyYAML has it: several times as quick, for thousands of decisions.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_yaml(text: str) -> Any:
    """Return the plain values that a YAML text holds.

    Raises:
        yaml.YAMLError: It is none.
        ValueError: A value in it cannot be, such as a 13th month; or it holds more than a million
            values, counted as often as an alias (`*name`) repeats them.
    """
    held = yaml.load(text, Loader=_LOADER)
    waiting, count = [held], 0
    while waiting:
        one = waiting.pop()
        count += 1
        if count > _VALUES_MAX:
            raise ValueError(
                f"it holds more than {_VALUES_MAX:,} values; write them without aliases"
            )
        if isinstance(one, dict):
            waiting.extend(one.values())
        elif isinstance(one, list | tuple | set):
            waiting.extend(one)
    return held
