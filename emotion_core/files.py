"""Atomic writes, checksums and the work folder."""

import errno
import hashlib
import json
import os
import re
import secrets
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from io import BufferedReader
from pathlib import Path
from typing import Any

from .errors import StorageError, UnsafePath, os_reason

_STEM_CHARS = 60
#: Windows moves no file onto one that somebody reads at the moment; it is tried again for so long.
_REPLACE_S = 1.0
_HASHED_AT_ONCE = 4_000_000


def work_path() -> Path:
    """Return where the work folder lies, whether it is there yet or not.

    `MIEN_HOME` names it; without that it is `mien` in the user's data folder.
    """
    named = os.environ.get("MIEN_HOME")
    return Path(named).expanduser() if named else _user_data_folder() / "mien"


def work_folder(part: str = "") -> Path:
    """Return the folder for everything that is made while working, or that of a part of it.

    It lies at `work_path` and is made with mode 0700, since results can show faces; a folder that
    was there before keeps its own.

    Args:
        part: Name of a folder in it, such as `jobs`.

    Raises:
        StorageError: The folder cannot be made or written.
    """
    folder = work_path()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if part:
            folder /= part
            folder.mkdir(mode=0o700, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, "it may not be written", str(folder))
    except OSError as error:
        raise StorageError(
            f"The work folder {folder} cannot be used ({os_reason(error)}). "
            "Set MIEN_HOME to a folder that you may write to."
        ) from error
    return folder.resolve()


def _user_data_folder() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", str(Path.home() / "AppData" / "Local")))
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support"
    return Path(os.environ.get("XDG_DATA_HOME", str(Path.home() / ".local" / "share")))


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Give a temporary path beside `target`; it takes the target's name when the block succeeds.

    The temporary name keeps the suffix, for writers that choose their format by it. Whatever
    ends the block early, no partial file stays.

    Raises:
        StorageError: The file cannot be written; the message names the free space.
    """
    _check_no_folder(target)
    temporary = target.with_name(f".{secrets.token_hex(6)}{target.suffix}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with temporary.open("rb+") as handle:
            os.fsync(handle.fileno())
        _replace(temporary, target)
    except OSError as error:
        raise _storage_error(target, error) from error
    finally:
        with suppress(OSError):  # already gone, or its folder never was
            temporary.unlink()


def _replace(temporary: Path, target: Path) -> None:
    give_up_s = time.monotonic() + _REPLACE_S
    while True:
        try:
            os.replace(temporary, target)
            return
        except PermissionError:
            if time.monotonic() > give_up_s:
                raise
        time.sleep(_REPLACE_S / 50)


def atomic_write(target: Path, content: bytes | memoryview | str) -> Path:
    """Write a whole file or nothing; text is written as UTF-8. Returns `target`."""
    data = content.encode("utf-8") if isinstance(content, str) else content
    with atomic_path(target) as temporary:
        temporary.write_bytes(data)
    return target


def write_together(folder: Path, files: Mapping[str, bytes | str]) -> dict[str, Path]:
    """Write files by their names into a folder: all of them, or none.

    Returns:
        Where each lies.

    Raises:
        StorageError: One cannot be written; what lay there is as it was.
    """
    with ExitStack() as before, ExitStack() as stack:
        for name, content in files.items():
            data = content.encode("utf-8") if isinstance(content, str) else content
            before.enter_context(_put_back_on_failure(folder / name))
            stack.enter_context(atomic_path(folder / name)).write_bytes(data)
    return {name: folder / name for name in files}


@contextmanager
def _put_back_on_failure(target: Path) -> Iterator[None]:
    """Hold what a file is; should the block fail after it has changed, it is put back."""
    held = target.with_name(f".{secrets.token_hex(6)}{target.suffix}")
    was_there = target.is_file()
    try:
        if was_there:
            _link_or_copy(target, held)
        yield
    except BaseException:
        with suppress(OSError):
            if not was_there:
                target.unlink(missing_ok=True)
            elif held.is_file() and not held.samefile(target):
                os.replace(held, target)
        raise
    finally:
        with suppress(OSError):
            held.unlink()


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # a drive without links
        try:
            shutil.copy2(source, target)
        except OSError as error:
            target.unlink(missing_ok=True)
            raise _storage_error(source, error) from error


def check_target(target: Path | None) -> None:
    """Try a file that long work will write; None is no file.

    Raises:
        StorageError: It cannot be written.
    """
    if target is not None:
        _check_no_folder(target)
        check_writable(target.parent)


def _check_no_folder(target: Path) -> None:
    if not target.name or target.is_dir():
        raise StorageError(f"{target} is a folder. Give the name of a file in it.")


def check_writable(folder: Path) -> None:
    """Try a folder, which is made, before long work whose results it will take.

    Raises:
        StorageError: Nothing can be written there.
    """
    atomic_write(folder / f".{secrets.token_hex(6)}", b"").unlink()


def write_json(target: Path, value: Any) -> Path:
    """Write `value` as indented JSON, whole or not at all. Returns `target`."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    return atomic_write(target, text + "\n")


