"""The set-up script: which Python it takes, and what it does where libGL is absent."""

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def bootstrap(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import bootstrap as module

    monkeypatch.setattr(module, "VENV", tmp_path / "venv")
    return module


@pytest.mark.parametrize(
    ("version", "on_path", "expected"),
    [
        ((3, 12, 1), [], sys.executable),
        ((3, 14, 0), ["python3.12", "python3.11"], "/usr/bin/python3.12"),
        ((3, 14, 0), ["python3.13", "python3.12"], "/usr/bin/python3.13"),
        ((3, 10, 2), ["python3.11"], "/usr/bin/python3.11"),
    ],
)
def test_a_python_that_tensorflow_supports_is_taken(
    bootstrap: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    version: tuple[int, int, int],
    on_path: list[str],
    expected: str,
) -> None:
    monkeypatch.setattr(bootstrap.sys, "version_info", version)
    monkeypatch.setattr(
        bootstrap.shutil, "which", lambda name: f"/usr/bin/{name}" if name in on_path else None
    )
    assert bootstrap.find_python() == expected


def test_without_one_it_says_what_to_install(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap.sys, "version_info", (3, 14, 0))
    monkeypatch.setattr(bootstrap.shutil, "which", lambda _: None)
    with pytest.raises(SystemExit, match=r"This is Python 3\.14; .*python3\.13"):
        bootstrap.find_python()


@pytest.mark.parametrize("has_libgl", [True, False])
def test_where_libgl_is_absent_the_same_headless_version_takes_over(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, has_libgl: bool
) -> None:
    calls: list[list[str]] = []
    state = {"cv2 works": has_libgl}

    def run(command: list[object], **_: object) -> subprocess.CompletedProcess[str]:
        words = [str(word) for word in command]
        calls.append(words)
        if words[1:3] == ["-c", "import cv2"]:
            return subprocess.CompletedProcess(words, 0 if state["cv2 works"] else 1)
        if "opencv-python-headless==4.14.0.94" in words:
            state["cv2 works"] = True
        return subprocess.CompletedProcess(words, 0, stdout="4.14.0.94\n")

    monkeypatch.setattr(bootstrap.subprocess, "run", run)
    bootstrap.use_headless_where_needed(Path("python"))
    asked = [" ".join(words) for words in calls]
    swapped = any("install" in call and "headless==4.14.0.94" in call for call in asked)
    removed = any("uninstall" in call and call.endswith("opencv-python") for call in asked)
    assert swapped == removed == (not has_libgl)


def test_the_carriers_of_weights_come_without_their_dependencies(bootstrap: ModuleType) -> None:
    listed = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    assert all(f"\n{name}>=" in listed for name in bootstrap.CARRIERS)


def test_a_second_call_does_nothing(bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    bootstrap.VENV.mkdir()
    monkeypatch.setattr(bootstrap, "make_venv", lambda: Path("python"))
    monkeypatch.setattr(bootstrap, "install", lambda *_: done.append("install"))
    monkeypatch.setattr(bootstrap.sys, "argv", ["bootstrap.py"])
    bootstrap.main()
    bootstrap.main()
    assert done == ["install"]
