"""ZIP and TAR archives, read member by member into memory. Nothing is ever unpacked to a disk by
the names that stand in it."""

import lzma
import mmap
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from .. import limits
from ..errors import BadArchive, InputError
from ..texts import say

_ERRORS = (zipfile.BadZipFile, tarfile.TarError, EOFError, OSError, RuntimeError, ValueError,
           NotImplementedError, zlib.error, lzma.LZMAError, UnicodeError, IndexError)  # fmt: skip
_ENCRYPTED = 0x1
#: How each entry of the directory of a ZIP begins.
_ZIP_ENTRY = b"PK\1\2"
#: Kinds of TAR headers that carry a long name or other words on the next entry.
_TAR_WORDS = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE,
              tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE)  # fmt: skip
_TAR_WORDS_MAX_BYTES = 65_536
#: Pictures, by the ends of their names.
PICTURES = (".jpg", ".jpeg", ".jfif", ".png", ".webp", ".bmp", ".gif", ".avif", ".heic", ".heif",
            ".tif", ".tiff")  # fmt: skip
#: A picture of one colour shrinks a thousandfold, and fills no memory.
_BLANK_MAX_BYTES = 1_000_000
#: What a data set is made of.
_WANTED = (*PICTURES, ".csv")


class Archive:
    """An archive that was found harmless; made by `open_archive`.

    Attributes:
        names: The files in it that a data set may use, in the archive's order.
        is_random: Whether files can be read in any order at the same cost.
    """

    def __init__(
        self, path: Path, members: dict[str, Any], read: Callable[[Any], bytes], *, is_random: bool
    ) -> None:
        self._path, self._members, self._read = path, members, read
        self.is_random = is_random
        self.names = tuple(name for name in members if name.lower().endswith(_WANTED))

    def size_of(self, name: str) -> int:
        """Return the size of a file in bytes, unpacked."""
        entry = self._members[name]
        return int(entry.file_size if self.is_random else entry.size)

    def read(self, name: str) -> bytes:
        """Return the content of one file.

        Raises:
            BadArchive: It is damaged.
        """
        try:
            return self._read(self._members[name])
        except _ERRORS as error:
            raise BadArchive(
                say("error.archive_damaged", name=self._path.name, reason=_short(error))
            ) from error


@contextmanager
def open_archive(path: Path) -> Iterator[Archive]:
    """Open a ZIP or TAR (gz, bz2, xz) after all its entries were looked at.

    Raises:
        InputError: The file cannot be opened.
        BadArchive: It is no archive or damaged; a name climbs out, is absolute, stands twice or
            differs in case alone; an entry is a link, a device or encrypted; it is over
            `limits.ARCHIVE_MAX_ENTRIES`, `ARCHIVE_MAX_BYTES` or `ARCHIVE_MAX_RATIO`; or there is
            nothing in it that a data set could use.
    """
    if not path.is_file():
        raise InputError(say("error.unreadable_file", name=path.name, reason="no such file"))
    with ExitStack() as stack:
        try:
            if _is_zip(path):
                _check_directory(path)
                archive = _checked_zip(path, stack.enter_context(zipfile.ZipFile(path)))
            else:
                header = _careful_header()
                archive = _checked_tar(
                    path, stack.enter_context(tarfile.open(path, tarinfo=header))
                )
        except _ERRORS as error:
            raise BadArchive(
                say("error.archive_damaged", name=path.name, reason=_short(error))
            ) from error
        yield archive


def _is_zip(path: Path) -> bool:
    """Whether a file begins as a ZIP: a TAR that ends in one is a TAR."""
    with path.open("rb") as file:
        return file.read(2) == b"PK" and zipfile.is_zipfile(file)


