"""Archives: what is inside is read, and nothing climbs out."""

import csv
import gzip
import io
import shutil
import stat
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from emotion_core import limits
from emotion_core.datasets.archives import open_archive
from emotion_core.datasets.containers import Packed
from emotion_core.errors import BadArchive, InputError, TooLarge
from tests.builders import encode, make_picture

PICTURE = encode(make_picture(), "PNG")


def make_zip(path: Path, names: list[str], content: bytes = PICTURE) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return path


def make_tar(path: Path, names: list[str], how: str = "w:gz") -> Path:
    with tarfile.open(path, how) as archive:
        for name in names:
            entry = tarfile.TarInfo(name)
            entry.size = len(PICTURE)
            archive.addfile(entry, io.BytesIO(PICTURE))
    return path


@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_what_is_inside_is_read(tmp_path: Path, make: object) -> None:
    names = ["train/happy/0.png", "train/печаль/ü.png", "train.csv", "notes.txt"]
    with open_archive(make(tmp_path / "a.bin", names)) as archive:
        assert list(archive.names) == names[:3]
        assert archive.read("train/happy/0.png") == PICTURE


@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_what_would_fill_the_memory_is_refused_unread(
    tmp_path: Path, make: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "PHOTO_MAX_BYTES", len(PICTURE) - 1)
    with closing(Packed(make(tmp_path / "a.bin", ["happy/0.png", "labels.csv"]))) as held:
        assert list(held.files()) == ["happy/0.png", "labels.csv"]
        with pytest.raises(TooLarge, match=r"happy/0\.png in the archive is larger"):
            held.read("happy/0.png")
        assert held.read("labels.csv") == PICTURE


@pytest.mark.parametrize("kind", ["tar", "gztar"])
def test_a_tar_of_what_is_in_a_folder_is_read(tmp_path: Path, kind: str) -> None:
    (tmp_path / "set" / "sad").mkdir(parents=True)
    (tmp_path / "set" / "sad" / "a.png").write_bytes(PICTURE)
    made = Path(shutil.make_archive(str(tmp_path / "a"), kind, tmp_path / "set"))
    with tarfile.open(made) as archive:
        assert "." in archive.getnames()
    with closing(Packed(made)) as held:
        assert list(held.files()) == ["sad/a.png"]
        assert held.read("sad/a.png") == PICTURE
    with tarfile.open(tmp_path / "up.tar", "w") as archive:
        entry = tarfile.TarInfo("..")
        entry.type = tarfile.DIRTYPE
        archive.addfile(entry)
    with pytest.raises(BadArchive, match="leads out"), open_archive(tmp_path / "up.tar"):
        pass


def test_names_that_are_no_text_are_left_out(tmp_path: Path) -> None:
    path = make_tar(tmp_path / "a.tgz", ["sad/a.png", "sad/\udce9.png"])
    with closing(Packed(path)) as held:
        assert list(held.files()) == ["sad/a.png"]


@pytest.mark.parametrize("make", [make_zip, make_tar])
@pytest.mark.parametrize(
    "name",
    ["../a.png", "/a.png", "a/../../b.png", "..\\a.png", "C:/a.png", "C:a.png", "\\\\h\\a.png",
     "a\\b.png", "./../a.png", ".", "~/../x.png", "a" * 1001 + ".png"],
)  # fmt: skip
def test_no_name_leads_out(tmp_path: Path, make: object, name: str) -> None:
    with (
        pytest.raises(BadArchive, match=r"a\.bin"),
        open_archive(make(tmp_path / "a.bin", ["ok.png", name])),
    ):
        pass


@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_no_name_stands_twice(tmp_path: Path, make: object) -> None:
    archive = make(tmp_path / "a.bin", ["a/x.png", "A/X.png"])
    with pytest.raises(BadArchive, match="same name"), open_archive(archive):
        pass


def test_entries_are_counted_before_they_fill_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "ARCHIVE_MAX_ENTRIES", 5)
    folders = tmp_path / "folders.tar"
    with tarfile.open(folders, "w") as archive:
        for number in range(6):
            entry = tarfile.TarInfo(f"{number}")
            entry.type = tarfile.DIRTYPE
            archive.addfile(entry)
    made: list[str] = []
    monkeypatch.setattr(zipfile.ZipFile, "_RealGetContents", lambda _: made.append("parsed"))
    for path in (folders, make_zip(tmp_path / "a.zip", [f"{n}.png" for n in range(12)])):
        with pytest.raises(BadArchive, match="over a limit"), open_archive(path):
            pass
    assert not made


@pytest.mark.parametrize(("make", "beside"), [(make_zip, "__MACOSX/._"), (make_tar, "._")])
def test_what_macos_packs_beside_each_file_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable, beside: str
) -> None:
    monkeypatch.setattr(limits, "ARCHIVE_MAX_ENTRIES", 4)
    names = [f"{n}.png" for n in range(4)]
    packed = make(tmp_path / "a.bin", [*names, *(beside + name for name in names)])
    with open_archive(packed) as opened:
        assert set(names) <= set(opened.names)
    twice = make(tmp_path / "b.bin", [*names, "4.png"])
    with pytest.raises(BadArchive, match="over a limit"), open_archive(twice):
        pass


def test_a_name_of_megabytes_is_refused_unread(tmp_path: Path) -> None:
    long = tmp_path / "long.tar.gz"
    with tarfile.open(long, "w:gz", format=tarfile.GNU_FORMAT) as archive:
        archive.addfile(tarfile.TarInfo("a" * 1_000_000))
    with pytest.raises(BadArchive, match="64 kB"), open_archive(long):
        pass


def _tar_of(path: Path, *blocks: bytes) -> Path:
    with gzip.open(path, "wb") as file:
        file.write(b"".join(blocks) + bytes(2 * tarfile.BLOCKSIZE))
    return path


def _entry(kind: bytes, content: bytes, name: str = "a.png") -> bytes:
    header = tarfile.TarInfo(name)
    header.type, header.size = kind, len(content)
    return header.tobuf(tarfile.USTAR_FORMAT) + content + bytes(-len(content) % tarfile.BLOCKSIZE)


def _words(**words: object) -> bytes:
    held = b""
    for word, value in words.items():
        line = f" {word.replace('_', '.')}={value}\n".encode()
        size = len(line) + 2
        size += len(str(size)) - 2
        held += str(size).encode() + line
    return held


def test_holes_and_words_without_end_are_refused_unread(tmp_path: Path) -> None:
    """Both would be held in memory: the list of the holes, and words for all entries."""
    sparse = _words(GNU_sparse_major=1, GNU_sparse_minor=0, GNU_sparse_name="a.png")
    holes = b"1000000\n" + b"0\n512\n" * 1_000_000
    for path, said in [
        (_tar_of(tmp_path / "old.tar.gz", _entry(tarfile.GNUTYPE_SPARSE, b"")), "holes"),
        (
            _tar_of(
                tmp_path / "new.tar.gz",
                _entry(tarfile.XHDTYPE, sparse), _entry(tarfile.REGTYPE, holes),
            ),
            "holes",
        ),
        (
            _tar_of(
                tmp_path / "words.tar.gz",
                *(_entry(tarfile.XGLTYPE, _words(**{f"w{n}": "x" * 900})) for n in range(90)),
                _entry(tarfile.REGTYPE, b"picture"),
            ),
            "for all entries",
        ),
    ]:  # fmt: skip
        tracemalloc.start()
        with pytest.raises(BadArchive, match=said), open_archive(path):
            pass
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 5_000_000
    few = _tar_of(
        tmp_path / "few.tar.gz",
        _entry(tarfile.XGLTYPE, _words(comment="x" * 40)), _entry(tarfile.REGTYPE, b"picture"),
    )  # fmt: skip
    with open_archive(few) as opened:
        assert opened.read("a.png") == b"picture"


