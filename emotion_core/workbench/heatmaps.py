"""Jobs that show where a network looks: it takes gradients, and so TensorFlow, in a worker."""

import io
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from .. import limits
from ..cards import KERAS_FILE, Card
from ..errors import StorageError
from ..files import atomic_path, atomic_write
from ..jobs import Job, JobRun, delete_job, list_jobs, new_job, start_job
from ..registry import model_folder, verify_model
from ..runs import Run, load_run
from ..texts import say
from ..training.recipe import EMOTION, parse_recipe
from .training_data import validation_again

#: On faces that a page hands over, and on those of a run.
KIND, RUN_KIND = "looking", "looking-run"
_FACES, _HEAT = "faces.npz", "heat.npz"


@dataclass(frozen=True)
class Heatmaps:
    """Where a network looked on n faces.

    Attributes:
        faces: uint8 (n, h, w, c), as the network takes them.
        heat: float32 (n, h, w) in 0..1.
    """

    faces: NDArray[np.uint8]
    heat: NDArray[np.float32]


def has_heatmaps(card: Card) -> bool:
    """Return whether a model can show where it looks: its Keras file and expressions are there."""
    return KERAS_FILE in card.files and EMOTION in card.outputs


def start_heatmaps(
    model_id: str, faces: NDArray[np.uint8], class_id: NDArray[np.int64], *, owner: str
) -> Job:
    """Start a job that shows where a model looks on faces.

    Args:
        model_id: A model for which `has_heatmaps` holds.
        faces: uint8 (n, h, w, c), cut out by its rule. They are deleted when the job ends, and
            its result holds none of them.
        class_id: int64 (n,), which label each is asked about.
        owner: Whose job it is.

    Raises:
        StorageError: The job cannot be started.
    """
    job = new_job(KIND, model_id, owner=owner, settings={"model": model_id})
    try:
        held = io.BytesIO()
        np.savez(held, faces=faces, class_id=class_id)
        atomic_write(job.folder / "input" / _FACES, held.getbuffer())
    except BaseException:
        delete_job(job)
        raise
    start_job(job)
    return job


def start_heatmaps_of_run(
    run: Run, paths: Sequence[str], labels: Sequence[str], *, owner: str
) -> Job:
    """Start a job that shows where the network of a run looks on validation pictures.

    Args:
        run: A run that is done.
        paths: Names of pictures of its validation split.
        labels: Which label each is asked about.
        owner: Whose job it is.

    Raises:
        StorageError: The job cannot be started.
    """
    settings = {"run": run.id, "paths": list(paths), "labels": list(labels)}
    job = new_job(RUN_KIND, run.name, owner=owner, settings=settings)
    start_job(job)
    return job


def heatmaps_of_run(run: Run, paths: Sequence[str], *, owner: str) -> Job | None:
    """Return the job that was started for these pictures of a run and not taken yet, or None.

    Args:
        run, paths, owner: As `start_heatmaps_of_run` takes them.
    """
    asked = {"run": run.id, "paths": list(paths)}
    mine = (job for job in list_jobs(owner) if job.kind == RUN_KIND)
    return next((job for job in mine if asked.items() <= job.settings.items()), None)


def run_heatmaps(run: JobRun) -> None:
    """Do the work of such a job, in its worker."""
    run.progress(0, 1, quiet_s=limits.JOB_QUIET_S)
    settings = run.job.settings
    if run.job.kind == RUN_KIND:
        training = load_run(settings["run"])
        recipe = parse_recipe(training.recipe)
        path, outputs = training.model_folder / KERAS_FILE, recipe.outputs
        labels, examples = validation_again(training, settings["paths"])
        shown = np.asarray(examples.images)
        asked = np.array([labels.index(label) for label in settings["labels"]], np.int64)
    else:
        card = verify_model(settings["model"])
        path, outputs = model_folder(card.id) / KERAS_FILE, card.outputs
        with np.load(run.input / _FACES) as held:
            shown, asked = held["faces"], held["class_id"]
    heat = _heat(path, shown, asked, outputs.index(EMOTION))
    with atomic_path(run.result / _HEAT) as temporary:
        if run.job.kind == RUN_KIND:
            np.savez_compressed(temporary, heat=heat, faces=shown)
        else:  # nothing of a photo stays
            np.savez_compressed(temporary, heat=heat)
    run.progress(1, 1)


def read_heatmaps(job: Job, faces: NDArray[np.uint8] | None = None) -> Heatmaps:
    """Return what a finished job found; `faces` where they were handed to it.

    Raises:
        StorageError: The result is gone or damaged.
    """
    path = job.folder / "result" / _HEAT
    try:
        with np.load(path) as held:
            return Heatmaps(held["faces"] if faces is None else faces, held["heat"])
    except (OSError, ValueError, KeyError, EOFError, BadZipFile, zlib.error) as error:
        raise StorageError(say("error.no_result", name=path.name)) from error


def _heat(
    path: Path, faces: NDArray[np.uint8], asked: NDArray[np.int64], where: int
) -> NDArray[np.float32]:
    # heavy: only such a job takes gradients
    import keras

    from ..training import zoo  # noqa: F401 – its layers are registered by being imported
    from ..training.gradcam import grad_cam

    return grad_cam(keras.models.load_model(path, compile=False), faces, asked, where=where)
