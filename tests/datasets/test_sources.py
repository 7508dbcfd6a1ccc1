"""Data sets in every form, through one contract."""

import errno
import os
import shutil
import tarfile
import unicodedata
import zipfile
from pathlib import Path

import numpy as np
import pytest

from emotion_core.datasets import containers
from emotion_core.datasets.fer2013 import save_arrays
from emotion_core.datasets.naming import name_labels
from emotion_core.datasets.sources import (
    ITEM_COLUMNS,
    SOURCES,
    VOTE,
    Source,
    SourceSpec,
    open_source,
)
from emotion_core.errors import (
    BadArchive,
    BadTable,
    BrokenImage,
    InputError,
    UnknownLabels,
    UnsafePath,
)
from emotion_core.media.photo import decode_photo
from tests.builders import make_class_folders, make_voted_faces

LABELS = {"train/angry": 2, "train/Happy": 3, "test": 2}


def folders(root: Path) -> SourceSpec:
    return SourceSpec(str(make_class_folders(root / "set", LABELS)))


def zipped(root: Path) -> SourceSpec:
    folder = make_class_folders(root / "set", LABELS)
    with zipfile.ZipFile(root / "set.zip", "w") as archive:
        for path in sorted(folder.rglob("*.png")):
            archive.write(path, path.relative_to(root))
    return SourceSpec(str(root / "set.zip"))


def tarred(root: Path) -> SourceSpec:
    folder = make_class_folders(root / "set", LABELS)
    with tarfile.open(root / "set.tar.gz", "w:gz") as archive:
        archive.add(folder, "set")
    return SourceSpec(str(root / "set.tar.gz"))


def table(root: Path) -> SourceSpec:
    make_class_folders(root, LABELS)
    names = [f"./train/{x}" for x in ("angry/0.png", "angry/1.png", "Happy/0.png", "Happy/1.png")]
    rows = [f"{i},{name},{name.split('/')[2]}" for i, name in enumerate(names)]
    (root / "train.csv").write_bytes("\r\n".join([",image_path,emotion", *rows, ""]).encode())
    return SourceSpec(str(root / "train.csv"))


def pixels(root: Path) -> SourceSpec:
    faces = make_voted_faces(12)
    usage = np.array(["Training", "PublicTest", "PrivateTest"])[faces.usage]
    lines = [
        f"{label},{' '.join(map(str, image.reshape(-1)))},{word}"
        for label, image, word in zip(faces.labels, faces.images, usage, strict=True)
    ]
    (root / "fer2013.csv").write_text("\n".join(["emotion,pixels,Usage", *lines, ""]))
    return SourceSpec(str(root / "fer2013.csv"))


def arrays(root: Path) -> SourceSpec:
    save_arrays(make_voted_faces(12), root / "faces.npz")
    return SourceSpec(str(root / "faces.npz"))


FORMS = {"folders": folders, "zip": zipped, "tar": tarred, "table": table, "fer2013": pixels,
         "arrays": arrays}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_every_source_keeps_the_contract(form: str, tmp_path: Path) -> None:
    source: Source = open_source(FORMS[form](tmp_path))
    items = source.items()
    assert set(ITEM_COLUMNS) <= set(items.columns)
    assert items["path"].is_unique
    assert not items["path"].str.contains(r"\.\.|\\|^/").any()
    assert set(items["split"]) <= {"", "train", "val", "test"}
    assert set(items["raw_label"].dropna()) <= {"angry", "Happy", "happy", "neutral"}
    assert items.equals(source.items())
    for path in items["path"][::-1]:  # in any order
        assert decode_photo(source.read(path)).shape[2] == 3
    with pytest.raises(InputError, match="nothing"):
        source.read("nothing.png")
    source.close()
    assert source.kind in SOURCES


def test_folders_name_labels_and_splits(tmp_path: Path) -> None:
    (tmp_path / "set" / "train" / "angry").mkdir(parents=True)
    (tmp_path / "set" / "train" / "angry" / "notes.txt").touch()
    (tmp_path / "set" / ".hidden.png").touch()
    items = open_source(folders(tmp_path)).items().set_index("path")
    assert items["raw_label"].dropna().to_dict() == {
        "train/Happy/0.png": "Happy", "train/Happy/1.png": "Happy", "train/Happy/2.png": "Happy",
        "train/angry/0.png": "angry", "train/angry/1.png": "angry",
    }  # fmt: skip
    assert items["split"].value_counts().to_dict() == {"train": 5, "test": 2}
    assert list(items.index) == sorted(items.index)


def test_a_link_that_leads_out_is_not_followed(tmp_path: Path) -> None:
    spec = folders(tmp_path)
    outside = tmp_path / "secret.png"
    outside.write_bytes(b"secret")
    os.symlink(outside, tmp_path / "set" / "train" / "angry" / "link.png")
    os.symlink(tmp_path, tmp_path / "set" / "train" / "up")
    os.symlink("loop.png", tmp_path / "set" / "train" / "angry" / "loop.png")
    os.mkfifo(tmp_path / "set" / "train" / "angry" / "pipe.png")
    (tmp_path / "set" / "train" / "angry").joinpath(os.fsdecode(b"\xe9.png")).write_bytes(b"")
    assert len(open_source(spec).items()) == 7


def test_a_table_reads_through_no_link_that_leads_out(tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(b"secret")
    (tmp_path / "set").mkdir()
    os.symlink(tmp_path / "secret.png", tmp_path / "set" / "l.png")
    os.symlink(tmp_path, tmp_path / "set" / "out")
    table = tmp_path / "set" / "labels.csv"
    table.write_text("image,emotion\nl.png,happy\nout/secret.png,sad\n")
    source = open_source(SourceSpec(str(table)))
    for name in source.items()["path"]:
        assert source.file_of(name) is None
        with pytest.raises(InputError, match="no such file in the data set"):
            source.read(name)


def test_pictures_that_stand_twice_without_a_label_stand_once(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text('"image","emotion"\na.png,\na.png,\n')
    items = open_source(SourceSpec(str(tmp_path / "labels.csv"))).items()
    assert items["path"].tolist() == ["a.png"]
    assert items["raw_label"].isna().all()


def test_several_opinions_become_votes(tmp_path: Path) -> None:
    rows = ["a.png,happy", "a.png,happy", "a.png,sad", "b.png,sad", "c.png,sad", "c.png,happy"]
    (tmp_path / "labels.csv").write_text("\n".join(["image,emotion", *rows]))
    items = open_source(SourceSpec(str(tmp_path / "labels.csv"))).items().set_index("path")
    assert items[VOTE + "happy"].to_dict() == {"a.png": 2, "b.png": 0, "c.png": 1}
    assert items["raw_label"].fillna("none").to_dict() == {
        "a.png": "happy", "b.png": "sad", "c.png": "none",
    }  # fmt: skip


@pytest.mark.parametrize("label", ["happy", ""])
def test_of_several_splits_a_picture_has_the_one_that_judges(label: str, tmp_path: Path) -> None:
    told = [("a", "train"), ("a", "test"), ("b", ""), ("b", "val"), ("b", "train"), ("c", "train")]
    rows = [f"{name}.png,{label},{split}" for name, split in told]
    (tmp_path / "labels.csv").write_text("\n".join(["image,emotion,split", *rows]))
    items = open_source(SourceSpec(str(tmp_path / "labels.csv"))).items().set_index("path")
    assert items["split"].to_dict() == {"a.png": "test", "b.png": "val", "c.png": "train"}


def test_votes_of_ferplus_are_joined_and_may_decide(tmp_path: Path) -> None:
    faces = make_voted_faces(12)
    spec = arrays(tmp_path)
    items = open_source(spec).items()
    assert items[VOTE + "happy"].sum() == 60
    assert items["raw_label"].value_counts().to_dict() == {"neutral": 6, "happy": 6}
    by_votes = open_source(SourceSpec(spec.path, by_votes=True)).items()
    assert by_votes["raw_label"].tolist() == ["neutral", "happy"] * 6
    assert items["split"].tolist() == [("train", "val", "test")[u] for u in faces.usage]
    with pytest.raises(BadTable, match="without votes"):
        open_source(SourceSpec(str(make_class_folders(tmp_path / "x", {"sad": 1})), by_votes=True))


def test_equal_pixels_are_equal_files(tmp_path: Path) -> None:
    faces = make_voted_faces(8)
    faces.images[3] = faces.images[0]
    save_arrays(faces, tmp_path / "faces.npz")
    source = open_source(SourceSpec(str(tmp_path / "faces.npz")))
    assert source.read("row-00000") == source.read("row-00003") != source.read("row-00001")
    assert np.array_equal(decode_photo(source.read("row-00001"))[..., 0], faces.images[1])
    with pytest.raises(BrokenImage):
        source.read("row-x")


@pytest.mark.parametrize(
    "path",
    ["../out.png", "/etc/passwd", "a/../../b.png", "C:\\x.png", "~/x.png", "\\\\host\\x", ".", " "],
)
def test_a_table_names_nothing_outside(path: str, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text(f'image_path,emotion\n"{path}",sad\n')
    with pytest.raises(UnsafePath, match="outside the data set"):
        open_source(SourceSpec(str(tmp_path / "labels.csv"))).items()


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"image_path,emotion\na.png\n", "line 2 has 1 cells"),
        (b"image_path,colour\na.png,red\n", "no column emotion"),
        ("image_path,emotion\nä.png,sad\n".encode("utf-16"), "not UTF-8"),
        (b"", "does not name the columns"),
        (b"image_path,emotion\n", "holds no data set"),
    ],
)
def test_bad_tables_are_refused(content: bytes, word: str, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_bytes(content)
    with pytest.raises(BadTable, match=word):
        open_source(SourceSpec(str(tmp_path / "labels.csv"), "table")).items()


def test_what_is_no_data_set_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.zip").write_text("no archive")
    cases: list[tuple[str, type[InputError]]] = [
        ("empty", BadTable), ("text.zip", BadArchive), ("gone.zip", InputError),
        ("gone.csv", InputError), ("gone.npz", BadTable),
    ]  # fmt: skip
    for name, kind in cases:
        with pytest.raises(kind):
            open_source(SourceSpec(str(tmp_path / name)))
    with pytest.raises(BadTable, match="no kind of data set"):
        open_source(SourceSpec(str(tmp_path / "empty"), "sql"))


def test_a_folder_or_an_archive_around_fer2013_names_the_file_to_choose(tmp_path: Path) -> None:
    folder = tmp_path / "versions" / "1"
    folder.mkdir(parents=True)
    pixels(folder)
    (folder / "notes.csv").write_text("a,b\n1,2\n")
    (folder / "train.csv").write_text("emotion,pixels\n1,0 0\n")
    (folder / "test.csv").write_text("pixels\n0 0\n")
    with zipfile.ZipFile(tmp_path / "fer.zip", "w") as archive:
        archive.write(folder / "fer2013.csv", "fer2013/fer2013.csv")
    cases = {folder: "fer2013.csv", tmp_path / "fer.zip": "fer2013/fer2013.csv"}
    for path, name in cases.items():
        with pytest.raises(BadTable, match=f"{path.name} holds faces .* in {name}. Choose that"):
            open_source(SourceSpec(str(path)))
    (folder / "again.csv").write_bytes((folder / "fer2013.csv").read_bytes())
    with pytest.raises(BadTable, match="holds no data set"):
        open_source(SourceSpec(str(folder)))


def test_a_table_in_a_folder_without_label_folders_is_found(tmp_path: Path) -> None:
    make_class_folders(tmp_path, {"test": 2})
    (tmp_path / "notes.csv").write_text("a,b\n1,2\n")
    (tmp_path / "z.csv").write_text("image,label\ntest/0.png,sad\ntest/1.png,happy\n")
    source = open_source(SourceSpec(str(tmp_path)))
    assert (source.kind, len(source.items())) == ("table", 2)


def test_the_words_of_a_table_are_trimmed_and_known(tmp_path: Path) -> None:
    make_class_folders(tmp_path, {"images": 2})
    table = tmp_path / "labels.csv"
    table.write_text("image, label, usage\nimages/0.png, sad, PrivateTest\nimages/1.png,happy,\n")
    items = open_source(SourceSpec(str(table))).items()
    assert items["split"].tolist() == ["test", ""]
    table.write_text("image,label,split\nimages/0.png,sad,holdout\n")
    with pytest.raises(BadTable, match="'holdout', which is no split"):
        open_source(SourceSpec(str(table))).items()


def test_spellings_of_a_label_are_one_opinion(tmp_path: Path) -> None:
    make_class_folders(tmp_path, {"images": 1})
    for words in (["Happy", "happy", "sad"], ["Bored", "bored", "sad"]):
        rows = "".join(f"images/0.png,{word}\n" for word in words)
        (tmp_path / "labels.csv").write_text("image,label\n" + rows)
        (item,) = open_source(SourceSpec(str(tmp_path))).items().to_dict("records")
        assert (item["raw_label"], item[f"vote_{words[0]}"], item["vote_sad"]) == (words[0], 2, 1)


def test_faces_without_votes_have_no_majority(tmp_path: Path) -> None:
    faces = make_voted_faces(12)
    faces.votes[:] = 0
    save_arrays(faces, tmp_path / "faces.npz")
    with pytest.raises(BadTable, match="without votes of several people"):
        open_source(SourceSpec(str(tmp_path / "faces.npz"), by_votes=True))


def test_a_table_beside_one_folder_of_pictures_names_the_labels(tmp_path: Path) -> None:
    make_class_folders(tmp_path, {"images": 2})
    assert set(open_source(SourceSpec(str(tmp_path))).items()["raw_label"]) == {"images"}
    (tmp_path / "labels.csv").write_text("image,label\nimages/0.png,sad\nimages/1.png,happy\n")
    items = open_source(SourceSpec(str(tmp_path))).items()
    assert items["raw_label"].tolist() == ["sad", "happy"]
    make_class_folders(tmp_path, {"fear": 1})
    assert open_source(SourceSpec(str(tmp_path))).kind == "folders"


def test_a_table_that_names_all_pictures_says_what_they_are(tmp_path: Path) -> None:
    folder = make_class_folders(tmp_path / "set", {"person0": 20, "person1": 20})
    names = [f"person{person}/{n}.png" for person in (0, 1) for n in range(20)]
    rows = [f"{name},{label}" for name, label in zip(names, ["happy", "sad"] * 20, strict=True)]

    def opened(*rows: str, kind: str = "table") -> list[str]:
        (folder / "labels.csv").write_text("\n".join(rows))
        source = open_source(SourceSpec(str(folder)))
        assert source.kind == kind
        return source.items()["raw_label"].unique().tolist()

    assert opened("image,label", *rows) == ["happy", "sad"]
    assert opened("image,label", *rows[:38]) == ["happy", "sad"]
    for fewer in (rows[:37], [*rows[:39], "../out.png,sad"], [*rows[:39], "a,b,c"]):
        assert opened("image,label", *fewer, kind="folders") == ["person0", "person1"]


def test_folders_of_labels_or_splits_hold_unless_a_table_says_the_split(tmp_path: Path) -> None:
    for labels in ({"happy": 2, "sad": 2}, {"test/a": 2, "train/b": 2}):
        folder = make_class_folders(tmp_path / "-".join(labels).replace("/", "-"), labels)
        rows = [f"{name}/{n}.png,fear" for name in labels for n in range(2)]
        table = folder / "cleaned.csv"
        table.write_text("\n".join(["image_path,emotion", *rows]))
        assert open_source(SourceSpec(str(folder))).kind == "folders"
        table.write_text("\n".join(["image_path,emotion,Set", *(f"{row},first" for row in rows)]))
        assert open_source(SourceSpec(str(folder))).kind == "folders"
        table.write_text("\n".join(["image_path,emotion,Split", *(f"{row},test" for row in rows)]))
        source = open_source(SourceSpec(str(folder)))
        assert (source.kind, set(source.items()["split"])) == ("table", {"test"})


def test_tables_that_spreadsheets_wrote_are_read(tmp_path: Path) -> None:
    table = "sep=;\r\nimage_path;emotion\r\na.png;sad\r\n;\r\n ; \r\nb.png;happy\r\n"
    for folder in (tmp_path, tmp_path / "set" / "sub"):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "labels.csv").write_text(table, encoding="utf-8-sig")
    items = open_source(SourceSpec(str(tmp_path / "labels.csv"))).items()
    assert items["path"].tolist() == ["a.png", "b.png"]
    items = open_source(SourceSpec(str(tmp_path / "set"), "table")).items()
    assert items["path"].tolist() == ["sub/a.png", "sub/b.png"]


