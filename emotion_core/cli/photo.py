"""`photo PATH… --out DIR`"""

from contextlib import ExitStack
from glob import glob
from pathlib import Path
from typing import Annotated

import typer

from ..analysis import ReadOptions
from ..cards import DEFAULT_PRIOR
from ..draw import DrawOptions
from ..errors import EmotionError, InputError
from ..export import photo_table, to_csv
from ..faces import DEFAULT_DETECTOR, load_detector
from ..files import atomic_write, check_target, unique_name
from ..photos import export_photo, read_photo_file
from ..registry import DEFAULT_MODEL
from ..serving import load_recognizer
from ..texts import say
from ..types import Reading
from . import reading
from .shared import BAD_INPUT, cancellable, complain, progress_bar, quiet_natives, refusals


def photo(
    paths: Annotated[list[Path], typer.Argument(help="Photos to read.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder for the results.")],
    model: reading.Model = None,
    vote: reading.Vote = "soft",
    prior: reading.Prior = DEFAULT_PRIOR,
    detector: reading.DetectorName = DEFAULT_DETECTOR,
    min_confidence: reading.MinConfidence = None,
    threshold: reading.Threshold = None,
    tta: reading.Tta = True,
    whole: Annotated[
        bool, typer.Option("--whole", help="Read a photo without a face as one face.")
    ] = False,
    by_valence: reading.ByValence = False,
    affect: reading.ShowAffect = False,
    bars: reading.ShowBars = False,
    table: Annotated[
        Path | None,
        typer.Option(help="Also write the faces of all photos as one CSV.", show_default=False),
    ] = None,
) -> None:
    """Read photos; write <stem>.annotated.png, <stem>.csv and <stem>.json for each.

    A photo that cannot be read is named on stderr; the others are done all the same. Exit status
    0 when all were read, 2 otherwise.
    """
    with refusals(), quiet_natives():
        paths = _expanded(paths)
        if table:
            _check_table(table)
        recognizer = load_recognizer(model or [DEFAULT_MODEL], vote=vote, prior=prior)
        faces = load_detector(detector, min_confidence=min_confidence)
    options = ReadOptions(flip=tta, threshold=threshold, whole_if_none=whole)
    drawing = DrawOptions(by_valence=by_valence, show_affect=affect, show_bars=bars)
    refused = False
    taken: set[str] = set()
    if table and table.resolve().parent == out.resolve():  # it is no photo's own
        unique_name(table.stem, taken)
    told: list[str] = []
    found: list[tuple[str, Reading]] = []
    with refusals(), cancellable(say("photo.cancelled")), ExitStack() as after:
        after.callback(lambda: print("".join(told), end=""))  # also of what was cancelled
        if table:
            after.callback(lambda: _write_table(table, found, recognizer.id))
        with progress_bar() as progress:
            for path in progress.track(paths, description="photos"):
                try:
                    if path.is_dir():
                        raise InputError(say("error.photo_folder", name=path))
                    result = read_photo_file(path, faces, recognizer, options=options)
                    stem = unique_name(path.stem, taken)
                    export_photo(result, out, stem=stem, drawing=drawing)
                    looks = ", ".join(result.reading.label) or say("photo.nobody")
                    told.append(f"{out / stem}.csv  {looks}\n")
                    found.append((result.name, result.reading))
                except EmotionError as error:
                    complain(error)
                    refused = True
    if refused:
        raise typer.Exit(BAD_INPUT)


def _expanded(paths: list[Path]) -> list[Path]:
    """Return the paths with those of a pattern in its place, as shells of Windows leave them."""
    found: list[Path] = []
    for path in paths:
        matches = [] if path.exists() else sorted(map(Path, glob(str(path))))
        found += matches or [path]
    return found


def _check_table(path: Path) -> None:
    """Refuse a table that cannot be written, or is the first photo where its name was forgotten."""
    if path.suffix.lower() != ".csv":
        raise InputError(say("error.table_name", name=path))
    check_target(path)


def _write_table(path: Path, found: list[tuple[str, Reading]], model_id: str) -> None:
    """Write the table; where no photo was read, one of before stays as it is."""
    if found:
        atomic_write(path, to_csv(photo_table(found, model_id=model_id, name_all=True)))
