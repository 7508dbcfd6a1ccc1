"""One photo's reading: the picture first, then each face, the table and the downloads."""

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from functools import partial
from hashlib import sha256

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from emotion_core.cards import Card
from emotion_core.crops import crop_faces, rule_for, shrink_to
from emotion_core.draw import DrawOptions, draw_reading
from emotion_core.export import to_csv, to_zip
from emotion_core.labels import CANONICAL
from emotion_core.photos import PhotoResult, all_faces, photo_file, photo_files, stems_of
from emotion_core.texts import label_name, say
from emotion_core.types import CropRule, Image, Reading
from emotion_core.workbench.heatmaps import has_heatmaps, start_heatmaps

from . import charts, heatmaps, resources, visitor
from .errors import plain
from .models_grid import main_figures
from .names import short

#: Faces shown in full; a crowd's others stand in the table.
_FACES_SHOWN = 6
_CROP_SHOWN_PX = 112
_BARS_PX, _CIRCLE_PX = 210, 170
#: A page shows no more; the download has every pixel.
PICTURE_SHOWN_PX = 1600
#: Where the session keeps what is drawn.
DRAWN = "photo_drawn"


def show_result(result: PhotoResult, leader: Card, drawing: DrawOptions) -> None:
    """Show the annotated picture with its faces beside it."""
    reading = result.reading
    picture, faces = st.columns([3, 2], gap="medium")
    annotated, crops = _drawn(
        result, rule_for(leader.crop, is_whole=reading.is_whole_picture), drawing
    )
    with picture:
        found = [face_sentence(reading, face).replace("**", "") for face in range(len(reading))]
        alt = say("photo.annotated_alt", n=len(reading), faces="; ".join(found))
        st.image(annotated, width="stretch", alt=alt)
        if reading.is_whole_picture:
            st.caption(say("photo.whole_note"))
    with faces:
        for face, crop in enumerate(crops):
            _show_face(result, face, crop.squeeze(), leader)
        if len(reading) > _FACES_SHOWN:
            st.caption(say("photo.more_faces", n=len(reading) - _FACES_SHOWN))
        if len(reading) and has_heatmaps(leader):
            _offer_heatmaps(result, leader, crops)


def _drawn(
    result: PhotoResult, rule: CropRule, drawing: DrawOptions
) -> tuple[Image, NDArray[np.uint8]]:
    """Return the annotated picture as it is shown, and the crops of the faces shown in full.

    Those of the last result are kept: any click runs the page again, and a photo of a phone takes
    half a second to be decoded and drawn, a large one seconds.
    """
    held = st.session_state.get(DRAWN)
    if held and held[0] is result and held[1] == (rule, drawing):
        return held[2], held[3]
    with resources.photo_turns():
        image = result.picture()
        names = {name: label_name(name) for name in CANONICAL}
        annotated = draw_reading(image, result.reading, options=drawing, names=names)
        shown = shrink_to(annotated, PICTURE_SHOWN_PX)
        crops = crop_faces(image, result.reading.faces[:_FACES_SHOWN], rule)
    st.session_state[DRAWN] = result, (rule, drawing), shown, crops
    return shown, crops


def show_downloads(
    result: PhotoResult, all_results: Sequence[PhotoResult], drawing: DrawOptions
) -> None:
    """Offer the files of one photo; of several, one table and a ZIP of all."""
    st.subheader(say("photo.downloads"))
    labels = {
        "annotated.png": "download_png", "csv": "download_csv", "json": "download_json",
    }  # fmt: skip
    stems = stems_of(all_results)
    stem = next(s for s, one in zip(stems, all_results, strict=True) if one is result)
    with st.container(horizontal=True):
        for end, text in labels.items():
            st.download_button(
                say(f"photo.{text}"),
                data=partial(one_file, result, end, drawing),
                file_name=f"{stem}.{end}",
                key=text,
                on_click="ignore",
            )
        if len(all_results) > 1:
            st.download_button(
                say("photo.download_all"),
                data=lambda: to_csv(all_faces(all_results)),
                file_name="photos.csv",
                key="download_all",
                on_click="ignore",
            )
            st.download_button(
                say("photo.download_zip"),
                data=lambda: _archive(all_results, stems, drawing),
                file_name="photos.zip",
                key="download_zip",
                on_click="ignore",
            )


def show_model_note(cards: Sequence[Card], vote: str, prior: str) -> None:
    """Say under the results who answered, and of one model which expressions it misses most."""
    titles = [plain(card.title) for card in cards]
    if len(cards) > 1:  # how often a committee misses what is not known
        said = say(f"options.vote_{vote}")
        st.caption(say("photo.note_committee", models=", ".join(titles), vote=said))
        return
    leader = cards[0]
    split, shown = main_figures(leader)
    if prior == "balanced":
        shown = leader.metrics.get(f"{split}_balanced", shown)
    rows = shown.get("recall", {})
    recalls = {name: row["recall"] for name, row in rows.items() if row["recall"] is not None}
    weak = sorted(recalls, key=lambda name: recalls[name])[:3]
    parts = [
        say("photo.note_part", label=plain(label_name(name)), recall=f"{recalls[name]:.0%}")
        for name in weak
    ]
    st.caption(say("photo.note", model=titles[0]))
    if parts:
        st.caption(say(f"photo.note_weak_{split}", model=titles[0], weak=", ".join(parts)))