def test_a_table_is_read_beside_a_folder_that_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_class_folders(tmp_path / "set", {"happy": 1, "closed": 1})
    (folder / "labels.csv").write_text("image,label\nhappy/0.png,happy\n")
    scandir = os.scandir

    def refuse(path: Path) -> object:
        if Path(path).name == "closed":
            raise PermissionError(errno.EACCES, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(containers.os, "scandir", refuse)
    (item,) = open_source(SourceSpec(str(folder / "labels.csv"))).items().to_dict("records")
    assert item["bytes"] == (folder / "happy" / "0.png").stat().st_size


def test_an_archive_holds_the_kinds_of_pictures_that_a_folder_does(tmp_path: Path) -> None:
    names = [f"sad/a{ending}" for ending in (".jpg", ".JFIF", ".tiff")]
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for name in names:
            archive.writestr(name, b"picture")
            (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "set" / name).write_bytes(b"picture")
    for form in ("set", "set.zip"):
        items = open_source(SourceSpec(str(tmp_path / form))).items()
        assert sorted(items["path"]) == sorted(names)


def test_label_names_are_mapped_or_asked_about() -> None:
    assert name_labels(["Angry", "sadness", "happy"]) == {
        "Angry": "anger", "happy": "happy", "sadness": "sad",
    }  # fmt: skip
    with pytest.raises(UnknownLabels, match="calm, joyful") as caught:
        name_labels(["calm", "joyful", "sad"])
    assert caught.value.names == ("calm", "joyful")
    answers = {"calm": "calm", "joyful": "Happy", "sad": ""}
    assert name_labels(["calm", "joyful", "sad"], answers) == {
        "calm": "calm", "joyful": "happy", "sad": "",
    }  # fmt: skip


@pytest.mark.data
def test_film_faces_and_bad_tables(test_data: Path) -> None:
    source = open_source(SourceSpec(str(test_data / "film_faces" / "labels.csv")))
    items = source.items()
    assert len(items) == 924
    assert items.filter(like=VOTE).to_numpy().sum() == 925
    assert items["raw_label"].isna().sum() == 1
    assert len(decode_photo(source.read(items["path"].iloc[0])).shape) == 3
    archives = test_data / "bad_inputs" / "archives"
    assert len(open_source(SourceSpec(str(archives / "crafted__fer2013_good.csv"))).items()) > 0
    for name in ("short_row", "pixel_range", "utf16"):
        with pytest.raises(BadTable):
            open_source(SourceSpec(str(archives / f"crafted__fer2013_{name}.csv"), "fer2013"))
    good = open_source(SourceSpec(str(archives / "crafted__zip_unicode_names.zip")))
    assert len(good.items()) > 0


def test_an_archive_is_read_through_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec, opened = zipped(tmp_path), []
    open_archive = containers.open_archive
    monkeypatch.setattr(
        containers, "open_archive", lambda path: opened.append(path) or open_archive(path)
    )
    assert len(open_source(spec).items()) == 7
    assert len(opened) == 1


def test_a_folder_that_cannot_be_looked_into_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its label would be missing without a word; what a drive brings along is no label."""
    spec, scandir = folders(tmp_path), os.scandir
    for name in ("lost+found", "$RECYCLE.BIN"):
        (tmp_path / "set" / name).mkdir()

    def refuse(path: Path) -> object:
        if Path(path).name in ("angry", "lost+found", "$RECYCLE.BIN"):
            raise PermissionError(errno.EACCES, "Permission denied")
        return scandir(path)

    with monkeypatch.context() as patch:
        patch.setattr(containers.os, "scandir", refuse)
        with pytest.raises(InputError, match=r"train/angry cannot be opened: Permission denied"):
            open_source(spec).items()
    shutil.rmtree(tmp_path / "set" / "train" / "angry")
    assert len(open_source(spec).items()) == 5


def several_tables(folder: Path, **rows: list[str]) -> None:
    for name, words in rows.items():
        (folder / f"{name}.csv").write_text("\n".join(["image,label", *words]))


def test_tables_called_by_splits_are_one_data_set(tmp_path: Path) -> None:
    make_class_folders(tmp_path, {"images": 6})
    several_tables(
        tmp_path,
        sample_submission=["images/4.png,neutral", "images/5.png,neutral"],
        train_labels=["images/0.png,sad", "images/1.png,happy", "images/2.png,sad"],
        valid=["images/3.png,happy"],
        test=["images/4.png,sad", "images/5.png,happy"],
    )
    source = open_source(SourceSpec(str(tmp_path)))
    items = source.items().set_index("path")
    assert (source.name, source.kind) == (tmp_path.name, "table")
    assert items["split"].tolist() == ["test"] * 2 + ["train"] * 3 + ["val"]
    assert items["raw_label"].tolist() == ["sad", "happy", "sad", "happy", "sad", "happy"]
    assert (items["bytes"] > 0).all()


def test_which_of_several_tables_counts_is_asked(tmp_path: Path) -> None:
    make_class_folders(tmp_path, {"images": 2})
    several_tables(tmp_path, first=["images/0.png,sad"], test=["images/1.png,happy"])
    with pytest.raises(BadTable, match=r"several tables.*: first\.csv, test\.csv"):
        open_source(SourceSpec(str(tmp_path)))
    chosen = open_source(SourceSpec(str(tmp_path / "test.csv"))).items()
    assert (chosen["path"].tolist(), chosen["split"].tolist()) == (["images/1.png"], [""])


def test_accents_are_one_letter_however_a_system_writes_them(tmp_path: Path) -> None:
    joined, apart = (unicodedata.normalize(form, "dégoût") for form in ("NFC", "NFD"))
    make_class_folders(tmp_path / "set", {f"train/{joined}": 1, f"val/{apart}": 1, "train/joie": 1})
    items = open_source(SourceSpec(str(tmp_path / "set"))).items()
    assert sorted(set(items["raw_label"])) == sorted({joined, "joie"})
    assert name_labels([joined], {apart: "disgust"}) == {joined: "disgust"}

    with zipfile.ZipFile(tmp_path / "mac.zip", "w") as archive:
        archive.write(tmp_path / "set" / "train" / "joie" / "0.png", f"pictures/{apart}.png")
        archive.writestr("labels.csv", f"image,label\npictures/{joined}.png,{apart}\n")
    source = open_source(SourceSpec(str(tmp_path / "mac.zip")))
    (row,) = source.items().itertuples()
    assert (row.raw_label, row.bytes) == (joined, len(source.read(row.path)))
    source.close()
