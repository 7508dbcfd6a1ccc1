"""The photo door: what is read comes out right, what is refused says why."""

import io
import struct
import subprocess
import sys
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image as PillowImage

from emotion_core.errors import BrokenImage, EmotionError, InputError, TooLarge, UnsupportedFormat
from emotion_core.media.photo import (
    _band_to_rgb,
    _to_rgb,
    decode_photo,
    encode_png,
    inspect_photo,
    read_photo,
)
from tests.builders import encode, make_picture
from tests.steps import ROOT

PICTURE = make_picture(60, 40)


@pytest.mark.parametrize(
    ("kind", "options", "tolerance"),
    [
        ("PNG", {}, 0),
        ("BMP", {}, 0),
        ("WEBP", {"lossless": True}, 0),
        ("JPEG", {"quality": 95}, 12),
        ("AVIF", {"quality": 95}, 12),
        ("GIF", {}, 40),
    ],
)
def test_formats_are_told_apart_by_content(kind: str, options: dict, tolerance: int) -> None:
    read = decode_photo(encode(PICTURE, kind, **options), name="named.txt")
    assert read.shape == PICTURE.shape
    assert read.dtype == np.uint8
    assert np.abs(read.astype(int) - PICTURE).max() <= tolerance


def test_heic() -> None:
    import pillow_heif

    buffer = io.BytesIO()
    pillow_heif.from_pillow(PillowImage.fromarray(PICTURE)).save(buffer, quality=95)
    read = decode_photo(buffer.getvalue())
    assert np.abs(read.astype(int) - PICTURE).mean() < 6


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "JPEG"])
@pytest.mark.parametrize("block", [b"Exif\0\0garbage", b"Exif\0\0II+\0\x08\0"])
def test_a_damaged_exif_block_does_not_matter(kind: str, block: bytes) -> None:
    picture = make_picture(64, 48)
    assert decode_photo(encode(picture, kind, exif=block)).shape == picture.shape


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation: int) -> None:
    turn_back = {
        2: PillowImage.Transpose.FLIP_LEFT_RIGHT,
        3: PillowImage.Transpose.ROTATE_180,
        4: PillowImage.Transpose.FLIP_TOP_BOTTOM,
        5: PillowImage.Transpose.TRANSPOSE,
        6: PillowImage.Transpose.ROTATE_90,
        7: PillowImage.Transpose.TRANSVERSE,
        8: PillowImage.Transpose.ROTATE_270,
    }
    stored = PillowImage.fromarray(PICTURE)
    if orientation in turn_back:
        stored = stored.transpose(turn_back[orientation])
    exif = PillowImage.Exif()
    exif[0x0112] = orientation
    read = decode_photo(encode(np.array(stored), "PNG", exif=exif))
    assert np.array_equal(read, PICTURE)


def test_a_bad_tag_of_exif_is_no_reason_to_refuse() -> None:
    exif = PillowImage.Exif()
    exif[0x0112], exif[0x010F], exif[0x011A] = 6, "maker", 72.0
    whole = encode(PICTURE, "JPEG", exif=exif)
    begin = whole.index(b"Exif")
    upright = decode_photo(whole)
    assert upright.shape[:2] == PICTURE.shape[1::-1]
    random = np.random.default_rng(0)
    for _ in range(600):
        content = bytearray(whole)
        for place in random.integers(begin + 6, begin + 70, random.integers(1, 6)):
            content[place] = random.integers(0, 256)
        read = decode_photo(bytes(content))
        assert sorted(read.shape) == sorted(PICTURE.shape)


def test_clear_places_of_sixteen_bits_are_white() -> None:
    grey = np.array([[0, 40_000], [40_000, 65_535]], np.uint16)
    buffer = io.BytesIO()
    PillowImage.fromarray(grey).save(buffer, "PNG", transparency=0)
    assert decode_photo(buffer.getvalue())[..., 0].tolist() == [[255, 156], [156, 255]]


def test_a_large_jpeg_may_come_smaller() -> None:
    large = encode(make_picture(1600, 1200), "JPEG")
    small = inspect_photo(large, least_px=140).image
    assert small.shape == (150, 200, 3)
    whole = inspect_photo(large).image
    wanted = cv2.resize(whole, (200, 150), interpolation=cv2.INTER_AREA)
    assert np.abs(wanted.astype(int) - small).mean() < 2
    exif = PillowImage.Exif()
    exif[0x0112] = 6
    turned = inspect_photo(encode(make_picture(1600, 1200), "JPEG", exif=exif), least_px=140)
    assert turned.image.shape == (200, 150, 3)
    assert inspect_photo(encode(PICTURE, "PNG"), least_px=4).image.shape == PICTURE.shape


def test_several_pictures_in_a_jpeg_are_a_jpeg() -> None:
    buffer = io.BytesIO()
    first, second = PillowImage.fromarray(PICTURE), PillowImage.fromarray(255 - PICTURE)
    first.save(buffer, "MPO", save_all=True, append_images=[second])
    assert inspect_photo(buffer.getvalue()).format == "JPEG"


def test_sixteen_bits_are_scaled_and_not_clipped() -> None:
    grey = np.linspace(0, 65535, 40 * 60).reshape(40, 60).astype(np.uint16)
    buffer = io.BytesIO()
    PillowImage.fromarray(grey).save(buffer, "PNG")
    read = decode_photo(buffer.getvalue())
    assert read.mean() == pytest.approx(127.5, abs=1)
    assert (read[..., 0] == read[..., 2]).all()


