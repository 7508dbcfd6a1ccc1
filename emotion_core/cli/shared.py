"""What the commands share."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ..errors import EmotionError

BAD_INPUT = 2


def complain(message: object) -> None:
    """Print one line on stderr."""
    print(" ".join(str(message).split()), file=sys.stderr)


@contextmanager
def refusals() -> Iterator[None]:
    """Turn an `EmotionError` into one line on stderr and exit status 2."""
    try:
        yield
    except EmotionError as error:
        complain(error)
        raise typer.Exit(BAD_INPUT) from error


def progress_bar() -> Progress:
    """Return a progress bar on stderr with the time left; silent where stderr is no terminal."""
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )
