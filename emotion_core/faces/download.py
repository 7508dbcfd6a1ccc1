"""Files that are fetched on request: https, a checksum, never half a file."""

import hashlib
import http.client
import shutil
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from .. import limits
from ..errors import ModelError
from ..files import atomic_path, sha256_of, work_folder
from ..texts import say

OnBytes = Callable[[int, int], None]


@dataclass(frozen=True)
class FetchedFile:
    """A file that does not come with any package.

    Attributes:
        name: Its name in the folder of fetched files.
        url: Where it is fetched from.
        sha256: What its bytes have to hash to.
        size_bytes: How much is downloaded.
    """

    name: str
    url: str
    sha256: str
    size_bytes: int

    @property
    def path(self) -> Path:
        """Where it lies after it was fetched."""
        return work_folder() / "fetched" / self.name

    def is_ready(self) -> bool:
        """Return whether it was fetched and is unchanged."""
        return self.path.is_file() and sha256_of(self.path) == self.sha256


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


def place_file(file: FetchedFile, source: Path) -> Path:
    """Put a file that somebody brought by hand in its place, after checking it.

    Args:
        file: What it has to be.
        source: The file, or the folder that it lies in.

    Raises:
        ModelError: It is not there, or not the expected file.
        StorageError: It cannot be written.
    """
    brought = source / file.name if source.is_dir() else source
    if not brought.is_file():
        raise ModelError(say("error.fetch_missing", file=file.name, source=source))
    if sha256_of(brought) != file.sha256:
        raise ModelError(say("error.fetch_changed", file=file.name, url=brought))
    with atomic_path(file.path) as temporary:
        shutil.copyfile(brought, temporary)
    return file.path


def fetch_file(file: FetchedFile, *, on_bytes: OnBytes | None = None) -> Path:
    """Download a file, check it and put it in its place.

    Args:
        file: What to fetch.
        on_bytes: Called with (bytes so far, bytes in all).

    Raises:
        ModelError: The host cannot be reached, or what came is not the expected file.
        StorageError: The file cannot be written.
    """
    if file.is_ready():
        return file.path
    digest = hashlib.sha256()
    done = 0
    with atomic_path(file.path) as temporary, temporary.open("wb") as target:
        for chunk in _chunks(file):
            done += len(chunk)
            digest.update(chunk)
            if done > file.size_bytes:
                break
            target.write(chunk)
            if on_bytes:
                on_bytes(done, file.size_bytes)
        if digest.hexdigest() != file.sha256:
            raise ModelError(say("error.fetch_changed", file=file.name, url=file.url))
    return file.path


def _chunks(file: FetchedFile) -> Iterator[bytes]:
    try:
        with urllib.request.urlopen(file.url, timeout=limits.FETCH_TIMEOUT_S) as reply:
            while chunk := reply.read(1 << 16):
                yield chunk
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise ModelError(
            say("error.fetch_failed", file=file.name, url=file.url, reason=reason)
        ) from error
