"""What the commands share."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ..errors import EmotionError, InputError
from ..texts import say

BAD_INPUT = 2
CANCELLED = 130
#: A machine that shuts down, a terminal that was closed.
ENDS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


def complain(message: object) -> None:
    """Print one line on stderr, also of what is no text."""
    line = " ".join(str(message).split())
    print(line.encode("utf-8", "backslashreplace").decode(), file=sys.stderr)


@contextmanager
def refusals() -> Iterator[None]:
    """Turn an `EmotionError` into one line on stderr and exit status 2."""
    try:
        yield
    except EmotionError as error:
        complain(error)
        raise typer.Exit(BAD_INPUT) from error


def refuse_options(what: str, **given: object) -> None:
    """Refuse options that say nothing here, rather than pass them over.

    Args:
        what: What they have no meaning for.
        given: By the option's name; falsy where it was not given.

    Raises:
        InputError: One was given.
    """
    named = [f"--{name.replace('_', '-')}" for name, value in given.items() if value]
    if named:
        raise InputError(say("error.no_option", options=", ".join(named), what=what))


@contextmanager
def cancellable(message: str = "Cancelled. Nothing was written.") -> Iterator[None]:
    """Turn Ctrl-C, a wish to end from outside and a closed terminal into one line on stderr and
    exit status 130, with nothing left half written."""
    # what was ignored stays so, as under nohup
    taken = [one for one in ENDS if signal.getsignal(one) is signal.SIG_DFL]
    try:
        for one in taken:
            signal.signal(one, _interrupt)
        yield
    except KeyboardInterrupt as error:
        complain(message)
        raise typer.Exit(CANCELLED) from error
    finally:
        for one in taken:
            signal.signal(one, signal.SIG_DFL)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


@contextmanager
def counting(title: str, terminal: TextIO | None = None) -> Iterator[Callable[[int, int], None]]:
    """Show a progress bar; yields the function that takes (steps done, steps in all)."""
    with progress_bar(terminal) as progress:
        row = progress.add_task(title, total=None)
        yield lambda done, total: progress.update(row, completed=done, total=total)


@contextmanager
def quiet_natives() -> Iterator[TextIO]:
    """Keep off stderr what native code says: LiteRT on its first network, codecs on their frames.

    Yields:
        The true stderr, for what the command itself has to say meanwhile.
    """
    if sys.stderr is None:  # as after 2>&-, where the number 2 may be any file
        with open(os.devnull, "w", encoding="utf-8") as nobody:
            yield nobody
        return
    sys.stderr.flush()
    kept = os.dup(2)
    silence = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(silence, 2)
        with open(kept, "w", encoding="utf-8", closefd=False) as terminal:
            yield terminal
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(silence)


def progress_bar(terminal: TextIO | None = None) -> Progress:
    """Return a progress bar with the time left; silent where stderr is no terminal."""
    console = Console(stderr=True, file=terminal)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )
