import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emotion_core import draw
from emotion_core.crops import crop_faces, rule_for, shrink_to
from emotion_core.draw import DrawOptions, _written, draw_reading, text_size
from emotion_core.errors import BadArgument
from emotion_core.palette import COLOURS, VALENCE_COLOURS, ink_on, rgb
from emotion_core.types import CropRule, Faces
from tests.builders import make_faces, make_picture, make_reading

RGB = CropRule(margin=1.0, side_px=48, channels=3)


def test_a_crop_of_its_own_size_is_the_picture_itself() -> None:
    image = make_picture(100, 90)
    crop = crop_faces(image, make_faces((20, 30, 68, 78)), RGB)[0]
    assert np.array_equal(crop, image[30:78, 20:68])


def test_shrinking_averages_and_does_not_alias() -> None:
    image = np.zeros((192, 192, 3), np.uint8)
    image[:, ::2] = 255  # the finest stripes
    crop = crop_faces(image, make_faces((0, 0, 192, 192)), RGB)[0]
    assert crop[8:-8, 8:-8].mean() == pytest.approx(127.5, abs=2)
    assert crop[8:-8, 8:-8].std() < 10


def test_margin_and_shift() -> None:
    image = make_picture(200, 200)
    rule = CropRule(margin=2.0, shift_y=0.25, side_px=48, channels=3)
    crop = crop_faces(image, make_faces((88, 76, 112, 100)), rule)[0]
    assert np.array_equal(crop, image[70:118, 76:124])


def test_beyond_the_picture_its_edge_goes_on() -> None:
    image = make_picture(60, 60)
    crop = crop_faces(image, make_faces((-20, -20, 28, 28)), RGB)[0]
    assert (crop[:20, :20] == image[0, 0]).all()


def test_grey_is_the_luma() -> None:
    image = np.full((50, 50, 3), (255, 0, 0), np.uint8)
    crop = crop_faces(image, make_faces((0, 0, 48, 48)), CropRule(margin=1.0))
    assert crop.shape == (1, 48, 48, 1)
    assert crop[0, 5, 5, 0] == 76


def test_alignment_levels_the_eyes() -> None:
    image = np.zeros((200, 200, 3), np.uint8)
    for x, y in ((80, 80), (120, 110)):
        image[y - 4 : y + 5, x - 4 : x + 5] = 255
    eyes = np.array([[[80, 80], [120, 110]]], np.float32)
    faces = Faces(np.array([[50, 45, 150, 145]], np.float32), np.ones(1, np.float32), eyes)
    level = CropRule(margin=1.0, align=True, side_px=100)
    crop = crop_faces(image, faces, level)[0, :, :, 0]
    left = np.argwhere(crop[:, :50] > 128)[:, 0].mean()
    right = np.argwhere(crop[:, 50:] > 128)[:, 0].mean()
    assert left == pytest.approx(right, abs=1.5)
    slanted = crop_faces(image, faces, CropRule(margin=1.0, side_px=100))[0, :, :, 0]
    assert np.argwhere(slanted[:, 50:] > 128)[:, 0].mean() > left + 10


def test_a_huge_face_is_sampled_within_bounds() -> None:
    image = make_picture(1600, 3000)
    whole = Faces.whole(image)
    crop = crop_faces(image, whole, RGB)[0]
    reference = crop_faces(shrink_to(image, 300), Faces.whole(shrink_to(image, 300)), RGB)[0]
    assert np.abs(crop.astype(int) - reference).mean() < 3
    wide = crop_faces(make_picture(20_000, 40), Faces.whole(make_picture(20_000, 40)), RGB)
    assert wide.shape == (1, 48, 48, 3)


def test_a_face_is_cropped_the_same_whoever_stands_beside_it() -> None:
    image = np.random.default_rng(0).integers(0, 256, (1500, 1500, 3), dtype=np.uint8)
    small, huge = (10.0, 10.0, 58.0, 58.0), (100.0, 100.0, 1400.0, 1400.0)
    together = crop_faces(image, make_faces(small, huge), RGB)
    assert np.array_equal(together[0], crop_faces(image, make_faces(small), RGB)[0])
    assert np.array_equal(together[0], image[10:58, 10:58])


def test_a_whole_picture_is_cropped_without_a_margin() -> None:
    rule = rule_for(CropRule(margin=1.3, shift_y=-0.1, side_px=48, channels=3), is_whole=True)
    image = make_picture(48, 48)
    assert np.array_equal(crop_faces(image, Faces.whole(image), rule)[0], image)


def test_nobody_gives_no_crops() -> None:
    assert crop_faces(make_picture(), Faces.empty(), RGB).shape == (0, 48, 48, 3)


def test_shrinking_a_picture_keeps_its_shape() -> None:
    assert shrink_to(make_picture(400, 100), 200).shape == (50, 200, 3)
    assert shrink_to(make_picture(4000, 1), 200).shape == (1, 200, 3)
    small = make_picture(40, 10)
    assert shrink_to(small, 200) is small


box = st.tuples(*[st.floats(-50, 250)] * 2, *[st.floats(0, 260)] * 2).map(
    lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
)


@given(
    boxes=st.lists(box, max_size=4),
    width=st.integers(1, 220),
    height=st.integers(1, 220),
    prob=st.sampled_from([0.3, 0.95]),
)
@settings(max_examples=150, deadline=None)
def test_drawing_never_leaves_the_picture(
    boxes: list, width: int, height: int, prob: float
) -> None:
    image = make_picture(width, height)
    kept = image.copy()
    options = DrawOptions(show_affect=True, show_bars=True)
    drawn = draw_reading(image, make_reading(*boxes, prob=prob), options=options)
    assert drawn.shape == image.shape
    assert np.array_equal(image, kept)