def test_a_tar_that_ends_in_a_zip_is_that_tar(tmp_path: Path) -> None:
    tail = make_zip(tmp_path / "a.zip", ["other.png"])
    both = tmp_path / "both.tar"
    both.write_bytes(make_tar(tmp_path / "a.tar", ["a.png"], "w:").read_bytes() + tail.read_bytes())
    with open_archive(both) as opened:
        assert opened.names == ("a.png",)


def test_links_and_devices_are_refused(tmp_path: Path) -> None:
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE):
        entry = tarfile.TarInfo("x.png")
        entry.type, entry.linkname = kind, "/etc/passwd"
        with tarfile.open(tmp_path / "a.tar", "w") as archive:
            archive.addfile(entry)
        with pytest.raises(BadArchive, match="link or a device"), open_archive(tmp_path / "a.tar"):
            pass
    info = zipfile.ZipInfo("x.png")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(BadArchive, match="link or a device"), open_archive(tmp_path / "a.zip"):
        pass


def test_bombs_are_refused_before_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bomb = make_zip(tmp_path / "a.zip", ["a.png"], bytes(3_000_000))
    with pytest.raises(BadArchive, match="over a limit"), open_archive(bomb):
        pass
    with tarfile.open(tmp_path / "a.tgz", "w:gz") as archive:
        entry = tarfile.TarInfo("a.png")
        entry.size = 3_000_000
        archive.addfile(entry, io.BytesIO(bytes(entry.size)))
    with pytest.raises(BadArchive, match="over a limit"), open_archive(tmp_path / "a.tgz"):
        pass
    blank = make_zip(tmp_path / "blank.zip", ["a.bmp"], bytes(150_000))
    with open_archive(blank) as opened:
        assert opened.names == ("a.bmp",), "a picture of one colour is no bomb"
    monkeypatch.setattr(limits, "ARCHIVE_MAX_ENTRIES", 3)
    for make in (make_zip, make_tar):
        many = make(tmp_path / "many.bin", [f"{i}.png" for i in range(5)])
        with pytest.raises(BadArchive, match="over a limit"), open_archive(many):
            pass


def test_damage_and_nothing_of_use_are_named(tmp_path: Path) -> None:
    whole = make_zip(tmp_path / "a.zip", ["a.png", "b.png"]).read_bytes()
    for percent in range(0, 100, 7):
        (tmp_path / "cut.zip").write_bytes(whole[: len(whole) * percent // 100])
        with pytest.raises(BadArchive, match=r"cut\.zip"), open_archive(tmp_path / "cut.zip"):
            pass
    with (
        pytest.raises(BadArchive, match="no picture"),
        open_archive(make_zip(tmp_path / "t.zip", ["a.txt"])),
    ):
        pass
    with pytest.raises(InputError, match=r"gone\.zip"), open_archive(tmp_path / "gone.zip"):
        pass


@pytest.mark.data
def test_the_shared_archives_are_as_the_policy_says(test_data: Path, tmp_path: Path) -> None:
    folder = test_data / "bad_inputs"
    with (folder / "manifest.csv").open(encoding="utf-8") as manifest:
        rows = [row for row in csv.DictReader(manifest) if row["format"] in ("zip", "tar", "gz")
                or row["file"].endswith((".zip", ".tar", ".tar.gz", ".tgz"))]  # fmt: skip
    assert len(rows) >= 29
    wrong = []
    for number, row in enumerate(rows):
        copy = tmp_path / "in" / f"{number}.bin"
        copy.parent.mkdir(exist_ok=True)
        shutil.copy(folder / row["file"], copy)
        try:
            with open_archive(copy) as archive:
                for name in archive.names:
                    archive.read(name)
            outcome = "decodes"
        except InputError:
            outcome = "clear error"
        if outcome != row["expected"]:
            wrong.append((row["file"], outcome))
    assert not wrong
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
