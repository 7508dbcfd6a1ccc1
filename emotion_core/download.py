"""Files that are fetched on request: https, a checksum, never half a file."""

import hashlib
import http.client
import shutil
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from . import limits
from .errors import ModelError
from .files import atomic_path, atomic_write, sha256_of, work_folder
from .texts import say

OnBytes = Callable[[int, int], None]


@dataclass(frozen=True)
class FetchedFile:
    """A file that does not come with any package.

    Attributes:
        name: Its name in the folder of fetched files.
        url: Where it is fetched from.
        checksum: What its bytes have to hash to, `sha256:…` or, as some publishers state it,
            `md5:…`. Empty where none is stated: then the hash of the first download is kept
            beside the file and checked ever after.
        size_bytes: How much is downloaded; 0 where nobody says.
    """

    name: str
    url: str
    checksum: str
    size_bytes: int = 0

    @property
    def path(self) -> Path:
        """Where it lies after it was fetched."""
        return work_folder() / "fetched" / self.name

    def is_ready(self) -> bool:
        """Return whether it was fetched and is unchanged."""
        path = self.path
        try:
            found = path.stat()
        except OSError:
            return False
        return _was_right(self, path, found.st_size, found.st_mtime_ns)


@lru_cache(maxsize=64)  # a page asks at every run, and hashing a GB takes seconds
def _was_right(file: FetchedFile, path: Path, _size_bytes: int, _changed_ns: int) -> bool:
    return path.is_file() and _fits(file, path)


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
    if not _fits(file, brought):
        raise ModelError(say("error.fetch_changed", file=file.name, url=brought))
    with atomic_path(file.path) as temporary:
        shutil.copyfile(brought, temporary)
    _note(file)
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
    done = total = 0
    with atomic_path(file.path) as temporary:
        with temporary.open("wb") as target:
            for chunk, total in _chunks(file):
                done += len(chunk)
                if file.size_bytes and done > file.size_bytes:
                    break
                target.write(chunk)
                if on_bytes:
                    on_bytes(done, total)
        if done < total:
            reason = say("error.fetch_cut", done=done, total=total)
            raise ModelError(say("error.fetch_failed", file=file.name, url=file.url, reason=reason))
        if not _fits(file, temporary):
            raise ModelError(say("error.fetch_changed", file=file.name, url=file.url))
    _note(file)
    return file.path


def _fits(file: FetchedFile, path: Path) -> bool:
    """Return whether a file has the checksum that is stated, or noted by the first download."""
    expected = file.checksum or _noted(file)
    if not expected:
        return True
    kind, _, digest = expected.partition(":")
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, kind).hexdigest() == digest


def _note(file: FetchedFile) -> None:
    if not file.checksum:
        atomic_write(_note_path(file), f"sha256:{sha256_of(file.path)}\n")


def _noted(file: FetchedFile) -> str:
    path = _note_path(file)
    return path.read_text(encoding="utf-8").strip() if path.is_file() else ""


def _note_path(file: FetchedFile) -> Path:
    return file.path.with_name(f"{file.name}.checksum")


def _chunks(file: FetchedFile) -> Iterator[tuple[bytes, int]]:
    """Give the parts of a download, each with the size of the whole; 0 where nobody says."""
    try:
        with urllib.request.urlopen(file.url, timeout=limits.FETCH_TIMEOUT_S) as reply:
            total = file.size_bytes or int(reply.headers.get("Content-Length") or 0)
            while chunk := reply.read(1 << 16):
                yield chunk, total
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise ModelError(
            say("error.fetch_failed", file=file.name, url=file.url, reason=reason)
        ) from error
