"""The label names of a data set and what they mean here. Nothing is guessed."""

import unicodedata
from collections.abc import Iterable, Mapping

from ..errors import UnknownLabels
from ..labels import CANONICAL, canonical_name
from ..texts import say

#: The answer for a name whose pictures are left out.
LEFT_OUT = ""
_SHOWN = 12


def name_labels(raw: Iterable[str], answers: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return what each label name of a data set means.

    Args:
        raw: The names as the data set has them.
        answers: What somebody said of names: another name, the same one to keep it as it is, or
            `LEFT_OUT`.

    Returns:
        For each name its canonical name, or what was answered.

    Raises:
        UnknownLabels: A name is neither canonical, nor a known form of one, nor answered; the
            error carries these names.
    """
    answers = {composed(name): meaning for name, meaning in (answers or {}).items()}
    meant: dict[str, str] = {}
    unknown: list[str] = []
    for name in sorted(set(raw)):
        known = answers.get(composed(name), canonical_name(name))
        if known is None:
            unknown.append(name)
        else:
            meant[name] = canonical_name(known) or known
    if unknown:
        shown = ", ".join(unknown[:_SHOWN]) + (" …" if len(unknown) > _SHOWN else "")
        raise UnknownLabels(
            say("error.unknown_labels", names=shown, known=", ".join(CANONICAL)), tuple(unknown)
        )
    return meant


def composed(text: str) -> str:
    """Return a text with each letter and its accent as one sign (NFC): macOS takes them apart in
    names of files, and both look alike."""
    return unicodedata.normalize("NFC", text)


def in_label_order(names: Iterable[str]) -> list[str]:
    """Return label names in the order of every chart, others behind them by alphabet."""
    left = set(names)
    return [name for name in CANONICAL if name in left] + sorted(left - set(CANONICAL))