def test_alpha_is_laid_on_white() -> None:
    rgba = np.dstack([PICTURE, np.zeros((40, 60), np.uint8)])
    assert (decode_photo(encode(rgba, "PNG")) == 255).all()


def test_cmyk_is_converted() -> None:
    cmyk = PillowImage.fromarray(PICTURE).convert("CMYK")
    buffer = io.BytesIO()
    cmyk.save(buffer, "JPEG", quality=95)
    read = decode_photo(buffer.getvalue())
    assert np.abs(read.astype(int) - PICTURE).mean() < 6


def test_the_first_frame_of_an_animation_is_read() -> None:
    frames = [PillowImage.fromarray(make_picture(60, 40, seed=s)) for s in (1, 2)]
    buffer = io.BytesIO()
    frames[0].save(buffer, "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    assert np.array_equal(decode_photo(buffer.getvalue()), np.array(frames[0]))


@pytest.mark.parametrize("kind", ["TIFF", "PPM", "ICO", "TGA"])
def test_other_formats_are_refused_by_name(kind: str) -> None:
    with pytest.raises(UnsupportedFormat, match=r"holiday\.jpg .* Save it as JPEG"):
        decode_photo(encode(PICTURE, kind), name="holiday.jpg")


def png_header(width: int, height: int) -> bytes:
    """A PNG that says it is large and holds next to nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = zlib.compress(b"\0" * 1000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("width", "height"), [(7100, 7100), (20_001, 10), (30_000, 30_000), (2**31 - 1, 2**31 - 1)]
)
def test_bombs_are_refused_from_their_header(width: int, height: int) -> None:
    with pytest.raises(TooLarge) as refusal:
        decode_photo(png_header(width, height), name="bomb.png")
    assert "bomb.png" in str(refusal.value)


def test_too_many_bytes_are_refused_before_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emotion_core.limits.PHOTO_MAX_BYTES", 100)
    with pytest.raises(TooLarge, match="larger than"):
        decode_photo(encode(PICTURE, "PNG"))


def test_every_cut_of_a_file_is_read_or_refused() -> None:
    for kind in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "AVIF"):
        whole = encode(PICTURE, kind)
        for percent in range(100):
            try:
                decode_photo(whole[: len(whole) * percent // 100])
            except EmotionError as error:
                assert str(error)


@given(data=st.data())
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
def test_flipped_bytes_never_escape(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(["JPEG", "PNG", "WEBP", "GIF", "BMP"]))
    content = bytearray(encode(PICTURE, kind))
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=4)):
        content[place] ^= data.draw(st.integers(1, 255))
    try:
        read = decode_photo(bytes(content))
    except EmotionError:
        return
    assert read.ndim == 3


def test_missing_and_empty_files_say_so(tmp_path) -> None:
    with pytest.raises(InputError, match=r"none\.jpg cannot be opened"):
        read_photo(tmp_path / "none.jpg")
    (tmp_path / "empty.png").touch()
    with pytest.raises(BrokenImage, match=r"empty\.png is empty"):
        read_photo(tmp_path / "empty.png")


def test_what_is_written_has_no_metadata() -> None:
    with PillowImage.open(io.BytesIO(encode_png(PICTURE))) as written:
        assert not written.getexif()
        assert not written.info
        assert np.array_equal(np.array(written), PICTURE)


FRUGAL = """
import resource, struct, sys, zlib
from emotion_core.media.photo import decode_photo

def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

depth, colours, bytes_per_px = map(int, sys.argv[1:])
side, press = 7000, zlib.compressobj()
packed = b"".join(press.compress(bytes(1 + side * bytes_per_px)) for _ in range(side))
head = struct.pack(">IIBBBBB", side, side, depth, colours, 0, 0, 0)
parts = (b"IHDR", head), (b"IDAT", packed + press.flush()), (b"IEND", b"")
png = b"\\x89PNG\\r\\n\\x1a\\n" + b"".join(chunk(*part) for part in parts)
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
before = peak()
assert decode_photo(png).shape == (side, side, 3)
print((peak() - before) // 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the peak has another unit, or none")
@pytest.mark.parametrize("kind", [(8, 2, 3), (8, 6, 4), (16, 0, 2)], ids=["RGB", "RGBA", "16 bits"])
def test_a_small_file_of_many_pixels_takes_half_a_gigabyte(kind: tuple[int, int, int]) -> None:
    command = [sys.executable, "-c", FRUGAL, *map(str, kind)]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert int(told.stdout) < 500


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L", "LA", "I;16", "CMYK", "1"])
def test_bands_meet_without_a_seam(mode: str) -> None:
    """Pictures are converted some rows at a time."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (600, 40, 4), np.uint8)
    if mode == "I;16":
        picture = PillowImage.fromarray(rng.integers(0, 65_536, (600, 40), np.uint16))
    else:
        picture = PillowImage.fromarray(pixels, "RGBA").convert("RGBA" if mode == "LA" else mode)
        picture = picture.convert(mode)
    whole = _band_to_rgb(picture)
    assert (_to_rgb(picture) == whole).all()
