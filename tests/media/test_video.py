"""The video door: exact times, upright frames, and nothing fetched."""

import gc
import os
import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from emotion_core.errors import (
    BadArgument,
    BrokenVideo,
    EmotionError,
    InputError,
    NoVideoStream,
    UnsupportedFormat,
)
from emotion_core.media import video
from emotion_core.media.video import iter_frames, probe_video
from emotion_core.types import Image
from tests.builders import encode, make_picture, make_video

PICTURES = [make_picture(64, 48, seed=s) for s in range(6)]


def test_times_are_those_of_the_file(tmp_path: Path) -> None:
    pts = [0, 40, 45, 200, 1000, 1033]
    video = make_video(tmp_path / "vfr.mp4", PICTURES, pts=pts)
    frames = list(iter_frames(video))
    assert [frame.index for frame in frames] == list(range(6))
    assert [frame.time_s for frame in frames] == pytest.approx([p / 1000 for p in pts], abs=1e-3)
    assert np.abs(frames[3].image.astype(int) - PICTURES[3]).mean() < 8


def test_frames_out_of_order_have_their_times_in_every_container(tmp_path: Path) -> None:
    pictures = [np.full((48, 64, 3), 6 * i, np.uint8) for i in range(30)]
    for name in ("a.mp4", "a.mkv", "a.avi"):
        video = make_video(tmp_path / name, pictures, b_frames=3)
        frames = list(iter_frames(video))
        assert [frame.time_s for frame in frames] == pytest.approx(np.arange(30) / 25, abs=1e-3)
        assert [frame.image.mean() for frame in frames] == pytest.approx(np.arange(30) * 6, abs=3)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.avi"])
def test_a_late_start_has_the_frames_of_a_whole_reading(tmp_path: Path, name: str) -> None:
    pictures = [np.full((48, 64, 3), 2 * i, np.uint8) for i in range(120)]
    video = make_video(tmp_path / name, pictures, b_frames=3)
    whole = [(frame.index, round(frame.time_s, 3)) for frame in iter_frames(video)]
    late = list(iter_frames(video, start_s=3.0))
    assert [(frame.index, round(frame.time_s, 3)) for frame in late] == whole[75:]
    assert [frame.image.mean() for frame in late] == pytest.approx(np.arange(75, 120) * 2, abs=3)


@pytest.mark.parametrize(
    ("kept_from_s", "starts_s"), [(0.0, 0.6), (1.9, 1.9), (1.9, 3.0)], ids=["list", "cut", "both"]
)
@pytest.mark.parametrize("name", ["trimmed.mp4", "trimmed.mkv"])
def test_a_late_start_in_a_trimmed_video_counts_what_is_shown(
    tmp_path: Path, name: str, kept_from_s: float, starts_s: float
) -> None:
    """Trimming without encoding leaves pictures that are hidden, or that lack the ones before."""
    pictures = [np.full((48, 64, 3), i, np.uint8) for i in range(200)]
    open_gops = {"x264-params": "keyint=50:min-keyint=50:scenecut=0:open-gop=1"}
    video = make_video(tmp_path / "a.mp4", pictures, b_frames=3, options=open_gops)
    trimmed = tmp_path / name
    with (
        av.open(str(video)) as source,
        av.open(str(trimmed), "w", options={"avoid_negative_ts": "disabled"}) as target,
    ):
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size and packet.dts * packet.time_base >= kept_from_s:
                packet.pts -= int(starts_s / packet.time_base)
                packet.dts -= int(starts_s / packet.time_base)
                packet.stream = stream
                target.mux(packet)
    whole = list(iter_frames(trimmed))
    assert len(whole) >= 98
    for start_s in (2.2, 3.1, 3.9):
        late = [frame for frame in whole if frame.time_s >= start_s - 1e-4]
        found = list(iter_frames(trimmed, start_s=start_s))
        assert [(f.index, f.time_s) for f in found] == [(f.index, f.time_s) for f in late]
        assert all(np.array_equal(a.image, b.image) for a, b in zip(found, late, strict=True))


