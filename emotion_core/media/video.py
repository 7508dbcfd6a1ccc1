"""Videos: decoded frame by frame, upright, with exact times. Nothing is ever fetched."""

from bisect import bisect_left
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.error import ExitError, FFmpegError
from av.sidedata.sidedata import Type as SideData

from .. import limits
from ..errors import (
    BadArgument,
    BrokenVideo,
    InputError,
    NoVideoStream,
    TooLarge,
    UnsupportedFormat,
    os_reason,
    reason_of,
)
from ..texts import say
from ..types import Frame, Image, VideoInfo
from .sizes import in_size

#: Only containers that are meant, and only files: an SDP text named .mp4 would open sockets.
_OPTIONS = {
    "format_whitelist": "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi",
    "protocol_whitelist": "file",
}
#: For opening and for each read: a disk that spins up or a drive in the network takes its time.
_PATIENCE_S = (20.0, 20.0)
#: Times that differ by less are equal: a tenth of the finest frame there is.
_ROUNDING_S = 1e-4
#: Before this, decoding from the start is as quick as looking for a key frame.
_SEEK_FROM_S = 2.0
#: A file whose clock begins later than this, in microseconds, was cut from another one.
_LATE_US = 500_000
#: Whether a packet of VP8 is shown, in its first byte (RFC 6386, 9.1).
_VP8_SHOWN = 0x10
#: Pixels that are wider or taller than this are damage, not a format.
_STRETCH_MOST = 4.0
#: From here on a video that does not say how RGB became YUV is shown as BT.709.
HD_LINES = 720
_UNSPECIFIED = 2
#: PyAV raises outside its own tree too: an unknown codec has no `width`, an empty file is OSError.
_ERRORS = (FFmpegError, OSError, ValueError, AttributeError)


def probe_video(path: str | Path) -> VideoInfo:
    """Return what is known of a video without decoding it.

    Raises:
        InputError: The file is missing.
        UnsupportedFormat: It is not mp4/mov/3gp, matroska/webm or avi.
        NoVideoStream: There is no moving picture in it.
        TooLarge: Its frames are over `limits.VIDEO_MAX_PX`.
    """
    with _open(Path(path)) as container:
        stream = _video_stream(container, Path(path).name)
        rotation = _first_rotation(container, stream, Path(path).name)
        wider, taller = _stretch(stream)
        width, height = round(stream.width * wider), round(stream.height * taller)
        if rotation in (90, 270):
            width, height = height, width
        duration = container.duration
        if "matroska" in container.format.name and (container.start_time or 0) > _LATE_US:
            duration = None  # by who wrote it, the length or the time of the end
        return VideoInfo(
            width=width,
            height=height,
            frame_rate=stream.average_rate or stream.guessed_rate or Fraction(25),
            duration_s=duration / 1_000_000 if duration else None,
            frame_count=stream.frames or None,
            rotation=rotation,
            has_audio=bool(container.streams.audio),
        )


def iter_frames(
    path: str | Path, *, every: int = 1, start_s: float = 0.0, end_s: float | None = None
) -> Iterator[Frame]:
    """Decode a video frame by frame; one frame at a time is held in memory.

    Args:
        path: mp4, mov, 3gp, mkv, webm or avi, told apart by content.
        every: Give only every n-th frame of those in the range.
        start_s: Begin with the first frame at or after this time.
        end_s: End before this time; None goes on to the end.

    Yields:
        Frames with upright uint8 RGB pictures of square pixels, all in the size that `probe_video`
        gives: browsers change it on the way when they record a call. `time_s` is exact, from the
        presentation time, and counts from the video's first frame, whatever `start_s` is. AVI
        knows no such times: where its frames are not stored in their order, they are counted.

    Raises:
        BadArgument: `every` is under 1.
        InputError: The file is missing.
        UnsupportedFormat, NoVideoStream, TooLarge: As `probe_video`.
        BrokenVideo: Not one frame decodes, or more packets fail than
            `limits.VIDEO_DECODE_FAILURES` and `limits.VIDEO_DECODE_FAILED_SHARE` of them.
    """
    if every < 1:
        raise BadArgument("every counts from 1.")
    name = Path(path).name
    with _open(Path(path)) as container:
        stream = _video_stream(container, name)
        stream.thread_type = "AUTO"
        bears_times, stretch = _bears_times(container, stream), _stretch(stream)
        # the stream's own, which changes with its frames
        width, height = round(stream.width * stretch[0]), round(stream.height * stretch[1])
        passed: list[int] = []
        if bears_times and start_s > _SEEK_FROM_S:
            passed = _seek(Path(path), container, stream, start_s)
        first_pts = passed[0] if passed else None
        begin, is_mirrored, number = None, False, 0
        for count, frame in enumerate(_decode(container, stream, name)):
            _check_frame(frame, name)
            if begin is None:
                begin = bisect_left(passed, frame.pts) if passed and frame.pts is not None else 0
                # asked once: a frame that was asked is freed late, with the threads that turn it
                is_mirrored = _is_mirrored(frame)
                if _rotation(frame) in (90, 270):
                    width, height = height, width
            index = begin + count
            if bears_times:
                pts = frame.pts if frame.pts is not None else index
                first_pts = pts if first_pts is None else first_pts
                time_s = float((pts - first_pts) * (frame.time_base or stream.time_base))
            else:
                time_s = float(index / stream.average_rate)
            if end_s is not None and time_s >= end_s - _ROUNDING_S:
                break
            if time_s < start_s - _ROUNDING_S:
                continue
            if number % every == 0:
                picture = in_size(_upright(frame, stretch, is_mirrored), height, width)
                yield Frame(picture, index, time_s)
            number += 1
        if begin is None:
            raise BrokenVideo(say("error.broken_video", name=name, reason="no frame decodes"))