def test_drawing_touches_nothing_far_from_the_face() -> None:
    image = make_picture(600, 500)
    options = DrawOptions(show_affect=True, show_bars=True)
    drawn = draw_reading(image, make_reading((250, 200, 330, 280)), options=options)
    changed = np.argwhere((drawn != image).any(axis=2))
    (top, left), (bottom, right) = changed.min(axis=0), changed.max(axis=0)
    assert (top, left) == pytest.approx((180, 249), abs=6)
    assert bottom <= 281, "nothing stands below the box"
    assert right < 500, "chip and bars stand above and beside it"


def test_labels_of_large_photos_are_not_kept_in_memory() -> None:
    draw._held_chip.cache_clear()
    draw_reading(np.zeros((6000, 8000, 3), np.uint8), make_reading((1000, 1000, 5000, 5000)))
    assert draw._held_chip.cache_info().currsize == 0
    draw_reading(np.zeros((600, 800, 3), np.uint8), make_reading((200, 200, 301, 303)))
    assert draw._held_chip.cache_info().currsize > 0


def test_names_in_other_languages_stand_on_chip_and_bars() -> None:
    image = np.full((300, 400, 3), 127, np.uint8)
    reading = make_reading((100, 100, 220, 220), label="happy")
    options = DrawOptions(show_bars=True)
    plain = draw_reading(image, reading, options=options)
    bars = slice(100, 220), slice(224, 400)
    named = draw_reading(image, reading, options=options, names={"anger": "W", "happy": "fröhlich"})
    assert not np.array_equal(plain[bars], named[bars])
    for word, plain_word in (
        ("fröhlich", "frohlich"),
        ("1  怒 94%", "1  ? 94%"),
        ("жду", "???"),
        ("sad", "sad"),
    ):
        text, font = _written(word, 20)
        assert text in (word, plain_word)
        box = bytes(font.getmask("\uffff"))
        assert all(bytes(font.getmask(letter)) != box for letter in text)


def test_the_box_has_the_colour_of_its_label_between_a_dark_and_a_light_line() -> None:
    image = np.full((300, 300, 3), 127, np.uint8)
    drawn = draw_reading(image, make_reading((100, 100, 220, 220), label="happy"))
    assert tuple(drawn[160, 100]) == rgb(COLOURS["happy"])
    assert tuple(drawn[160, 99]) == (0, 0, 0)
    assert tuple(drawn[160, 102]) == (255, 255, 255)
    by_valence = draw_reading(
        image,
        make_reading((100, 100, 220, 220), label="sad"),
        options=DrawOptions(by_valence=True),
    )
    assert tuple(by_valence[160, 100]) == rgb(VALENCE_COLOURS["sad"]) == rgb(COLOURS["anger"])


def test_an_abstaining_model_is_drawn_in_grey() -> None:
    image = np.full((300, 300, 3), 127, np.uint8)
    drawn = draw_reading(image, make_reading((100, 100, 220, 220), prob=0.4))
    assert tuple(drawn[160, 100]) == rgb(COLOURS["uncertain"])


def test_where_no_label_leads_none_is_named() -> None:
    def chip_px(prob: float) -> int:
        image = np.full((300, 600, 3), 127, np.uint8)
        reading = make_reading((100, 100, 220, 220), prob=prob)
        assert reading.scores.is_flat.tolist() == [prob < 0.3]
        return int((draw_reading(image, reading)[90] != 127).any(axis=1).sum())

    even = 1 / len(make_reading((0, 0, 9, 9)).scores.labels)
    assert 0 < chip_px(even) < chip_px(0.4) - 40, "it says to what a face leans"


def test_text_follows_the_face_between_12_and_28_px_as_it_is_shown() -> None:
    def sizes(side_px: int) -> list[int]:
        image = make_picture(side_px, side_px)
        return [text_size(image, np.array([0, 0, face, face])) for face in (20, 160, 1500)]

    assert sizes(800) == [12, 20, 28]
    assert sizes(4000) == [60, 60, 140]


def test_what_is_no_picture_is_not_drawn_on() -> None:
    reading = make_reading((10, 10, 50, 50))
    for image in (np.zeros((80, 80), np.uint8), np.zeros((80, 80, 3)), [[0]]):
        with pytest.raises(BadArgument, match="uint8 RGB"):
            draw_reading(image, reading)  # type: ignore[arg-type]


def test_small_faces_of_a_crowd_bear_their_number_alone() -> None:
    def width(n: int) -> int:
        """How many px beyond the first face, of 30 px, its chip reaches."""
        image = np.full((400, 900, 3), 127, np.uint8)
        boxes = [(20 + 120 * i, 100, 50 + 120 * i, 130) for i in range(n)]
        drawn = draw_reading(image, make_reading(*boxes))
        return int((drawn[95, :100] != 127).any(axis=1).sum())

    assert width(6) > 60
    assert width(7) <= 30


def test_letters_on_a_colour_can_be_read() -> None:
    def luminance(colour: tuple[int, int, int]) -> float:
        values = np.array(colour) / 255
        linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    for name in {*COLOURS.values(), *VALENCE_COLOURS.values()}:
        ground, ink = luminance(rgb(name)), luminance(ink_on(rgb(name)))
        contrast = (max(ground, ink) + 0.05) / (min(ground, ink) + 0.05)
        assert contrast >= 4.5, (name, contrast)
