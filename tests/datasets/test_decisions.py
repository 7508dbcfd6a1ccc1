"""The log of decisions: nothing is lost by a kill, a full disk or two windows at once."""

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from emotion_core.datasets.decisions import Decision, DecisionLog
from emotion_core.errors import BadTable, StorageError

ROOT = Path(__file__).resolve().parent.parent.parent
WRITER = """
import sys
from pathlib import Path
from emotion_core.datasets.decisions import Decision, DecisionLog
log = DecisionLog(Path(sys.argv[1]))
for i in range(100_000):
    log.add([Decision(f"{sys.argv[2]}{i}.png", "drop", "x" * 2000)])
    print(i, flush=True)
"""


def drop(path: str) -> Decision:
    return Decision(path, "drop", "blank")


def test_steps_are_undone_one_by_one(tmp_path: Path) -> None:
    log = DecisionLog(tmp_path / "log.jsonl")
    assert log.undo() == []
    log.add([drop("a"), drop("b")])
    log.add([Decision("a", "relabel", "looks sad", "sad")])
    log.add([])
    assert {path: one.action for path, one in log.current().items()} == {
        "a": "relabel", "b": "drop",
    }  # fmt: skip
    assert [one.path for one in log.undo()] == ["a"]
    assert log.current()["a"] == drop("a")
    assert [one.path for one in DecisionLog(tmp_path / "log.jsonl").undo()] == ["a", "b"]
    assert log.current() == {}
    assert log.undo() == []


@pytest.mark.parametrize(("action", "label"), [("burn", ""), ("relabel", ""), ("drop", "sad")])
def test_what_is_no_decision_is_refused(action: str, label: str) -> None:
    with pytest.raises(BadTable):
        Decision("a", action, "", label)


def start(path: Path, name: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", WRITER, str(path), name]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def test_a_kill_loses_nothing_that_was_said_to_be_saved(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    for round_number in range(3):
        with start(path, f"r{round_number}-") as writer:
            assert writer.stdout is not None
            told = [int(writer.stdout.readline()) for _ in range(20 + 7 * round_number)][-1]
            os.kill(writer.pid, signal.SIGKILL)
            rest = writer.stdout.read().split()
        told = int(rest[-1]) if rest else told
        held = DecisionLog(path).current()
        assert all(f"r{round_number}-{i}.png" in held for i in range(told + 1))
    with path.open("ab") as handle:
        handle.write(b'[{"path": "cut", "act')
    log = DecisionLog(path)
    before = len(log.current())
    log.add([drop("after")])
    assert len(log.current()) == before + 1
    assert log.undo() == [drop("after")]


def test_two_writers_do_not_mix(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    writers = [start(path, name) for name in ("a", "b")]
    told = []
    for writer in writers:
        assert writer.stdout is not None
        told.append([writer.stdout.readline() for _ in range(30)])
    for writer in writers:
        writer.kill()
        writer.communicate()
    lines = path.read_bytes().split(b"\n")
    for line in lines[:-2]:
        json.loads(line)
    held = DecisionLog(path).current()
    assert all(f"{name}{i}.png" in held for name in "ab" for i in range(30))


def test_a_full_disk_is_said_and_leaves_the_log_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = DecisionLog(tmp_path / "log.jsonl")
    log.add([drop("a")])
    before = (tmp_path / "log.jsonl").read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(StorageError, match="not saved: No space left"):
            log.add([drop("b")])
    assert (tmp_path / "log.jsonl").read_bytes() == before


def test_two_windows_that_undo_at_once_take_back_two_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log.jsonl"
    for name in "abc":
        DecisionLog(path).add([drop(name)])
    steps = DecisionLog.steps

    def slowly(log: DecisionLog) -> list[list[Decision]]:
        held = steps(log)
        time.sleep(0.2)
        return held

    monkeypatch.setattr(DecisionLog, "steps", slowly)
    with ThreadPoolExecutor(2) as pool:
        undone = list(pool.map(lambda _: DecisionLog(path).undo(), range(2)))
    assert sorted(one.path for step in undone for one in step) == ["b", "c"]
    assert list(DecisionLog(path).current()) == ["a"]
