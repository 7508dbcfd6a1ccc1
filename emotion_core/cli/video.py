"""`video PATH --out DIR`"""

from pathlib import Path
from typing import Annotated

import typer

from ..analysis import ReadOptions, VideoOptions
from ..cards import DEFAULT_PRIOR
from ..draw import DrawOptions
from ..faces import DEFAULT_DETECTOR
from ..registry import DEFAULT_MODEL
from ..texts import say
from ..videos import Progress, VideoTask, analyse_video
from . import reading
from .shared import cancellable, progress_bar, quiet_natives, refusals

_DEFAULTS = VideoOptions()


def video(
    path: Annotated[Path, typer.Argument(help="The video.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder for the results.")],
    no_video: Annotated[
        bool, typer.Option("--no-video", help="Write no annotated video: quicker.")
    ] = False,
    every: Annotated[int, typer.Option(min=1, help="Read every n-th frame.")] = 1,
    start: Annotated[float, typer.Option(min=0, help="Begin at this second.")] = 0.0,
    end: Annotated[float | None, typer.Option(min=0, help="End before this second.")] = None,
    region: Annotated[
        tuple[float, float, float, float] | None,
        typer.Option(help="Search only here: left top right bottom, shares from 0 to 1."),
    ] = None,
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
    by_valence: reading.ByValence = False,
    affect: reading.ShowAffect = False,
    bars: reading.ShowBars = False,
) -> None:
    """Read a video; write <stem>.annotated.mp4 with its sound, the timeline and what follows.

    Exit status 0 when it was read, 2 when it cannot be, 130 when Ctrl-C stopped it; then no file
    stays.
    """
    with refusals():
        options = VideoOptions(
            reading=ReadOptions(flip=tta, threshold=threshold),
            every=every,
            detect_every=detect_every,
            smooth_s=smooth,
            hysteresis=hysteresis,
            region=region,
        )
        task = VideoTask(
            model_ids=tuple(model or [DEFAULT_MODEL]),
            vote=vote,
            prior=prior,
            detector=detector,
            min_confidence=min_confidence,
            options=options,
            drawing=DrawOptions(by_valence=by_valence, show_affect=affect, show_bars=bars),
            has_video=not no_video,
            start_s=start,
            end_s=end,
        )
        with cancellable(f"{path.name} was cancelled; nothing was written."):
            _run(path, out, task)


def _run(path: Path, out: Path, task: VideoTask) -> None:
    with quiet_natives() as terminal, progress_bar(terminal) as progress:
        row = progress.add_task(path.name[:40], total=None)

        def tell(now: Progress) -> None:
            progress.update(row, completed=now.done, total=now.total)

        result = analyse_video(path, out, task, stem=path.stem, on_progress=tell)
    print(say("video.was_read", frames=result.frames, n=result.people))
    for file in result.files.values():
        print(file)
