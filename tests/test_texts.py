"""The catalogue: every key that is used exists, and every text is used."""

import ast
import re
import string
from pathlib import Path

import pytest

from emotion_core.labels import CANONICAL
from emotion_core.texts import catalogue, say
from emotion_core.workbench.tasks import PREFIX, TASKS

ROOT = Path(__file__).resolve().parent.parent
SOURCES = [ROOT / "app.py", *(ROOT / "pages").rglob("*.py"), *(ROOT / "emotion_core").rglob("*.py")]
CODE = "\n".join(path.read_text(encoding="utf-8") for path in SOURCES)
SECTIONS = {key.partition(".")[0] for key in catalogue()}
#: What looks like a key, with what is filled in cut off where a quotation mark ends it.
KEYS = {
    found
    for found in re.findall(r"""["']([a-z0-9_]+\.[^"'\s]+)["']""", CODE)
    if found.partition(".")[0] in SECTIONS and not found.endswith((".json", ".zip"))
}
#: What is filled in, down to its end or the quotation mark that cut it.
FILLED = re.compile(r"\{[^}]*(?:\}+|$)")
BUILT = {FILLED.sub("{}", key) for key in KEYS if "{" in key}
#: Sections of which keys are told by the section alone; the rest has to stand somewhere as a word.
OPEN = {key.removesuffix(".{}") for key in BUILT if key.endswith(".{}")}
WORDS = {word.replace("-", "_") for word in re.findall(r"""["']([a-z0-9_-]+)["']""", CODE)}
WORDS |= {f"{PREFIX}{task}".replace("-", "_") for task in TASKS}
PARTLY = [
    re.compile("[a-z0-9_]+".join(map(re.escape, key.split("{}"))))
    for key in BUILT
    if not key.endswith(".{}")
]


def is_used(key: str) -> bool:
    section, _, rest = key.partition(".")
    is_built = any(pattern.fullmatch(key) for pattern in PARTLY)
    return key in KEYS or is_built or (section in OPEN and rest in WORDS)


def test_every_key_that_is_used_exists() -> None:
    for key in KEYS:
        if "{" not in key:
            assert key in catalogue(), key
    for pattern in PARTLY:
        assert any(pattern.fullmatch(key) for key in catalogue()), pattern.pattern


def test_every_text_is_used() -> None:
    for key in catalogue():
        assert is_used(key) or is_used(key.removesuffix("_one")), f"{key} is not used"
    assert not is_used("training.nobody_uses_this")
    assert not is_used("dataset.export_nobody")


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
    assert say("dataset.n_pictures", n="1", reason="x") == "**1 picture** · x"
    assert say("dataset.n_pictures", n=2, reason="x") == "**2 pictures** · x"
    for text in catalogue().values():
        assert list(string.Formatter().parse(text))


def test_an_unknown_language_falls_back_to_english(monkeypatch: pytest.MonkeyPatch) -> None:
    english = say("photo.title")
    monkeypatch.setenv("MIEN_LANGUAGE", "xx")
    assert say("photo.title") == english
    with pytest.raises(KeyError):
        catalogue("xx")


def test_every_figure_of_a_page_says_what_it_means() -> None:
    for path in (ROOT / "pages").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "metric":
                given = {word.arg: word.value for word in node.keywords}
                assert "help" in given, f"{path.name}, line {node.lineno}"
                assert not isinstance(given["help"], ast.Constant)


def test_every_refusal_says_what_to_do() -> None:
    """What happened is a sentence; what to do about it is another, or stands behind a colon."""
    parts = {"error.fetch_cut", "error.job_cancelled"}  # of a sentence; one's own wish
    for key, text in catalogue().items():
        if key.startswith("error.") and key not in parts:
            assert re.search(r"[.!?;:] ", text), key
