"""`python -m emotion_core.worker NAME DIR`: one job, in a process of its own."""

import sys
from collections.abc import Callable
from pathlib import Path

from . import limits, videos
from .cards import NETWORK_FILE
from .errors import said_of
from .jobs import JobRun
from .media.photo import encode_jpeg
from .registry import model_folder
from .videos import Progress, VideoTask, analyse_video
from .workbench import heatmaps, imports, trainings
from .workbench.tasks import PREFIX, TASKS, run_task

#: The longer side of a preview.
_PREVIEW_PX = 640


def run_video(run: JobRun) -> None:
    """Read the video of a job."""
    settings = run.job.settings
    source = Path(settings["path"]) if settings.get("path") else next(run.input.iterdir())
    task = VideoTask.from_dict(settings["task"])
    is_quick = all(_is_quick(one) for one in task.model_ids)

    def tell(progress: Progress) -> None:
        preview = progress.preview
        run.progress(
            progress.done,
            progress.total,
            preview=None if preview is None else encode_jpeg(preview, max_side_px=_PREVIEW_PX),
            quiet_s=limits.JOB_STALL_S if is_quick and progress.is_reading else limits.JOB_QUIET_S,
        )

    with said_of(source.name, run.job.title):
        result = analyse_video(source, run.result, task, stem=settings["stem"], on_progress=tell)
    run.summary.update(
        frames=result.frames,
        people=result.people,
        seconds=result.seconds,
        video_start_s=result.start_s,
    )


def _is_quick(model_id: str) -> bool:
    file = model_folder(model_id) / NETWORK_FILE
    return file.is_file() and file.stat().st_size <= limits.QUICK_NETWORK_MAX_BYTES


#: What a worker can do. A new kind of job is a function and a row here, and a row in the pages'
#: `job_views`.
JOBS: dict[str, Callable[[JobRun], None]] = {
    videos.KIND: run_video,
    trainings.KIND: trainings.run_job,
    trainings.EXPORT: trainings.run_export,
    imports.KIND: imports.run_import,
    heatmaps.KIND: heatmaps.run_heatmaps,
    heatmaps.RUN_KIND: heatmaps.run_heatmaps,
    **{PREFIX + kind: run_task for kind in TASKS},
}


def main() -> None:
    """Run the job that the arguments name."""
    name, folder = sys.argv[1:]
    with JobRun(Path(folder)) as run:
        run.wait_for_slot()
        JOBS[name](run)


if __name__ == "__main__":
    main()
