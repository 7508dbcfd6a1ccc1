"""Writing videos: every frame at its time, the sound in its place, whole or not at all."""

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from emotion_core.errors import InputError, StorageError
from emotion_core.media import encode, video
from emotion_core.media.encode import write_video
from emotion_core.media.sample import sample_video
from emotion_core.media.video import iter_frames, probe_video
from emotion_core.types import Frame, VideoInfo
from tests.builders import make_picture, make_sound, make_video

PICTURES = [make_picture(64, 48, seed=s) for s in range(12)]


def info_of(width: int = 64, height: int = 48, *, has_audio: bool = False) -> VideoInfo:
    return VideoInfo(width, height, Fraction(25), None, None, 0, has_audio)


def sound_of(path: Path) -> list[tuple[float, int]]:
    """Time and size of each packet of sound."""
    with av.open(str(path)) as container:
        packets = container.demux(audio=0)
        return [(float(p.pts * p.time_base), p.size) for p in packets if p.size]


def copy(source: Path, target: Path, **clip: float) -> Path:
    info = probe_video(source)
    with write_video(target, info, sound_of=source, end_s=clip.get("end_s")) as video:
        for frame in iter_frames(source, **clip):
            video.write(frame)
    return target


def test_uneven_times_are_kept(tmp_path: Path) -> None:
    times = [0, 0.04, 0.045, 0.2, 1.0, 1.0333]
    with write_video(tmp_path / "a.mp4", info_of()) as video:
        for i, time_s in enumerate(times):
            video.write(Frame(PICTURES[i], i, time_s))
    frames = list(iter_frames(tmp_path / "a.mp4"))
    assert [frame.time_s for frame in frames] == pytest.approx(times, abs=1e-4)
    assert np.abs(frames[2].image.astype(int) - PICTURES[2]).mean() < 12


def test_it_lasts_to_its_last_frame_however_far_apart_they_lie(tmp_path: Path) -> None:
    times_s = [*np.arange(50) / 25, 10.0, 20.0]
    with write_video(tmp_path / "a.mp4", info_of()) as writer:
        for index, time_s in enumerate(times_s):
            writer.write(Frame(PICTURES[index % len(PICTURES)], index, time_s))
    with av.open(str(tmp_path / "a.mp4")) as written:
        assert written.duration / av.time_base >= 20.0


def test_a_browser_plays_it(tmp_path: Path) -> None:
    copy(make_video(tmp_path / "a.mkv", PICTURES), tmp_path / "b.mp4")
    content = (tmp_path / "b.mp4").read_bytes()
    assert content.index(b"moov") < content.index(b"mdat"), "the index does not stand in front"
    with av.open(str(tmp_path / "b.mp4")) as container:
        codec = container.streams.video[0].codec_context
        assert (codec.name, codec.pix_fmt) == ("h264", "yuv420p")


