"""Photos from bytes to results: what the photo page and the photo command share."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pandas as pd

from .analysis import ReadOptions, provenance_of, read_picture
from .classify import Recognizer
from .draw import DrawOptions, draw_reading
from .errors import EmotionError
from .export import PHOTO_ENDS, check_free, photo_table, to_csv, to_json
from .faces import Detector
from .files import safe_stem, unique_name, write_together
from .media.photo import decode_photo, encode_png, load_bytes
from .types import Image, Provenance, Reading


@dataclass(frozen=True)
class PhotoResult:
    """One photo with its reading.

    Attributes:
        name: How the photo is called.
        data: The photo's file.
        reading: What was read.
        provenance: Where the result comes from.
        model_id: Who answered.
        image: uint8 RGB (height, width, 3), upright; None after `slim`.
    """

    name: str
    data: bytes
    reading: Reading
    provenance: Provenance
    model_id: str
    image: Image | None = None

    def picture(self) -> Image:
        """Return the upright picture; it is decoded again when it was let go."""
        return decode_photo(self.data, name=self.name) if self.image is None else self.image

    def slim(self) -> "PhotoResult":
        """Return the result without its pixels: a hundred photos of a phone fill 4 GB."""
        return replace(self, image=None)

    def table(self) -> pd.DataFrame:
        """Return one row per face, columns as in `export.PHOTO_COLUMNS`."""
        return photo_table([(self.name, self.reading)], model_id=self.model_id)


def all_faces(results: Sequence[PhotoResult]) -> pd.DataFrame:
    """Return the faces of several photos that one model read, columns as in `export.PHOTO_COLUMNS`.

    A photo without a face has a row with its name alone.
    """
    readings = [(one.name, one.reading) for one in results]
    return photo_table(readings, model_id=results[0].model_id, name_all=True)


def stems_of(results: Sequence[PhotoResult]) -> list[str]:
    """Return what the files of each photo are called, without endings: by its name, no two alike.

    None is called `photos`, as the table of all is.
    """
    taken: set[str] = set()
    unique_name("photos", taken)
    return [unique_name(safe_stem(one.name, otherwise="photo"), taken) for one in results]


def read_photo_bytes(
    data: bytes,
    name: str,
    detector: Detector,
    recognizer: Recognizer,
    *,
    options: ReadOptions | None = None,
) -> PhotoResult:
    """Decode a photo and read it.

    Raises:
        UnsupportedFormat, TooLarge, BrokenImage: As `media.photo.decode_photo`.
    """
    options = (options or ReadOptions()).decided(flip=True)
    image = decode_photo(data, name=name)
    reading = read_picture(image, detector, recognizer, options=options)
    provenance = provenance_of(
        recognizer,
        detector,
        options=asdict(options),
        threshold=options.threshold,
        input_sha256=hashlib.sha256(data).hexdigest(),
    )
    return PhotoResult(name, data, reading, provenance, recognizer.id, image)


@dataclass(frozen=True)
class Refusal:
    """A photo that could not be read.

    Attributes:
        name: How the photo is called.
        reason: What happened and what to do.
    """

    name: str
    reason: str


def read_photos(
    uploads: Iterable[tuple[str, bytes]],
    detector: Detector,
    recognizer: Recognizer,
    *,
    options: ReadOptions | None = None,
) -> Iterator[PhotoResult | Refusal]:
    """Read photos one after another; one that cannot be read does not stop the others."""
    for name, data in uploads:
        try:
            yield read_photo_bytes(data, name, detector, recognizer, options=options)
        except EmotionError as error:
            yield Refusal(name, str(error))


def read_photo_file(
    path: Path, detector: Detector, recognizer: Recognizer, *, options: ReadOptions | None = None
) -> PhotoResult:
    """Read a photo from a file.

    Raises:
        InputError: It cannot be opened, or as `read_photo_bytes`.
    """
    name = path.name.encode("utf-8", "replace").decode()  # a name may be any bytes, a table not
    return read_photo_bytes(load_bytes(path), name, detector, recognizer, options=options)


def photo_files(
    result: PhotoResult, *, stem: str, drawing: DrawOptions | None = None
) -> Sequence[tuple[str, bytes]]:
    """Return the three files of a result by name: JSON, CSV and annotated PNG."""
    return [(f"{stem}.{end}", photo_file(result, end, drawing=drawing)) for end in PHOTO_ENDS]


def photo_file(result: PhotoResult, end: str, *, drawing: DrawOptions | None = None) -> bytes:
    """Return one of the files of a result; the PNG takes time and memory for all its pixels.

    Args:
        result: Whose.
        end: One of `PHOTO_ENDS`.
        drawing: How the PNG is drawn.
    """
    if end == "json":
        return to_json(result.table(), result.provenance).encode()
    if end == "csv":
        return to_csv(result.table()).encode()
    return encode_png(draw_reading(result.picture(), result.reading, options=drawing))


def export_photo(
    result: PhotoResult, folder: Path, *, stem: str, drawing: DrawOptions | None = None
) -> list[Path]:
    """Write the three files of a result into a folder, all of them or none.

    Raises:
        StorageError: One cannot be written, or would overwrite a file that is no earlier result.
    """
    check_free(folder, stem, PHOTO_ENDS, kind="photo")
    files = dict(photo_files(result, stem=stem, drawing=drawing))
    return list(write_together(folder, files).values())
