"""The command line. Each command is a file; it says what it cannot do in one line and exits 2."""

import typer

from . import camera, data, evaluate, models, photo, sweep, train, video

app = typer.Typer(
    help="Read facial expressions, offline. It says what a face looks like, not what it feels.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
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
