"""`python -m emotion_core`."""

from .cli import app

app(prog_name="python -m emotion_core")