def one_file(result: PhotoResult, end: str, drawing: DrawOptions) -> bytes:
    """Return one of the files of a result; a picture is drawn when its turn comes."""
    with resources.photo_turns() if end == "annotated.png" else nullcontext():
        return photo_file(result, end, drawing=drawing)


def _archive(results: Sequence[PhotoResult], stems: Sequence[str], drawing: DrawOptions) -> bytes:
    def files() -> Iterator[tuple[str, bytes]]:
        yield "photos.csv", to_csv(all_faces(results)).encode()
        for result, stem in zip(results, stems, strict=True):
            with resources.photo_turns():
                files = photo_files(result, stem=stem, drawing=drawing)
            yield from files

    return to_zip(files())


def face_sentence(reading: Reading, face: int) -> str:
    """Return what is said of a face, in Markdown."""
    if reading.scores.is_flat[face]:
        return say("photo.looks_like_none", face=face + 1)
    key = "photo.looks_unsure" if reading.abstained[face] else "photo.looks"
    top = reading.top_label[face]
    label = say(f"looks.{top}") if top in CANONICAL else plain(top)
    return say(key, face=face + 1, label=label, percent=f"{reading.confidence[face]:.0%}")


def _show_face(result: PhotoResult, face: int, crop: Image, leader: Card) -> None:
    reading, key = result.reading, f"{result.name}-{face}"
    valence = float(reading.affect.valence[face])
    arousal = float(reading.affect.arousal[face])
    probs = zip(reading.scores.labels, reading.scores.probs[face], strict=True)
    values = ", ".join(f"{label_name(name)} {value:.0%}" for name, value in probs)
    with st.container(border=True):
        st.markdown(face_sentence(reading, face), help=say("photo.circle_help"))
        # where it is narrow the circle stands below
        with st.container(horizontal=True, horizontal_alignment="distribute"):
            st.plotly_chart(
                charts.distribution(reading.scores, face, hatched=bool(reading.abstained[face])),
                key=f"bars-{key}",
                width=_BARS_PX,
                config={"displayModeBar": False},
                alt=say("photo.bars_alt", face=face + 1, values=values),
            )
            st.plotly_chart(
                charts.affect_circle(valence, arousal, coordinates=leader.coordinates),
                key=f"circle-{key}",
                width=_CIRCLE_PX,
                config={"displayModeBar": False},
                alt=say(
                    "photo.circle_alt",
                    face=face + 1,
                    valence=f"{valence:.2f}",
                    arousal=f"{arousal:.2f}",
                ),
            )
        with st.expander(say("photo.crop")):
            st.image(crop, width=_CROP_SHOWN_PX, alt=say("photo.crop_alt", face=face + 1))


def _offer_heatmaps(result: PhotoResult, leader: Card, crops: NDArray[np.uint8]) -> None:
    """Offer to show where the leader looked on the faces that are shown."""
    reading, labels = result.reading, list(leader.labels)
    top = reading.top_label[: len(crops)]
    asked = np.array([labels.index(name) for name in top], np.int64)
    captions = [
        say("heatmap.caption", label=label_name(name), percent=f"{reading.confidence[face]:.0%}")
        for face, name in enumerate(top)
    ]
    heatmaps.offer(
        sha256(crops.tobytes() + f"{leader.id} {top}".encode()).hexdigest(),
        lambda: start_heatmaps(leader.id, crops, asked, owner=visitor.owner()),
        captions,
        faces=crops,
    )


def show_table(results: Sequence[PhotoResult]) -> None:
    """Show the faces of all photos in a table; of several, the photo's name in front."""
    many = len(results) > 1
    rows = [
        {
            **({say("photo.several"): short(result.name)} if many else {}),
            say("column.face"): face + 1,
            say("column.label"): label_name(reading.label[face]),
            say("column.confidence"): 100 * float(reading.confidence[face]),
            say("column.valence"): float(reading.affect.valence[face]),
            say("column.arousal"): float(reading.affect.arousal[face]),
            **{
                label_name(name): 100 * float(value)
                for name, value in zip(
                    reading.scores.labels, reading.scores.probs[face], strict=True
                )
            },
        }
        for result in results
        for reading in [result.reading]
        for face in range(len(reading))
    ]
    if not rows:
        return
    st.subheader(say("photo.table"))
    percent = st.column_config.NumberColumn(format="%.1f %%")
    plain = st.column_config.NumberColumn(format="%.2f")
    columns = {name: percent for name in rows[0]}
    columns.update({say("column.valence"): plain, say("column.arousal"): plain})
    for name in (say("photo.several"), say("column.face"), say("column.label")):
        columns.pop(name, None)
    st.dataframe(rows, hide_index=True, column_config=columns, alt=say("photo.table"))
