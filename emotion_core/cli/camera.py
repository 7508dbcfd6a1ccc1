"""`camera --source 0|FILE --out DIR`"""

import contextlib
import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Annotated, TextIO

import typer

from ..analysis import ReadOptions, VideoOptions, provenance_of, read_frames
from ..cards import DEFAULT_PRIOR
from ..errors import InputError
from ..export import TIMELINE_ENDS, check_free, timeline_files
from ..faces import DEFAULT_DETECTOR, load_detector
from ..files import check_writable, sha256_of, write_together
from ..media.camera import iter_camera
from ..media.video import iter_frames, probe_video
from ..registry import DEFAULT_MODEL
from ..serving import load_recognizer
from ..timeline import TimelineBuilder
from ..types import Frame, FrameReading
from ..videos import ANNOTATED
from . import reading
from .shared import ENDS, quiet_natives, refusals

_DEFAULTS = VideoOptions()


def camera(
    out: Annotated[Path, typer.Option(help="Folder for the results.")],
    source: Annotated[str, typer.Option(help="Number of the camera, or a video file.")] = "0",
    model: reading.Model = None,
    vote: reading.Vote = "soft",
    prior: reading.Prior = DEFAULT_PRIOR,
    detector: reading.DetectorName = DEFAULT_DETECTOR,
    min_confidence: reading.MinConfidence = None,
    detect_every: reading.DetectEvery = 1,
    threshold: reading.Threshold = None,
    tta: reading.Tta = False,
    smooth: reading.Smooth = _DEFAULTS.smooth_s,
    hysteresis: reading.Hysteresis = _DEFAULTS.hysteresis,
) -> None:
    """Record a timeline from a camera, without a browser, until q or Ctrl-C.

    Writes camera.timeline.csv (named after the file where there is one) and the tables made from
    it; no picture is kept. A signal to stop, or a closed terminal, ends it as well. Exit status 0
    when it was recorded, 2 when the camera or the file cannot be read.
    """
    with refusals():
        stem, frames, digest = _open(source)
        is_again = check_free(out, stem, TIMELINE_ENDS, kind="video")
        named = source.encode("utf-8", "replace").decode()  # a name may be any bytes, JSON not
        options = VideoOptions(
            reading=ReadOptions(flip=tta, threshold=threshold),
            detect_every=detect_every,
            smooth_s=smooth,
            hysteresis=hysteresis,
            batch=1,
        )
        with quiet_natives() as terminal, _stopped_by_keys() as is_stopped:
            recognizer = load_recognizer(model or [DEFAULT_MODEL], vote=vote, prior=prior)
            faces = load_detector(detector, min_confidence=min_confidence)
            builder = TimelineBuilder(model_id=recognizer.id, labels=recognizer.labels)
            readings = read_frames(frames, faces, recognizer, options=options)
            lost = _record(readings, builder, out, terminal, is_stopped)
            # here, where a second wish to end cuts nothing off
            provenance = provenance_of(
                recognizer, faces, options=asdict(options), threshold=threshold, input_sha256=digest
            )
            files = timeline_files(builder.table(), provenance, about={"source": named})
            written = write_together(out, {f"{stem}.{end}": held for end, held in files.items()})
            if is_again:  # what is left of an earlier reading shows another one
                (out / f"{stem}.{ANNOTATED}").unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # the terminal was closed
            print(*written.values(), sep="\n", flush=True)
        if lost:
            raise lost


def _record(
    readings: Generator[FrameReading],
    builder: TimelineBuilder,
    out: Path,
    terminal: TextIO,
    is_stopped: Callable[[], bool],
) -> InputError | None:
    """Gather readings until the end; return why the camera went, if it was that.

    Raises:
        InputError: There was nothing at all.
        StorageError: Nothing can be written to `out`, as the first frame shows.
    """
    count = 0
    with contextlib.closing(readings):
        try:
            for seen in readings:
                if not count:
                    check_writable(out)
                builder.add(seen)
                count += 1
                _tell(terminal, seen.frame, list(seen.reading.label))
                if is_stopped():
                    break
        except InputError as error:
            if not count:
                raise
            return error  # what was recorded until then is kept
    return None


def _open(source: str) -> tuple[str, Iterator[Frame], str]:
    if source.isdecimal():
        return "camera", iter_camera(int(source)), ""
    path = Path(source)
    if not path.is_file():
        raise InputError(f"{source} is neither the number of a camera nor a file.")
    probe_video(path)  # what is no video, or not to be opened, is refused as one
    return path.stem, iter_frames(path), sha256_of(path)


def _tell(terminal: TextIO, frame: Frame, labels: list[str]) -> None:
    if terminal.isatty():
        text = f"{frame.time_s:7.1f} s  {', '.join(labels) or '-'}  (q ends)"
        with contextlib.suppress(OSError):  # it was closed; the recording is kept all the same
            terminal.write(f"\r{text:<78.78}")
            terminal.flush()


@contextmanager
def _stopped_by_keys() -> Iterator[Callable[[], bool]]:
    """Note Ctrl-C and other wishes to end, and q where somebody sits at the keyboard."""
    stop = threading.Event()

    def note(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    # what was ignored stays so, as under nohup
    ends = (signal.SIGINT, *ENDS)
    taken = [one for one in ends if signal.getsignal(one) not in (signal.SIG_IGN, None)]
    before = {number: signal.signal(number, note) for number in taken}
    try:
        with _single_keys():
            yield lambda: stop.is_set() or _is_q_pressed()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _single_keys() -> Iterator[None]:
    """Take keys one by one, without Enter, where there is a terminal that can."""
    if sys.platform == "win32" or not _is_at_keyboard():
        yield
        return
    import termios
    import tty

    held = termios.tcgetattr(sys.stdin)
    tty.setcbreak(sys.stdin)
    try:
        yield
    finally:
        with contextlib.suppress(termios.error):  # it was closed
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, held)


def _is_at_keyboard() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()  # it is None after <&-


def _is_q_pressed() -> bool:
    if sys.platform == "win32":
        import msvcrt

        return msvcrt.kbhit() and msvcrt.getwch().lower() == "q"
    if not _is_at_keyboard():
        return False
    keys = sys.stdin.fileno()  # Python's own buffer would swallow what follows the first key
    return bool(select.select([keys], [], [], 0)[0]) and b"q" in os.read(keys, 64).lower()
