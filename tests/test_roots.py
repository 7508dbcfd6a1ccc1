"""Paths that somebody types stay under the roots."""

import os
from pathlib import Path

import pytest

from emotion_core.errors import UnsafePath
from emotion_core.files import path_under_roots, safe_stem

OUTSIDE = [
    "", ".", "..", "/", "/etc/passwd", "~", "~/x", "~root", "/proc/self/environ", "C:\\Windows",
    "\\\\host\\share", "file:///etc/passwd", "a\0b", "%2e%2e/secret.mp4", "....//secret.mp4",
    "/dev/null", "nothing.mp4", "/nothing", "x" * 5000,
]  # fmt: skip


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "open"
    (root / "deep").mkdir(parents=True)
    (root / "deep" / "a.mp4").touch()
    (tmp_path / "secret.mp4").touch()
    (tmp_path / "open-too").mkdir()
    (tmp_path / "open-too" / "b.mp4").touch()
    (root / "leads-out").symlink_to(tmp_path)
    monkeypatch.setenv("MIEN_ROOTS", str(root))
    return root


def test_what_lies_under_a_root_is_found(root: Path) -> None:
    wanted = (root / "deep" / "a.mp4").resolve()
    assert path_under_roots(str(wanted)) == wanted
    assert path_under_roots(f"{root}/deep/../deep/a.mp4") == wanted
    assert path_under_roots(f' "{wanted}" ') == wanted


def test_a_root_that_is_not_there_hides_no_other(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIEN_ROOTS", os.pathsep.join([str(root.parent / "unplugged"), str(root)]))
    wanted = (root / "deep" / "a.mp4").resolve()
    assert path_under_roots(str(wanted)) == wanted


def test_what_lies_outside_is_refused_in_the_same_words(root: Path) -> None:
    inside = [root / "../secret.mp4", root / "leads-out/secret.mp4", root / "gone.mp4"]
    beside = [root.parent / "open-too" / "b.mp4", root.parent / "secret.mp4"]
    said = set()
    for text in [*OUTSIDE, *map(str, inside), *map(str, beside)]:
        with pytest.raises(UnsafePath) as refused:
            path_under_roots(text)
        said.add(str(refused.value))
    assert len(said) == 1


def test_without_roots_nothing_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MIEN_ROOTS", raising=False)
    with pytest.raises(UnsafePath):
        path_under_roots(str(tmp_path))


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("My clip (1).mp4", "My-clip-1"),
        ("../../etc/passwd", "passwd"),
        ("-rf", "rf"),
        ("$(id).mov", "id"),
        ("<b>x</b>.mp4", "b"),
        ("\u202egpj.exe", "gpj"),
        ("видео.mp4", "video"),
        ("a" * 230 + ".mp4", "a" * 60),
    ],
)
def test_names_of_results_are_harmless(name: str, stem: str) -> None:
    assert safe_stem(name, otherwise="video") == stem
