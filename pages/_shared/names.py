"""How names are shown."""

import html

from emotion_core.limits import NAME_SHOWN_CHARS

_END_CHARS = 12
#: Marks that turn the way in which what follows is read, to be taken out by `str.translate`.
TURNS = dict.fromkeys([0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)])


def short(name: str) -> str:
    """Return a name with its middle left out where it is longer than `NAME_SHOWN_CHARS`."""
    # in Markdown nothing that is bold begins or ends with a space
    name = name.translate(TURNS).strip()
    if len(name) <= NAME_SHOWN_CHARS:
        return name
    return f"{name[: NAME_SHOWN_CHARS - _END_CHARS - 1]}…{name[-_END_CHARS:]}"


def in_figure(name: str) -> str:
    """Return a name so that Plotly, which reads a little HTML, shows it as it is."""
    return html.escape(name.translate(TURNS), quote=False)
