"""What a video costs on this machine, against the floor and against the student system 002.

    python -m benchmarks.video [--clip VIDEO] [--live] [--long MINUTES]      (or: make bench)

Without --clip a clip is used that the studio makes of its sample portrait. --live drives the live
page in Chromium, --long measures the memory of one and of so many minutes of Full HD. Machines
differ and are noisy: the ratios of one call count.
"""

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import psutil

from benchmarks.photo import median_ms, picture_of
from emotion_core.analysis import VideoOptions, read_frames
from emotion_core.faces import load_detector
from emotion_core.jobs.store import WORKER_ENVIRONMENT
from emotion_core.media.encode import write_video
from emotion_core.media.sample import sample_video
from emotion_core.media.video import iter_frames, probe_video
from emotion_core.registry import load_model
from emotion_core.tracking import Smoother
from emotion_core.types import Frame, Scores, VideoInfo
from emotion_core.videos import VideoTask, analyse_video

ROOT = Path(__file__).resolve().parent.parent
#: What the package `fer` reached on fer_woman2.mp4, annotated file written, on two such cores. It
#: is not installed here, so this one figure is not measured by this command.
FER_FPS = 24.4
_ROUNDS = 3

#: The pipeline of the student system 002, written anew; its weights are not published.
_SEED_002 = """
import sys, time
import cv2, keras, numpy as np
net = keras.applications.EfficientNetB1(include_top=False, weights=None, input_shape=(240, 240, 3))
out = keras.layers.Dense(9, activation="softmax")(keras.layers.GlobalAveragePooling2D()(net.output))
model = keras.Model(net.input, out)
finder = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_default.xml")
video = cv2.VideoCapture(sys.argv[1])
size = int(video.get(3)), int(video.get(4))
writer = cv2.VideoWriter(sys.argv[2], cv2.VideoWriter_fourcc(*"mp4v"), video.get(5), size)
model.predict(np.zeros((1, 240, 240, 3), np.float32), verbose=0)
began, frames = time.perf_counter(), 0
while frames < int(sys.argv[3]):
    ok, frame = video.read()
    if not ok:
        break
    grey = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
    for x, y, w, h in finder.detectMultiScale(grey, 1.3, 5):
        face = cv2.cvtColor(frame[y : y + h, x : x + w], cv2.COLOR_BGR2RGB)
        face = cv2.resize(face, (240, 240), interpolation=cv2.INTER_NEAREST)[None]
        label = model.predict(face.astype(np.float32), verbose=0).argmax()
        cv2.rectangle(frame, (x, y), (x + w, y + h), (0, 255, 0), 3)
        cv2.putText(frame, str(label), (x + 10, y - 10), 0, 0.9, (0, 255, 0), 2)
    writer.write(frame)
    frames += 1
writer.release()
print(frames / (time.perf_counter() - began))
"""

#: A job in a process of its own, which first tells what it holds with its models loaded.
_JOB = """
import sys
from pathlib import Path
import numpy as np, psutil
from emotion_core.faces import load_detector
from emotion_core.registry import load_model
from emotion_core.videos import VideoTask, analyse_video
load_detector().detect(np.zeros((480, 640, 3), np.uint8))
load_model().classify(np.zeros((21, 48, 48, 1), np.uint8))
print(psutil.Process().memory_info().rss / 1e6)
analyse_video(Path(sys.argv[1]), Path(sys.argv[2]), VideoTask(), stem="m")
"""


