"""Reading facial expressions from pictures, with calibrated confidence, offline.

A model describes what a face looks like. It does not know what a person feels.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .native import bind_srtp

__version__ = "0.1.0"

bind_srtp()

if TYPE_CHECKING:
    from .analysis import ReadOptions as ReadOptions
    from .analysis import VideoOptions as VideoOptions
    from .analysis import read_frames as read_frames
    from .analysis import read_picture as read_picture
    from .draw import draw_reading as draw_reading
    from .errors import EmotionError as EmotionError
    from .export import write_timeline as write_timeline
    from .faces import load_detector as load_detector
    from .media.photo import read_photo as read_photo
    from .media.video import iter_frames as iter_frames
    from .registry import load_committee as load_committee
    from .registry import load_model as load_model

_HOMES = {
    "EmotionError": "errors",
    "ReadOptions": "analysis",
    "VideoOptions": "analysis",
    "draw_reading": "draw",
    "iter_frames": "media.video",
    "load_committee": "registry",
    "load_detector": "faces",
    "load_model": "registry",
    "read_frames": "analysis",
    "read_photo": "media.photo",
    "read_picture": "analysis",
    "write_timeline": "export",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    # names are fetched when first used, so that importing the library stays light
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
