"""The long work on data sets as jobs: started by a page, done by a worker."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from .. import limits
from ..cards import DEFAULT_PRIOR
from ..errors import BadTable, InputError, said_of
from ..export import to_csv
from ..files import atomic_write, write_json
from ..jobs import Job, JobRun, list_jobs, new_job, start_job
from ..serving import load_recognizer
from ..texts import say
from .evaluation import evaluate, submission
from .export import crop_dataset, export_dataset, report_dataset, zip_files
from .index import build_index, load_index
from .label_noise import judge_labels
from .maps import draw_map
from .store import Dataset, load_dataset, recipe_hash

PREFIX = "dataset-"


def start_task(
    kind: str, dataset: Dataset, *, owner: str, settings: Mapping[str, Any] | None = None
) -> Job:
    """Start a job on a data set, or return the same one that is under way.

    Args:
        kind: A key of `TASKS`.
        dataset: What it works on.
        owner: Whose job it is.
        settings: What the task takes.

    Raises:
        BadTable: There is no such task.
        InputError: One of that kind and with other settings is under way.
        StorageError: It cannot be started.
    """
    if kind not in TASKS:
        raise BadTable(say("error.no_task", kind=kind, names=", ".join(TASKS)))
    asked = {**(settings or {}), "dataset": dataset.id}
    for job in tasks_of(dataset, owner):
        if job.kind == PREFIX + kind and not job.is_over:
            if job.settings != asked:
                raise InputError(say("error.task_busy", name=dataset.name))
            return job
    job = new_job(PREFIX + kind, dataset.name, owner=owner, settings=asked)
    start_job(job)
    return job


def tasks_of(dataset: Dataset, owner: str) -> list[Job]:
    """Return the jobs of an owner on a data set, the newest first."""
    return [job for job in list_jobs(owner) if job.settings.get("dataset") == dataset.id]


def run_task(run: JobRun) -> None:
    """Do the job of a data set, in its worker."""
    dataset = load_dataset(run.job.settings["dataset"])
    with said_of(Path(dataset.spec.path).name, dataset.name):
        TASKS[run.job.kind.removeprefix(PREFIX)](run, dataset)


def _patient(run: JobRun) -> Callable[[int, int], None]:
    """Return what tells the progress of a task whose steps may be long: an epoch, a batch of large
    pictures or a large network's, the layout of a map."""

    def tell(done: int, total: int) -> None:
        run.progress(done, total, quiet_s=limits.JOB_QUIET_S)

    return tell


def _index(run: JobRun, dataset: Dataset) -> None:
    with_faces = bool(run.job.settings.get("with_faces", True))
    measured = build_index(dataset, with_faces=with_faces, on_progress=_patient(run))
    run.summary.update(measured=measured, pictures=len(load_index(dataset)))


def _noise(run: JobRun, dataset: Dataset) -> None:
    ranked = judge_labels(dataset, on_progress=_patient(run))
    run.summary.update(pictures=len(ranked), issues=int(ranked["is_issue"].sum()))


def _map(run: JobRun, dataset: Dataset) -> None:
    found = draw_map(dataset, run.job.settings.get("method", "pca"), on_progress=_patient(run))
    run.summary.update(pictures=len(found))


def made_of(dataset: Dataset) -> str:
    """Return what tells one state of a data set from another: pictures, recipe and decisions."""
    return f"{recipe_hash(dataset)} {dataset.stamp('index')}"


def _export(run: JobRun, dataset: Dataset) -> None:
    run.summary["made_of"] = made_of(dataset)
    files = export_dataset(dataset, run.result)
    files |= report_dataset(dataset, run.result)
    atomic_write(run.result / "dataset.zip", zip_files(files))
    if run.job.settings.get("with_crops"):
        target = run.result / "faces.zip"
        written, skipped = crop_dataset(dataset, target, on_progress=_patient(run))
        run.summary.update(faces=written, skipped=skipped)


def _evaluate(run: JobRun, dataset: Dataset) -> None:
    asked = run.job.settings
    found = evaluate(
        dataset,
        load_recognizer(
            asked["models"], vote=asked["vote"], prior=asked.get("prior", DEFAULT_PRIOR)
        ),
        split=asked["split"],
        fit_on=asked["fit_on"],
        on_progress=_patient(run),
    )
    write_json(run.result / "evaluation.json", found.as_dict())
    atomic_write(run.result / "answers.csv", to_csv(found.table))


def _submit(run: JobRun, dataset: Dataset) -> None:
    asked = run.job.settings
    recognizer = load_recognizer(
        asked["models"], vote=asked["vote"], prior=asked.get("prior", DEFAULT_PRIOR)
    )
    table = submission(dataset, recognizer, flip=asked["flip"], on_progress=_patient(run))
    atomic_write(run.result / "submission.csv", to_csv(table))


#: What a worker can do with a data set. A new task is a function and a row.
TASKS: dict[str, Callable[[JobRun, Dataset], None]] = {
    "index": _index,
    "noise": _noise,
    "map": _map,
    "export": _export,
    "evaluate": _evaluate,
    "submit": _submit,
}
