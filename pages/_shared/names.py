"""How names are shown."""

from emotion_core.limits import NAME_SHOWN_CHARS

_END_CHARS = 12


def short(name: str) -> str:
    """Return a name with its middle left out where it is longer than `NAME_SHOWN_CHARS`."""
    name = name.strip()  # in Markdown nothing that is bold begins or ends with a space
    if len(name) <= NAME_SHOWN_CHARS:
        return name
    return f"{name[: NAME_SHOWN_CHARS - _END_CHARS - 1]}…{name[-_END_CHARS:]}"