def first_time_s(path: Path) -> float:
    """Return the time of a video's first frame on the file's own clock, which sound shares.

    A file without a picture begins at 0.
    """
    with _open(path) as container:
        if not container.streams.video:
            return 0.0
        stream = _video_stream(container, path.name)
        frame = next(_decode(container, stream, path.name), None)
        if frame is None or frame.pts is None or not _bears_times(container, stream):
            return 0.0
        return float(frame.pts * (frame.time_base or stream.time_base))


def open_sound(path: Path) -> Any:
    """Open a media file behind the same guards as a video, for the sound in it."""
    return _open(path)


def _bears_times(container: Any, stream: Any) -> bool:
    """Return whether frames come with the time when they are shown.

    AVI has none; FFmpeg guesses them from the order of storage, which with B-frames is another.
    """
    is_guessed = "avi" in container.format.name and stream.codec_context.has_b_frames
    return not (is_guessed and stream.average_rate)


def _stretch(stream: Any) -> tuple[float, float]:
    """Return how much wider and taller a frame is shown than it is stored."""
    ratio = float(stream.sample_aspect_ratio or 1)
    wider, taller = max(1.0, ratio), max(1.0, 1 / ratio if ratio else 1.0)
    is_plausible = wider * taller <= _STRETCH_MOST
    is_small = stream.width * stream.height * wider * taller <= limits.VIDEO_MAX_PX
    return (wider, taller) if is_plausible and is_small else (1.0, 1.0)


def _seek(path: Path, container: Any, stream: Any, start_s: float) -> list[int]:
    """Go to the last key frame before `start_s`; return the times of the frames up to there.

    They are in the order in which they are shown, from the first that a whole reading shows: what
    an edit list cuts away, or what was cut off from the pictures it refers to, does not count.
    Packets are looked at without decoding them, and later ones are not read. Where they bear no
    times, nothing is skipped and nothing returned.
    """
    first = _first_pts(path)
    if first is None:
        return []
    wanted = first + start_s / stream.time_base
    times: list[int] = []
    key = first
    try:
        with _open(path) as scanned:
            for packet in scanned.demux(_video_stream(scanned, path.name)):
                if not packet.size:
                    continue
                if packet.pts is None:
                    return []
                if stream.codec_context.name == "vp8" and not bytes(packet)[0] & _VP8_SHOWN:
                    continue  # a picture that others refer to and nobody sees
                if packet.is_keyframe and key < packet.pts <= wanted:
                    key = packet.pts
                if packet.pts >= first and not packet.is_discard:
                    times.append(packet.pts)
                if packet.dts is not None and packet.dts > wanted:  # nothing is shown before it
                    break
        container.seek(key, stream=stream, backward=True)
    except _ERRORS as error:
        reason = reason_of(error)
        raise BrokenVideo(say("error.broken_video", name=path.name, reason=reason)) from error
    return sorted(times)


def _first_pts(path: Path) -> int | None:
    """Return the time of the first frame that decodes, in ticks of its stream."""
    with _open(path) as container:
        frame = next(_decode(container, _video_stream(container, path.name), path.name), None)
        return None if frame is None else frame.pts


