"""Fixtures: a work folder of its own for every test, the sample portrait, the test data."""

import atexit
import gc
import os
import shutil
import tempfile
from pathlib import Path

import pytest

# before any module asks for it while tests are collected
os.environ["MIEN_HOME"] = tempfile.mkdtemp(prefix="mien-tests-")

from hypothesis import settings

from emotion_core.media.photo import decode_photo
from emotion_core.media.sample import sample_photo, sample_video
from emotion_core.types import Image

atexit.register(shutil.rmtree, os.environ["MIEN_HOME"], ignore_errors=True)
settings.register_profile("calm", deadline=None)  # no test asserts on time
settings.load_profile("calm")

ROOT = Path(__file__).resolve().parent.parent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run the tests marked slow, too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the slow tests out, unless they are asked for."""
    if config.getoption("--slow"):
        return
    slow = [item for item in items if item.get_closest_marker("slow")]
    config.hook.pytest_deselected(items=slow)
    items[:] = [item for item in items if item not in slow]


def pytest_collection_finish() -> None:
    """Let no collection of garbage look through all that was imported, Keras above all.

    Streamlit collects after each script, which took nine tenths of the time of the pages' tests.
    """
    gc.freeze()


@pytest.fixture(autouse=True)
def work_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test sees or leaves anything in the user's own work folder."""
    home = tmp_path / "mien-home"
    monkeypatch.setenv("MIEN_HOME", str(home))
    return home


@pytest.fixture(scope="session")
def portrait() -> Image:
    """The built-in sample, one smiling face, uint8 (512, 512, 3)."""
    return decode_photo(sample_photo())


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample clip: one face, nobody, two faces."""
    return sample_video(tmp_path_factory.mktemp("clip") / "clip.mp4")


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder that EMOTION_TEST_DATA names; without it the test is skipped."""
    named = os.environ.get("EMOTION_TEST_DATA")
    if not named:
        pytest.skip("EMOTION_TEST_DATA is not set")
    folder = Path(named)
    assert folder.is_dir(), f"EMOTION_TEST_DATA names {folder}, which is not there"
    return folder
