"""Fetching on request, against a real server on this machine."""

import hashlib
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO

import numpy as np
import pytest

from emotion_core.download import FetchedFile, fetch_file, place_file
from emotion_core.errors import ModelError
from emotion_core.faces import DETECTORS, detector_states, load_detector, ssd, yunet
from tests.builders import make_picture

CONTENT = bytes(range(256)) * 1000


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass

    def copyfile(self, source: IO[bytes], outputfile: IO[bytes]) -> None:
        content = source.read()
        outputfile.write(content[:1000] if "cut" in self.path else content)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "net.bin").write_bytes(CONTENT)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()
        thread.join()


def wanted(url: str, *, content: bytes = CONTENT) -> FetchedFile:
    digest = hashlib.sha256(content).hexdigest()
    return FetchedFile("net.bin", url, f"sha256:{digest}", len(content))


def test_a_file_is_fetched_once_and_checked(server: str) -> None:
    file = wanted(f"{server}/net.bin")
    seen: list[tuple[int, int]] = []
    assert not file.is_ready()
    path = fetch_file(file, on_bytes=lambda done, total: seen.append((done, total)))
    assert path.read_bytes() == CONTENT
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    count = len(seen)
    fetch_file(file, on_bytes=lambda done, total: seen.append((done, total)))
    assert len(seen) == count


@pytest.mark.parametrize(
    ("content", "path", "message"),
    [
        (b"something else", "net.bin", "not the expected"),
        (CONTENT[:-1] + b"!", "net.bin", "not the expected"),
        (CONTENT, "missing.bin", "File not found"),
    ],
)
def test_anything_else_is_refused_and_leaves_nothing(
    server: str, work_home: Path, content: bytes, path: str, message: str
) -> None:
    file = wanted(f"{server}/{path}", content=content)
    with pytest.raises(ModelError, match=message):
        fetch_file(file)
    assert list((work_home / "fetched").iterdir()) == []


def test_without_a_network_it_says_so(work_home: Path) -> None:
    file = wanted("http://127.0.0.1:9/net.bin")
    with pytest.raises(ModelError, match=r"could not be fetched.*Check the network"):
        fetch_file(file)
    assert list((work_home / "fetched").iterdir()) == []


def test_a_file_may_be_brought_by_hand(tmp_path: Path, work_home: Path) -> None:
    file = wanted("https://nowhere.invalid/net.bin")
    with pytest.raises(ModelError, match="is not at"):
        place_file(file, tmp_path)
    (tmp_path / "net.bin").write_bytes(CONTENT[1:])
    with pytest.raises(ModelError, match="not the expected"):
        place_file(file, tmp_path)
    assert not (work_home / "fetched").exists()
    (tmp_path / "net.bin").write_bytes(CONTENT)
    assert place_file(file, tmp_path).read_bytes() == CONTENT
    assert file.is_ready()


@pytest.mark.parametrize("name", ["ssd", "yunet"])
def test_a_detector_without_its_files_says_what_to_do(name: str) -> None:
    with pytest.raises(ModelError, match=f"models fetch {name}"):
        load_detector(name)
    state = next(state for state in detector_states() if state.name == name)
    assert not state.is_ready
    assert state.download_mb > 0


def test_every_fetched_file_comes_by_https_with_a_checksum() -> None:
    for entry in DETECTORS.values():
        for file in entry.files():
            assert file.url.startswith("https://")
            assert file.checksum.startswith("sha256:")
            assert len(file.checksum) == 71
            assert file.size_bytes > 0


def test_the_rows_of_ssd_are_decoded() -> None:
    rows = np.zeros((1, 1, 3, 7), np.float32)
    rows[0, 0, 0] = [0, 1, 0.95, 0.25, 0.25, 0.75, 0.75]
    rows[0, 0, 1] = [0, 1, 0.85, -0.2, 0.9, 0.2, 1.4]  # hangs out of the picture
    rows[0, 0, 2] = [0, 1, 0.5, 0, 0, 1, 1]
    faces = ssd.decode(rows, make_picture(200, 200), min_confidence=0.8)
    assert faces.xyxy.tolist() == [[50, 50, 150, 150], [0, 180, 40, 200]]


def test_the_rows_of_yunet_are_decoded() -> None:
    points = [60, 60, 80, 60, 70, 70, 62, 80, 78, 80]
    rows = np.array([[50, 50, 40, 50, *points, 0.9]], np.float32)
    faces = yunet.decode(rows, make_picture(400, 400), scale=0.5)
    assert faces.xyxy.tolist() == [[100, 100, 180, 200]]
    assert faces.confidence == pytest.approx([0.9])
    assert faces.landmarks is not None
    assert faces.landmarks[0].ravel().tolist() == [2 * one for one in points]
    assert len(yunet.decode(None, make_picture(400, 400), scale=1.0)) == 0


def test_a_file_without_a_stated_checksum_is_held_to_its_first_download(server: str) -> None:
    file = FetchedFile("net.bin", f"{server}/net.bin", "")
    assert not file.is_ready()
    path = fetch_file(file)
    assert file.is_ready()
    path.write_bytes(b"changed")
    assert not file.is_ready()
    with pytest.raises(ModelError, match="not the expected"):
        place_file(file, path)
    assert fetch_file(file).read_bytes() == CONTENT


def test_publishers_may_state_md5(server: str) -> None:
    digest = hashlib.md5(CONTENT).hexdigest()
    assert fetch_file(FetchedFile("net.bin", f"{server}/net.bin", f"md5:{digest}")).is_file()
    wrong = FetchedFile("other.bin", f"{server}/net.bin", f"md5:{'0' * 32}")
    with pytest.raises(ModelError, match="not the expected"):
        fetch_file(wrong)
    assert not wrong.path.exists()


def test_a_download_that_is_cut_off_is_not_kept(server: str, tmp_path: Path) -> None:
    (tmp_path / "served" / "cut.bin").write_bytes(CONTENT)
    file = FetchedFile("cut.bin", f"{server}/cut.bin", "")
    with pytest.raises(ModelError, match=r"ended after 1,000 of 256,000 bytes"):
        fetch_file(file)
    assert list(file.path.parent.glob("*cut*")) == []