def _open(path: Path) -> Any:
    try:
        if not path.stat().st_size:
            raise BrokenVideo(say("error.empty_file", name=path.name))
    except OSError as error:
        raise InputError(
            say("error.unreadable_file", name=path.name, reason=os_reason(error))
        ) from error
    try:
        return av.open(f"file:{path.resolve()}", options=_OPTIONS, timeout=_PATIENCE_S)
    except PermissionError as error:
        raise InputError(
            say("error.unreadable_file", name=path.name, reason=os_reason(error))
        ) from error
    except ExitError as error:
        raise no_answer(path.name) from error
    except _ERRORS as error:
        raise UnsupportedFormat(say("error.not_a_video", name=path.name)) from error


def _video_stream(container: Any, name: str) -> Any:
    for stream in container.streams.video:
        is_cover = bool(stream.disposition & av.stream.Disposition.attached_pic)
        try:
            if is_cover or not stream.width:
                continue
        except AttributeError:  # a codec that this build does not know
            continue
        if stream.width * stream.height > limits.VIDEO_MAX_PX:
            raise _too_large(name)
        return stream
    raise NoVideoStream(say("error.no_video_stream", name=name))


def _first_rotation(container: Any, stream: Any, name: str) -> int:
    try:
        frame = next(_decode(container, stream, name), None)
    except InputError:
        return 0
    return _rotation(frame) if frame is not None else 0


def _rotation(frame: Any) -> int:
    """Return 0, 90, 180 or 270 degrees counterclockwise; anything else is damage and means 0."""
    turned = frame.rotation % 360
    return turned if turned in (90, 180, 270) else 0


def _decode(container: Any, stream: Any, name: str) -> Iterator[Any]:
    failures = 0
    try:
        for number, packet in enumerate(container.demux(stream), 1):
            try:
                yield from packet.decode()
            except ExitError:
                raise
            except FFmpegError as error:
                failures += 1
                borne = max(limits.VIDEO_DECODE_FAILURES, limits.VIDEO_DECODE_FAILED_SHARE * number)
                if failures > borne:
                    raise _broken_at(packet, stream, name, error.strerror) from error
    except ExitError as error:
        raise no_answer(name) from error
    except _ERRORS as error:
        raise BrokenVideo(say("error.broken_video", name=name, reason=str(error)[:120])) from error


def _broken_at(packet: Any, stream: Any, name: str, reason: str | None) -> BrokenVideo:
    at = packet.pts if packet.pts is not None else packet.dts
    if at is None:
        return BrokenVideo(say("error.broken_video", name=name, reason=reason))
    at_s = float((at - (stream.start_time or 0)) * stream.time_base)
    return BrokenVideo(say("error.broken_video_at", name=name, at_s=at_s, reason=reason))


def no_answer(name: str) -> InputError:
    """Return the error of a file whose drive takes longer than the patience for it."""
    return InputError(say("error.unreadable_file", name=name, reason="its drive does not answer"))


def _check_frame(frame: Any, name: str) -> None:
    if frame.width * frame.height > limits.VIDEO_MAX_PX:
        raise _too_large(name)


def _too_large(name: str) -> TooLarge:
    limit_mpx = limits.VIDEO_MAX_PX // 1_000_000
    return TooLarge(say("error.too_large_frames", name=name, limit_mpx=limit_mpx))


def _upright(frame: Any, stretch: tuple[float, float], is_mirrored: bool) -> Image:
    # FFmpeg would take it for BT.601
    is_hd = frame.colorspace == _UNSPECIFIED and frame.height >= HD_LINES
    told: dict[str, Any] = {"src_colorspace": "ITU709"} if is_hd else {}
    if stretch != (1.0, 1.0):
        told |= {
            "width": round(frame.width * stretch[0]),
            "height": round(frame.height * stretch[1]),
        }
    picture = frame.reformat(format="rgb24", **told).to_ndarray()
    if is_mirrored:
        picture = picture[::-1]
    return np.ascontiguousarray(np.rot90(picture, _rotation(frame) // 90))


def _is_mirrored(frame: Any) -> bool:
    """Whether the picture is shown as in a mirror; what FFmpeg calls rotation is then the turn that
    follows on a flip upside down."""
    try:
        told = frame.side_data.get(SideData.DISPLAYMATRIX)
    except ValueError:  # PyAV lists none where one is of a kind that it does not know
        told = None
    if told is None:
        return False
    matrix = np.frombuffer(bytes(told), np.int32).astype(np.float64)
    return bool(matrix[0] * matrix[4] < matrix[1] * matrix[3])
