"""What reading a photo costs on this machine, by stage, and what starting costs.

    python -m benchmarks.photo            (or: make bench)

Every figure is the median of the runs of this one call. Machines differ and are noisy: compare
figures of one call with each other, not with those of another machine.
"""

import argparse
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import psutil
from playwright.sync_api import sync_playwright

from emotion_core.analysis import find_faces, read_picture
from emotion_core.crops import crop_faces
from emotion_core.draw import draw_reading
from emotion_core.faces import Detector, load_detector
from emotion_core.media.photo import decode_photo, encode_png
from emotion_core.media.sample import sample_photo
from emotion_core.registry import load_committee, load_model
from emotion_core.types import Image

ROOT = Path(__file__).resolve().parent.parent


def median_ms(work: Callable[[], object], *, runs: int) -> float:
    """Return the median time of a call in ms, after three warm-up calls."""
    for _ in range(3):
        work()
    times = []
    for _ in range(runs):
        started = time.perf_counter()
        work()
        times.append(1000 * (time.perf_counter() - started))
    return statistics.median(times)


def picture_of(count: int) -> Image:
    """Return 640×480 with the sample's head `count` times."""
    head = decode_photo(sample_photo())[20:270, 110:340]
    columns = int(np.ceil(np.sqrt(count * 640 / 480)))
    rows = int(np.ceil(count / columns))
    width, height = 640 // columns, 480 // rows
    canvas = np.full((480, 640, 3), 120, np.uint8)
    scale = min(width / head.shape[1], height / head.shape[0])
    size = int(head.shape[1] * scale), int(head.shape[0] * scale)
    small = cv2.resize(head, size, interpolation=cv2.INTER_AREA)
    for i in range(count):
        top, left = i // columns * height, i % columns * width
        canvas[top : top + size[1], left : left + size[0]] = small
    return canvas


def stages(detector: Detector, counts: tuple[int, ...], runs: int) -> None:
    """Print ms by stage for pictures with some faces."""
    model, committee = load_model(), load_committee()
    rule = model.card.crop
    print(f"\n640x480, detector {detector.name}, model {model.id}, ms (median of {runs})")
    names = ("decode", "detect", "crop", "classify", "draw", "encode", "read_picture", "committee")
    print("faces  found  " + "  ".join(f"{name:>12}" for name in names))
    for count in counts:
        image = picture_of(count)
        png = encode_png(image)
        faces = find_faces(image, detector)
        reading = read_picture(image, detector, model)
        crops = crop_faces(image, faces, rule)
        works: list[Callable[[], object]] = [
            lambda png=png: decode_photo(png),
            lambda image=image: find_faces(image, detector),
            lambda image=image, faces=faces: crop_faces(image, faces, rule),
            lambda crops=crops: model.classify(crops),
            lambda image=image, reading=reading: draw_reading(image, reading),
            lambda image=image: encode_png(image),
            lambda image=image: read_picture(image, detector, model),
            lambda image=image: read_picture(image, detector, committee),
        ]
        times = "  ".join(f"{median_ms(work, runs=runs):12.2f}" for work in works)
        print(f"{count:5}  {len(faces):5}  {times}", flush=True)


def starting() -> None:
    """Print import time, time to the first page and prediction, and memory."""
    code = (
        "import time; t = time.perf_counter(); import emotion_core; print(time.perf_counter() - t)"
    )
    timed = [
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout)
        for _ in range(5)
    ]
    print(f"\nimport emotion_core: {1000 * statistics.median(timed):.0f} ms")
    code = (
        "import emotion_core as e; from emotion_core.media.sample import sample_photo;"
        "from emotion_core.media.photo import decode_photo;"
        "import resource; e.read_picture(decode_photo(sample_photo()), e.load_detector(),"
        "e.load_model()); print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"
    )
    started = time.perf_counter()
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    first = time.perf_counter() - started
    print(f"new process to first reading: {first:.1f} s, peak {float(result.stdout):.0f} MiB")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(port)]
    with tempfile.TemporaryDirectory() as home:
        started = time.perf_counter()
        server = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, "MIEN_HOME": home},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), 0.2).close()
                    break
                except OSError:
                    if server.poll() is not None:
                        raise SystemExit("the app has ended by itself") from None
                    time.sleep(0.05)
            print(f"app: port open after {time.perf_counter() - started:.1f} s", end=", ")
            browse(f"http://127.0.0.1:{port}", started)
            print(f"server {psutil.Process(server.pid).memory_info().rss / 2**20:.0f} MiB")
        finally:
            server.terminate()
            server.wait()


def browse(url: str, started: float) -> None:
    """Print when the first page stands in a browser, and when the sample has been read."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    found = next((path for name in names if (path := shutil.which(name))), None)
    with sync_playwright() as playwright:
        launched = time.perf_counter()
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        page = browser.new_page()
        started += time.perf_counter() - launched  # the browser's own start is not ours
        page.goto(url)
        page.get_by_role("button", name="Try the sample photo").wait_for()
        print(f"first page {time.perf_counter() - started:.1f} s", end=", ")
        page.get_by_text("I have the right").click()
        page.get_by_text("Before you begin").wait_for(state="detached")
        clicked = time.perf_counter()
        page.get_by_role("button", name="Try the sample photo").click()
        page.get_by_text("looks happy").wait_for()
        print(f"first reading {time.perf_counter() - clicked:.1f} s after the click", end=", ")
        browser.close()


def sizes() -> None:
    """Print what lies in the environment and in models/."""
    packages = Path(cv2.__file__).parent.parent
    total = sum(p.stat().st_size for p in packages.rglob("*") if p.is_file())
    models = sum(p.stat().st_size for p in (ROOT / "models").rglob("*") if p.is_file())
    print(f"\nsite-packages {total / 1e6:.0f} MB, models {models / 1e6:.1f} MB")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=40)
    runs = parser.parse_args().runs
    cpu = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*: (.*)", cpu.read_text()) if cpu.is_file() else []
    print(f"{os.cpu_count()} processors {names[:1]}, Python {sys.version.split()[0]}")
    stages(load_detector(), (1, 5, 20), runs)
    stages(load_detector("centerface"), (1, 5, 20), max(3, runs // 8))
    starting()
    sizes()


if __name__ == "__main__":
    main()