def read_json(path: Path) -> dict[str, Any] | None:
    """Return the object that a JSON file holds; None where there is no such file or object."""
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return held if isinstance(held, dict) else None


def unique_name(stem: str, taken: set[str], suffix: str = "") -> str:
    """Return `stem`, or with a number behind it, so that no name of `taken` is met; note it there.

    Upper and lower case count as the same, as they do on Windows and macOS.
    """
    name, number = stem, 1
    while f"{name}.{suffix}".casefold() in taken:
        number += 1
        name = f"{stem}-{number}"
    taken.add(f"{name}.{suffix}".casefold())
    return name


def safe_stem(name: str, *, otherwise: str) -> str:
    """Return the name of a file without its ending, of letters, digits, - and _ alone.

    For names of results: no part of what somebody typed can become a path, a command or markup.
    """
    stem = re.sub(r"[^A-Za-z0-9_-]+", "-", Path(name).stem)[:_STEM_CHARS].strip("-")
    return stem or otherwise


def readable_roots() -> list[Path]:
    """Return the folders from which a page may read by path: `MIEN_ROOTS`, by `os.pathsep`."""
    named = os.environ.get("MIEN_ROOTS", "")
    return [Path(root).expanduser() for root in named.split(os.pathsep) if root]


def path_under_roots(text: str) -> Path:
    """Return the file or folder that somebody typed, when it lies under one of the roots.

    Blanks and quotes around it, as systems copy a path with, are passed over.
    Links are followed first, so that none leads out. What lies outside is refused in the same
    words whether it exists or not.

    Raises:
        UnsafePath: It is not under a root, or not there.
    """
    with suppress(OSError, ValueError, RuntimeError):
        path = Path(text.strip().strip("\"'")).expanduser().resolve(strict=True)
        for root in readable_roots():
            # a root may not be there, such as a drive that is not plugged in
            if path.is_relative_to(root.resolve()):
                return path
    roots = ", ".join(str(root) for root in readable_roots()) or "-"
    raise UnsafePath(
        f"There is nothing readable at that path. Give one under these folders: {roots}"
    )


def sha256_of(file: Path | BufferedReader, *, on_read: Callable[[], object] | None = None) -> str:
    """Return the SHA-256 of a file, or of what is left in an open one, as 64 hex digits.

    `on_read` is called after some megabytes each; what it raises ends the reading.
    """
    if isinstance(file, Path):
        with file.open("rb") as handle:
            return sha256_of(handle, on_read=on_read)
    digest = hashlib.sha256()
    while part := file.read(_HASHED_AT_ONCE):
        digest.update(part)
        if on_read:
            on_read()
    return digest.hexdigest()


def _storage_error(target: Path, error: OSError) -> StorageError:
    if error.errno == errno.ENOSPC:
        there = next(folder for folder in target.absolute().parents if folder.exists())
        free_mb = shutil.disk_usage(there).free / 1e6
        reason = f"the disk is full, {free_mb:.0f} MB are free"
        remedy = "Free some space and try again."
    else:
        reason = os_reason(error)
        remedy = "Choose a folder that you may write to."
    return StorageError(f"{target.name} was not written to {target.parent}: {reason}. {remedy}")
