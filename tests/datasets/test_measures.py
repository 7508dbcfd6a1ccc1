"""Measures of pictures, copies of them, and labels that are probably wrong."""

import csv
import tracemalloc

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from emotion_core.datasets.drawn import write_drawn_dataset
from emotion_core.datasets.duplicates import find_groups, summarise_groups
from emotion_core.datasets.measures import content_hash, measure_picture, perceptual_hash
from emotion_core.datasets.noise import NOISE_COLUMNS, rank_labels
from emotion_core.errors import BadTable, InputError
from emotion_core.media.photo import decode_photo, inspect_photo
from tests.builders import encode, make_index, make_picture


def test_measures_of_plain_pictures_are_known() -> None:
    grey = np.full((30, 60, 3), 100, np.uint8)
    found = measure_picture(grey)
    assert (found.width, found.height, found.aspect_ratio) == (60, 30, 2.0)
    assert (found.brightness, found.contrast, found.sharpness, found.entropy) == (100, 0, 0, 0)
    halves = grey.copy()
    halves[:, 30:] = 200
    found = measure_picture(halves)
    assert (found.brightness, found.contrast, found.entropy) == (150, 50, 1)
    assert found.sharpness > 0
    assert measure_picture(np.zeros((1, 1, 3), np.uint8)).entropy == 0


