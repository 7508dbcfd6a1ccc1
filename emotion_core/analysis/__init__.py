"""The one place where detecting, tracking, classifying and affect meet."""

from .picture import ReadOptions, find_faces, read_batches, read_picture
from .video import VideoOptions, read_frames

__all__ = [
    "ReadOptions",
    "VideoOptions",
    "find_faces",
    "read_batches",
    "read_frames",
    "read_picture",
]
