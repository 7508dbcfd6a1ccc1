"""The error tree. A message says what happened, with what, and what to do."""

import re
import reprlib
from collections.abc import Iterator
from contextlib import contextmanager

_SHORT = reprlib.Repr()
_SHOWN_CHARS = _SHORT.maxstring = _SHORT.maxother = 100


class EmotionError(Exception):
    """Base of every error that this library raises on purpose."""


class InputError(EmotionError):
    """What was handed in cannot be used."""


class BadArgument(InputError, ValueError):
    """An argument of the library out of its range, or of a wrong shape or type."""


class UnsupportedFormat(InputError):
    """The content is of a kind that is not read here."""


class TooLarge(InputError):
    """The content is over a limit; the message names the limit."""


class BrokenImage(InputError):
    """A picture whose data cannot be decoded."""


class BrokenVideo(InputError):
    """A video whose data cannot be decoded."""


class NoVideoStream(InputError):
    """A media file without a moving picture in it."""


class BadArchive(InputError):
    """A ZIP or TAR that is damaged, hostile or holds nothing of use."""


class BadTable(InputError):
    """A table with missing columns, wrong types or impossible values."""


class UnknownLabels(BadTable):
    """A data set uses label names that nobody has said the meaning of."""

    def __init__(self, message: str, names: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.names = names


class UnsafePath(InputError):
    """A path that lies outside the folders that a page may read."""


class ModelError(EmotionError):
    """A model cannot be found, read or run."""


class ModelNotTrusted(ModelError):
    """A model file is not the one its card describes."""


class CardMismatch(ModelError):
    """A card, a model and a request do not fit together."""


class TrainingError(EmotionError):
    """A training cannot start or go on."""


class JobCancelled(EmotionError):
    """Somebody asked a job to stop."""


class StorageError(EmotionError):
    """A file cannot be written or read: no space, no permission, gone."""


@contextmanager
def said_of(held_as: str, name: str) -> Iterator[None]:
    """Let errors of the block speak of a file by the name that its owner knows.

    Args:
        held_as: How the file is called here, such as `upload.mp4`.
        name: How its owner calls it.
    """
    try:
        yield
    except EmotionError as error:
        # whoever knew the name has written it, and either name may be part of the other
        either = "|".join(map(re.escape, sorted((held_as, name), key=len, reverse=True)))
        # a folder may be called by a word of the message, which begins with the name
        count = 0 if "." in held_as else 1
        error.args = (re.sub(either, lambda _: name, str(error), count=count), *error.args[1:])
        raise


def reason_of(error: BaseException) -> str:
    """Return the first line of what an error says, or its name where it says nothing."""
    return next(iter(str(error).splitlines()), type(error).__name__)


def shown(value: object) -> str:
    """Return a value as a message shows it: short, whatever it holds."""
    text = _SHORT.repr(value)  # which goes through little of a large one
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}…"


def os_reason(error: BaseException) -> str:
    """Return why the system refused, without number and path: "No space left on device"."""
    return getattr(error, "strerror", None) or reason_of(error)
