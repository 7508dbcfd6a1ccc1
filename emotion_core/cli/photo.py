"""`photo PATH… --out DIR`"""

from pathlib import Path
from typing import Annotated

import typer

from ..analysis import ReadOptions
from ..draw import DrawOptions
from ..errors import EmotionError
from ..faces import DEFAULT_DETECTOR, load_detector
from ..files import unique_name
from ..photos import export_photo, read_photo_file
from ..registry import DEFAULT_MODEL, load_recognizer
from .shared import BAD_INPUT, complain, progress_bar, quiet_natives, refusals


def photo(
    paths: Annotated[list[Path], typer.Argument(help="Photos to read.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder for the results.")],
    model: Annotated[
        list[str] | None,
        typer.Option(help="Model id; several make a committee, the first one leads."),
    ] = None,
    vote: Annotated[str, typer.Option(help="How a committee votes: soft or hard.")] = "soft",
    detector: Annotated[str, typer.Option(help="Face detector.")] = DEFAULT_DETECTOR,
    min_confidence: Annotated[
        float | None, typer.Option(min=0.05, max=1, help="Drop faces the detector is less sure of.")
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(min=0, max=1, help="Answer 'uncertain' under this confidence.")
    ] = None,
    tta: Annotated[bool, typer.Option("--tta", help="Average with the mirror image.")] = False,
    whole: Annotated[
        bool, typer.Option("--whole", help="Read a photo without a face as one face.")
    ] = False,
    by_valence: Annotated[
        bool, typer.Option("--by-valence", help="Red, green and grey boxes by valence.")
    ] = False,
    affect: Annotated[
        bool, typer.Option("--affect", help="Write valence and arousal on the picture.")
    ] = False,
    bars: Annotated[bool, typer.Option("--bars", help="Draw the distributions.")] = False,
) -> None:
    """Read photos; write <stem>.annotated.png, <stem>.csv and <stem>.json for each.

    A photo that cannot be read is named on stderr; the others are done all the same. Exit status
    0 when all were read, 2 otherwise.
    """
    with refusals(), quiet_natives():
        recognizer = load_recognizer(model or [DEFAULT_MODEL], vote=vote)
        faces = load_detector(detector, min_confidence=min_confidence)
    options = ReadOptions(flip=tta, threshold=threshold, whole_if_none=whole)
    drawing = DrawOptions(by_valence=by_valence, show_affect=affect, show_bars=bars)
    refused = False
    taken: set[str] = set()
    with progress_bar() as progress:
        for path in progress.track(paths, description="photos"):
            try:
                result = read_photo_file(path, faces, recognizer, options=options)
                export_photo(result, out, stem=unique_name(path.stem, taken), drawing=drawing)
            except EmotionError as error:
                complain(error)
                refused = True
    if refused:
        raise typer.Exit(BAD_INPUT)
