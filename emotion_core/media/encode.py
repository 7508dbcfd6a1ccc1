"""Writing videos: H.264 with the times of the frames, and the sound of the source."""

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.error import ExitError, FFmpegError

from ..errors import StorageError
from ..files import atomic_path
from ..types import Frame, VideoInfo
from .video import HD_LINES, first_time_s, no_answer, open_sound

#: Fine enough for every frame rate: at most 6 µs beside the true time.
_TIME_BASE = Fraction(1, 90_000)
#: Frames that come before earlier ones would let a video seem to end before its last frames.
_CODEC_OPTIONS = {"preset": "veryfast", "crf": "23", "bf": "0"}
#: From here on the encoder looks ahead less: each frame it holds is 10 MB at Full HD, and the ten
#: of the preset were a third of a job's memory.
_LARGE_PX = 1280 * 720
_LARGE_OPTIONS = {"x264-params": "rc-lookahead=2:sync-lookahead=0"}
#: mp4 holds these and browsers play them; other sound becomes AAC.
_COPIED_SOUND = {"aac", "mp3", "mp3float", "opus", "flac"}
#: Y from 16 to 235 (ITU-T H.273).
_LIMITED = 1
_SOUND_RATES = (48_000, 44_100, 32_000, 24_000, 22_050, 16_000)


class VideoWriter:
    """Takes frames in order and encodes them; made by `write_video`."""

    def __init__(self, container: Any, stream: Any, sound: "_Sound | None") -> None:
        self._container, self._stream, self._sound = container, stream, sound
        self._first_s: float | None = None
        self._last_pts = -1

    def write(self, frame: Frame) -> None:
        """Encode one frame; its time counts from the first one that was written."""
        if self._first_s is None:
            self._first_s = frame.time_s
        width, height = self._stream.width, self._stream.height
        image = frame.image
        if image.shape[0] // 2 * 2 == height and image.shape[1] // 2 * 2 == width:
            image = np.ascontiguousarray(image[:height, :width])
        picture = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(
            width=width,  # it may have changed on the way
            height=height,
            format=self._stream.pix_fmt,
            dst_colorspace=_matrix_of(height)[0],
        )
        pts = round((frame.time_s - self._first_s) / _TIME_BASE)
        self._last_pts = picture.pts = max(pts, self._last_pts + 1)  # times have to rise
        picture.time_base = _TIME_BASE
        if self._sound:
            self._sound.write_until(frame.time_s, self._first_s)
        self._container.mux(self._stream.encode(picture))

    def finish(self, last_s: float | None) -> None:
        """Write what the encoder still holds, and the sound up to `last_s`."""
        self._container.mux(self._stream.encode())
        if self._sound and self._first_s is not None:
            self._sound.write_until(last_s, self._first_s)
            self._sound.finish()


def _matrix_of(height: int) -> tuple[str, int]:
    """Return how RGB becomes YUV: a name of FFmpeg's scaler, a number of H.264 (ITU-T H.273)."""
    return ("ITU709", 1) if height >= HD_LINES else ("ITU601", 6)


