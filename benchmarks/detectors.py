"""Which detector counts the faces of real photos right, and how long it takes.

    python -m benchmarks.detectors --photos FOLDER

FOLDER holds photos and a manifest.csv with the columns file, expected_faces and count_kind. Photos
whose count is exact and at most 6 are used; times are of detection alone, one thread.
"""

import argparse
import csv
import time
from pathlib import Path

from emotion_core.analysis import find_faces
from emotion_core.errors import EmotionError
from emotion_core.faces import detector_states, load_detector
from emotion_core.media.photo import read_photo
from emotion_core.types import Image


def read_manifest(folder: Path) -> list[tuple[int, Image]]:
    """Return (expected faces, picture) of the photos that are used."""
    found = []
    with (folder / "manifest.csv").open(newline="", encoding="utf-8") as handle:
        for row in csv.DictReader(handle):
            if row["count_kind"] != "exact" or int(row["expected_faces"]) > 6:
                continue
            try:
                found.append((int(row["expected_faces"]), read_photo(folder / row["file"])))
            except EmotionError:
                continue
    return found


def main() -> None:
    """Print one row per detector."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=Path, required=True)
    photos = read_manifest(parser.parse_args().photos)
    empty = [picture for count, picture in photos if not count]
    print(f"{len(photos)} photos, {len(empty)} of them without a face")
    print(f"{'detector':16} {'exact':>6} {'false on empty':>15} {'ms':>7}")
    for state in detector_states():
        if not state.is_ready:
            continue
        detector = load_detector(state.name)
        started = time.perf_counter()
        exact = sum(len(find_faces(picture, detector)) == count for count, picture in photos)
        ms = 1000 * (time.perf_counter() - started) / len(photos)
        false = sum(len(find_faces(picture, detector)) > 0 for picture in empty)
        share = f"{false / len(empty):.1%}" if empty else "-"
        print(f"{state.name:16} {exact / len(photos):6.1%} {share:>15} {ms:7.1f}", flush=True)


if __name__ == "__main__":
    main()
