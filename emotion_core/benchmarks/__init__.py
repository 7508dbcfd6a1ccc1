"""Benchmarks: how good the models are on data that everybody can name, beside what others reach.

A new one is a function and a row in `BENCHMARKS`.
"""

from collections.abc import Sequence
from pathlib import Path

from ..classify import Recognizer
from ..errors import InputError
from ..texts import say
from .calibration import calibrate_committees, keep_calibration
from .contract import Benchmark, OnProgress, Run
from .found import film, photos
from .given import fer2013, ferplus
from .keep import keep_figures
from .peers import PEERS

BENCHMARKS: dict[str, Run] = {
    "ferplus": ferplus,
    "fer2013": fer2013,
    "film": film,
    "photos": photos,
}


def run_benchmark(
    name: str,
    data: Path,
    recognizers: Sequence[Recognizer],
    *,
    split: str = "test",
    on_progress: OnProgress | None = None,
) -> Benchmark:
    """Measure models and committees, at both priors, without and with the mirror image.

    Args:
        name: A key of `BENCHMARKS`.
        data: The `.npz` of FER2013, or the folder of film faces or photos.
        recognizers: Loaded at the data's prior.
        split: `val` or `test`, where the benchmark has both.
        on_progress: Called with (faces read, faces in all).

    Raises:
        InputError: There is no such benchmark or split, or the data is not what it needs.
        CardMismatch: A model takes other pictures than the benchmark has.
    """
    if name not in BENCHMARKS:
        raise InputError(say("error.no_benchmark", name=name, names=", ".join(BENCHMARKS)))
    if split not in ("val", "test"):
        raise InputError(say("error.benchmark_split", split=split))
    return BENCHMARKS[name](data, recognizers, split, on_progress)


__all__ = [
    "BENCHMARKS",
    "PEERS",
    "Benchmark",
    "calibrate_committees",
    "keep_calibration",
    "keep_figures",
    "run_benchmark",
]
