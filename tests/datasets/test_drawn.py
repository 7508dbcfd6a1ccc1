"""The drawn data set: the same for everybody, with its faults where it says, and not trivial."""

import csv
import hashlib
from pathlib import Path

import numpy as np
import pytest

from emotion_core.datasets.drawn import EMOTIONS, SIDE_PX, draw_face, write_drawn_dataset
from emotion_core.errors import BrokenImage, StorageError
from emotion_core.media.photo import read_photo


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list]:
    folder = tmp_path_factory.mktemp("drawn") / "faces"
    told: list[tuple[int, int]] = []
    planted = write_drawn_dataset(
        folder, n=400, on_progress=lambda done, total: told.append((done, total))
    )
    assert told[0] == (1, 400)
    assert told[-1] == (400, 400)
    return folder, planted


def hashes(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_the_same_seed_gives_the_same_files(drawn: tuple, tmp_path: Path) -> None:
    write_drawn_dataset(tmp_path / "again", n=400)
    assert hashes(tmp_path / "again") == hashes(drawn[0])
    write_drawn_dataset(tmp_path / "other", n=40, seed=1)
    assert not set(hashes(tmp_path / "other").values()) & set(hashes(drawn[0]).values())


def test_it_has_folders_per_label_and_a_test_without(drawn: tuple) -> None:
    folder, _ = drawn
    assert {path.name for path in (folder / "train").iterdir()} == set(EMOTIONS)
    counts = [len(list((folder / "train" / label).iterdir())) for label in EMOTIONS]
    assert min(counts) > 20
    assert 20 < len(list((folder / "test").iterdir())) < 60
    assert sum(counts) + len(list((folder / "test").iterdir())) == 400


def test_the_planted_faults_are_what_the_table_says(drawn: tuple) -> None:
    folder, planted = drawn
    with (folder / "planted.csv").open(encoding="utf-8", newline="") as table:
        assert [row["file"] for row in csv.DictReader(table)] == [fault.file for fault in planted]
    kinds = [fault.kind for fault in planted]
    assert [kinds.count(k) for k in ("duplicate", "near duplicate", "wrong label")] == [12, 12, 24]
    assert kinds.count("blank") == kinds.count("broken") == 2
    for fault in planted:
        path = folder / fault.file
        if fault.kind == "broken":
            with pytest.raises(BrokenImage):
                read_photo(path)
            continue
        image = read_photo(path)
        assert image.shape == (SIDE_PX, SIDE_PX, 3)
        if fault.kind == "blank":
            assert image.std() == 0
        elif fault.kind == "duplicate":
            assert path.read_bytes() == (folder / fault.detail).read_bytes()
        elif fault.kind == "near duplicate":
            other = read_photo(folder / fault.detail).astype(int)
            assert path.read_bytes() != (folder / fault.detail).read_bytes()
            assert np.corrcoef(image.reshape(-1), other.reshape(-1))[0, 1] > 0.85
        else:
            assert fault.detail in EMOTIONS
            assert fault.detail not in fault.file


def test_a_folder_in_use_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").touch()
    with pytest.raises(StorageError, match="not empty"):
        write_drawn_dataset(tmp_path, n=10)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_set_that_is_not_drawn_to_its_end_is_none(tmp_path: Path) -> None:
    def stop(done: int, _: int) -> None:
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_drawn_dataset(tmp_path / "a", n=20, on_progress=stop)
    assert not (tmp_path / "a").exists()


def test_pixels_alone_do_not_tell_the_labels() -> None:
    """Multinomial logistic regression on grey pixels, fitted by gradient descent."""
    n, held = 2400, 400
    labels = np.arange(n) % len(EMOTIONS)
    faces = [draw_face(EMOTIONS[k], np.random.default_rng((5, i))) for i, k in enumerate(labels)]
    pixels = np.stack([face[::3, ::3].mean(axis=2).reshape(-1) for face in faces])
    pixels = (pixels - pixels[:-held].mean(axis=0)) / (pixels[:-held].std(axis=0) + 1)
    x, y = pixels[:-held], np.eye(len(EMOTIONS))[labels[:-held]]
    weights = np.zeros((x.shape[1], len(EMOTIONS)))
    best = 0.0
    for _ in range(300):
        scores = x @ weights
        probs = np.exp(scores - scores.max(axis=1, keepdims=True))
        probs /= probs.sum(axis=1, keepdims=True)
        weights -= 0.02 * (x.T @ (probs - y) / len(x) + 1e-3 * weights)
        found = (pixels[-held:] @ weights).argmax(axis=1)
        best = max(best, float((found == labels[-held:]).mean()))
    assert 1.5 / len(EMOTIONS) < best < 0.7
