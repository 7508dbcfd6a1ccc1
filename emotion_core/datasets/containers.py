"""Where the files of a data set lie: a folder or an archive, seen alike."""

import os
import stat
import tempfile
import threading
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from .. import limits
from ..errors import BrokenImage, InputError, StorageError, TooLarge, os_reason, reason_of
from ..files import work_folder
from ..texts import say
from .archives import PICTURES, is_hidden, open_archive


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
        reason = os_reason(error)
        raise InputError(say("error.unreadable_file", name=path.name, reason=reason)) from error


#: What systems put into folders and drives: no pictures of anybody.
_OF_SYSTEMS = {"__MACOSX", "lost+found", "System Volume Information"}


class Folder:
    """The files under a folder. Hidden ones, links that lead out of it or nowhere, and names that
    are no text are not among them."""

    def __init__(self, path: Path) -> None:
        if not path.is_dir():
            raise InputError(say("error.unreadable_file", name=path.name, reason="no such folder"))
        self.name = path.resolve().name
        self._root = path.resolve()

    def files(self) -> dict[str, Stamp]:
        """Return all files with their stamps, sorted by name.

        Raises:
            InputError: A folder cannot be looked into: a label would be missing without a word.
        """
        found: dict[str, Stamp] = {}
        waiting = [(self._root, "")]
        while waiting:
            folder, prefix = waiting.pop()
            try:
                entries = list(os.scandir(folder))
            except FileNotFoundError:  # gone meanwhile
                continue
            except OSError as error:
                name, reason = prefix.rstrip("/") or self.name, os_reason(error)
                raise InputError(say("error.unreadable_file", name=name, reason=reason)) from error
            for entry in entries:
                is_hidden = entry.name.startswith((".", "$")) or entry.name in _OF_SYSTEMS
                if is_hidden or not _is_text(entry.name):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    waiting.append((Path(entry.path), f"{prefix}{entry.name}/"))
                elif not entry.is_symlink() or self.file_of(prefix + entry.name):
                    found.update(_stamped(prefix, entry))
        return dict(sorted(found.items()))

    def read(self, name: str) -> bytes:
        """Return the content of a file."""
        path = self.file_of(name)
        if path is None:
            reason = "no such file in the data set"
            raise InputError(say("error.unreadable_file", name=name, reason=reason))
        return read_file(path)

    def file_of(self, name: str) -> Path | None:
        """Return where a file lies; None where there is none, or its links lead out."""
        path = self._root / name
        try:
            is_inside = path.resolve(strict=True).is_relative_to(self._root)
        except (OSError, RuntimeError, ValueError):
            return None
        return path if is_inside and path.is_file() else None

    def close(self) -> None:
        """Nothing is open."""


def _is_text(name: str) -> bool:
    """Whether a name can be written down; old archives leave names in another encoding."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _stamped(prefix: str, entry: "os.DirEntry[str]") -> dict[str, Stamp]:
    try:
        state = entry.stat()
    except OSError:
        return {}
    if not stat.S_ISREG(state.st_mode):
        return {}
    return {prefix + entry.name: Stamp(state.st_size, state.st_mtime_ns)}


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
            try:
                self._spool()
            except OSError as error:
                self._stack.close()
                reason = os_reason(error)
                raise StorageError(say("error.no_spool", name=path.name, reason=reason)) from error
            except InputError:
                self._stack.close()
                raise

    def files(self) -> dict[str, Stamp]:
        """Return all files with their stamps, sorted by name."""
        return {
            name: Stamp(size, self._changed_ns)
            for name, size in sorted(self._sizes.items())
            if _is_text(name) and not is_hidden(name)
        }

    def read(self, name: str) -> bytes:
        """Return the content of a file."""
        if name not in self._sizes:
            raise BrokenImage(say("error.unreadable_file", name=name, reason="not in the archive"))
        _check_size(name, self._sizes[name])
        try:
            with self._lock:
                return self._read_member(name)
        except (ValueError, OSError) as error:  # closed meanwhile, or gone
            reason = reason_of(error)
            raise BrokenImage(say("error.unreadable_file", name=name, reason=reason)) from error

    def file_of(self, name: str) -> Path | None:  # noqa: ARG002
        """Return None: nothing in an archive is a file of its own."""
        return None

    def close(self) -> None:
        """Let go of the archive."""
        self._stack.close()

    def _spool(self) -> None:
        spool = self._stack.enter_context(tempfile.TemporaryFile(dir=work_folder()))  # noqa: SIM115
        places: dict[str, int] = {}
        for name, size in self._sizes.items():
            if size > _most_bytes(name):  # reading it is refused
                continue
            content = self._read_member(name)
            places[name] = spool.tell()
            spool.write(content)

        def read(name: str) -> bytes:
            spool.seek(places[name])
            return spool.read(self._sizes[name])

        self._read_member = read


def _most_bytes(name: str) -> int:
    is_picture = name.lower().endswith(PICTURES)
    return limits.PHOTO_MAX_BYTES if is_picture else limits.TABLE_MAX_BYTES


def _check_size(name: str, size: int) -> None:
    """Refuse what would fill the memory, before any of it is read."""
    most = _most_bytes(name)
    if size > most:
        raise TooLarge(say("error.member_size", name=name, limit_mb=most // 1_000_000))


def open_container(path: Path) -> Container:
    """Open a folder or an archive.

    Raises:
        InputError: There is no such folder or file.
        BadArchive: As `archives.open_archive`.
    """
    return Folder(path) if path.is_dir() else Packed(path)
