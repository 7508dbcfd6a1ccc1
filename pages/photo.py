"""Photo: upload, take or try a picture, and read its faces."""

import time
from dataclasses import dataclass, replace
from typing import Any

import streamlit as st

from emotion_core.limits import PHOTO_MAX_BYTES, PHOTOS_PER_UPLOAD
from emotion_core.media.sample import sample_photo
from emotion_core.photos import PhotoResult, Refusal, read_photos
from emotion_core.texts import say
from pages._shared import notice, options, resources
from pages._shared.errors import error_box, plain
from pages._shared.names import short
from pages._shared.photo_view import (
    DRAWN,
    show_downloads,
    show_model_note,
    show_result,
    show_table,
)


@dataclass(frozen=True)
class Upload:
    """A photo that was handed in; the key stands for its content."""

    name: str
    data: bytes
    key: str


_CAMERA_SHOWN_PX = 480
#: A smaller photo is read before a bar would be seen.
_QUICK_BYTES = 1_500_000


def pick_uploads() -> list[Upload]:
    """Show the ways in and return the photos that are chosen now."""
    source = st.session_state.setdefault("photo_source", "upload")
    key = f"uploads-{st.session_state.setdefault('photo_round', 0)}"
    shown = st.file_uploader(
        say("photo.upload"),
        accept_multiple_files=True,
        max_upload_size=PHOTO_MAX_BYTES // 1_000_000,
        key=key,
        on_change=_take_files,
        args=(key,),
    )
    files: list[Upload] = st.session_state.get("photo_files", [])
    if not shown:
        st.session_state["photo_before"] = files
    with st.container(horizontal=True):
        st.button(say("photo.camera"), on_click=_set_source, args=("camera",), key="camera")
        st.button(say("photo.sample"), on_click=_set_source, args=("sample",), key="try_sample")
        if files and source != "upload":
            back = say("photo.back", n=len(files))
            st.button(back, on_click=_set_source, args=("upload",), key="back_to_uploads")
        st.button(say("photo.clear"), on_click=_start_over, type="tertiary", key="clear")
    if source == "sample":
        return [Upload(say("photo.sample_name"), sample_photo(), "sample")]
    if source == "camera":
        key = f"taken-{st.session_state['photo_round']}"
        label, width = say("photo.camera_label"), _CAMERA_SHOWN_PX
        st.camera_input(label, width=width, key=key, on_change=_take_picture, args=(key,))
        taken = st.session_state.get("photo_taken")
        return [taken] if taken else []
    asked = st.session_state.get("photo_asked", 0)
    if asked > len(files):
        st.warning(say("error.too_many_photos", n=asked, limit=PHOTOS_PER_UPLOAD))
    return files


def _take_files(key: str) -> None:
    """Keep what was uploaded: the uploader forgets it when another page is looked at.

    What it has forgotten comes first, what it holds now is added.
    """
    before: list[Upload] = st.session_state.get("photo_before", [])
    new = st.session_state[key] or []
    room = max(0, PHOTOS_PER_UPLOAD - len(before))
    files = [Upload(f.name, f.getvalue(), f.file_id) for f in new[:room]]
    st.session_state["photo_files"] = [*before, *files]
    st.session_state["photo_asked"] = len(before) + len(new)
    st.session_state["photo_source"] = "upload"


def _take_picture(key: str) -> None:
    """Keep the picture of the camera, which the page forgets, too."""
    taken = st.session_state[key]
    name = say("photo.camera_name")
    photo = Upload(name, taken.getvalue(), taken.file_id) if taken else None
    st.session_state["photo_taken"] = photo


def _set_source(source: str) -> None:
    st.session_state["photo_source"] = source


def _start_over() -> None:
    st.session_state["photo_round"] = st.session_state.get("photo_round", 0) + 1
    st.session_state["photo_source"] = "upload"
    st.session_state["photo_whole"] = set()
    for name in (
        "photo_files",
        "photo_asked",
        "photo_before",
        "photo_taken",
        "photo_results",
        DRAWN,
    ):
        st.session_state.pop(name, None)