@pytest.mark.parametrize(("width", "height", "code"), [(320, 240, 6), (1280, 720, 1)])
def test_the_file_says_how_its_colours_are_meant(
    tmp_path: Path, width: int, height: int, code: int
) -> None:
    skin = np.full((height, width, 3), (200, 60, 60), np.uint8)
    with write_video(tmp_path / "a.mp4", info_of(width, height)) as video:
        video.write(Frame(skin, 0, 0.0))
    with av.open(str(tmp_path / "a.mp4")) as container:
        held = container.streams.video[0].codec_context
        assert (held.colorspace, held.color_primaries, held.color_trc) == (code, code, code)
        planes = next(container.decode(video=0)).to_ndarray(format="yuv420p")
    # ITU-T BT.601 and BT.709, by hand
    red, blue = {6: (0.299, 0.114), 1: (0.2126, 0.0722)}[code]
    luma = 200 * red + 60 * (1 - red)
    wanted = [16 + 219 * luma / 255, 128 + 224 * (60 - luma) / 255 / (2 - 2 * blue)]
    found = [planes[:height].mean(), planes[height : height * 5 // 4].mean()]
    assert found == pytest.approx(wanted, abs=1.5)
    (frame,) = iter_frames(tmp_path / "a.mp4")
    assert np.abs(frame.image.astype(int) - skin).max() < 5


def test_untagged_video_of_720_lines_is_taken_for_what_players_take_it_for(tmp_path: Path) -> None:
    skin = np.full((720, 1280, 3), (200, 60, 60), np.uint8)
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 1280, 720, "yuv420p"
        picture = av.VideoFrame.from_ndarray(skin, format="rgb24")
        meant = picture.reformat(format="yuv420p", dst_colorspace="ITU709")
        bare = av.VideoFrame.from_ndarray(meant.to_ndarray(), format="yuv420p")
        container.mux(stream.encode(bare))
        container.mux(stream.encode())
    (frame,) = iter_frames(tmp_path / "a.mp4")
    assert np.abs(frame.image.astype(int) - skin).max() < 5


def test_odd_sides_lose_a_line(tmp_path: Path) -> None:
    with write_video(tmp_path / "a.mp4", info_of(65, 49)) as video:
        video.write(Frame(make_picture(65, 49), 0, 0.0))
    assert next(iter_frames(tmp_path / "a.mp4")).image.shape == (48, 64, 3)


def test_equal_times_become_rising_ones(tmp_path: Path) -> None:
    with write_video(tmp_path / "a.mp4", info_of()) as video:
        for i, time_s in enumerate([0.0, 0.0, 0.0]):
            video.write(Frame(PICTURES[i], i, time_s))
    assert len(list(iter_frames(tmp_path / "a.mp4"))) == 3


def test_sound_that_mp4_holds_is_copied_byte_for_byte(tmp_path: Path) -> None:
    source = make_video(tmp_path / "a.mp4", PICTURES * 5, sound=make_sound(tmp_path / "a.mka"))
    written = sound_of(copy(source, tmp_path / "b.mp4"))
    kept = [packet for packet in sound_of(source) if packet[0] >= 0]
    assert [size for _, size in written] == [size for _, size in kept]
    assert [t for t, _ in written] == pytest.approx([t for t, _ in kept], abs=1e-3)


def test_other_sound_becomes_aac(tmp_path: Path) -> None:
    sound = make_sound(tmp_path / "a.mka", codec="pcm_s16le")
    source = make_video(tmp_path / "a.mkv", PICTURES * 5, sound=sound)
    copy(source, tmp_path / "b.mp4")
    with av.open(str(tmp_path / "b.mp4")) as container:
        assert container.streams.audio[0].codec_context.name == "aac"
    assert onset_s(tmp_path / "b.mp4") == pytest.approx(onset_s(source), abs=0.04)


def test_sound_whose_drive_does_not_answer_is_not_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make_video(tmp_path / "a.mp4", PICTURES * 5, sound=make_sound(tmp_path / "a.mka"))
    info = probe_video(source)
    monkeypatch.setattr(encode, "first_time_s", lambda _: 0.0)
    monkeypatch.setattr(video, "_PATIENCE_S", (20.0, 1e-9))
    with pytest.raises(InputError, match=r"a\.mp4 cannot be opened: its drive does not answer"):
        with write_video(tmp_path / "b.mp4", info, sound_of=source) as writer:
            for index in range(5):
                writer.write(Frame(PICTURES[index], index, index / 25))
    assert not (tmp_path / "b.mp4").exists()


def onset_s(path: Path) -> float:
    """When the sound becomes loud."""
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            wave = np.abs(frame.to_ndarray().astype(np.float64)).reshape(-1)
            loud = np.flatnonzero(wave > 0.2 * (32768 if frame.format.name == "s16" else 1))
            if len(loud):
                return float(frame.pts * frame.time_base) + loud[0] / frame.sample_rate
    raise AssertionError("no sound")


def test_sound_that_changes_its_layout_goes_on(tmp_path: Path) -> None:
    """As where a broadcast goes from a film to the news: AC-3 says it in every packet."""
    path = tmp_path / "two.mka"
    with av.open(str(path), "w", format="matroska") as container:
        stream = container.add_stream("ac3", rate=48_000, layout="5.1")
        start = 0
        for layout, channels in (("5.1", 6), ("stereo", 2)):
            codec = av.CodecContext.create("ac3", "w")
            codec.sample_rate, codec.layout, codec.format = 48_000, layout, "fltp"
            packets = []
            for _ in range(36):
                wave = np.sin(np.arange(start, start + 1536) * 2 * np.pi * 440 / 48_000) * 0.5
                part = np.repeat(wave[None].astype(np.float32), channels, axis=0)
                frame = av.AudioFrame.from_ndarray(part, format="fltp", layout=layout)
                frame.sample_rate, frame.pts, frame.time_base = 48_000, start, Fraction(1, 48_000)
                packets += codec.encode(frame)
                start += 1536
            for packet in [*packets, *codec.encode(None)]:
                packet.stream = stream
                container.mux(packet)
    source = make_video(tmp_path / "a.mkv", PICTURES * 9, sound=path)
    target = copy(source, tmp_path / "b.mp4")
    with av.open(str(target)) as container:
        loud_s = [
            frame.time
            for frame in container.decode(audio=0)
            if np.abs(frame.to_ndarray()).mean() > 0.1
        ]
    assert max(loud_s) > 2, "it ends where its layout changes"


@pytest.mark.parametrize("codec", ["aac", "pcm_s16le"])
def test_sound_stays_with_its_picture_in_a_clip(tmp_path: Path, codec: str) -> None:
    # the picture turns white and the sound loud at 1.2 s
    black, white = np.zeros((48, 64, 3), np.uint8), np.full((48, 64, 3), 255, np.uint8)
    sound = make_sound(tmp_path / "a.mka", codec=codec, onset_s=1.2, seconds=2.4)
    source = make_video(tmp_path / "a.mkv", [black] * 30 + [white] * 30, sound=sound)
    clip = copy(source, tmp_path / "clip.mp4", start_s=0.8, end_s=2.0)
    frames = list(iter_frames(clip))
    assert len(frames) == 30
    turns_white = next(frame.time_s for frame in frames if frame.image.mean() > 128)
    assert turns_white == pytest.approx(0.4, abs=1e-3)
    assert onset_s(clip) == pytest.approx(turns_white, abs=0.04)


def test_frames_of_another_size_are_fitted(tmp_path: Path) -> None:
    with write_video(tmp_path / "a.mp4", info_of()) as video:
        for i, size in enumerate([(64, 48), (128, 96), (32, 24)]):
            video.write(Frame(make_picture(*size), i, i / 25))
    pictures = [frame.image.astype(int) for frame in iter_frames(tmp_path / "a.mp4")]
    assert {picture.shape for picture in pictures} == {(48, 64, 3)}
    assert all(np.abs(picture - pictures[0]).mean() < 8 for picture in pictures)


@pytest.mark.parametrize(("rate", "kept"), [(8_000, "aac"), (16_000, "mp3float")])
def test_slow_mp3_of_old_clips_becomes_aac(tmp_path: Path, rate: int, kept: str) -> None:
    sound = make_sound(tmp_path / "a.mka", codec="mp3", rate=rate)
    source = make_video(tmp_path / "a.mkv", PICTURES * 5, sound=sound)
    written = copy(source, tmp_path / "b.mp4")
    with av.open(str(written)) as container:
        assert container.streams.audio[0].codec_context.name == kept
    assert sum(size for _, size in sound_of(written)) > 1000


def test_sound_that_stands_still_does_not_end_the_picture(tmp_path: Path) -> None:
    sound = make_sound(tmp_path / "a.mka")
    source = make_video(tmp_path / "a.mkv", PICTURES * 5, sound=sound, sound_step=0)
    assert len(list(iter_frames(copy(source, tmp_path / "b.mp4")))) == 60


def test_what_ends_it_early_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        with write_video(tmp_path / "a.mp4", info_of()) as video:
            video.write(Frame(PICTURES[0], 0, 0.0))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(StorageError, match=r"a\.mp4"),
        write_video(tmp_path / "file" / "a.mp4", info_of()) as video,
    ):
        video.write(Frame(PICTURES[0], 0, 0.0))


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_FSIZE stands for a full disk")
def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    code = (
        "import resource, signal, sys, numpy as np\n"
        "from pathlib import Path\n"
        "from tests.media.test_encode import info_of\n"
        "from emotion_core.errors import StorageError\n"
        "from emotion_core.media.encode import write_video\n"
        "from emotion_core.types import Frame\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))\n"
        "noise = np.random.default_rng(0).integers(0, 256, (40, 240, 320, 3), dtype=np.uint8)\n"
        "try:\n"
        f"    with write_video(Path({str(tmp_path)!r}) / 'a.mp4', info_of(320, 240)) as video:\n"
        "        for i, image in enumerate(noise):\n"
        "            video.write(Frame(image, i, i / 25))\n"
        "except StorageError as error:\n"
        "    sys.exit(0 if 'a.mp4' in str(error) else str(error))\n"
        "sys.exit('it was written')\n"
    )
    root = Path(__file__).resolve().parent.parent.parent
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_sample_is_a_video_with_sound(tmp_path: Path) -> None:
    info = probe_video(sample_video(tmp_path / "sample.mp4"))
    assert (info.width, info.height, info.frame_count, info.has_audio) == (640, 480, 225, True)
    assert [path.name for path in tmp_path.iterdir()] == ["sample.mp4"]
