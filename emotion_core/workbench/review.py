"""The review queue: pictures that wait for somebody's word."""

import json
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace

from filelock import FileLock

from ..datasets.cleaning import DatasetRecipe
from ..datasets.decisions import KEEP, RELABEL, Decision, as_rows
from ..errors import StorageError
from ..files import write_json
from ..texts import say
from .store import Dataset

#: More waiting pictures than this are no queue; a rule or a bulk decision is meant.
QUEUE_MAX = 5_000


@dataclass(frozen=True)
class Waiting:
    """One picture that waits.

    Attributes:
        path: The picture.
        reason: Why it waits, in words.
        suggested: The label that was suggested for it; empty for none.
        since_s: Since when, in seconds since 1970.
    """

    path: str
    reason: str
    suggested: str = ""
    since_s: float = 0.0


def read_queue(dataset: Dataset) -> list[Waiting]:
    """Return the pictures that wait, in order: those queued and not decided on since.

    Raises:
        StorageError: The queue on the disk is damaged.
    """
    decided = {path: one.at_s for path, one in dataset.decisions.current().items()}
    return [one for one in _load(dataset) if decided.get(one.path, 0.0) < one.since_s]


def queue_pictures(
    dataset: Dataset, paths: Iterable[str], *, reason: str, suggested: dict[str, str] | None = None
) -> int:
    """Put pictures at the end of the queue; those that wait already stay where they are.

    Args:
        dataset: Whose pictures.
        paths: Which ones, at most `QUEUE_MAX` in all.
        reason: Why, in words.
        suggested: Labels suggested for some of them, by path.

    Returns:
        How many were added.

    Raises:
        InputError: The data set has been deleted.
        StorageError: The queue cannot be written.
    """
    dataset.check_there()
    with FileLock(dataset.folder / "queue.lock"):
        waiting = {one.path for one in read_queue(dataset)}
        now_s = time.time()
        new = [
            Waiting(path, reason, (suggested or {}).get(path, ""), now_s)
            for path in dict.fromkeys(paths)
            if path not in waiting
        ][: max(0, QUEUE_MAX - len(waiting))]
        # what is decided waits again when that is undone
        again = {one.path for one in new}
        held = [one for one in _load(dataset) if one.path not in again]
        write_json(dataset.folder / "queue.json", [asdict(one) for one in [*held, *new]])
    return len(new)


def decide(
    dataset: Dataset, paths: Iterable[str], action: str, *, reason: str, label: str = ""
) -> None:
    """Note one decision about each of some pictures, as one step that can be undone.

    Args:
        dataset: Whose pictures.
        paths: Which ones.
        action: `keep`, `drop` or `relabel`. A picture that was relabelled is kept with that label.
        reason: Why, in words.
        label: The new label of a relabelling.

    Raises:
        BadTable: The action is none, or a relabelling names no label.
        StorageError: It cannot be written; then nothing is decided.
    """
    # a clock that was put back makes no decision older than the wish for it
    waits_s = {one.path: one.since_s for one in read_queue(dataset)}
    now_s = time.time()
    decisions = [
        Decision(path, action, reason, label, max(now_s, waits_s.get(path, 0.0))) for path in paths
    ]
    if action == KEEP:
        # the last decision alone holds, so it has to say the label again
        new = dataset.decisions.new_labels()
        decisions = [
            replace(one, action=RELABEL, label=new[one.path]) if one.path in new else one
            for one in decisions
        ]
    dataset.decisions.add(decisions)


def adopt_decisions(dataset: Dataset, recipe: DatasetRecipe) -> None:
    """Take over the decisions of a recipe, as one step; no others hold then.

    Raises:
        StorageError: They cannot be written.
    """
    # a recipe holds no times, so they are not compared
    if as_rows(dataset.decisions.current()) == as_rows(recipe.decisions):
        return
    now_s = time.time()
    dataset.decisions.replace([replace(one, at_s=now_s) for one in recipe.decisions.values()])


def _load(dataset: Dataset) -> list[Waiting]:
    path = dataset.folder / "queue.json"
    try:
        return [Waiting(**row) for row in json.loads(path.read_text(encoding="utf-8"))]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError) as error:
        raise StorageError(say("error.dataset_damaged", file=path.name)) from error
