"""The catalogue of interface texts: one TOML file per language, keys such as `photo.title`."""

import os
import tomllib
from functools import cache
from importlib import resources

DEFAULT_LANGUAGE = "en"


@cache
def catalogue(language: str = DEFAULT_LANGUAGE) -> dict[str, str]:
    """Return all texts of a language, flat: `{"photo.title": "Photo", …}`.

    Raises:
        KeyError: There is no catalogue of that language.
    """
    source = resources.files(__package__) / f"{language}.toml"
    if not source.is_file():
        raise KeyError(f"There is no catalogue {language!r}.")
    sections = tomllib.loads(source.read_text(encoding="utf-8"))
    return {f"{name}.{key}": text for name, part in sections.items() for key, text in part.items()}


def say(key: str, /, **values: object) -> str:
    """Return the text of `key` with `values` filled in.

    Where `n` is 1 and there is a text `<key>_one`, it is that one. The language is that of
    `MIEN_LANGUAGE`, English where a text is not translated.

    Raises:
        KeyError: The key is in no catalogue, or a value is missing.
    """
    language = os.environ.get("MIEN_LANGUAGE", DEFAULT_LANGUAGE)
    texts = _with_english(language)
    is_one = str(values.get("n")) == "1"
    return texts[f"{key}_one" if is_one and f"{key}_one" in texts else key].format(**values)


@cache
def _with_english(language: str) -> dict[str, str]:
    try:
        return {**catalogue(), **catalogue(language)}
    except KeyError:
        return catalogue()


def label_name(label: str) -> str:
    """Return what a label is called; one of somebody's own as it is."""
    return _known(f"label.{label}", label)


def figure_name(figure: str) -> str:
    """Return what a figure of a history is called; one from elsewhere as it is."""
    return _known(f"figure.{figure}", figure)


def _known(key: str, otherwise: str) -> str:
    return _with_english(os.environ.get("MIEN_LANGUAGE", DEFAULT_LANGUAGE)).get(key, otherwise)
