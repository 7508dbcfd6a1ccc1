"""What `pip install .` puts on a machine: a real wheel is built, unpacked and used elsewhere."""

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from emotion_core.media.sample import sample_photo

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds what the wheel installs."""
    folder = tmp_path_factory.mktemp("wheel")
    build = "from hatchling.build import build_wheel; import sys; print(build_wheel(sys.argv[1]))"
    ran = subprocess.run(
        [sys.executable, "-c", build, str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def test_the_installed_library_reads_with_its_own_models(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "portrait.png").write_bytes(sample_photo())
    code = """
        import sys
        sys.path.insert(0, sys.argv[1])
        from emotion_core import load_detector, load_model, read_photo, read_picture
        from emotion_core.registry import models_folder
        reading = read_picture(read_photo("portrait.png"), load_detector(), load_model())
        print(models_folder(), *reading.label)
    """
    ran = subprocess.run(
        [sys.executable, "-c", re.sub(r"^ {8}", "", code, flags=re.M), str(installed)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.stdout.split() == [str(installed / "emotion_core" / "models"), "happy"], ran.stderr


def test_nothing_but_the_library_is_installed(installed: Path) -> None:
    assert {path.name.split("-")[0] for path in installed.iterdir()} == {"emotion_core", "mien"}


def test_the_library_and_the_studio_need_the_same_versions() -> None:
    listed = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    studio = {line.split("#")[0].strip() for line in listed}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = {
        one.replace("opencv-python-headless", "opencv-python") for one in project["dependencies"]
    }
    assert needed <= studio
