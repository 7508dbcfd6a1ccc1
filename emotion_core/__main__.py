"""`python -m emotion_core`."""

try:
    from .cli import app

    if __name__ == "__main__":  # processes that it starts read this file, too
        app(prog_name="python -m emotion_core")
except KeyboardInterrupt:  # in its first second, while libraries are read and commands made
    raise SystemExit(130) from None