def test_a_blurred_picture_is_less_sharp_at_any_size() -> None:
    coarse = np.random.default_rng(0).integers(0, 256, (12, 12, 3), dtype=np.uint8)
    for side in (96, 360, 1200):
        sharp = np.kron(coarse, np.ones((side // 12, side // 12, 1), np.uint8))
        soft = np.array(Image.fromarray(coarse).resize((side, side)), np.uint8)
        assert measure_picture(soft).sharpness < measure_picture(sharp).sharpness / 2


def test_the_hash_sees_through_light_and_size() -> None:
    image = make_picture(200, 160, seed=1)
    other = np.asarray(image[::2, ::2] * 0.8, np.uint8)
    bits = [perceptual_hash(one[..., 0]) for one in (image, other, make_picture(200, 160, seed=2))]
    assert (bits[0] ^ bits[1]).bit_count() <= 6
    assert (bits[0] ^ bits[2]).bit_count() > 12


def test_format_and_mode_are_those_of_the_file() -> None:
    image = make_picture()
    found = inspect_photo(encode(image, "PNG"))
    assert (found.format, found.mode) == ("PNG", "RGB")
    assert (found.image == image).all()
    grey = encode(np.ascontiguousarray(image[..., 0]), "JPEG")
    assert (inspect_photo(grey).format, inspect_photo(grey).mode) == ("JPEG", "L")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The readable pictures of a drawn set as an index, and what was planted."""
    folder = tmp_path_factory.mktemp("drawn") / "set"
    write_drawn_dataset(folder, n=500)
    rows = []
    for path in sorted(folder.rglob("*.png")):
        content = path.read_bytes()
        row: dict[str, object] = {"path": path.relative_to(folder).as_posix()}
        try:
            row |= vars(measure_picture(decode_photo(content)))
        except InputError:
            row |= {"is_readable": False, "phash": 0, "thumb": b""}
        rows.append({**row, "sha256": content_hash(content), "raw_label": path.parent.name})
    with (folder / "planted.csv").open(encoding="utf-8", newline="") as table:
        planted = pd.DataFrame(list(csv.DictReader(table)))
    return make_index(rows), planted


def test_the_planted_copies_are_found_and_nothing_else(drawn: tuple) -> None:
    index, planted = drawn
    groups = find_groups(index).astype(object).where(lambda held: held.notna(), None)
    number = dict(zip(index["path"], groups["group"], strict=True))
    exact = dict(zip(index["path"], groups["exact"], strict=True))
    copies = planted[planted["kind"].str.endswith("duplicate")]
    found = {"duplicate": [], "near duplicate": []}
    for row in copies.itertuples():
        is_linked = number[row.file] is not None and number[row.file] == number[row.detail]
        found[row.kind].append(is_linked)
        is_exact = exact[row.file] is not None and exact[row.file] == exact[row.detail]
        assert is_exact == (row.kind == "duplicate")
    assert all(found["duplicate"])
    assert np.mean(found["near duplicate"]) >= 0.85
    linked = set(copies["file"]) | set(copies["detail"])
    assert {path for path, group in number.items() if group is not None} <= linked


def _looks(rng: np.random.Generator, kinds: int, n: int) -> list[dict[str, object]]:
    """Pictures of so many looks, each a little other than the next."""
    bases = rng.integers(10, 245, (kinds, 256))
    hashes = rng.integers(0, 2**62, kinds).astype(np.uint64)
    rows: list[dict[str, object]] = []
    for i, kind in enumerate(rng.integers(0, kinds, n)):
        thumb = bases[kind] + rng.integers(-9, 10, 256)
        flipped = np.uint64(1) << rng.integers(0, 62, 5).astype(np.uint64)
        phash = np.bitwise_xor.reduce(np.append(flipped, hashes[kind]))
        rows.append(
            {"sha256": str(i), "phash": phash, "thumb": thumb.astype(np.uint8).tobytes()}
            | {"contrast": 50.0, "is_readable": True, "kind": kind}
        )
    return rows


def test_groups_are_those_of_all_pairs_however_they_lie() -> None:
    index = make_index(_looks(np.random.default_rng(3), 60, 700))
    group, kind = find_groups(index)["group"], index["kind"]
    told = group.notna()
    assert told.sum() > 600
    assert (kind.value_counts()[kind[~told]] == 1).all()
    assert group[told].groupby(kind[told]).nunique().eq(1).all()
    assert kind[told].groupby(group[told]).nunique().eq(1).all()


def test_many_pictures_of_one_look_take_no_more_memory_than_others() -> None:
    index = make_index(_looks(np.random.default_rng(4), 1, 4000))
    tracemalloc.start()
    groups = find_groups(index)["group"]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert groups.eq(0).all()
    assert peak < 150_000_000  # the 8 million pairs alone would be 128 MB, twice


def test_blank_and_unreadable_pictures_are_nobodys_near_copy() -> None:
    thumb = bytes(256)
    rows: list[dict[str, object]] = [
        {"phash": 5, "thumb": thumb, "contrast": 1.0},
        {"phash": 5, "thumb": thumb, "contrast": 2.0},
        {"phash": 0, "thumb": b"", "is_readable": False, "sha256": ""},
        {"phash": 0, "thumb": b"", "is_readable": False, "sha256": ""},
    ]
    assert find_groups(make_index(rows))["group"].isna().all()
    assert find_groups(make_index(rows[:0] + rows[2:])).shape == (2, 2)


def test_groups_say_conflicts_and_leaks() -> None:
    index = make_index(
        [
            {"exact": 0, "group": 0, "split": "train"},
            {"exact": 0, "group": 0, "split": "test", "raw_label": "sad"},
            {"group": 1},
            {"group": 1},
            {},
        ]
    )
    found = summarise_groups(index.assign(label=index["raw_label"]))
    assert found["kind"].tolist() == ["exact", "near"]
    assert found["labels"].tolist() == ["happy,sad", "happy"]
    assert found["is_conflict"].tolist() == [True, False]
    assert found["is_leak"].tolist() == [True, False]


def test_wrong_labels_come_first() -> None:
    random = np.random.default_rng(0)
    truth = random.integers(0, 3, 600)
    given = truth.copy()
    wrong = random.choice(600, 40, replace=False)
    given[wrong] = (given[wrong] + 1) % 3
    logits = random.normal(0, 0.6, (600, 3)) + 3 * np.eye(3)[truth]
    probs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    names = ["happy", "sad", "surprise"]
    paths = pd.Series([f"{i}" for i in range(600)])
    ranked = rank_labels(paths, pd.Series(np.array(names)[given]), probs, names)
    assert list(ranked.columns) == list(NOISE_COLUMNS)
    first = ranked["path"].iloc[:40].astype(int)
    assert np.isin(first, wrong).mean() >= 0.9
    assert ranked["is_issue"].iloc[:30].all()
    assert (ranked["suggested"].iloc[:20] != ranked["given"].iloc[:20]).all()
    with pytest.raises(BadTable):
        rank_labels(paths, pd.Series(["other"] * 600), probs, names)
