"""The floors of the house: imports only go down, and no two rooms of a floor know each other."""

import ast
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CORE = ROOT / "emotion_core"

FLOORS = {
    "types": 0, "labels": 0, "errors": 0, "limits": 0, "files": 0, "texts": 0, "palette": 0,
    "native": 0, "sandbox": 0,
    "download": 1, "cards": 1, "voting": 1, "affect": 1, "timeline": 1, "metrics": 1,
    "calibration": 1, "yaml_text": 1,
    "card_text": 2, "media": 2, "faces": 2, "crops": 2, "classify": 2, "datasets": 2, "draw": 2,
    "export": 2, "tracking": 2, "quality": 2, "degrade": 2, "jobs": 2, "runs": 2, "histories": 2,
    "registry": 3, "training": 3,
    "analysis": 4, "serving": 4,
    "live": 5,
    "photos": 5, "videos": 5, "workbench": 5, "benchmarks": 5,
    "cli": 6, "worker": 6, "__main__": 7,
}  # fmt: skip
#: What floor 0 and 1 may import besides the standard library.
LIGHT = {0: {"numpy"}, 1: {"numpy", "pandas"}}
#: What has to come before all others, if only to be loaded first.
NATIVE = {"native": {"pylibsrtp"}}
#: What a room is there to wrap.
WRAPPED = {"yaml_text": {"yaml"}}
#: On floor 0 rooms may lean on each other; a cycle is caught below.
SHARED_FLOOR = 0


def room_of(path: Path) -> str:
    return path.relative_to(CORE).parts[0].removesuffix(".py")


def rooms_imported(path: Path) -> set[str]:
    """Every room of the library that a file imports, wherever in the file."""
    package = ["emotion_core", *path.relative_to(CORE).parent.parts]
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = [*base, *(node.module.split(".") if node.module else [])]
            names = [[*module, alias.name] for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
        else:
            continue
        rooms = {name[1] for name in names if name[0] == "emotion_core" and len(name) > 1}
        found |= rooms - {"__version__"}
    return found


def foreign_imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and not node.level and node.module:
            found.add(node.module.split(".")[0])
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
    return found


FILES = sorted(path for path in CORE.rglob("*.py") if path != CORE / "__init__.py")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(CORE)))
def test_imports_go_down(path: Path) -> None:
    room = room_of(path)
    floor = FLOORS[room]
    for other in rooms_imported(path) - {room}:
        assert other in FLOORS, f"{other} stands on no floor"
        if floor == FLOORS[other] == SHARED_FLOOR:
            continue
        assert FLOORS[other] < floor, f"{room} (floor {floor}) imports {other} ({FLOORS[other]})"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(CORE)))
def test_low_floors_stay_light(path: Path) -> None:
    floor = FLOORS[room_of(path)]
    if floor in LIGHT:
        own = {"emotion_core", *sys.stdlib_module_names}
        room = room_of(path)
        allowed = LIGHT[floor] | NATIVE.get(room, set()) | WRAPPED.get(room, set())
        assert foreign_imports(path) - own <= allowed


def test_the_architecture_shows_the_floors() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    lines = re.findall(r"^\| (\d) \| ([^|]+) \|", text, re.M)
    told = {name: int(floor) for floor, rooms in lines for name in re.findall(r"`(\w+)/?`", rooms)}
    assert told == FLOORS | {"pages": 7}


def test_floor_zero_has_no_cycle() -> None:
    edges = {
        room: set().union(*(rooms_imported(p) for p in FILES if room_of(p) == room)) - {room}
        for room, floor in FLOORS.items()
        if floor == SHARED_FLOOR
    }
    while edges:
        free = [room for room, targets in edges.items() if not targets & edges.keys()]
        assert free, f"a cycle among {sorted(edges)}"
        for room in free:
            del edges[room]


def test_the_test_sees_an_upward_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.test_floors.CORE", tmp_path)
    (tmp_path / "labels.py").write_text("def f():\n    from .analysis import read_picture\n")
    assert rooms_imported(tmp_path / "labels.py") == {"analysis"}


@pytest.mark.parametrize("path", sorted((ROOT / "pages").rglob("*.py")), ids=lambda p: p.name)
def test_pages_leave_the_work_to_the_library(path: Path) -> None:
    forbidden = {"cv2", "av", "keras", "PIL", "tensorflow", "ai_edge_litert"}
    assert not foreign_imports(path) & forbidden
    calls = [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call)]
    assert not any(isinstance(c.func, ast.Name) and c.func.id == "open" for c in calls)
    assert "unsafe_allow_html" not in path.read_text()


@pytest.mark.parametrize("path", [*FILES, *(ROOT / "pages").rglob("*.py")], ids=lambda p: p.name)
def test_no_room_is_crowded(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 600
