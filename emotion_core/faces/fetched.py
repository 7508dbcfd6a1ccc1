"""Files of detectors that come with no package."""

from pathlib import Path

from ..download import FetchedFile
from ..errors import ModelError
from ..texts import say


def require_file(detector: str, file: FetchedFile) -> Path:
    """Return where a fetched file lies.

    Raises:
        ModelError: It is not there; the message says how to get it.
    """
    if not file.is_ready():
        raise ModelError(
            say(
                "error.detector_file",
                name=detector,
                file=file.name,
                size_mb=f"{file.size_bytes / 1e6:.1f}",
                folder=file.path.parent,
            )
        )
    return file.path
