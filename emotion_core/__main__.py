"""`python -m emotion_core`."""

try:
    from .cli import app
except KeyboardInterrupt:  # in its first second, while libraries are read
    raise SystemExit(130) from None

if __name__ == "__main__":  # processes that it starts read this file, too
    app(prog_name="python -m emotion_core")
