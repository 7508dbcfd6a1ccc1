"""Long work in processes of its own, its state on disk: it outlives pages and the app."""

from .run import JobRun
from .store import (
    OVER,
    Job,
    cancel_job,
    delete_job,
    end_job,
    keep_job,
    list_jobs,
    load_job,
    new_job,
    owner_hash,
    place_in_line,
    start_job,
    sweep_jobs,
    write_process,
    write_status,
)

__all__ = [
    "OVER",
    "Job",
    "JobRun",
    "cancel_job",
    "delete_job",
    "end_job",
    "keep_job",
    "list_jobs",
    "load_job",
    "new_job",
    "owner_hash",
    "place_in_line",
    "start_job",
    "sweep_jobs",
    "write_process",
    "write_status",
]