@pytest.mark.parametrize(
    ("ratio", "shape"),
    [(Fraction(4, 3), (48, 85)), (Fraction(1, 2), (96, 64)), (Fraction(90, 1), (48, 64))],
)
def test_pixels_that_are_not_square_are_shown_as_meant(
    tmp_path: Path, ratio: Fraction, shape: tuple[int, int]
) -> None:
    video = make_video(tmp_path / "a.mp4", PICTURES, pixel_ratio=ratio)
    info = probe_video(video)
    assert (info.height, info.width) == shape
    assert next(iter_frames(video)).image.shape == (*shape, 3)


def test_every_nth_keeps_index_and_time(tmp_path: Path) -> None:
    video = make_video(tmp_path / "a.mkv", PICTURES)
    frames = list(iter_frames(video, every=2))
    assert [frame.index for frame in frames] == [0, 2, 4]
    assert frames[1].time_s == pytest.approx(0.08, abs=1e-3)


def test_what_is_known_before_decoding(tmp_path: Path) -> None:
    info = probe_video(make_video(tmp_path / "a.mp4", PICTURES))
    assert (info.width, info.height, info.rotation, info.has_audio) == (64, 48, 0, False)
    assert info.frame_count == 6


def test_refusals(tmp_path: Path) -> None:
    (tmp_path / "photo.mp4").write_bytes(encode(PICTURES[0], "PNG"))
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("no video")
    video = make_video(tmp_path / "a.mp4", PICTURES)
    (tmp_path / "cut.mp4").write_bytes(video.read_bytes()[:900])
    for name, error in [
        ("photo.mp4", UnsupportedFormat),
        ("empty.mp4", BrokenVideo),
        ("text.mp4", UnsupportedFormat),
        ("none.mp4", InputError),
        ("cut.mp4", (UnsupportedFormat, BrokenVideo, NoVideoStream)),
    ]:
        with pytest.raises(error, match=name):
            list(iter_frames(tmp_path / name))


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="nothing is closed to this user"
)
def test_a_video_that_may_not_be_read_is_no_other_file(tmp_path: Path) -> None:
    video = make_video(tmp_path / "a.mp4", PICTURES)
    video.chmod(0)
    with pytest.raises(InputError, match=r"a\.mp4 cannot be opened: Permission denied"):
        probe_video(video)


def test_a_drive_that_does_not_answer_is_no_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make_video(tmp_path / "a.mp4", PICTURES * 50)
    monkeypatch.setattr(video, "_PATIENCE_S", (1e-9, 1e-9))
    with pytest.raises(InputError, match=r"a\.mp4 cannot be opened: its drive does not answer"):
        list(iter_frames(source))
    monkeypatch.setattr(video, "_PATIENCE_S", (30.0, 1e-9))
    with pytest.raises(InputError, match="its drive does not answer"):
        list(iter_frames(source))


def test_no_description_of_a_stream_leads_elsewhere(tmp_path: Path) -> None:
    make_video(tmp_path / "real.mp4", PICTURES)
    listed = "ffconcat version 1.0\nfile real.mp4\n"
    (tmp_path / "list.mp4").write_text(listed)
    with av.open(str(tmp_path / "list.mp4")) as unguarded:
        assert unguarded.format.name == "concat", "FFmpeg by itself follows it"
    sdp = "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n"
    hls = "#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n"
    for name, text in [("a.mp4", sdp), ("b.mp4", hls), ("list.mp4", listed)]:
        (tmp_path / name).write_text(text)
        with pytest.raises(UnsupportedFormat):
            list(iter_frames(tmp_path / name))


def in_fragments(source: Path) -> Path:
    """The video as an MP4 in pieces, as cameras on a network and browsers write it."""
    target = source.with_suffix(".mp4")
    options = {"movflags": "frag_keyframe+empty_moov"}
    with av.open(str(source)) as held, av.open(str(target), "w", options=options) as container:
        stream = container.add_stream_from_template(held.streams.video[0])
        for packet in held.demux(video=0):
            if packet.size:
                packet.stream = stream
                container.mux(packet)
    return target