def whole_jobs(clip: Path, folder: Path) -> None:
    """Print the speed of a whole job, of its floor, and of the student system."""
    frames = sum(1 for _ in iter_frames(clip))
    analyse_video(clip, folder, VideoTask(end_s=1.0), stem="warm")
    jobs, floors = [], []
    for _ in range(_ROUNDS):
        floors.append(frames / floor_s(clip, folder))
        result = analyse_video(clip, folder, VideoTask(), stem="job")
        jobs.append(result.frames / result.seconds)
    job, floor = float(np.median(jobs)), float(np.median(floors))
    without = analyse_video(clip, folder, VideoTask(has_video=False), stem="table")
    print(f"\n{clip.name}, {frames} frames, medians of {_ROUNDS} rounds side by side")
    print(f"whole job, video written     {job:7.1f} fps   ({job / FER_FPS:.1f} x fer's {FER_FPS})")
    print(f"floor: decode, convert, encode {floor:5.1f} fps   (the job takes {floor / job:.2f} x)")
    print(f"timeline only                {without.frames / without.seconds:7.1f} fps")
    command = [sys.executable, "-c", _SEED_002, str(clip), str(folder / "seed.mp4"), "100"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        print("student system 002: not measured,", done.stderr.strip().splitlines()[-1])
        return
    seed = float(done.stdout.split()[-1])
    print(f"student system 002, anew     {seed:7.1f} fps   (the job is {job / seed:.1f} x as fast)")


def floor_s(clip: Path, folder: Path) -> float:
    """Return the time of decoding, converting and encoding alone, with the product's settings."""
    started = time.perf_counter()
    with write_video(folder / "floor.mp4", probe_video(clip), sound_of=clip) as video:
        for frame in iter_frames(clip):
            video.write(frame)
    return time.perf_counter() - started


def per_face() -> None:
    """Print the time of one frame without drawing, and of each further face."""
    detector, model = load_detector("blazeface"), load_model()
    times = {}
    for faces in (1, 2, 4, 8):
        batch = [Frame(picture_of(faces), i, i / 25) for i in range(8)]
        found = len(next(iter(read_frames(batch, detector, model))).reading)
        ms = median_ms(lambda batch=batch: list(read_frames(batch, detector, model)), runs=9) / 8
        times[found] = ms
        print(f"640x480, {found} faces, no drawing: {ms:5.2f} ms a frame")
    counts = sorted(times)
    slope = (times[counts[-1]] - times[counts[0]]) / max(1, counts[-1] - counts[0])
    print(f"each further face: {slope:.2f} ms")


def steadiness(clip: Path) -> None:
    """Print how often labels change, raw and smoothed, and how late a true change comes."""
    detector, model = load_detector(), load_model()
    for name, options in [
        ("raw", VideoOptions(smooth_s=0, hysteresis=0)),
        ("smoothed", VideoOptions()),
    ]:
        answers: dict[int, list[str]] = {}
        frames = 0
        for seen in read_frames(iter_frames(clip), detector, model, options=options):
            frames += 1
            people = seen.reading.faces.tracker_id
            for row, person in enumerate([] if people is None else people.tolist()):
                answers.setdefault(person, []).append(seen.reading.label[row])
        flips = sum(a != b for labels in answers.values() for a, b in pairwise(labels))
        print(f"label changes per 100 frames, {name}: {100 * flips / frames:.1f}")
    defaults = VideoOptions()
    smoother = Smoother(
        window_s=defaults.smooth_s, hysteresis=defaults.hysteresis, threshold=model.threshold
    )
    for rate in (25, 30):
        happy, sad = (np.full((1, 8), 0.02, np.float32) for _ in range(2))
        happy[0, 4], sad[0, 6] = 0.86, 0.86
        late = 0
        for i in range(4 * rate):
            probs = happy if i < 2 * rate else sad
            scores = Scores(probs, model.labels)
            lead, sure = probs.argmax(axis=1), probs.max(axis=1)
            now = smoother.update(scores, lead, sure, np.array([rate]), i / rate)
            late += i >= 2 * rate and now.class_id[0] != 6
        print(f"happy becomes sad, {rate} fps: the label follows after {(late + 1) / rate:.2f} s")


def memory(folder: Path, lengths_min: tuple[int, ...]) -> None:
    """Print the peak memory of the process of a job, for some lengths of Full HD."""
    base = folder / "sample.mp4"
    sample_video(base)
    pictures = [cv2.resize(frame.image, (1920, 1080)) for frame in iter_frames(base, every=9)]
    for minutes in lengths_min:
        clip = folder / f"{minutes}.mp4"
        info = VideoInfo(1920, 1080, probe_video(base).frame_rate, None, None, 0, has_audio=False)
        with write_video(clip, info) as video:
            for i in range(minutes * 60 * 25):
                picture = pictures[i % len(pictures)]
                video.write(Frame(picture, i, i / 25))
        command = [sys.executable, "-c", _JOB, str(clip), str(folder)]
        environment = {**WORKER_ENVIRONMENT, **os.environ}
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
        )
        peak, began = 0, time.monotonic()
        while process.poll() is None:
            with contextlib.suppress(psutil.Error):
                peak = max(peak, psutil.Process(process.pid).memory_info().rss)
            time.sleep(0.1)
        idle = float(process.communicate()[0])
        fps = minutes * 60 * 25 / (time.monotonic() - began)
        over = peak / 1e6 - idle
        print(f"{minutes} min of 1080p: peak {over:.0f} MB over {idle:.0f} MB idle, {fps:.0f} fps")


def live_page() -> None:
    """Print the frames per second that the live page shows of a 30 fps camera, in Chromium."""
    from playwright.sync_api import sync_playwright

    from tests.browser.conftest import FLAGS, chromium_path, open_page, running_studio
    from tests.browser.test_live import start
    from tests.builders import encode

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        clip = sample_video(Path(folder) / "sample.mp4")
        camera = Path(folder) / "camera.mjpeg"
        pictures = [encode(f.image, "JPEG", quality=90) for f in iter_frames(clip, end_s=5.5)]
        camera.write_bytes(b"".join(pictures))
        flags = [*FLAGS, f"--use-file-for-fake-video-capture={camera}"]
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=flags)
        with running_studio(Path(folder)) as studio:
            page = open_page(browser.new_context(permissions=["camera"]))
            video = start(page, studio)
            idle = psutil.Process(studio.pid).memory_info().rss / 1e6
            page.wait_for_timeout(8000)
            fps = video.evaluate(
                "async video => { let n = 0; const began = performance.now(); let on = true;"
                "const count = () => { n++; if (on) video.requestVideoFrameCallback(count); };"
                "video.requestVideoFrameCallback(count);"
                "await new Promise(done => setTimeout(done, 15000)); on = false;"
                "return n / (performance.now() - began) * 1000; }"
            )
            used = psutil.Process(studio.pid).memory_info().rss / 1e6
            print(f"live page: {fps:.1f} fps, server {used:.0f} MB ({idle:.0f} MB at the start)")
        browser.close()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clip", type=Path)
    parser.add_argument("--live", action="store_true")
    parser.add_argument("--long", type=int, metavar="MINUTES", default=0)
    arguments = parser.parse_args()
    print(f"{os.cpu_count()} cores, Python {sys.version.split()[0]}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clip = arguments.clip or sample_video(folder / "sample.mp4")
        per_face()
        whole_jobs(clip, folder)
        steadiness(clip)
        if arguments.live:
            live_page()
        if arguments.long:
            memory(folder, (1, arguments.long))


if __name__ == "__main__":
    main()