def _check_directory(path: Path) -> None:
    """Count the entries of a ZIP before `zipfile` makes an object of each."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        found = at = 0
        while (at := content.find(_ZIP_ENTRY, at) + 1) and found <= 2 * limits.ARCHIVE_MAX_ENTRIES:
            found += 1
    _check_amount(path, (found + 1) // 2, 0)  # macOS packs a second one beside each


def _careful_header() -> type[tarfile.TarInfo]:
    """Return the class of the entries of one TAR, which refuses what would fill the memory."""
    held = 0

    class Header(tarfile.TarInfo):
        @classmethod
        def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "Header":
            nonlocal held
            header = super().frombuf(buf, encoding, errors)
            if header.type in _TAR_WORDS and header.size > _TAR_WORDS_MAX_BYTES:
                raise ValueError("a name of more than 64 kB")
            if header.type == tarfile.GNUTYPE_SPARSE:
                raise ValueError("a file with holes")
            # words for all entries are kept to the end
            held += header.size if header.type == tarfile.XGLTYPE else 0
            if held > _TAR_WORDS_MAX_BYTES:
                raise ValueError("more than 64 kB of words for all entries")
            return header

        def _proc_gnusparse_10(self, *_: object) -> None:
            """Refuse what lists its holes in its content, without an end."""
            raise ValueError("a file with holes")

    return Header


def _checked_zip(path: Path, held: zipfile.ZipFile) -> Archive:
    entries = held.infolist()
    wanted = sum(not is_hidden(entry.filename) for entry in entries)
    _check_amount(path, wanted, sum(entry.file_size for entry in entries))
    for entry in entries:
        if entry.flag_bits & _ENCRYPTED:
            raise BadArchive(say("error.archive_encrypted", name=path.name))
        if (entry.external_attr >> 16) & 0o170000 == 0o120000:
            raise BadArchive(
                say("error.archive_link", name=path.name, entry=_shown(entry.filename))
            )
        if entry.file_size > max(_BLANK_MAX_BYTES, limits.ARCHIVE_MAX_RATIO * entry.compress_size):
            raise _too_much(path)
    files = [entry for entry in entries if not entry.is_dir()]
    members = _named(path, [(entry.orig_filename, entry) for entry in files])
    damaged = held.testzip()
    if damaged is not None:
        reason = f"the checksum of {_shown(damaged)} is wrong"
        raise BadArchive(say("error.archive_damaged", name=path.name, reason=reason))
    return _with_content(path, Archive(path, members, held.read, is_random=True))


def _checked_tar(path: Path, opened: tarfile.TarFile) -> Archive:
    members: list[tuple[str, Any]] = []
    size = wanted = 0
    for number, entry in enumerate(opened, 1):
        size += entry.size
        wanted += not is_hidden(entry.name)
        _check_amount(path, max(wanted, number // 2), size)
        if not (entry.isfile() or entry.isdir()):
            raise BadArchive(say("error.archive_link", name=path.name, entry=_shown(entry.name)))
        if entry.issparse():
            raise ValueError("a file with holes")
        is_root = entry.isdir() and entry.name == "."  # what `tar -C folder .` begins with
        if entry.isfile() or not (is_root or _is_inside(entry.name)):
            members.append((entry.name, entry))
    if size > limits.ARCHIVE_MAX_RATIO * max(1, path.stat().st_size):
        raise _too_much(path)

    def read(entry: tarfile.TarInfo) -> bytes:
        handle = opened.extractfile(entry)
        return b"" if handle is None else handle.read()

    return _with_content(path, Archive(path, _named(path, members), read, is_random=False))


def _with_content(path: Path, archive: Archive) -> Archive:
    if not archive.names:
        raise BadArchive(say("error.archive_empty", name=path.name))
    return archive


def is_hidden(name: str) -> bool:
    """Whether an entry is none that people see, such as what macOS notes of a file beside it."""
    parts = [part for part in name.split("/") if part not in (".", "..")]
    return any(part.startswith(("__MACOSX", ".")) for part in parts)


def _check_amount(path: Path, entries: int, size: int) -> None:
    if entries > limits.ARCHIVE_MAX_ENTRIES or size > limits.ARCHIVE_MAX_BYTES:
        raise _too_much(path)


def _too_much(path: Path) -> BadArchive:
    return BadArchive(
        say(
            "error.archive_too_much",
            name=path.name,
            entries=limits.ARCHIVE_MAX_ENTRIES,
            limit_gb=limits.ARCHIVE_MAX_BYTES // 1_000_000_000,
        )
    )


def _named(path: Path, entries: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the entries by name; no name leaves the archive or meets another one."""
    found: dict[str, Any] = {}
    folded: set[str] = set()
    for name, entry in entries:
        if not _is_inside(name):
            raise BadArchive(say("error.archive_name", name=path.name, entry=_shown(name)))
        plain = str(PurePosixPath(name))
        if plain.casefold() in folded:
            raise BadArchive(say("error.archive_twice", name=path.name, entry=_shown(name)))
        folded.add(plain.casefold())
        found[plain] = entry
    return found


def _is_inside(name: str) -> bool:
    """Whether a name is relative on every system and climbs nowhere."""
    windows = PureWindowsPath(name)
    parts = set(PurePosixPath(name).parts) | set(windows.parts)
    is_odd = not name.strip("/. ") or "\0" in name or "\\" in name or len(name) > 1000
    return not (is_odd or ".." in parts or name.startswith("/") or windows.drive or windows.root)


def _shown(name: str) -> str:
    return name[: limits.NAME_SHOWN_CHARS].encode("unicode_escape").decode("ascii")


def _short(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:120]