def read_all(uploads: list[Upload], choice: options.Choice) -> list[PhotoResult | Refusal]:
    """Return what was read; a photo is read anew only when it or an option changed."""
    # what is read is kept at once: a click meanwhile ends this run and starts another one
    held: dict[Any, PhotoResult | Refusal] = st.session_state.setdefault("photo_results", {})
    whole: set[str] = st.session_state.setdefault("photo_whole", set())
    network = (choice.model_ids, choice.vote, choice.prior)
    files = resources.versions(choice.model_ids)
    settings = (*network, files, choice.detector, choice.min_confidence)
    keys = [
        (photo.key, replace(choice.reading, whole_if_none=photo.key in whole), settings)
        for photo in uploads
    ]
    missing = [i for i, key in enumerate(keys) if key not in held]
    if missing:
        recognizer = resources.recognizer(*network)
        detector = resources.detector(choice.detector, choice.min_confidence)
        is_long = len(missing) > 1 or len(uploads[missing[0]].data) > _QUICK_BYTES
        bar = st.progress(0.0) if is_long else None
        started = time.monotonic()
        for done, i in enumerate(missing):
            if bar:
                taken_s = time.monotonic() - started
                left_s = taken_s / done * (len(missing) - done) if done else None
                key = "photo.reading_first" if left_s is None else "photo.reading"
                text = say(key, i=done + 1, n=len(missing), left_s=left_s)
                bar.progress(done / len(missing), text)
            photo = [(uploads[i].name, uploads[i].data)]
            with resources.photo_turns():
                result = next(read_photos(photo, detector, recognizer, options=keys[i][1]))
            held[keys[i]] = result.slim() if isinstance(result, PhotoResult) else result
        if bar:
            bar.empty()
    # uploads that are not shown now may be wanted again
    shown = {photo.key for photo in uploads}
    waiting = {photo.key for photo in st.session_state.get("photo_files", [])} - shown
    st.session_state["photo_results"] = {
        key: result for key, result in held.items() if key in keys or key[0] in waiting
    }
    return [held[key] for key in keys]


def show_refusals(refusals: list[Refusal]) -> None:
    """List what could not be read, and why."""
    if len(refusals) == 1:
        st.error(plain(refusals[0].reason))
    elif refusals:
        with st.expander(say("photo.refused", n=len(refusals)), expanded=True):
            for refusal in refusals:
                st.error(plain(refusal.reason))


def choose_photo(results: list[PhotoResult]) -> PhotoResult:
    """Return the photo to show; a choice stands above it when there are several."""
    if len(results) == 1:
        return results[0]
    index = st.selectbox(
        say("photo.several"),
        range(len(results)),
        format_func=lambda i: f"{i + 1}. {short(results[i].name)}",
        key="photo_shown",
    )
    return results[index]


def offer_whole(result: PhotoResult, key: str, detector: str) -> None:
    """Say that nobody was found, and offer to read the picture as one face; or to take it back."""
    if result.reading.is_whole_picture:
        if st.button(say("photo.read_faces"), key="read_faces"):
            st.session_state["photo_whole"].discard(key)
            st.rerun()
    elif not len(result.reading):
        hint = "" if detector == "centerface" else say("photo.faces_none_hint")
        st.info(plain(f"{say('photo.faces_none', name=short(result.name))} {hint}".strip()))
        if st.button(say("photo.read_whole"), key="read_whole"):
            st.session_state["photo_whole"].add(key)
            st.rerun()


st.title(say("photo.title"))
with error_box():
    notice.require()
    chosen = pick_uploads()
    choice = options.choose(is_mirrored=True)
    if not chosen:
        st.info(say("photo.empty"))
        st.stop()
    outcomes = read_all(chosen, choice)
    show_refusals([outcome for outcome in outcomes if isinstance(outcome, Refusal)])
    results = [outcome for outcome in outcomes if isinstance(outcome, PhotoResult)]
    if not results:
        st.stop()
    shown = choose_photo(results)
    position = next(i for i, outcome in enumerate(outcomes) if outcome is shown)
    offer_whole(shown, chosen[position].key, choice.detector)
    members = resources.recognizer(choice.model_ids, choice.vote, choice.prior).members
    show_result(shown, members[0].card, choice.drawing)
    show_table(results)
    show_model_note([member.card for member in members], choice.vote, choice.prior)
    show_downloads(shown, results, choice.drawing)
