"""The lesson of the guide, command by command, as it is written there."""

import re
import shlex
from pathlib import Path

import pandas as pd
import pytest

from tests.steps import ROOT, called

LESSON = (ROOT / "docs" / "guide" / "lesson.md").read_text(encoding="utf-8")


#: The same lesson in less time: fewer faces, fewer epochs.
SHORT = {"--n 900": "--n 240", "train quick": "train quick --set stages.0.epochs=2"}


@pytest.mark.parametrize("changes", [pytest.param({}, marks=pytest.mark.slow), SHORT])
def test_the_lesson_works_as_it_is_written(
    changes: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    commands = [
        line for block in re.findall(r"```\n(.*?)```", LESSON, re.S) for line in block.splitlines()
    ]
    assert len(commands) == 8
    run = ""
    for command in commands:
        for written, instead in changes.items():
            command = command.replace(written, instead)
        arguments = shlex.split(command.replace("RUN", run))
        assert arguments[:3] == ["python", "-m", "emotion_core"]
        told = called(*arguments[3:])
        assert told.returncode == 0, f"{command}\n{told.stderr[-1500:]}"
        if " train " in command:
            run = re.findall(r"[0-9a-f]{16}", told.stdout)[0]
            reached = re.findall(r"val_accuracy ([\d.]+)", told.stdout)
            assert changes or max(map(float, reached)) > 0.6, reached
        if " compare" in command:
            assert run[:8] in told.stdout
    answers = pd.read_csv(tmp_path / "lesson" / "answers.csv")
    assert len(answers) > 0
    assert (tmp_path / "lesson" / "report" / "report.html").is_file()