@pytest.mark.parametrize("start_s", [0.0, 0.1, 5.0])
def test_every_cut_of_a_file_is_read_or_refused(tmp_path: Path, start_s: float) -> None:
    plain = make_video(tmp_path / "a.mkv", PICTURES)
    for source in (plain, in_fragments(plain)):
        whole = source.read_bytes()
        for size in (*range(0, 1600, 100), *range(1600, len(whole), len(whole) // 20)):
            cut = tmp_path / f"{size}{source.suffix}"
            cut.write_bytes(whole[:size])
            try:
                list(iter_frames(cut, start_s=start_s))
            except EmotionError as error:
                assert cut.name in str(error)


def with_broken_packets(source: Path, target: Path, broken: range) -> Path:
    """The file with some packets of its picture overwritten where they lie."""
    content = bytearray(source.read_bytes())
    with av.open(str(source)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        for packet in packets[broken.start : broken.stop]:
            content[packet.pos : packet.pos + packet.size] = b"\xff" * packet.size
    target.write_bytes(content)
    return target


def test_a_glitch_in_a_long_video_costs_its_frames_alone(tmp_path: Path) -> None:
    source = make_video(tmp_path / "a.mp4", PICTURES * 150, options={"g": "25"})
    late = with_broken_packets(source, tmp_path / "late.mp4", range(800, 812))
    assert len(list(iter_frames(late))) >= 900 - 12 - 25
    early = with_broken_packets(source, tmp_path / "early.mp4", range(100, 112))
    with pytest.raises(BrokenVideo, match=r"early\.mp4 is damaged from 4 s on"):
        list(iter_frames(early))


def test_a_turned_video_is_upright_where_its_first_packet_is_damaged(tmp_path: Path) -> None:
    plain = make_video(tmp_path / "a.mp4", PICTURES * 4, options={"g": "6"})
    content = bytearray(plain.read_bytes())
    start = content.index(b"tkhd") + 4 + 40
    turn = (0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30)
    content[start : start + 36] = struct.pack(">9i", *turn)
    (tmp_path / "turned.mp4").write_bytes(content)
    broken = with_broken_packets(tmp_path / "turned.mp4", tmp_path / "broken.mp4", range(1))
    info, frame = probe_video(broken), next(iter_frames(broken))
    assert frame.image.shape[:2] == (info.height, info.width) == (64, 48)


def test_a_step_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadArgument, match="counts from 1"):
        next(iter_frames(make_video(tmp_path / "a.mkv", PICTURES), every=0))


@pytest.mark.parametrize(
    ("matrix", "shown"),
    [
        ((1, 0, 0, 1), lambda p: p),
        ((-1, 0, 0, -1), lambda p: p[::-1, ::-1]),
        ((0, 1, -1, 0), lambda p: np.rot90(p, -1)),
        ((0, -1, 1, 0), lambda p: np.rot90(p)),
        ((-1, 0, 0, 1), lambda p: p[:, ::-1]),
        ((1, 0, 0, -1), lambda p: p[::-1]),
        ((0, 1, 1, 0), lambda p: p.swapaxes(0, 1)),
        ((0, -1, -1, 0), lambda p: p[::-1, ::-1].swapaxes(0, 1)),
    ],
)
def test_turned_and_mirrored_videos_are_upright(
    tmp_path: Path, matrix: tuple[int, ...], shown: Callable[[Image], Image]
) -> None:
    """`matrix` leads a point x, y to a·x + c·y, b·x + d·y (ISO 14496-12, the track's header)."""
    content = bytearray(make_video(tmp_path / "a.mp4", PICTURES).read_bytes())
    start = content.index(b"tkhd") + 4 + 40
    a, b, c, d = (value << 16 for value in matrix)
    content[start : start + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    (tmp_path / "turned.mp4").write_bytes(content)
    plain, frame = (next(iter_frames(tmp_path / name)) for name in ("a.mp4", "turned.mp4"))
    assert np.array_equal(frame.image, shown(plain.image))
    info = probe_video(tmp_path / "turned.mp4")
    assert frame.image.shape[:2] == (info.height, info.width)


def test_no_frame_outlives_its_turn(tmp_path: Path) -> None:
    """Each would hold some MB and the threads that turn it into RGB."""
    source = make_video(tmp_path / "a.mp4", PICTURES * 10)
    gc.collect()
    gc.disable()
    try:
        assert len(list(iter_frames(source))) == 60
        assert sum(isinstance(one, av.VideoFrame) for one in gc.get_objects()) <= 2
    finally:
        gc.enable()


def test_frames_keep_one_size_when_the_stream_changes_its_own(tmp_path: Path) -> None:
    """As browsers record calls: fewer pixels for a while, another form when a phone is turned."""
    step = Fraction(1, 25)
    with av.open(str(tmp_path / "call.webm"), "w") as container:
        stream = container.add_stream("libvpx", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for part, (width, height) in enumerate([(64, 48), (32, 24), (48, 64)]):
            encoder = av.CodecContext.create("libvpx", "w")
            encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
            encoder.time_base, encoder.framerate = step, Fraction(25)
            pictures = [np.full((height, width, 3), 200, np.uint8)] * 5
            frames = [av.VideoFrame.from_ndarray(one, format="rgb24") for one in pictures]
            for number, frame in enumerate(frames):
                frame.pts, frame.time_base = 5 * part + number, step
            for frame in (*frames, None):
                shown = None if frame is None else frame.reformat(format="yuv420p")
                for packet in encoder.encode(shown):
                    packet.stream, packet.time_base = stream, step
                    container.mux(packet)
    frames_read = list(iter_frames(tmp_path / "call.webm"))
    assert [frame.image.shape for frame in frames_read] == [(48, 64, 3)] * 15
    assert frames_read[7].image.min() > 190, "fewer pixels fill the frame"
    turned = frames_read[-1].image[24].mean(axis=1)
    assert turned[32] > 190
    assert turned[[0, 5, -6, -1]].max() < 20, "another form stands between bars"


def _copied(
    source: Path, target: Path, change: Callable[[av.Packet, int], list[av.Packet]]
) -> Path:
    """Copy the packets of a video, each replaced by what `change` makes of it and its number."""
    with av.open(str(source)) as before, av.open(str(target), "w") as after:
        stream = before.streams.video[0]
        copy = after.add_stream_from_template(stream)
        for number, packet in enumerate(one for one in before.demux(stream) if one.size):
            for changed in change(packet, number):
                changed.stream = copy
                after.mux(changed)
    return target


@pytest.mark.parametrize("ending", ["mkv", "webm"])
def test_a_piece_of_another_matroska_file_has_no_wrong_length(tmp_path: Path, ending: str) -> None:
    def late(packet: av.Packet, number: int) -> list[av.Packet]:
        packet.pts = packet.dts = packet.pts + int(2000 / packet.time_base)
        return [packet]

    plain = make_video(tmp_path / f"plain.{ending}", PICTURES, codec="libvpx")
    assert probe_video(plain).duration_s == pytest.approx(len(PICTURES) / 25, abs=0.1)
    cut = _copied(plain, tmp_path / f"cut.{ending}", late)
    assert probe_video(cut).duration_s is None
    assert [frame.time_s for frame in iter_frames(cut)][:1] == [0]


def test_pictures_that_nobody_sees_are_no_frames(tmp_path: Path) -> None:
    def with_hidden(packet: av.Packet, number: int) -> list[av.Packet]:
        if packet.is_keyframe or number % 8 != 5:
            return [packet]
        hidden = av.Packet(bytes([bytes(packet)[0] & ~0x10]) + bytes(packet)[1:])
        hidden.time_base, hidden.pts = packet.time_base, packet.pts - 1
        hidden.dts = hidden.pts
        return [hidden, packet]

    pictures, options = PICTURES * 20, {"g": "25"}
    plain = make_video(tmp_path / "plain.webm", pictures, codec="libvpx", options=options)
    video = _copied(plain, tmp_path / "hidden.webm", with_hidden)
    whole = {round(frame.time_s, 3): frame.index for frame in iter_frames(video)}
    part = {round(frame.time_s, 3): frame.index for frame in iter_frames(video, start_s=3.5)}
    assert part
    assert part == {at_s: index for at_s, index in whole.items() if at_s in part}
