"""`python -m emotion_core`."""

from .cli import app

if __name__ == "__main__":  # processes that it starts read this file, too
    app(prog_name="python -m emotion_core")
