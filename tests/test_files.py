import errno
import json
import os
import stat
from pathlib import Path

import pytest

from emotion_core.errors import StorageError
from emotion_core.files import (
    atomic_path,
    atomic_write,
    sha256_of,
    unique_name,
    work_folder,
    write_json,
)


def test_the_work_folder_is_private(work_home: Path) -> None:
    folder = work_folder()
    assert folder == work_home.resolve()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    folder.chmod(0o755)
    assert stat.S_IMODE(work_folder().stat().st_mode) == 0o755, "it belongs to others, too"


def test_a_work_folder_that_cannot_be_made_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("MIEN_HOME", str(tmp_path / "file" / "mien"))
    with pytest.raises(StorageError, match="MIEN_HOME"):
        work_folder()


def test_a_file_is_whole_or_not_there(tmp_path: Path) -> None:
    target = tmp_path / "new" / "a.txt"
    atomic_write(target, "first")
    with pytest.raises(RuntimeError), atomic_path(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert target.read_text() == "first"
    assert os.listdir(target.parent) == ["a.txt"]


def test_a_full_disk_is_a_storage_error(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    with (
        pytest.raises(StorageError, match=r"disk is full, \d+ MB are free"),
        atomic_path(tmp_path / "b.bin"),
        open("/dev/full", "wb", buffering=0) as full,
    ):
        full.write(b"x")
    assert os.listdir(tmp_path) == []


def test_a_disk_too_full_for_a_folder_is_a_storage_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "mkdir", full)
    with pytest.raises(StorageError, match=r"disk is full, \d+ MB are free"):
        atomic_write(tmp_path / "new" / "deep" / "a.txt", "x")


def test_json_refuses_what_no_reader_takes(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"é": 1})
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {"é": 1}
    with pytest.raises(ValueError, match="Out of range"):
        write_json(tmp_path / "b.json", float("nan"))
    assert not (tmp_path / "b.json").exists()


def test_names_are_given_once_whatever_their_case() -> None:
    taken: set[str] = set()
    given = [unique_name(stem, taken) for stem in ("a", "A", "a-2", "a", "b")]
    assert len({name.casefold() for name in given}) == 5
    assert given[0] == "a"


def test_sha256(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256_of(tmp_path / "a").startswith("ba7816bf8f01cfea")
