"""Where the files of a data set lie: a folder or an archive, seen alike."""

import os
import tempfile
import threading
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ..errors import BrokenImage, InputError
from ..texts import say
from .archives import open_archive


@dataclass(frozen=True)
class Stamp:
    """What tells without reading whether a file has changed.

    Attributes:
        size_bytes: Its size.
        changed_ns: When it was last written, in ns since 1970; 0 where nobody knows.
    """

    size_bytes: int
    changed_ns: int


class Container(Protocol):
    """Files by name. Names are relative, with `/` between their parts; several threads may read.

    Attributes:
        name: How people call it.
    """

    name: str

    def files(self) -> dict[str, Stamp]:
        """Return all files with their stamps, sorted by name."""
        ...

    def read(self, name: str) -> bytes:
        """Return the content of a file.

        Raises:
            InputError: It cannot be read.
        """
        ...

    def file_of(self, name: str) -> Path | None:
        """Return where a file lies, or None where it is no file of its own."""
        ...

    def close(self) -> None:
        """Let go of what is open."""
        ...


def read_file(path: Path) -> bytes:
    """Return the content of a file.

    Raises:
        InputError: It cannot be read.
    """
    try:
        return path.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise InputError(say("error.unreadable_file", name=path.name, reason=reason)) from error


class Folder:
    """The files under a folder; hidden ones and links that lead out of it are not among them."""

    def __init__(self, path: Path) -> None:
        if not path.is_dir():
            raise InputError(say("error.unreadable_file", name=path.name, reason="no such folder"))
        self.name = path.resolve().name
        self._root = path.resolve()

    def files(self) -> dict[str, Stamp]:
        """Return all files with their stamps, sorted by name."""
        found: dict[str, Stamp] = {}
        waiting = [(self._root, "")]
        while waiting:
            folder, prefix = waiting.pop()
            try:
                entries = list(os.scandir(folder))
            except OSError:  # a folder without permission is as good as empty
                continue
            for entry in entries:
                if entry.name.startswith(".") or entry.name == "__MACOSX":
                    continue
                if entry.is_dir(follow_symlinks=False):
                    waiting.append((Path(entry.path), f"{prefix}{entry.name}/"))
                elif entry.is_file() and self._is_inside(entry):
                    state = entry.stat()
                    found[prefix + entry.name] = Stamp(state.st_size, state.st_mtime_ns)
        return dict(sorted(found.items()))

    def read(self, name: str) -> bytes:
        """Return the content of a file."""
        return read_file(self._root / name)

    def file_of(self, name: str) -> Path | None:
        """Return where a file lies."""
        return self._root / name

    def close(self) -> None:
        """Nothing is open."""

    def _is_inside(self, entry: "os.DirEntry[str]") -> bool:
        if not entry.is_symlink():
            return True
        try:
            return Path(entry.path).resolve(strict=True).is_relative_to(self._root)
        except (OSError, RuntimeError):
            return False


class Packed:
    """The files of a ZIP or TAR. A TAR, which can only be read from front to back, is laid out
    in an unnamed temporary file, which the system drops however the process ends."""

    def __init__(self, path: Path) -> None:
        self.name = path.name
        self._lock = threading.Lock()
        self._stack = ExitStack()
        self._changed_ns = path.stat().st_mtime_ns if path.is_file() else 0
        archive = self._stack.enter_context(open_archive(path))
        self._read_member = archive.read
        self._sizes = {name: archive.size_of(name) for name in archive.names}
        if not archive.is_random:
            self._spool()

    def files(self) -> dict[str, Stamp]:
        """Return all files with their stamps, sorted by name."""
        hidden = ("__MACOSX", ".")
        return {
            name: Stamp(size, self._changed_ns)
            for name, size in sorted(self._sizes.items())
            if not any(part.startswith(hidden) for part in name.split("/"))
        }

    def read(self, name: str) -> bytes:
        """Return the content of a file."""
        if name not in self._sizes:
            raise BrokenImage(say("error.unreadable_file", name=name, reason="not in the archive"))
        with self._lock:
            return self._read_member(name)

    def file_of(self, name: str) -> Path | None:  # noqa: ARG002
        """Return None: nothing in an archive is a file of its own."""
        return None

    def close(self) -> None:
        """Let go of the archive."""
        self._stack.close()

    def _spool(self) -> None:
        spool = self._stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
        places: dict[str, int] = {}
        for name in self._sizes:
            content = self._read_member(name)
            places[name] = spool.tell()
            spool.write(content)

        def read(name: str) -> bytes:
            spool.seek(places[name])
            return spool.read(self._sizes[name])

        self._read_member = read


def open_container(path: Path) -> Container:
    """Open a folder or an archive.

    Raises:
        InputError: There is no such folder or file.
        BadArchive: As `archives.open_archive`.
    """
    return Folder(path) if path.is_dir() else Packed(path)
