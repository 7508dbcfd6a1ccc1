"""What importing costs, and that no order of imports ends the process."""

import ast
import importlib.metadata
import itertools
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
HEAVY = ("tensorflow", "keras", "cv2", "streamlit", "pandas", "av", "PIL", "ai_edge_litert")


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120
    )


def test_import_is_light() -> None:
    result = run(
        f"import sys, emotion_core; emotion_core.__all__; "
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    assert result.stdout.strip() == "[]", result.stderr


def test_every_public_name_is_there() -> None:
    import emotion_core

    assert 8 <= len(emotion_core.__all__) <= 12
    for name in emotion_core.__all__:
        assert getattr(emotion_core, name) is not None
    with pytest.raises(AttributeError, match="nothing_like_it"):
        emotion_core.nothing_like_it  # noqa: B018


LIBRARY = "from emotion_core import load_model; load_model()"
WEBRTC = (
    "import streamlit_webrtc, pylibsrtp; pylibsrtp.Session(policy=pylibsrtp.Policy("
    "key=bytes(30), ssrc_type=pylibsrtp.Policy.SSRC_ANY_OUTBOUND))"
)
TENSORFLOW = "import tensorflow"


@pytest.mark.parametrize(
    "order",
    [
        # TensorFlow before what it can harm decides; the other orders have nothing new to say
        order if order[0] == TENSORFLOW else pytest.param(order, marks=pytest.mark.slow)
        for order in itertools.permutations((LIBRARY, WEBRTC, TENSORFLOW))
        # here the library comes too late to help
        if order != (TENSORFLOW, WEBRTC, LIBRARY)
    ],
    ids=lambda order: "-".join(part.split()[1].split(".")[0].rstrip(",") for part in order),
)
def test_no_order_of_imports_ends_the_process(order: tuple[str, ...]) -> None:
    result = run("\n".join(order) + "\nprint('alive')")
    assert result.returncode == 0, result.stderr[-500:]
    assert result.stdout.endswith("alive\n")


def test_the_guard_is_needed() -> None:
    """Without the library the same order ends the process; else the guard could go."""
    assert run(f"{TENSORFLOW}\n{WEBRTC}\nprint('alive')").returncode != 0


def test_exactly_one_opencv() -> None:
    found = [
        name
        for dist in importlib.metadata.distributions()
        if (name := dist.metadata["Name"]).lower().startswith("opencv")
    ]
    assert len(found) == 1, found


def run_without(absent: tuple[str, ...], code: str) -> subprocess.CompletedProcess[str]:
    """Run code as if some packages were not installed."""
    blocked = f"""
        import sys

        class Missing:
            def find_spec(self, name, path=None, target=None):
                if name.split(".")[0] in {absent!r}:
                    raise ModuleNotFoundError(name, name=name)

        sys.meta_path.insert(0, Missing())
    """
    return run(f"{textwrap.dedent(blocked)}\n{code}")


def test_the_command_line_needs_only_what_reading_needs() -> None:
    absent = ("scipy", "sklearn", "cleanlab", "keras", "tensorflow", "streamlit", "pyarrow",
              "plotly", "skimage", "streamlit_webrtc")  # fmt: skip
    result = run_without(absent, "import emotion_core.cli")
    assert result.returncode == 0, result.stderr


def test_what_pages_import_needs_neither_keras_nor_tensorflow() -> None:
    nodes = [
        node
        for path in (ROOT / "app.py", *(ROOT / "pages").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    ]
    modules = {node.module for node in nodes if isinstance(node, ast.ImportFrom) if node.module}
    own = sorted(name for name in modules if name.split(".")[0] == "emotion_core")
    assert "emotion_core.workbench.trainings" in own
    code = "\n".join(f"import {name}" for name in own)
    result = run_without(("keras", "tensorflow"), code)
    assert result.returncode == 0, result.stderr
    assert run_without(("keras",), "import emotion_core.training.fit").returncode != 0
