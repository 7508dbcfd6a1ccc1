"""What indexing a data set costs, and how well wrong labels are found.

    python -m benchmarks.datasets                        50,000 files, drawn by the studio
    python -m benchmarks.datasets --files 5000           fewer
    python -m benchmarks.datasets --copies               near copies of drawn faces
    python -m benchmarks.datasets --noise                wrong labels of the drawn data set
    python -m benchmarks.datasets --fer fer2013.npz      copies and wrong labels of FER2013 (hours)

Ratios of one call compare; machines differ and are noisy.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import psutil

from emotion_core.datasets.drawn import EMOTIONS, draw_face, retouch, write_drawn_dataset
from emotion_core.datasets.duplicates import find_groups, summarise_groups
from emotion_core.datasets.measures import measure_picture
from emotion_core.datasets.sources import VOTE, SourceSpec
from emotion_core.labels import FERPLUS
from emotion_core.media.photo import read_photo
from emotion_core.workbench.index import build_index, load_cleaned, load_index
from emotion_core.workbench.label_noise import judge_labels
from emotion_core.workbench.store import Dataset, new_dataset

#: The median side of the pictures of three student systems' data set.
_SIDE_PX = 371
_UNIQUE = 5_000


def write_photos(folder: Path, n: int) -> None:
    """Write n JPEGs of 371 px; every one is a file of its own, 5,000 faces are different."""
    contents = []
    for i in range(min(n, _UNIQUE)):
        face = draw_face(EMOTIONS[i % len(EMOTIONS)], np.random.default_rng((11, i)))
        large = cv2.resize(face, (_SIDE_PX, _SIDE_PX), interpolation=cv2.INTER_CUBIC)
        ok, data = cv2.imencode(".jpg", large[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])
        assert ok
        contents.append(bytes(data))
    for label in EMOTIONS:
        (folder / label).mkdir(parents=True)
    for i in range(n):
        label = EMOTIONS[i % len(EMOTIONS)]
        # a comment behind the end keeps every file different
        (folder / label / f"{i}.jpg").write_bytes(contents[i % len(contents)] + b"%d" % i)


def decode_some(paths: list[Path]) -> int:
    """Decode some files; the floor under the index."""
    return sum(read_photo(path).shape[0] for path in paths)


def timed(work: Callable[[], object]) -> float:
    """Return the time of a call in s."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def indexing(n: int) -> None:
    """Print images per second against decoding alone, the second look, and the memory."""
    with tempfile.TemporaryDirectory() as name:
        os.environ["MIEN_HOME"] = f"{name}/home"
        folder = Path(name) / "photos"
        write_photos(folder, n)
        paths = sorted(folder.rglob("*.jpg"))
        cores = os.cpu_count() or 1

        def decode() -> None:
            with ProcessPoolExecutor(cores, get_context("spawn")) as pool:
                for _ in pool.map(decode_some, [paths[i::1000] for i in range(1000)]):
                    pass

        some = paths[: max(1, len(paths) // 10)]
        for path in some:  # into the system's cache, for both
            path.read_bytes()
        floor_s = timed(decode) / 2
        peaks: list[float] = []

        def tell(done: int, total: int) -> None:
            if done % 1024 == 0 or done == total:
                process = psutil.Process()
                all_of_it = [process, *process.children(recursive=True)]
                peaks.append(sum(one.memory_info().rss for one in all_of_it) / 2**20)

        dataset = new_dataset("photos", SourceSpec(str(folder)), owner="benchmark")
        index_s = timed(lambda: build_index(dataset, with_faces=False, on_progress=tell))
        floor_s += timed(decode) / 2  # before and after: the machine's mood changes
        second_s = timed(lambda: build_index(dataset, with_faces=False))
        load_s = timed(lambda: load_index(dataset))
        print(f"{n} JPEGs of {_SIDE_PX} px, {cores} cores")
        print(f"decoding alone     {n / floor_s:8.0f} images/s")
        print(f"the index          {n / index_s:8.0f} images/s, {floor_s / index_s:.2f} of it")
        print(f"second look        {second_s:8.2f} s, loading the index {load_s:.2f} s")
        tenth, most = max(peaks[: max(1, len(peaks) // 10)]), max(peaks)
        print(f"memory, workers in {most:8.0f} MiB at most, {tenth:.0f} in the first tenth")


def near_copies(n: int) -> None:
    """Print how many brightened and cut drawn faces are found, and how many others are taken."""
    rows = []
    for i in range(n):
        random = np.random.default_rng((9, i))
        face = draw_face(EMOTIONS[i % len(EMOTIONS)], random)
        for copy, image in enumerate((face, retouch(face, random))):
            rows.append({**vars(measure_picture(image)), "sha256": f"{i}-{copy}", "face": i})
    table = pd.DataFrame(rows).assign(is_readable=True)
    group = find_groups(table)["group"]
    found = sum(len(set(g)) == 1 and g.notna().all() for _, g in group.groupby(table["face"]))
    wrong = sum(faces.nunique() > 1 for _, faces in table["face"].groupby(group))
    print(f"{n} drawn faces and a retouched copy of each: {found / n:.1%} found, ", end="")
    print(f"{wrong} groups of different faces")


def drawn_noise(n: int) -> None:
    """Print how many planted wrong labels stand first in the ranking."""
    with tempfile.TemporaryDirectory() as name:
        os.environ["MIEN_HOME"] = f"{name}/home"
        folder = Path(name) / "drawn"
        planted = write_drawn_dataset(folder, n=n)
        dataset = new_dataset("drawn", SourceSpec(str(folder)), owner="benchmark")
        build_index(dataset, with_faces=False)
        started = time.perf_counter()
        ranked = judge_labels(dataset, on_progress=_tell)
        wrong = {fault.file for fault in planted if fault.kind == "wrong label"}
        wrong &= set(ranked["path"])
        first = set(ranked["path"].head(round(1.2 * len(wrong))))
        print(f"\n{n} drawn faces, {len(wrong)} wrong labels planted and judged,", end=" ")
        print(f"{time.perf_counter() - started:.0f} s")
        print(f"found within the first 1.2 x planted: {len(wrong & first) / len(wrong):.1%}")


def fer2013(path: Path, folder: Path) -> None:
    """Print the copies of FER2013, and how many of the first 500 doubtful labels the votes doubt.

    A label counts as wrong when at least 6 of 10 votes of FER+ name one other emotion. The judging
    networks see FER2013's labels only. The work lies in `folder`, so that it can be resumed.
    """
    os.environ["MIEN_HOME"] = str(folder)
    spec = SourceSpec(str(path))
    held = [one for one in _mine() if one.spec == spec]
    dataset = held[0] if held else new_dataset(path.name, spec, owner="benchmark")
    build_index(dataset, with_faces=False)
    index = load_index(dataset)
    table = index.assign(label=load_cleaned(dataset)["given"])
    exact = table.dropna(subset=["exact"])
    groups = exact.groupby("exact")["label"].nunique()
    print(f"exact copies: {len(groups)} groups, {len(exact)} rows, {(groups > 1).sum()} conflicts")
    trained = set(exact["exact"][exact["split"] == "train"])
    for split in ("val", "test"):
        n = (exact["exact"].isin(trained) & (exact["split"] == split)).sum()
        print(f"{split} rows with a copy in train: {n}")
    print(f"nearly constant pictures: {(index['contrast'] < 3).sum()}")
    print(f"exact or near: {len(summarise_groups(table))} groups")
    ranked = judge_labels(dataset, on_progress=_tell)
    votes = index.set_index("path")
    row = votes.loc[ranked["path"]]
    names = [VOTE + name for name in FERPLUS]
    given = [VOTE + name for name in ranked["given"]]
    column = [names.index(name) for name in given]
    others = row[names].to_numpy().copy()
    others[np.arange(len(row)), column] = 0
    against = pd.Series(others[:, :8].max(axis=1) >= 6)
    print(f"\nbase rate of wrong labels: {against.mean():.1%} of {len(against)}")
    for n in (100, 500, 1000, 2000):
        print(f"precision of the first {n}: {against.head(n).mean():.1%}")


def _mine() -> list[Dataset]:
    from emotion_core.workbench.store import list_datasets

    return list_datasets("benchmark")


def _tell(done: int, total: int) -> None:
    print(f"\r{done / total:.0%}", end="", file=sys.stderr, flush=True)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=50_000)
    parser.add_argument("--copies", action="store_true")
    parser.add_argument("--noise", action="store_true")
    parser.add_argument("--fer", type=Path)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "mien-fer")
    asked = parser.parse_args()
    if asked.copies:
        near_copies(1_000)
    elif asked.noise:
        drawn_noise(1600)
    elif asked.fer:
        fer2013(asked.fer, asked.work)
    else:
        indexing(asked.files)


if __name__ == "__main__":
    main()
