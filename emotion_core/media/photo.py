"""Photos: bytes to one upright RGB picture, chosen by content and never by name."""

import io
import struct
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import UnidentifiedImageError

from .. import limits
from ..errors import BrokenImage, InputError, TooLarge, UnsupportedFormat, os_reason
from ..texts import say
from ..types import Image

#: MPO is not listed: the JPEG reader opens it, and naming it breaks every other format.
#: Rows that are converted at a time.
_BAND_PX = 256
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "AVIF", "HEIF")
#: All that Pillow's readers raise on broken data, found with a corpus of broken files.
_DECODER_ERRORS = (
    OSError,
    ValueError,
    SyntaxError,
    TypeError,
    RuntimeError,
    EOFError,
    IndexError,
    KeyError,
    AttributeError,
    MemoryError,
    OverflowError,
    ZeroDivisionError,
    struct.error,
)
#: The tag of EXIF that says which way is up, and what brings it there (CIPA DC-008).
_ORIENTATION = 0x0112
_TURNS: dict[object, PillowImage.Transpose] = {
    2: PillowImage.Transpose.FLIP_LEFT_RIGHT,
    3: PillowImage.Transpose.ROTATE_180,
    4: PillowImage.Transpose.FLIP_TOP_BOTTOM,
    5: PillowImage.Transpose.TRANSPOSE,
    6: PillowImage.Transpose.ROTATE_270,
    7: PillowImage.Transpose.TRANSVERSE,
    8: PillowImage.Transpose.ROTATE_90,
}
#: A camera may put several pictures into one JPEG.
_KINDS = {"MPO": "JPEG"}
# a damaged EXIF block is no reason to refuse or to complain: it is not read further
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.TiffImagePlugin")
warnings.filterwarnings("ignore", message="Invalid APNG", category=UserWarning)
warnings.filterwarnings("ignore", message="Palette images with Transparency", category=UserWarning)
# the limit of pixels here is lower than the one at which Pillow begins to warn
warnings.filterwarnings("ignore", category=PillowImage.DecompressionBombWarning)
_BOMBS = (PillowImage.DecompressionBombError, PillowImage.DecompressionBombWarning)


@dataclass(frozen=True)
class DecodedPhoto:
    """A photo with what its file says of it.

    Attributes:
        image: uint8 RGB (height, width, 3), upright.
        format: `JPEG`, `PNG`, `WEBP`, `BMP`, `GIF`, `AVIF` or `HEIF`.
        mode: Pillow's word for the pixels in the file, such as `RGB`, `L`, `CMYK` or `P`.
    """

    image: Image
    format: str
    mode: str


def read_photo(path: str | Path) -> Image:
    """Read a photo from a file.

    Returns:
        uint8 RGB (height, width, 3), upright, alpha laid on white.

    Raises:
        InputError: The file cannot be opened.
        UnsupportedFormat, TooLarge, BrokenImage: As `decode_photo`.
    """
    return decode_photo(load_bytes(Path(path)), name=Path(path).name)


def load_bytes(path: Path) -> bytes:
    """Return a file's bytes, at most one more than `limits.PHOTO_MAX_BYTES` of them.

    Raises:
        InputError: The file cannot be opened.
    """
    try:
        with path.open("rb") as handle:
            return handle.read(limits.PHOTO_MAX_BYTES + 1)
    except OSError as error:
        raise InputError(
            say("error.unreadable_file", name=path, reason=os_reason(error))
        ) from error


def decode_photo(data: bytes, *, name: str = "photo") -> Image:
    """Decode a photo from its bytes.

    JPEG, PNG, WebP, BMP, GIF (first frame), AVIF and HEIC are told apart by their content. EXIF
    orientation is applied, 16 bits are scaled to 8, CMYK is converted, alpha is laid on white.

    Args:
        data: The whole file.
        name: How messages call it.

    Returns:
        uint8 RGB (height, width, 3), upright.

    Raises:
        UnsupportedFormat: It is no picture, or of another format.
        TooLarge: It is over a limit in bytes, pixels or side length.
        BrokenImage: It is a picture, but its data cannot be decoded.
    """
    return inspect_photo(data, name=name).image


