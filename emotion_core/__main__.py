"""`python -m emotion_core`."""

try:
    from .cli import run

    if __name__ == "__main__":  # processes that it starts read this file, too
        run()
except KeyboardInterrupt:  # in its first second, while libraries are read and commands made
    raise SystemExit(130) from None
