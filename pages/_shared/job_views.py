"""How jobs of each kind are shown: a new kind is a row here, and one in `emotion_core.worker`."""

from dataclasses import dataclass

from emotion_core import videos
from emotion_core.live import RECORDING
from emotion_core.workbench import heatmaps, imports, trainings
from emotion_core.workbench.tasks import PREFIX

DATASET, PHOTO, TRAINING, VIDEO = (
    f"pages/{name}.py" for name in ("dataset", "photo", "training", "video")
)


@dataclass(frozen=True)
class JobView:
    """How jobs of one kind are shown.

    Attributes:
        page: Which page shows them.
        view: The view of that page, where it is not the first one.
        unit: What their progress counts, a text of `jobs`.
        holds_result: What they come to lies in the job alone and goes with it; other results lie
            with their data set or training.
        is_shown_once: Only the visit that asked can show what they come to.
    """

    page: str
    view: str = ""
    unit: str = "frames"
    holds_result: bool = False
    is_shown_once: bool = False


JOB_VIEWS = {
    videos.KIND: JobView(VIDEO, holds_result=True),
    RECORDING: JobView(VIDEO, holds_result=True),
    trainings.KIND: JobView(TRAINING, unit="faces"),
    trainings.EXPORT: JobView(TRAINING, holds_result=True),
    imports.KIND: JobView(TRAINING, "bring"),
    heatmaps.KIND: JobView(PHOTO, is_shown_once=True),
    heatmaps.RUN_KIND: JobView(TRAINING, is_shown_once=True),
    f"{PREFIX}index": JobView(DATASET, unit="pictures"),
    f"{PREFIX}noise": JobView(DATASET, "labels", unit="pictures"),
    f"{PREFIX}map": JobView(DATASET, "map", unit="pictures"),
    f"{PREFIX}export": JobView(DATASET, "export", unit="pictures", holds_result=True),
    f"{PREFIX}evaluate": JobView(TRAINING, "measure", unit="pictures", holds_result=True),
    f"{PREFIX}submit": JobView(TRAINING, "measure", unit="pictures", holds_result=True),
}
