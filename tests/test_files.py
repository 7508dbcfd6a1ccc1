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
    check_target,
    check_writable,
    sha256_of,
    unique_name,
    work_folder,
    write_json,
    write_together,
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


def test_a_part_of_the_work_folder_that_cannot_be_made_is_named(work_home: Path) -> None:
    (work_folder() / "jobs").write_text("in the way")
    with pytest.raises(StorageError, match=r"jobs cannot be used .*MIEN_HOME"):
        work_folder("jobs")
    assert stat.S_IMODE(work_folder("runs").stat().st_mode) == 0o700


@pytest.mark.parametrize("refusals", [2, 1_000_000])
def test_a_file_that_is_being_read_is_replaced_a_moment_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusals: int
) -> None:
    """As on Windows, where nothing takes the name of an open file."""
    left = [refusals]
    replace = os.replace

    def refuse(source: Path, target: Path) -> None:
        left[0] -= 1
        if left[0] >= 0:
            raise PermissionError(errno.EACCES, "in use")
        replace(source, target)

    target = atomic_write(tmp_path / "a.txt", "first")
    monkeypatch.setattr("emotion_core.files._REPLACE_S", 0.2)
    monkeypatch.setattr("emotion_core.files.os.replace", refuse)
    if refusals == 2:
        atomic_write(target, "second")
    else:
        with pytest.raises(StorageError, match="in use"):
            atomic_write(target, "second")
    assert target.read_text() == ("second" if refusals == 2 else "first")
    assert os.listdir(tmp_path) == ["a.txt"]


def test_files_that_belong_together_are_all_written_or_none(tmp_path: Path) -> None:
    first = write_together(tmp_path, {"a.csv": "1", "b.png": b"2"})
    assert {name: path.read_bytes() for name, path in first.items()} == {
        "a.csv": b"1", "b.png": b"2",
    }  # fmt: skip
    (tmp_path / "c").mkdir()
    with pytest.raises(StorageError, match="c is a folder"):
        write_together(tmp_path, {"a.csv": "new", "b.png": b"new", "c": b"new"})
    assert (tmp_path / "a.csv").read_text() == "1"
    assert sorted(os.listdir(tmp_path)) == ["a.csv", "b.png", "c"]


@pytest.mark.parametrize("has_links", [True, False])
def test_files_that_belong_together_are_put_back_where_one_is_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_links: bool
) -> None:
    write_together(tmp_path, {name: "old" for name in "abc"})
    replace = os.replace

    def refuse_b(source: Path, target: Path) -> None:
        if Path(target).name == "b" and Path(target).read_text() == "old":
            raise PermissionError(errno.EACCES, "somebody reads it")
        replace(source, target)

    def no_links(*_: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr("emotion_core.files.os.replace", refuse_b)
    monkeypatch.setattr("emotion_core.files._REPLACE_S", 0.1)
    if not has_links:
        monkeypatch.setattr("emotion_core.files.os.link", no_links)
    with pytest.raises(StorageError, match="b was not written"):
        write_together(tmp_path, {name: "new" for name in "abcd"})
    found = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert found == dict.fromkeys("abc", "old")


def test_a_target_is_tried_before_long_work(tmp_path: Path) -> None:
    check_target(None)
    check_target(tmp_path / "new" / "a.csv")
    assert os.listdir(tmp_path / "new") == []
    with pytest.raises(StorageError, match="is a folder"):
        check_target(tmp_path)


def test_a_work_folder_of_somebody_else_is_named(
    work_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("emotion_core.files.os.access", lambda *_: False)
    with pytest.raises(StorageError, match=r"may not be written.*MIEN_HOME"):
        work_folder("jobs")


def test_a_folder_is_tried_before_long_work(tmp_path: Path) -> None:
    check_writable(tmp_path / "new")
    assert os.listdir(tmp_path / "new") == []
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="was not written"):
        check_writable(tmp_path / "file" / "out")
