"""What people decided about pictures: a log that only grows, so that nothing is ever lost."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock

from ..errors import BadTable, StorageError, os_reason
from ..texts import say

KEEP, DROP, RELABEL = "keep", "drop", "relabel"
_ACTIONS = (KEEP, DROP, RELABEL)


@dataclass(frozen=True)
class Decision:
    """What was decided about one picture.

    Attributes:
        path: The picture.
        action: `keep`, `drop` or `relabel`.
        reason: Why, in words.
        label: The new label of a relabelling; empty otherwise.
        at_s: When, in seconds since 1970.
        by: Id of the model that a relabelling follows; empty where a person chose.

    Raises:
        BadTable: The action is none of these, or a relabelling names no label.
    """

    path: str
    action: str
    reason: str = ""
    label: str = ""
    at_s: float = 0.0
    by: str = ""

    def __post_init__(self) -> None:
        if self.action not in _ACTIONS or bool(self.label) != (self.action == RELABEL):
            raise BadTable(say("error.bad_decision", path=self.path, action=self.action))


class DecisionLog:
    """The decisions about one data set, in a file of one line per step.

    A step is written and synced before `add` returns, whatever happens next; a line that a crash
    cut off is passed over. Undoing is a step too. Several processes may write.

    Args:
        path: The file; it need not exist.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = FileLock(path.with_suffix(".lock"))

    def steps(self) -> list[list[Decision]]:
        """Return the steps that hold, the oldest first, with the decisions of each."""
        return [decisions for decisions, _ in self._steps()]

    def current(self) -> dict[str, Decision]:
        """Return the last decision about each picture, by path."""
        held: dict[str, Decision] = {}
        for decisions, is_whole in self._steps():
            if is_whole:
                held = {}
            held.update((one.path, one) for one in decisions)
        return held

    def new_labels(self) -> dict[str, str]:
        """Return the last new label of each picture, by path, also where it was dropped since."""
        held: dict[str, str] = {}
        for decisions, is_whole in self._steps():
            if is_whole:
                held = {}
            held.update((one.path, one.label) for one in decisions if one.action == RELABEL)
        return held

    def add(self, decisions: Sequence[Decision]) -> None:
        """Add one step.

        Raises:
            StorageError: It cannot be written; nothing of it is.
        """
        if decisions:
            self._append([asdict(one) for one in decisions])

    def replace(self, decisions: Sequence[Decision]) -> None:
        """Let these decisions hold and no others, as one step.

        Raises:
            StorageError: It cannot be written; nothing of it is.
        """
        self._append({"only": [asdict(one) for one in decisions]})

    def undo(self) -> list[Decision]:
        """Take the last step back and return it; nothing where there is none.

        Raises:
            StorageError: It cannot be written; the step holds.
        """
        with self._locked():  # who undoes at the same time takes the step before
            held = self.steps()
            if not held:
                return []
            self._append("undo")
        return held[-1]

    def stamp(self) -> int:
        """Return a number that changes with every step."""
        return self._path.stat().st_size if self._path.is_file() else 0

    def _steps(self) -> list[tuple[list[Decision], bool]]:
        """Return the decisions of each step that holds, and whether none of before hold beside."""
        held: list[tuple[list[Decision], bool]] = []
        for line in self._lines():
            if line == "undo":
                held = held[:-1]
            elif isinstance(line, list):
                held.append(([Decision(**entry) for entry in line], False))
            elif isinstance(line, dict):
                held.append(([Decision(**entry) for entry in line["only"]], True))
        return held

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the log for this process alone.

        Raises:
            StorageError: It cannot be held, what is done meanwhile fails to be written, or the
                folder is gone, which the lock would make anew.
        """
        if not self._path.parent.is_dir():
            raise StorageError(say("error.no_dataset_here"))
        try:
            with self._lock:
                yield
        except OSError as error:
            reason = os_reason(error)
            raise StorageError(say("error.decision_unsaved", reason=reason)) from error

    def _append(self, value: object) -> None:
        line = json.dumps(value, ensure_ascii=False).encode() + b"\n"
        with self._locked(), self._path.open("ab+") as handle:
            size = handle.seek(0, os.SEEK_END)
            if size:
                handle.seek(size - 1)
                line = line if handle.read(1) == b"\n" else b"\n" + line
            try:
                handle.write(line)
                handle.flush()
                os.fsync(handle.fileno())
            except OSError:
                os.ftruncate(handle.fileno(), size)
                raise

    def _lines(self) -> list[object]:
        try:
            lines = self._path.read_bytes().split(b"\n")
        except FileNotFoundError:
            return []
        found: list[object] = []
        for line in lines:
            try:
                found.append(json.loads(line))
            except ValueError:  # cut off by a crash, or the end
                continue
        return found


def as_rows(decisions: Mapping[str, Decision]) -> list[dict[str, str]]:
    """Return decisions as plain values, sorted by path; without their times, so that the same
    decisions are the same text."""
    rows = []
    for path in sorted(decisions):
        one = decisions[path]
        rows.append({key: value for key, value in asdict(one).items() if value and key != "at_s"})
    return rows
