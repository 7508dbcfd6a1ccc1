"""Models of one's own that were trained elsewhere: read in a confined process, given a card."""

import datetime
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from .. import limits
from ..affect import COORDINATES
from ..card_text import write_card
from ..cards import FORBIDDEN, INTENDED, LIMITS, NETWORK_FILE, OUTPUTS, SYSTEMS, Card
from ..errors import ModelError, ModelNotTrusted
from ..files import atomic_write, read_json, sha256_of, write_json
from ..jobs import Job, JobRun, delete_job, new_job, start_job
from ..labels import canonical_name
from ..native import TENSORFLOW
from ..registry import list_models, model_being_added
from ..texts import say
from ..training.recipe import NAME
from ..types import CropRule

KIND = "import"
#: What values a network may want its pixels in; `training.imported` knows the way there.
PIXELS = ("0..255", "0..1", "-1..1", "imagenet")
#: Of model files; `.weights.h5` is how Keras 3 names weights alone.
ENDINGS = (".weights.h5", ".keras", ".h5", ".hdf5")
_LOOK_S = 0.2
_PROJECT = Path(__file__).resolve().parent.parent.parent


def id_of(file: str) -> str:
    """Return the id that a model gets from its file's name, without all that ends it."""
    return Path(file).name.split(".")[0]


@dataclass(frozen=True)
class ImportRequest:
    """A model file and what has to be known of it.

    Attributes:
        file: A `.keras` file, an `.h5` file (a model, or weights alone), or the folder of a
            SavedModel.
        id: The model's new name.
        labels: Its labels, in the order of its answers.
        side_px: Side of the square pictures that it takes.
        channels: 1 = grey, 3 = RGB.
        pixels: One of `PIXELS`, what it wants pixels in.
        outputs: `emotion`, `affect` or both, in the order of its outputs.
        coordinates: Of valence and arousal, `rays` or `anchors`.
        recipe: For weights alone, the training recipe that builds the network.
        margin: Side of a crop, in multiples of the longer side of the face's box.
    """

    file: str
    id: str
    labels: tuple[str, ...]
    side_px: int
    channels: int = 3
    pixels: str = "0..255"
    outputs: tuple[str, ...] = ("emotion",)
    coordinates: str = "rays"
    recipe: str = ""
    margin: float = 1.2

    @property
    def names(self) -> tuple[str, ...]:
        """The labels by their canonical names, where they have one."""
        return tuple(canonical_name(label) or label for label in self.labels)

    def check(self) -> None:
        """Raise `ModelError` for what can be known to be wrong before the file is opened."""
        if not NAME.fullmatch(self.id):
            raise ModelError(say("error.bad_model_name", name=self.id))
        if self.id.casefold() in {entry.id.casefold() for entry in list_models()}:
            raise ModelError(say("error.model_exists", name=self.id))
        if len(set(self.names)) < 2 or len(set(self.names)) != len(self.names):
            raise ModelError(say("error.import_labels", labels=", ".join(self.labels) or "-"))
        if self.outputs == ("affect",) and self.coordinates in SYSTEMS:
            without = set(self.names) - set(COORDINATES[self.coordinates])
            if without:
                named = ", ".join(sorted(without))
                raise ModelError(say("error.import_no_point", names=named, system=self.coordinates))
        if self.side_px not in range(8, 1025) or self.channels not in (1, 3):
            raise ModelError(say("error.import_input"))
        is_known = self.pixels in PIXELS and self.coordinates in SYSTEMS
        if (
            not is_known
            or not self.outputs
            or len(set(self.outputs)) < len(self.outputs)
            or not set(self.outputs) <= set(OUTPUTS)
            or not 0.5 <= self.margin <= 4
        ):
            raise ModelError(say("error.import_options", pixels=", ".join(PIXELS)))
        if not Path(self.file).exists():
            raise ModelError(say("error.import_no_file", name=self.file))


def import_model(
    request: ImportRequest,
    *,
    is_trusted: bool,
    name: str = "",
    on_wait: Callable[[], None] | None = None,
) -> Card:
    """Read a model file in a process without network and with bounded memory, and add the model.

    Args:
        request: The file and what has to be known of it.
        is_trusted: Whether the person has said that they trust where the file comes from.
        name: What its owner calls the file; empty takes its own name.
        on_wait: Called a few times a second; what it raises ends the process.

    Raises:
        ModelNotTrusted: Nobody said so; or the file carries code, or is damaged.
        ModelError: It does not fit what was said of it, or cannot be read in the bounds; or
            another model is being added under that name.
        StorageError: The model cannot be written.
    """
    name = name or Path(request.file).name
    if not is_trusted:
        raise ModelNotTrusted(say("error.import_untrusted", name=name))
    request.check()
    file = Path(request.file).resolve()
    asked = {**asdict(request), "file": str(file), "name": name}
    try:
        with model_being_added(request.id) as folder:
            write_json(folder / "request.json", asked)
            _read_confined(folder, name, on_wait)
            answer = _answer(folder, name)
            card = _card(request, name, folder, answer)
            for leftover in ("request.json", "answer.json"):
                (folder / leftover).unlink()
            write_card(card, folder)
    except OSError as error:
        raise ModelError(say("error.not_promoted", name=request.id, reason=error)) from error
    return card


