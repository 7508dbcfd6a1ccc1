import csv
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from emotion_core.datasets.fer2013 import (
    EMOTIONS,
    VotedFaces,
    clean_training_faces,
    emotion_targets,
    load_arrays,
    majority_labels,
    read_csv,
    save_arrays,
)
from emotion_core.datasets.sources import SourceSpec, open_source
from emotion_core.errors import BadTable, InputError
from tests.builders import make_voted_faces

USAGES = ("Training", "PublicTest", "PrivateTest")
VOTES = (
    "neutral", "happiness", "surprise", "sadness", "anger",
    "disgust", "fear", "contempt", "unknown", "NF",
)  # fmt: skip


def write_public_files(faces: VotedFaces, folder: Path) -> tuple[Path, Path]:
    """Write the two files in the form in which they were published."""
    images, votes = folder / "fer2013.csv", folder / "fer2013new.csv"
    with images.open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["emotion", "pixels", "Usage"])
        for image, label, usage in zip(faces.images, faces.labels, faces.usage, strict=True):
            writer.writerow([label, " ".join(map(str, image.ravel())), USAGES[usage]])
    with votes.open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["Usage", "Image name", *VOTES])
        for i, (row, usage) in enumerate(zip(faces.votes, faces.usage, strict=True)):
            writer.writerow([USAGES[usage], f"fer{i:07}.png", *row])
    return images, votes


def votes_of(**counts: int) -> np.ndarray:
    row = np.zeros((1, 10), np.uint8)
    for name, count in counts.items():
        row[0, VOTES.index(name)] = count
    return row


def test_the_public_files_are_joined_and_hashed(tmp_path: Path) -> None:
    faces = make_voted_faces()
    joined = read_csv(*write_public_files(faces, tmp_path))
    assert joined.content_hash() == faces.content_hash()
    save_arrays(joined, tmp_path / "a.npz")
    assert load_arrays(tmp_path / "a.npz").content_hash() == faces.content_hash()


@pytest.mark.parametrize("sign", [",", ";", "\t"])
@pytest.mark.parametrize("change", [str.lower, str.upper, lambda name: f" {name} "])
def test_columns_may_be_in_another_case_and_separated_otherwise(
    sign: str, change: object, tmp_path: Path
) -> None:
    faces = make_voted_faces()
    files = write_public_files(faces, tmp_path)
    for file in files:
        header, _, rows = file.read_text().partition("\n")
        named = sign.join(change(name) for name in header.split(","))
        file.write_text("\ufeff" + named + "\n" + rows.replace(",", sign), encoding="utf-8")
    assert read_csv(*files).content_hash() == faces.content_hash()
    source = open_source(SourceSpec(str(files[0])))
    assert (source.kind, set(source.items()["split"])) == ("fer2013", {"train", "val", "test"})
    files[0].write_text(f"sep={sign}\n" + files[0].read_text("utf-8-sig"), encoding="utf-8")
    assert read_csv(*files).content_hash() == faces.content_hash()


def test_tables_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    images, votes = write_public_files(make_voted_faces(), tmp_path)
    lines = votes.read_text().splitlines(keepends=True)
    for name, text, word in [
        ("short", "".join(lines[:-1]), "same rows"),
        ("column", "".join(lines).replace("disgust", "disgusted"), "no column disgust"),
        ("usage", "".join(lines).replace("Training", "Learning"), "'Learning' is not known"),
        ("number", "".join(lines).replace(",10,", ",many,", 1), "line 2"),
    ]:
        changed = tmp_path / f"{name}.csv"
        changed.write_text(text)
        with pytest.raises(BadTable, match=word):
            read_csv(images, changed)
    whole = images.read_text()
    images.write_text("\ufeff" + whole, encoding="utf-8")
    assert len(read_csv(images, votes)) == len(make_voted_faces())
    for damaged in (
        whole.replace(" ", ";", 1),
        "emotion,pixels,Usage\n0,7,Training\n",
        "emotion,pixels,Usage\n0\n",
    ):
        images.write_text(damaged)
        with pytest.raises(BadTable, match="line 2"):
            read_csv(images, votes)
    with pytest.raises(InputError):
        read_csv(tmp_path / "none.csv", votes)


