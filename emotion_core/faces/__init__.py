"""Finding faces: picture to `Faces`. A new detector is a file and a row in `DETECTORS`."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from ..download import FetchedFile, OnBytes, fetch_file, place_file
from ..errors import BadArgument, ModelError
from ..texts import say
from .contract import Detector, OneAtATime

__all__ = [
    "DETECTORS",
    "Detector",
    "DetectorEntry",
    "DetectorState",
    "detector_states",
    "fetch_detector",
    "load_detector",
]


@dataclass(frozen=True)
class DetectorEntry:
    """How a detector is made.

    Attributes:
        module: The module of this package.
        kind: Its class there.
        options: What the class is made with.
        says_how_sure: Whether its faces have a confidence of their own.
    """

    module: str
    kind: str
    options: dict[str, str]
    says_how_sure: bool = True

    def kind_of(self) -> Callable[..., Detector]:
        """Return the class; its library is imported only now."""
        made: Callable[..., Detector] = getattr(
            import_module(f".{self.module}", __package__), self.kind
        )
        return made

    def files(self) -> tuple[FetchedFile, ...]:
        """Return the files that have to be fetched first."""
        found: tuple[FetchedFile, ...] = getattr(
            import_module(f".{self.module}", __package__), "FILES", ()
        )
        return found


DETECTORS = {
    "blazeface": DetectorEntry("blazeface", "BlazeFace", {}),
    "blazeface-full": DetectorEntry("blazeface", "BlazeNet", {"net": "full"}),
    "blazeface-back": DetectorEntry("blazeface", "BlazeNet", {"net": "back"}),
    "blazeface-short": DetectorEntry("blazeface", "BlazeNet", {"net": "short"}),
    "centerface": DetectorEntry("centerface", "CenterFace", {}),
    "haar": DetectorEntry("haar", "Haar", {}, says_how_sure=False),
    "haar-default": DetectorEntry("haar", "Haar", {"cascade": "default"}, says_how_sure=False),
    "haar-alt": DetectorEntry("haar", "Haar", {"cascade": "alt"}, says_how_sure=False),
    "haar-alt_tree": DetectorEntry("haar", "Haar", {"cascade": "alt_tree"}, says_how_sure=False),
    "ssd": DetectorEntry("ssd", "Ssd", {}),
    "yunet": DetectorEntry("yunet", "YuNet", {}),
}
DEFAULT_DETECTOR = "blazeface"


@dataclass(frozen=True)
class DetectorState:
    """Whether a detector can be used now.

    Attributes:
        name: Its key in `DETECTORS`.
        is_ready: Whether `load_detector` will succeed.
        download_mb: What fetching it costs, 0 when it comes with a package.
    """

    name: str
    is_ready: bool
    download_mb: float


def detector_states() -> list[DetectorState]:
    """Return the state of every detector, the default first."""
    states = []
    for name, entry in DETECTORS.items():
        files = entry.files()
        missing = [file for file in files if not file.is_ready()]
        is_ready = not missing
        if not files:
            try:
                load_detector(name)
            except ModelError:
                is_ready = False
        size_mb = sum(file.size_bytes for file in missing) / 1e6
        states.append(DetectorState(name, is_ready, round(size_mb, 1)))
    return states


def load_detector(name: str = DEFAULT_DETECTOR, *, min_confidence: float | None = None) -> Detector:
    """Make a detector; several threads may share it.

    Args:
        name: A key of `DETECTORS`.
        min_confidence: Weaker faces are dropped, 0..1; None takes the detector's own default.

    Raises:
        ModelError: There is no such detector, or its net is not there.
        BadArgument: The confidence is none, or the detector gives its faces none.
    """
    if name not in DETECTORS:
        raise ModelError(say("error.no_detector", name=name, names=", ".join(DETECTORS)))
    entry = DETECTORS[name]
    options: dict[str, object] = dict(entry.options)
    if min_confidence is not None and not 0 <= min_confidence <= 1:
        raise BadArgument(f"The confidence {min_confidence} does not lie between 0 and 1.")
    if min_confidence and not entry.says_how_sure:
        raise BadArgument(say("error.detector_unsure", name=name))
    if min_confidence is not None:
        options["min_confidence"] = min_confidence
    return OneAtATime(entry.kind_of()(**options))


def fetch_detector(
    name: str, *, source: Path | None = None, on_bytes: OnBytes | None = None
) -> None:
    """Download the files of a detector that has any, or take them from this machine.

    Args:
        name: A key of `DETECTORS`.
        source: A folder with the files, or the file where there is one only; None downloads.
        on_bytes: Called with (bytes so far, bytes in all) of each file.

    Raises:
        ModelError: There is no such detector, its host cannot be reached or the file differs.
        StorageError: A file cannot be written.
    """
    if name not in DETECTORS:
        raise ModelError(say("error.no_detector", name=name, names=", ".join(DETECTORS)))
    for file in DETECTORS[name].files():
        if source is None:
            fetch_file(file, on_bytes=on_bytes)
        else:
            place_file(file, source)
