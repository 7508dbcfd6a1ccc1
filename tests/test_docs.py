"""The docs name what exists, and what exists is named."""

import ast
import inspect
import re
from dataclasses import fields
from pathlib import Path

import pytest

import emotion_core
from benchmarks.readme import rows
from emotion_core import analysis, draw, errors, limits, types
from emotion_core.datasets.measures import INDEX_COLUMNS
from emotion_core.datasets.noise import NOISE_COLUMNS
from emotion_core.export import PHOTO_COLUMNS
from emotion_core.faces import DETECTORS
from emotion_core.media.sample import sample_photo
from emotion_core.timeline import EPISODE_COLUMNS, PERSON_COLUMNS, TIMELINE_COLUMNS
from emotion_core.training.recipes import recipe_names
from emotion_core.types import Image
from tests.builders import make_video

ROOT = Path(__file__).resolve().parent.parent
README, GUIDE = ROOT / "README.md", ROOT / "docs" / "guide" / "library.md"
DOCS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
EVERYTHING = "\n".join(path.read_text(encoding="utf-8") for path in DOCS)
REFERENCE = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")


def test_the_table_of_the_readme_is_that_of_the_cards() -> None:
    def numbers(cells: list[str]) -> list[float]:
        return [float(number) for number in re.findall(r"\d+\.\d", " ".join(cells))]

    line = re.compile(r"^\| (?:`([\w-]+)`|committee)[^|]*\| (.* %.*) \|$", re.M)
    told = {name or "soft": numbers([cells]) for name, cells in line.findall(README.read_text())}
    held = {name.partition("(")[0]: numbers(cells) for name, cells in rows().items()}
    assert told.keys() == held.keys()
    for name, shown in told.items():
        assert shown == pytest.approx(held[name], abs=0.11), name  # rounded twice


def attributes_of(kind: type) -> dict[str, str]:
    """What the docstring of a dataclass says of its fields."""
    told = inspect.cleandoc(kind.__doc__ or "").split("Attributes:\n")[1].split("\n\n")[0]
    parts = re.split(r"^    (\w+): ", told, flags=re.M)[1:]
    return {
        name: re.sub(r"\s+", " ", text).strip()
        for name, text in zip(parts[::2], parts[1::2], strict=True)
    }


def test_the_guide_to_the_library_is_that_of_the_code() -> None:
    guide = (ROOT / "docs" / "guide" / "library.md").read_text(encoding="utf-8")
    names = guide.split("\n## ")[0]
    functions = dict(re.findall(r"^\| `(\w+)\((.*)\)` \|", names, re.M))
    for name in emotion_core.__all__:
        assert f"`{name}" in names, name
        if name in functions:
            told = {re.split("=", one)[0] for one in functions[name].split(", ")} - {"*"}
            assert told <= set(inspect.signature(getattr(emotion_core, name)).parameters), name
    for title, section in re.findall(r"^### (\w+)\n(.*?)(?=^### |\Z)", guide, re.M | re.S):
        kind = next(vars(home)[title] for home in (types, analysis, draw) if title in vars(home))
        rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", section, re.M))
        assert rows == attributes_of(kind), title
        if title in ("ReadOptions", "VideoOptions"):
            plain = {one.name: one.default for one in fields(kind) if one.name != "reading"}
            told = dict(re.findall(r"`(\w+)=([^`]+)`", section.splitlines()[1]))
            told = {name: ast.literal_eval(value) for name, value in told.items()}
            assert told == plain, title


def test_the_examples_of_the_guide_run(
    tmp_path: Path, portrait: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "portrait.png").write_bytes(sample_photo())
    make_video(tmp_path / "clip.mp4", [portrait] * 3)
    monkeypatch.chdir(tmp_path)
    examples = re.findall(r"^```python\n(.*?)^```", GUIDE.read_text(encoding="utf-8"), re.M | re.S)
    assert len(examples) == 2
    for example in examples:
        exec(compile(example, GUIDE.name, "exec"), {})


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    for target, place in re.findall(
        r"\]\(([^)#:]*)(?:#([^)]+))?\)", path.read_text(encoding="utf-8")
    ):
        other = path.parent / target if target else path
        assert other.exists(), f"{path.name} links to {target}"
        if place:
            titles = re.findall(r"^#+ (.+)$", other.read_text(encoding="utf-8"), re.M)
            anchors = {re.sub(r"[^\w\- ]", "", one.lower()).replace(" ", "-") for one in titles}
            assert place in anchors, f"{path.name} links to {target}#{place}"


def test_errors_are_those_of_the_code() -> None:
    base = errors.EmotionError
    found = {
        name
        for name, value in vars(errors).items()
        if inspect.isclass(value) and issubclass(value, base)
    }
    section = REFERENCE.split("## Errors")[1].split("## Limits")[0]
    assert set(re.findall(r"^\| `(\w+)`", section, re.M)) == found


def test_limits_are_those_of_the_code() -> None:
    section = REFERENCE.split("## Limits")[1]
    named = dict(re.findall(r"^\| `(\w+)` \| ([\d_.]+) ", section, re.M))
    values = {name: value for name, value in vars(limits).items() if name.isupper()}
    assert {name: float(value) for name, value in named.items()} == values


def test_every_setting_is_documented_and_every_documented_one_exists() -> None:
    files = [*(ROOT / "emotion_core").rglob("*.py"), *(ROOT / "pages").rglob("*.py")]
    code = "\n".join(path.read_text(encoding="utf-8") for path in files)
    used = set(re.findall(r'(?:environ(?:\.get)?|slots)[\[(]"(MIEN_\w+)"', code))
    assert set(re.findall(r"`(MIEN_\w+)`", EVERYTHING)) == used


def test_detectors_recipes_and_columns_are_documented() -> None:
    guide = (ROOT / "docs" / "guide" / "cli.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in guide for name in (*DETECTORS, *recipe_names()))
    columns = (ROOT / "docs" / "guide" / "data-dictionary.md").read_text(encoding="utf-8")
    for name, meaning in (
        *PHOTO_COLUMNS.items(),
        *TIMELINE_COLUMNS.items(),
        *EPISODE_COLUMNS.items(),
        *PERSON_COLUMNS.items(),
        *INDEX_COLUMNS.items(),
        *NOISE_COLUMNS.items(),
    ):
        assert f"| `{name}` | {meaning} |" in columns


def test_files_that_the_docs_name_in_code_exist() -> None:
    for name in re.findall(r"`((?:tests|emotion_core|benchmarks|docs)/[\w/]+\.\w+)`", EVERYTHING):
        assert (ROOT / name).exists(), name


def test_every_make_target_of_the_docs_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = set(re.findall(r"(?:^ {4}|`)make ([a-z-]+)", EVERYTHING, re.M))
    assert named >= {"app", "test", "check"}
    assert named <= set(re.findall(r"^([a-z-]+):", makefile, re.M))


def test_every_requirement_has_a_floor_and_a_reason() -> None:
    for line in (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            assert re.match(r"[\w-]+>=[\d.]+(,<[\d.]+)? +# \S", line), line