def test_arrays_that_are_none_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(b"no arrays")
    with pytest.raises(BadTable, match="data fer2013"):
        load_arrays(tmp_path / "a.npz")
    faces = make_voted_faces()
    with pytest.raises(BadTable):
        VotedFaces(faces.images[:-1], faces.labels, faces.votes, faces.usage)
    for labels in (faces.labels + 9, faces.labels.astype(np.float32), faces.labels - 9):
        with pytest.raises(BadTable, match="whole numbers from 0 to 6"):
            VotedFaces(faces.images, labels, faces.votes, faces.usage)
    save_arrays(faces, tmp_path / "a.npz")
    whole = (tmp_path / "a.npz").read_bytes()
    np.save(tmp_path / "b.npy", faces.images)
    for content in (whole[: len(whole) // 2], b"", (tmp_path / "b.npy").read_bytes()):
        (tmp_path / "b.npz").write_bytes(content)
        with pytest.raises(BadTable, match="data fer2013"):
            load_arrays(tmp_path / "b.npz")


def test_arrays_larger_than_memory_are_refused(tmp_path: Path) -> None:
    header = io.BytesIO()
    huge = {"descr": "|u1", "fortran_order": False, "shape": (10**13, 48, 48)}
    np.lib.format.write_array_header_1_0(header, huge)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("images.npy", header.getvalue())
    with pytest.raises(BadTable, match="data fer2013"):
        load_arrays(tmp_path / "a.npz")
    np.savez_compressed(tmp_path / "bomb.npz", images=np.zeros((3_000, 48, 48), np.uint8))
    with pytest.raises(BadTable, match="would unpack to"):
        load_arrays(tmp_path / "bomb.npz")


@pytest.mark.parametrize(
    ("counts", "majority"),
    [
        ({"happiness": 6, "neutral": 4}, "happy"),
        ({"happiness": 5, "neutral": 5}, None),
        ({"happiness": 5, "neutral": 4, "fear": 1}, "happy"),  # the single vote is dropped
        ({"happiness": 4, "unknown": 6}, None),
        ({"NF": 10}, None),
        ({"sadness": 3, "anger": 3, "fear": 4}, None),
    ],
)
def test_the_majority_rule(counts: dict[str, int], majority: str | None) -> None:
    label = majority_labels(votes_of(**counts))[0]
    assert (EMOTIONS[label] if label >= 0 else None) == majority


def test_targets_are_shares_of_the_votes() -> None:
    target = emotion_targets(votes_of(happiness=6, neutral=3, fear=1))[0]
    assert target[EMOTIONS.index("happy")] == pytest.approx(6 / 9)
    assert target[EMOTIONS.index("fear")] == 0
    assert not emotion_targets(votes_of(unknown=6, happiness=4)).any()


def test_cleaning_drops_copies_of_other_splits_blanks_and_the_unlabelled() -> None:
    faces = make_voted_faces(40)
    train = np.flatnonzero(faces.usage == 0)
    faces.images[train[0]] = faces.images[np.flatnonzero(faces.usage == 2)[0]]
    faces.images[train[1]] = 127
    faces.votes[train[2]] = votes_of(NF=10)
    kept = clean_training_faces(faces)
    assert len(kept) == len(train) - 3
    assert (kept.usage == 0).all()


@pytest.mark.data
def test_the_real_set(test_data: Path) -> None:
    faces = load_arrays(test_data / "fer2013" / "fer2013.npz")
    assert len(faces) == 35887
    majority = majority_labels(faces.split("test").votes)
    assert (majority >= 0).sum() == 3153
    counts = np.bincount(majority[majority >= 0], minlength=8)
    assert counts[EMOTIONS.index("disgust")] == 18
    assert counts[EMOTIONS.index("contempt")] == 16
    clean = clean_training_faces(faces)
    seen = {image.tobytes() for image in clean.images}
    others = faces.images[faces.usage > 0]
    assert not any(image.tobytes() in seen for image in others)


def test_a_file_with_a_wrong_bit_is_refused_whatever_notices_it(tmp_path: Path) -> None:
    path = tmp_path / "faces.npz"
    save_arrays(make_voted_faces(12), path)
    whole, causes = path.read_bytes(), set()
    for at in range(100, len(whole), len(whole) // 400):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
        try:
            load_arrays(path)
        except BadTable as error:
            causes.add(type(error.__cause__).__name__)
    assert {"error", "BadZipFile"} <= causes, "zlib's error is called so"
