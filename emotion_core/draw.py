"""Drawing a reading on its picture. Boxes are drawn after every crop has been read."""

import unicodedata
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from .labels import UNCERTAIN
from .palette import COLOURS, HEAT, VALENCE_COLOURS, ink_on, rgb
from .types import Image, Reading, check_image

_TEXT_MIN_PX, _TEXT_MAX_PX = 12, 28
#: Larger text, as on photos, is rendered anew each time: a label of it has megabytes.
_HELD_MAX_PX = 140
#: A larger picture is looked at smaller, so what is drawn grows with its longer side.
_SHOWN_PX = 800
#: In a crowd of more faces, a label far wider than its face is left to the table.
_CROWD, _CHIP_WIDTHS = 6, 2.0


@dataclass(frozen=True)
class DrawOptions:
    """What is drawn.

    Attributes:
        by_valence: Colour by the three valence groups of seed 003 instead of by emotion.
        show_affect: Add `V = 0.32 A = -0.00` to the label.
        show_bars: Add the whole distribution as bars beside the box.
    """

    by_valence: bool = False
    show_affect: bool = False
    show_bars: bool = False


def draw_reading(
    image: Image,
    reading: Reading,
    *,
    options: DrawOptions | None = None,
    names: Mapping[str, str] | None = None,
) -> Image:
    """Draw boxes, labels and what else is asked for on a copy of the picture.

    Nothing is drawn beyond the picture; text and lines follow the size of the face. In a crowd,
    faces that are small for their label bear their number alone.

    Args:
        image: uint8 RGB (height, width, 3), the picture that was read.
        reading: What was read.
        options: What to draw; None takes the defaults.
        names: How labels are written, for other languages; missing ones stay as they are.

    Returns:
        uint8 RGB (height, width, 3).

    Raises:
        BadArgument: The picture is not uint8 RGB.
    """
    options = options or DrawOptions()
    names = names or {}
    canvas = check_image(image).copy()
    colours = VALENCE_COLOURS if options.by_valence else COLOURS
    for row in range(len(reading)):
        colour = rgb(colours.get(reading.label[row], COLOURS[UNCERTAIN]))
        box = np.round(reading.faces.xyxy[row]).astype(int)
        text_px = text_size(image, box)
        _draw_box(canvas, box, colour, width=max(2, round(text_px / 9)))
        text = _chip_text(reading, row, options, names)
        width = _chip_of(text, colour, text_px).shape[1]
        if len(reading) > _CROWD and width > _CHIP_WIDTHS * (box[2] - box[0]):
            text = _number(reading, row)
        _draw_chip(canvas, box, text, colour, text_px)
        if options.show_bars:
            _draw_bars(canvas, box, reading, row, text_px, names)
    return canvas


