"""`models list|show|verify|remove|slim|fetch|weights|calibrate|import`"""

from pathlib import Path
from typing import Annotated

import typer

from ..benchmarks import calibrate_committees, keep_calibration
from ..download import fetch_file, place_file
from ..errors import ModelError, TrainingError
from ..faces import DETECTORS, detector_states, fetch_detector
from ..registry import (
    delete_model,
    like_minded,
    list_models,
    load_model,
    model_folder,
    shipped_models,
    slim_model,
    verify_model,
)
from ..texts import say
from ..training.recipes import load_recipe
from ..training.weights import published_weights, weights_named
from ..workbench.imports import PIXELS, ImportRequest, id_of, import_model
from .shared import (
    BAD_INPUT,
    cancellable,
    complain,
    counting,
    progress_bar,
    quiet_natives,
    refusals,
)

app = typer.Typer(help="Models and face detectors.", no_args_is_help=True)


@app.command("list")
def list_all() -> None:
    """List models and detectors, and whether they are ready."""
    for entry in list_models():
        card = entry.card
        state = entry.problem or (card.title if card else "")
        print(f"model     {entry.id:<18}{'ready' if card else 'broken':<10}{state}")
    with quiet_natives():
        detectors = detector_states()
    for detector in detectors:
        if detector.is_ready:
            state = "ready"
        elif detector.download_mb:
            state = f"to fetch, {detector.download_mb} MB"
        else:
            state = "package missing"
        print(f"detector  {detector.name:<18}{state}")


@app.command()
def show(model_id: str) -> None:
    """Print the card of a model."""
    with refusals():
        verify_model(model_id)
        card = model_folder(model_id) / "CARD.md"
        if not card.is_file():
            raise ModelError(say("error.model_file_missing", id=model_id, file=card.name))
        print(card.read_text(encoding="utf-8"), end="")


@app.command()
def verify(
    model_ids: Annotated[list[str] | None, typer.Argument(help="Models; none means all.")] = None,
) -> None:
    """Check every file of the models against their cards."""
    failed = False
    for model_id in model_ids or [entry.id for entry in list_models()]:
        try:
            with refusals():
                verify_model(model_id)
            print(f"{model_id}: as its card says")
        except typer.Exit:
            failed = True
    if failed:
        raise typer.Exit(BAD_INPUT)


@app.command()
def remove(model_id: str) -> None:
    """Delete a model that was promoted or brought."""
    with refusals():
        delete_model(model_id)
    print(f"{model_id}: removed")


@app.command()
def slim(model_id: str) -> None:
    """Delete a model's Keras file; it reads as before, but nothing can learn on from it."""
    with refusals():
        slim_model(model_id)
    print(f"{model_id}: without its Keras file")


@app.command()
def fetch(
    name: Annotated[str, typer.Argument(help="A detector, such as ssd or yunet.")],
    source: Annotated[
        Path | None, typer.Option("--from", help="Take its files from here; no network needed.")
    ] = None,
) -> None:
    """Download the files of a detector that comes with no package."""
    if name in DETECTORS and not DETECTORS[name].files():
        complain(f"The detector {name!r} needs no download.")
        return
    with refusals(), progress_bar() as progress:
        task = progress.add_task(name, total=None)
        fetch_detector(
            name,
            source=source,
            on_bytes=lambda done, n: progress.update(task, completed=done, total=n),
        )
    print(f"{name}: ready")


@app.command()
def weights(
    recipe: Annotated[
        str,
        typer.Argument(help="A training recipe, such as seed-002-best, or EfficientNetB0."),
    ],
    source: Annotated[
        Path | None, typer.Option("--from", help="Take the file from here; no network needed.")
    ] = None,
) -> None:
    """Download the published weights that a training recipe or a survey starts from."""
    with refusals(), progress_bar() as progress:
        file = weights_named(recipe) or published_weights(load_recipe(recipe))
        if file is None:
            raise TrainingError(say("error.no_weights", name=recipe))
        task = progress.add_task(file.name, total=None)
        path = (
            place_file(file, source)
            if source
            else fetch_file(
                file, on_bytes=lambda n, total: progress.update(task, completed=n, total=total)
            )
        )
    print(path)


@app.command()
def calibrate(
    data: Annotated[Path, typer.Option("--data", help="FER2013 with its votes, an .npz.")],
) -> None:
    """Fit how sure the committees of the shipped models are, on the validation faces of FER+."""
    with refusals(), cancellable(), quiet_natives() as terminal:
        shipped = [entry.card for entry in shipped_models() if entry.card]
        members = [load_model(card.id, prior="data") for card in like_minded(shipped)]
        with counting("faces", terminal) as tell:
            found = calibrate_committees(data, members, tell)
        keep_calibration(found)
    for key, held in found.items():
        for prior, one in held.items():
            print(
                f"{key}, {prior}: temperature {one.temperature:.3f}, "
                f"abstains under {one.threshold:.2f}"
            )


@app.command("import")
def bring(
    file: Annotated[
        Path, typer.Argument(help="A .keras or .h5 file, or the folder of a SavedModel.")
    ],
    labels: Annotated[
        str, typer.Option("--labels", help="Its labels in the order of its answers: angry,happy,…")
    ],
    takes: Annotated[
        str, typer.Option("--input", help="What it takes, such as 48x48x1 or 224x224x3.")
    ],
    model_id: Annotated[
        str, typer.Option("--id", help="The model's new name; the file's is taken without it.")
    ] = "",
    pixels: Annotated[
        str, typer.Option("--pixels", help=f"What it wants pixels in: {', '.join(PIXELS)}.")
    ] = "0..255",
    recipe: Annotated[
        str, typer.Option("--recipe", help="For weights alone: the recipe that builds the network.")
    ] = "",
    outputs: Annotated[
        str,
        typer.Option(
            "--outputs", help="emotion, affect, or emotion,affect in the order of its answers."
        ),
    ] = "emotion",
    coordinates: Annotated[
        str, typer.Option("--coordinates", help="Of valence and arousal: rays or anchors.")
    ] = "rays",
    margin: Annotated[
        float, typer.Option("--margin", help="Side of a crop, in sides of the face's box.")
    ] = 1.2,
    trust: Annotated[
        bool, typer.Option("--trust", help="You trust where the file comes from.")
    ] = False,
) -> None:
    """Add a model of your own that was trained elsewhere; it is read in a confined process."""
    with refusals():
        sides = takes.lower().split("x")
        if len(sides) != 3 or not all(side.isdigit() for side in sides) or sides[0] != sides[1]:
            raise ModelError(say("error.import_input"))
        request = ImportRequest(
            file=str(file),
            id=model_id or id_of(file.name),
            labels=_words(labels),
            side_px=int(sides[0]),
            channels=int(sides[2]),
            pixels=pixels,
            outputs=_words(outputs),
            coordinates=coordinates,
            recipe=recipe,
            margin=margin,
        )
        card = import_model(request, is_trusted=trust)
    print(f"{card.id}: ready, {card.parameters:,} parameters")


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())
