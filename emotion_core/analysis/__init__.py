"""The one place where detecting, tracking, classifying and affect meet."""

from .picture import ReadOptions, find_faces, read_batches, read_picture
from .provenance import network_hashes, provenance_of
from .video import VideoOptions, ahead, read_frames

__all__ = [
    "ReadOptions",
    "VideoOptions",
    "ahead",
    "find_faces",
    "network_hashes",
    "provenance_of",
    "read_batches",
    "read_frames",
    "read_picture",
]
