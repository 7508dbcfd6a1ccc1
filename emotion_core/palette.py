"""The colours of the emotions: one table for overlays, charts and chips."""

from types import MappingProxyType

#: Checked for contrast on white and on dark, and for pairs under colour-vision deficiencies.
COLOURS = MappingProxyType(
    {
        "anger": "#D51934",
        "contempt": "#BA1761",
        "disgust": "#1EA861",
        "fear": "#8F38ED",
        "happy": "#B68D0C",
        "neutral": "#929599",
        "sad": "#3597F8",
        "surprise": "#05779C",
        "uncertain": "#929599",
    }
)

#: Seed 003's groups: unpleasant red, pleasant green, neither grey.
VALENCE_COLOURS = MappingProxyType(
    {
        **dict.fromkeys(("anger", "contempt", "disgust", "fear", "sad"), "#D51934"),
        **dict.fromkeys(("happy", "surprise"), "#1EA861"),
        **dict.fromkeys(("neutral", "uncertain"), "#929599"),
    }
)

#: Both ends of a map of strength: readable on light and dark skin, and in grey.
HEAT = ("#1B2A6B", "#FFD23F")


def rgb(colour: str) -> tuple[int, int, int]:
    """Return `#RRGGBB` as three numbers 0..255."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def ink_on(colour: tuple[int, int, int]) -> tuple[int, int, int]:
    """Return black or white, whichever has more contrast on a colour (WCAG 2.2)."""
    red, green, blue = (_linear(value / 255) for value in colour)
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    on_black, on_white = (luminance + 0.05) / 0.05, 1.05 / (luminance + 0.05)
    return (0, 0, 0) if on_black > on_white else (255, 255, 255)


def _linear(value: float) -> float:
    """Return how much light a value of sRGB, 0..1, is."""
    return value / 12.92 if value <= 0.04045 else float(((value + 0.055) / 1.055) ** 2.4)