def start_import(
    request: ImportRequest, content: bytes | memoryview, *, is_trusted: bool, owner: str
) -> Job:
    """Start a job that adds a model from an uploaded file.

    Args:
        request: What has to be known of the file; `file` is its name.
        content: The file, which is deleted when the job ends.
        is_trusted: As `import_model` takes it.
        owner: Whose job it is.

    Raises:
        ModelError: What is said of the file cannot be true.
        StorageError: The job cannot be started.
    """
    settings = {"request": asdict(request), "is_trusted": is_trusted}
    job = new_job(KIND, Path(request.file).name, owner=owner, settings=settings)
    try:
        # Keras goes by the ending of a file
        ending = next((one for one in ENDINGS if request.file.lower().endswith(one)), "")
        upload = job.folder / "input" / f"upload{ending}"
        atomic_write(upload, content)
        replace(request, file=str(upload)).check()
    except BaseException:
        delete_job(job)
        raise
    start_job(job)
    return job


def run_import(run: JobRun) -> None:
    """Add the model that a job brings, in its worker."""
    asked = run.job.settings["request"]
    lists = {name: tuple(asked[name]) for name in ("labels", "outputs")}
    request = ImportRequest(**{**asked, **lists, "file": str(next(run.input.iterdir()))})

    def tell() -> None:
        run.progress(0, 1, quiet_s=limits.JOB_QUIET_S)

    card = import_model(
        request, is_trusted=run.job.settings["is_trusted"], name=run.job.title, on_wait=tell
    )
    run.progress(1, 1, quiet_s=limits.JOB_QUIET_S)
    run.summary.update(model=card.id)


def _read_confined(folder: Path, name: str, on_wait: Callable[[], None] | None) -> None:
    """Run `training.imported` on a folder, in which it leaves its answer."""
    reader = "emotion_core.training.imported"
    command = [sys.executable, "-m", "emotion_core.sandbox", reader, str(folder)]
    scratch = folder / "scratch"  # here, so that it goes with all else when the process is ended
    scratch.mkdir()
    with subprocess.Popen(
        command,
        cwd=_PROJECT,
        env={**os.environ, **TENSORFLOW, "TMPDIR": str(scratch)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        end_s = time.monotonic() + limits.IMPORT_MAX_S
        try:
            while process.poll() is None:
                if time.monotonic() > end_s:
                    raise ModelError(say("error.import_ended", name=name))
                if on_wait:
                    on_wait()
                time.sleep(_LOOK_S)
        finally:
            process.kill()
    shutil.rmtree(scratch)


def _answer(folder: Path, name: str) -> dict[str, object]:
    """Return what `training.imported` left in a folder, or raise what it refused."""
    answer = read_json(folder / "answer.json")
    if answer is None:  # it ran out of memory, or something in it crashed
        raise ModelError(say("error.import_ended", name=name))
    if "refused" in answer:
        kind = ModelNotTrusted if answer["is_unsafe"] else ModelError
        raise kind(str(answer["refused"]))
    return answer


def _card(request: ImportRequest, name: str, folder: Path, answer: dict[str, object]) -> Card:
    path = Path(request.file)
    notes = answer["notes"]
    assert isinstance(notes, list)
    return Card(
        id=request.id,
        title=request.id,
        outputs=request.outputs,
        labels=request.names,
        crop=CropRule(margin=request.margin, side_px=request.side_px, channels=request.channels),
        scaling=f"0..255, turned into {request.pixels} by the network itself",
        files={NETWORK_FILE: sha256_of(folder / NETWORK_FILE)},
        coordinates=request.coordinates if "affect" in request.outputs else "",
        network=f"imported from {name}",
        parameters=int(str(answer["parameters"])),
        training={
            "source": f"a file of one's own, {name}",
            "file_sha256": sha256_of(path) if path.is_file() else "a folder",
            "data_set": say("training.not_stated"),
            "imported": datetime.date.today().isoformat(),
            "litert_difference": answer["difference"],
        },
        limits=(*LIMITS, say("training.import_limit"), *(str(note) for note in notes)),
        intended=INTENDED,
        forbidden=FORBIDDEN,
    )