@contextmanager
def write_video(
    target: Path, info: VideoInfo, *, sound_of: Path | None = None, end_s: float | None = None
) -> Iterator[VideoWriter]:
    """Write an MP4 that browsers play: H.264 yuv420p, the index in front, every frame at its time.

    The file takes its name when the block succeeds; whatever ends it early, none stays. A side of
    odd length loses its last row or column, since yuv420p has none.

    Args:
        target: Where the file goes.
        info: Size and frame rate of what will be written.
        sound_of: Take the sound of this file, from the first written frame's time on. It is
            copied where MP4 holds it and browsers play it, and becomes AAC otherwise.
        end_s: Where the sound ends, on the source's clock; None is its own end.

    Raises:
        StorageError: The disk is full or may not be written to.
    """
    with atomic_path(target) as temporary:
        try:
            with av.open(str(temporary), "w", options={"movflags": "+faststart"}) as container:
                is_large = info.width * info.height > _LARGE_PX
                options = {**_CODEC_OPTIONS, **(_LARGE_OPTIONS if is_large else {})}
                stream = container.add_stream("libx264", rate=info.frame_rate, options=options)
                stream.width = max(2, info.width // 2 * 2)
                stream.height = max(2, info.height // 2 * 2)
                stream.pix_fmt = "yuv420p"
                codec, code = stream.codec_context, _matrix_of(stream.height)[1]
                codec.colorspace = codec.color_primaries = codec.color_trc = code
                codec.color_range = _LIMITED
                codec.time_base = stream.time_base = _TIME_BASE
                codec.thread_count = 0
                sound = _Sound.of(sound_of, container) if sound_of and info.has_audio else None
                writer = VideoWriter(container, stream, sound)
                try:
                    yield writer
                    writer.finish(end_s)
                finally:
                    if sound:
                        sound.close()
        except FFmpegError as error:
            if isinstance(error, OSError):  # a full disk; atomic_path says which
                raise OSError(error.errno, error.strerror) from error
            raise StorageError(f"{target.name} could not be encoded: {error}.") from error


def _is_copied(codec: Any) -> bool:
    """Return whether an MP4 takes sound as it is."""
    is_slow_mp3 = codec.name.startswith("mp3") and codec.sample_rate < _SOUND_RATES[-1]
    return codec.name in _COPIED_SOUND and not is_slow_mp3


class _Sound:
    """The sound of a source, written along with the picture."""

    def __init__(self, source: Any, source_stream: Any, target: Any, origin_s: float) -> None:
        self._source, self._from, self._target = source, source_stream, target
        self._origin_s = origin_s
        self._is_copy = _is_copied(source_stream.codec_context)
        self._packets = source.demux(source_stream)
        self._held: Any = None
        self._last_pts: int | None = None
        self._is_broken = False
        if self._is_copy:
            self._to = target.add_stream_from_template(source_stream)
        else:
            rate = source_stream.codec_context.sample_rate
            self._to = target.add_stream("aac", rate=rate if rate in _SOUND_RATES else 48_000)
            self._to.layout = "mono" if source_stream.codec_context.channels == 1 else "stereo"
            self._resampler = self._new_resampler()
            self._form: tuple[str, str, int] | None = None

    @classmethod
    def of(cls, path: Path, target: Any) -> "_Sound | None":
        """Open the first sound stream of a file; None when it cannot be decoded."""
        origin_s = first_time_s(path)
        source = open_sound(path)
        try:
            return cls(source, source.streams.audio[0], target, origin_s)
        except (FFmpegError, ValueError, AttributeError, IndexError):
            source.close()
            return None

    def write_until(self, time_s: float | None, first_s: float) -> None:
        """Write the sound up to a time of the source; what lies before `first_s` is left out."""
        while (packet := self._next()) is not None:
            start_s = float(packet.pts * packet.time_base) - self._origin_s
            if time_s is not None and start_s >= time_s:
                self._held = packet
                return
            does_rise = self._last_pts is None or packet.pts > self._last_pts
            if start_s >= first_s - 1e-6 and does_rise and not self._is_broken:
                self._last_pts = packet.pts
                self._write_or_leave(packet, first_s)

    def finish(self) -> None:
        """Write what the encoder of the sound still holds."""
        if not self._is_copy and not self._is_broken:
            self._target.mux(self._to.encode())

    def close(self) -> None:
        """Let the source go."""
        self._source.close()

    def _next(self) -> Any:
        if self._held is not None:
            packet, self._held = self._held, None
            return packet
        try:
            return next((p for p in self._packets if p.pts is not None and p.size), None)
        except ExitError as error:
            raise no_answer(Path(self._source.name).name) from error
        except FFmpegError:  # the sound is cut off; the picture goes on
            return None

    def _write_or_leave(self, packet: Any, first_s: float) -> None:
        """Write a packet; sound that no MP4 takes ends there, and the picture goes on."""
        try:
            self._write(packet, first_s)
        except ValueError:  # FFmpeg's "invalid argument"; a full disk is another error
            self._is_broken = True

    def _write(self, packet: Any, first_s: float) -> None:
        before_s = self._origin_s + first_s
        if self._is_copy:
            packet.pts -= round(before_s / packet.time_base)
            packet.dts = packet.pts
            packet.stream = self._to
            self._target.mux(packet)
            return
        try:
            frames = packet.decode()
        except FFmpegError:  # one broken packet is one moment of silence
            return
        for frame in frames:
            if frame.pts is not None:
                frame.pts -= round(before_s / frame.time_base)
            form = (frame.format.name, frame.layout.name, frame.sample_rate)
            if self._form not in (None, form):  # as from a film in stereo to one in 5.1
                self._resampler = self._new_resampler()
            self._form = form
            for ready in self._resampler.resample(frame):
                # what needs no change keeps its source's clock, and the encoder has one
                if ready.pts is not None:
                    ready.pts = round(ready.pts * ready.time_base * self._to.rate)
                    ready.time_base = Fraction(1, self._to.rate)
                self._target.mux(self._to.encode(ready))

    def _new_resampler(self) -> Any:
        return av.AudioResampler(format=self._to.format, layout=self._to.layout, rate=self._to.rate)