def text_size(image: Image, box: NDArray[np.int64]) -> int:
    """Return the height of a face's text in px: 12 to 28, and no wider than the picture.

    On pictures of more than 800 px it is as much larger as they are, unless they are narrow.
    """
    height, width = image.shape[:2]
    scale = max(1.0, min(max(height, width) / _SHOWN_PX, 2 * width / _SHOWN_PX))
    wanted = min(round((box[3] - box[1]) / 8), width // 12)
    return round(float(np.clip(wanted, _TEXT_MIN_PX * scale, _TEXT_MAX_PX * scale)))


def _chip_text(reading: Reading, row: int, options: DrawOptions, names: Mapping[str, str]) -> str:
    label, top = reading.label[row], reading.top_label[row]
    percent = f"{reading.confidence[row]:.0%}"
    number = _number(reading, row)
    text = f"{number}  {names.get(label, label)} {percent}"
    if reading.scores.is_flat[row]:
        text = f"{number}  {names.get(UNCERTAIN, UNCERTAIN)}"
    elif reading.abstained[row]:
        text = f"{number}  {names.get(label, label)} ({names.get(top, top)} {percent})"
    if options.show_affect:
        valence, arousal = reading.affect.valence[row], reading.affect.arousal[row]
        text += f"  V = {valence:.2f} A = {arousal:.2f}"
    return text


def _number(reading: Reading, row: int) -> str:
    people = reading.faces.tracker_id
    return str(row + 1 if people is None else people[row])


def _draw_box(
    canvas: Image, box: NDArray[np.int64], colour: tuple[int, int, int], *, width: int
) -> None:
    """A line in the face's colour between a dark and a light one: readable on any ground."""
    _frame(canvas, box, (0, 0, 0), inset=-1, width=1)
    _frame(canvas, box, colour, inset=0, width=width)
    _frame(canvas, box, (255, 255, 255), inset=width, width=1)


def _frame(
    canvas: Image,
    box: NDArray[np.int64],
    colour: tuple[int, int, int],
    *,
    inset: int,
    width: int,
) -> None:
    height, full = canvas.shape[:2]
    left, top = max(0, box[0] + inset), max(0, box[1] + inset)
    right, bottom = min(full, box[2] - inset), min(height, box[3] - inset)
    if right - left < 2 * width or bottom - top < 2 * width:
        return
    canvas[top : top + width, left:right] = colour
    canvas[bottom - width : bottom, left:right] = colour
    canvas[top:bottom, left : left + width] = colour
    canvas[top:bottom, right - width : right] = colour


def _draw_chip(
    canvas: Image,
    box: NDArray[np.int64],
    text: str,
    colour: tuple[int, int, int],
    text_px: int,
) -> None:
    """The label above the box, or inside where there is no room above."""
    chip = _chip_of(text, colour, text_px)[: canvas.shape[0], : canvas.shape[1]]
    height, width = chip.shape[:2]
    top = box[1] - height if box[1] >= height else box[1]
    top = int(np.clip(top, 0, canvas.shape[0] - height))
    left = int(np.clip(box[0], 0, canvas.shape[1] - width))
    canvas[top : top + height, left : left + width] = chip


def _chip_of(text: str, colour: tuple[int, int, int], text_px: int) -> Image:
    """Return a label as a picture; a video draws the same few thousands of times."""
    return (_held_chip if text_px <= _HELD_MAX_PX else _chip)(text, colour, text_px)


def _chip(text: str, colour: tuple[int, int, int], text_px: int) -> Image:
    text, font = _written(text, text_px)
    left, _, right, _ = font.getbbox(text)
    pad = max(3, text_px // 4)
    size = int(right - left) + 2 * pad, text_px + pad
    chip = PillowImage.new("RGB", size, colour)
    ImageDraw.Draw(chip).text(
        (pad - left, size[1] // 2), text, fill=ink_on(colour), font=font, anchor="lm"
    )
    return np.array(chip, np.uint8)


_held_chip = lru_cache(maxsize=64)(_chip)

#: No font has it: how it is drawn is how what is missing is drawn.
_NO_LETTER = "\uffff"
#: Fonts of the systems that hold most letters; Pillow's own holds those of English.
_WIDE_FONTS = ("DejaVuSans.ttf", "NotoSans-Regular.ttf", "Arial Unicode.ttf", "arial.ttf")


def _written(text: str, px: int) -> tuple[str, Any]:
    """Return a text and a font that has its letters; where none is here, the nearest plain ones."""
    if not text.isascii():
        for name in _WIDE_FONTS:
            with suppress(OSError):
                font = ImageFont.truetype(name, px)
                missing = bytes(font.getmask(_NO_LETTER))
                if all(bytes(font.getmask(one)) != missing for one in text):
                    return text, font
        letters = (unicodedata.normalize("NFKD", one) for one in unicodedata.normalize("NFC", text))
        text = "".join(one.encode("ascii", "ignore").decode() or "?" for one in letters)
    return text, ImageFont.load_default(px)


#: Bars at least so high bear the name of their label.
_NAME_FROM_PX = 10


def _draw_bars(
    canvas: Image,
    box: NDArray[np.int64],
    reading: Reading,
    row: int,
    text_px: int,
    names: Mapping[str, str],
) -> None:
    """Bars to the right of the box, or to the left where there is more room."""
    labels = list(reading.scores.labels)
    step = max(4, min(text_px, int((box[3] - box[1]) // max(1, len(labels)))))
    length = step * 5
    on_right = canvas.shape[1] - box[2] >= min(length, box[0])
    left = box[2] + 4 if on_right else box[0] - 4 - length
    left = int(np.clip(left, 0, max(0, canvas.shape[1] - length)))
    for line, label in enumerate(labels):
        top = int(box[1]) + line * step
        if top < 0 or top + step > canvas.shape[0]:
            continue
        ground = canvas[top : top + step - 1, left : left + length]
        ground[:] = ground // 2
        filled = round(float(reading.scores.probs[row, line]) * length)
        canvas[top : top + step - 1, left : left + filled] = rgb(
            COLOURS.get(label, COLOURS[UNCERTAIN])
        )
        if step >= _NAME_FROM_PX:
            ink, edge = _name(names.get(label, label), step - 1)
            width = min(ink.shape[1], ground.shape[1])
            for mask, value in ((edge, 0), (ink, 255)):
                ground[:, :width][mask[:, :width]] = value


@lru_cache(maxsize=128)
def _name(text: str, height: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return where the letters of a bar's name are, and where their edge is."""
    text, font = _written(text, height - 2)
    size = round(font.getlength(text)) + 4, height
    masks = []
    for edge_px in (0, 1):
        drawn = PillowImage.new("L", size)
        ImageDraw.Draw(drawn).text(
            (2, height // 2), text, fill=255, font=font, anchor="lm", stroke_width=edge_px
        )
        masks.append(np.array(drawn) > 127)
    return masks[0], masks[1]


def draw_heat(face: NDArray[np.uint8], heat: NDArray[np.float32], *, side_px: int = 192) -> Image:
    """Lay a map of 0..1 over a face: dark and blue where it is 0, yellow where it is 1.

    Args:
        face: uint8 (h, w), (h, w, 1) or RGB (h, w, 3).
        heat: float32 (h, w).
        side_px: Side of the picture that is returned; small faces are enlarged.

    Returns:
        uint8 RGB (side_px, side_px, 3).
    """
    grey = face.reshape(*face.shape[:2], -1)
    ground = grey if grey.shape[2] == 3 else np.repeat(grey, 3, axis=2)
    size = (side_px, side_px)
    below = np.asarray(PillowImage.fromarray(ground).resize(size), np.float32)
    levels = PillowImage.fromarray((255 * heat).astype(np.uint8)).resize(size)
    strength = np.asarray(levels, np.float32)[..., None] / 255
    low, high = (np.array(rgb(colour), np.float32) for colour in HEAT)
    colour = low + (high - low) * strength
    share = 0.25 + 0.35 * strength
    return np.asarray(below * (1 - share) + colour * share, np.uint8)
