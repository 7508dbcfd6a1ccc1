"""The command line. Each command is a file; it says what it cannot do in one line and exits 2."""

import errno
import io
import os
import sys

import typer

from ..native import TENSORFLOW
from ..texts import say
from . import camera, data, evaluate, models, photo, sweep, train, video
from .shared import BAD_INPUT, complain

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
#: These may train on another backend, and have TensorFlow write what comes of it.
_ANY_BACKEND = ("train", "resume")


@app.callback()
def begin(context: typer.Context) -> None:
    """Read facial expressions, offline. It says what a face looks like, not what it feels."""
    if context.invoked_subcommand not in _ANY_BACKEND:
        os.environ.update(TENSORFLOW)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # names of files are any bytes, and go out as such; what writes no Unicode escapes it
        is_unicode = sys.stdout.encoding.lower().startswith("utf")
        sys.stdout.reconfigure(errors="surrogateescape" if is_unicode else "backslashreplace")


app.command("photo")(photo.photo)
app.command("video")(video.video)
app.command("camera")(camera.camera)
app.command("train")(train.train)
app.command("resume")(train.resume)
app.command("compare")(train.compare)
app.command("promote")(train.promote)
app.command("export")(train.export)
app.command("sweep")(sweep.sweep)
app.command("survey")(sweep.survey)
app.command("evaluate")(evaluate.evaluate)
app.command("submit")(evaluate.submit)
app.add_typer(models.app, name="models")
app.add_typer(data.app, name="data")


def run() -> None:
    """Run the command line; where its output finds no room, one line on stderr says so."""
    try:
        try:
            app(prog_name="python -m emotion_core")
        finally:
            if sys.stdout is not None:  # as after `>&-`
                sys.stdout.flush()
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EPIPE) or error.filename:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is left is not tried again at the end
        if error.errno == errno.EPIPE:  # as typer ends where nobody reads on
            raise SystemExit(1) from error
        complain(say("error.output_full"))
        raise SystemExit(BAD_INPUT) from error
