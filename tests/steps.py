"""What tests do: wait for something, call the command line, open the studio."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import streamlit as st
from streamlit.testing.v1 import AppTest
from typer.testing import CliRunner

from emotion_core.cli import app
from emotion_core.jobs import Job, load_job

ROOT = Path(__file__).resolve().parent.parent
T = TypeVar("T")


def obey_signals() -> None:
    """Let a process, before it begins, end by signals, though these tests may be told not to."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        signal.signal(getattr(signal, name), signal.SIG_DFL)


def until(condition: Callable[[], T], *, seconds: float = 120, every_s: float = 0.1) -> T:
    """Ask again and again until the answer is true, and return it."""
    end_s = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end_s, f"it did not come true within {seconds} s"
        time.sleep(every_s)
    return found


def over(job: Job, owner: str) -> Job:
    """Wait for the end of a job, and return how it ended."""
    until(lambda: load_job(job.id, owner).is_over)
    return load_job(job.id, owner)


#: Keras on JAX, and JAX on the processor.
JAX = {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}


def mien(
    *arguments: object, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Call the command line, with some variables of the environment besides those that are."""
    return subprocess.run(
        [sys.executable, "-m", "emotion_core", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
        timeout=600,  # for what hangs; a busy machine is no fault
    )


def called(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Call the command line in this process: for refusals, which need none of their own."""
    result = CliRunner().invoke(app, [str(one) for one in arguments])
    return subprocess.CompletedProcess(arguments, result.exit_code, result.stdout, result.stderr)


def complaints(result: subprocess.CompletedProcess[str]) -> list[str]:
    """All lines on stderr."""
    return result.stderr.splitlines()


def fresh_app() -> AppTest:
    """The studio as it opens; the drawer is drawn by its first run alone in such a test."""
    st.cache_resource.clear()  # the models of another test's work folder
    running = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    running.session_state["notice_accepted"] = True
    running.session_state["owner"] = "tester"
    return running.run()
