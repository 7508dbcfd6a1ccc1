"""The catalogue: every key that is used exists, and every text is used."""

import re
import string
from pathlib import Path

import pytest

from emotion_core.labels import CANONICAL
from emotion_core.texts import catalogue, say

ROOT = Path(__file__).resolve().parent.parent
SOURCES = [ROOT / "app.py", *(ROOT / "pages").rglob("*.py"), *(ROOT / "emotion_core").rglob("*.py")]
CALLS = re.compile(r"""(?:say|_known)\(\s*f?["']([a-z_.{}\[\]]+?)["']""")


def used_keys() -> set[str]:
    found: set[str] = set()
    for path in SOURCES:
        text = path.read_text(encoding="utf-8")
        found |= set(CALLS.findall(text))
        found |= {f"photo.{name}" for name in re.findall(r'"(download_[a-z]+)"', text)}
        found |= set(re.findall(r'"(photo\.[a-z_]+)"', text))
    return found


def test_every_key_that_is_used_exists() -> None:
    for key in used_keys():
        if "{" in key or "." not in key:
            continue
        assert key in catalogue(), key


def test_every_text_is_used() -> None:
    used = used_keys()
    patterns = [
        re.compile("^" + re.sub(r"\\\{.*?\\\}", "[a-z0-9_]+", re.escape(key)) + "$")
        for key in used
        if "{" in key
    ]
    for key in catalogue():
        assert key in used or any(p.match(key) for p in patterns), f"{key} is not used"


def test_every_label_has_a_name_and_an_adjective() -> None:
    for name in CANONICAL:
        assert say(f"label.{name}")
        assert say(f"looks.{name}")


def test_pages_write_no_text_of_their_own() -> None:
    widgets = r"st\.(?:title|header|subheader|markdown|caption|info|warning|error|button|write)"
    for path in (ROOT / "pages").rglob("*.py"):
        literal = re.search(widgets + r'\(\s*f?"', path.read_text(encoding="utf-8"))
        assert literal is None, f"{path.name}: {literal and literal.group()}"


def test_values_are_filled_in() -> None:
    assert "a.txt" in say("error.not_a_photo", name="a.txt")
    with pytest.raises(KeyError):
        say("error.not_a_photo")
    with pytest.raises(KeyError):
        say("no.such.key")
    for text in catalogue().values():
        assert list(string.Formatter().parse(text))


def test_an_unknown_language_falls_back_to_english(monkeypatch: pytest.MonkeyPatch) -> None:
    english = say("photo.title")
    monkeypatch.setenv("MIEN_LANGUAGE", "xx")
    assert say("photo.title") == english
    with pytest.raises(KeyError):
        catalogue("xx")
