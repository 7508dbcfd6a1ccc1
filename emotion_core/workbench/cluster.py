"""Trainings side by side on the machines of a Ray cluster, an optional extra."""

import logging
import os
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..errors import EmotionError, TrainingError, reason_of
from ..files import work_folder
from ..native import TENSORFLOW
from ..registry import models_folder
from ..runs import Run, load_run
from ..texts import say
from .trainings import work_on

#: The address that starts a Ray on this machine alone.
LOCAL = "local"
_PROJECT = Path(__file__).resolve().parent.parent.parent
#: Cores of one training, where the machines have so many.
_CORES = 2
#: A training whose worker was lost goes on elsewhere, so often at most.
_RETRIES = 5
_STORE_BYTES = 100_000_000
_PATIENCE_S = 10.0


def work_side_by_side(
    runs: Sequence[Run],
    address: str,
    *,
    on_trial: Callable[[Run], None] | None = None,
    on_failure: Callable[[Run, str], None] | None = None,
) -> None:
    """Train what some runs ask for, as many at once as the cluster has room for.

    Every machine has to see the work folder, the data and this project under the same paths. A
    training whose worker is lost goes on from its last finished epoch.

    Args:
        runs: What is trained.
        address: Of the cluster, `auto` for the one of this machine, or `local` to start one.
        on_trial: Called with each run that has ended well.
        on_failure: Called with each run that has not, and the reason.

    Raises:
        TrainingError: Ray is not installed, or there is no cluster at the address.
    """
    ray = _connect(address)
    try:
        resources = ray.cluster_resources()
        trial = ray.remote(
            num_cpus=min(_CORES, max(1, int(resources.get("CPU", 1)))),
            num_gpus=1 if resources.get("GPU") else 0,
            max_retries=_RETRIES,
        )(_train)
        waiting = {trial.remote(run.id): run for run in runs}
        while waiting:
            (ended, *_), _ = ray.wait(list(waiting), num_returns=1)
            run = waiting.pop(ended)
            try:
                problem = ray.get(ended)
            except ray.exceptions.RayError as error:
                problem = reason_of(error)
            if problem and on_failure:
                on_failure(run, problem)
            elif not problem and on_trial:
                on_trial(load_run(run.id))
    finally:
        ray.shutdown()


def _train(run_id: str) -> str:
    """Train a run in a process of the cluster; return what went wrong, or nothing."""
    try:
        work_on(load_run(run_id))
    except EmotionError as error:
        return str(error)
    return ""


def _connect(address: str) -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing leaves the machine
    try:
        import ray
    except ImportError as error:
        raise TrainingError(say("error.no_ray")) from error
    environment = {"MIEN_HOME": str(work_folder()), "PYTHONPATH": str(_PROJECT), **TENSORFLOW}
    if "MIEN_MODELS" in os.environ:
        environment["MIEN_MODELS"] = str(models_folder().absolute())
    settings: dict[str, Any] = {
        "runtime_env": {"env_vars": environment},
        "log_to_driver": False,
        "logging_level": logging.ERROR,
    }
    if address == LOCAL:
        settings |= {"include_dashboard": False, "object_store_memory": _STORE_BYTES}
    else:
        settings["address"] = address
    try:
        host, _, port = address.rpartition(":")
        if host and "//" not in host:  # Ray itself would try for minutes
            socket.create_connection((host, int(port)), _PATIENCE_S).close()
        ray.init(**settings)
    except (OSError, ValueError, RuntimeError) as error:
        reason = reason_of(error)
        raise TrainingError(say("error.no_cluster", address=address, reason=reason)) from error
    return ray