def inspect_photo(data: bytes, *, name: str = "photo", least_px: int | None = None) -> DecodedPhoto:
    """Decode a photo as `decode_photo` does, and tell its format and mode.

    Args:
        data: The whole file.
        name: How messages call it.
        least_px: A JPEG may come smaller, but its shorter side no less than this: several times
            as quick where only a small picture of it is wanted. None decodes all of it.

    Raises:
        UnsupportedFormat, TooLarge, BrokenImage: As `decode_photo`.
    """
    if not data:
        raise BrokenImage(say("error.empty_file", name=name))
    if len(data) > limits.PHOTO_MAX_BYTES:
        limit = limits.PHOTO_MAX_BYTES // 1_000_000
        raise TooLarge(say("error.too_many_bytes", name=name, limit_mb=limit))
    _register_heif()
    try:
        with PillowImage.open(io.BytesIO(data), formats=_FORMATS) as opened:
            _check_size(opened.size, name)
            kind, mode = str(opened.format), opened.mode
            if least_px is not None:
                opened.draft(None, (least_px, least_px))
            opened.load()
            turn = _TURNS.get(_orientation(opened))
            upright = opened if turn is None else opened.transpose(turn)
            return DecodedPhoto(_to_rgb(upright), _KINDS.get(kind, kind), mode)
    except UnidentifiedImageError as error:
        raise UnsupportedFormat(say("error.not_a_photo", name=name)) from error
    except _BOMBS as error:
        raise TooLarge(_too_many_pixels(name)) from error
    except _DECODER_ERRORS as error:
        raise BrokenImage(say("error.broken_photo", name=name, reason=_short(error))) from error


def _orientation(opened: PillowImage.Image) -> object:
    """Return what EXIF says of how a picture stands, 1 to 8; None where it says nothing."""
    try:
        return opened.getexif().get(_ORIENTATION)
    except _DECODER_ERRORS:  # a damaged block is not read further
        return None


def encode_png(image: Image) -> bytes:
    """Return a picture as PNG, without any metadata."""
    buffer = io.BytesIO()
    PillowImage.fromarray(image).save(buffer, "PNG", compress_level=3)
    return buffer.getvalue()


def encode_jpeg(image: Image, *, max_side_px: int) -> bytes:
    """Return a picture as JPEG, without any metadata, its longer side at most `max_side_px`."""
    picture = PillowImage.fromarray(image)
    picture.thumbnail((max_side_px, max_side_px))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


def _register_heif() -> None:
    import pillow_heif

    if "HEIF" not in PillowImage.OPEN:
        pillow_heif.register_heif_opener(thumbnails=False)


def _check_size(size: tuple[int, int], name: str) -> None:
    width, height = size
    too_long = max(size) > limits.PHOTO_MAX_SIDE_PX
    if width * height > limits.PHOTO_MAX_PX or too_long:
        raise TooLarge(_too_many_pixels(name))


def _too_many_pixels(name: str) -> str:
    return say(
        "error.too_many_pixels",
        name=name,
        limit_mpx=limits.PHOTO_MAX_PX // 1_000_000,
        limit_side=limits.PHOTO_MAX_SIDE_PX,
    )


def _short(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return text[0][:120] if text else type(error).__name__


def _to_rgb(picture: PillowImage.Image) -> Image:
    """Return a picture's pixels, converted in bands: a whole copy in between would double it."""
    width, height = picture.size
    rgb = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, _BAND_PX):
        band = picture.crop((0, top, width, min(height, top + _BAND_PX)))
        rgb[top : top + band.height] = _band_to_rgb(band)
    return rgb


def _band_to_rgb(picture: PillowImage.Image) -> NDArray[np.uint8]:
    if picture.mode.startswith("I"):
        # convert("RGB") would clip 16 bits to white
        grey = np.asarray(picture).astype(np.float64)
        if isinstance(clear := picture.info.get("transparency"), int):
            grey[grey == clear] = 65_535
        clipped = np.clip(np.rint(grey / 257.0), 0, 255).astype(np.uint8)
        return clipped[..., None]
    if picture.has_transparency_data:
        rgba = picture.convert("RGBA")
        ground = PillowImage.new("RGBA", rgba.size, "white")
        picture = PillowImage.alpha_composite(ground, rgba)
    return np.asarray(picture if picture.mode == "RGB" else picture.convert("RGB"), np.uint8)
