"""What comes out of the workbench: the data set's files, its faces cut out, its report."""

import io
import zipfile
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pandas as pd

from .. import limits
from ..crops import crop_faces, rule_for
from ..datasets.cleaning import (
    GIVEN,
    DatasetRecipe,
    SplitChoice,
    apply_recipe,
    check_fits,
    fingerprint_of,
    kept_rows,
    label_rows,
)
from ..datasets.duplicates import summarise_groups
from ..datasets.outputs import OPTIONAL_FILES, dataset_files
from ..datasets.report import SCHEMA as REPORT_SCHEMA
from ..datasets.report import report_html, report_of
from ..datasets.sources import Source
from ..datasets.tables import CARD_FILE, CARD_SCHEMA
from ..errors import BadTable, InputError, StorageError
from ..export import neutralised, to_csv
from ..faces import DEFAULT_DETECTOR, Detector, load_detector
from ..files import atomic_path, atomic_write, read_json, write_json, write_together
from ..media.photo import encode_jpeg, encode_png
from ..registry import DEFAULT_MODEL, verify_model
from ..texts import say
from ..types import CropRule, Image
from .index import OnProgress, face_or_whole, load_index, load_readings, read_picture_of
from .store import Dataset

#: Faces are cut out large enough for the networks that people transfer from.
CROP_SIDE_PX = 112
_THUMB_PX = 160
_SHOWN_PER_PART = 12


def export_dataset(
    dataset: Dataset,
    out: Path,
    *,
    recipe: DatasetRecipe | None = None,
    allow_changed: bool = False,
) -> dict[str, Path]:
    """Write the files of a data set, as `outputs.dataset_files` names them.

    Args:
        dataset: Whose pictures.
        out: Folder; all files are written or none. Of an earlier export there, splits
            and folds that this one has not are deleted.
        recipe: None takes the data set's own.
        allow_changed: Apply a recipe that was made for another state of the source.

    Returns:
        The files by name.

    Raises:
        BadTable: The recipe does not fit the source, or the rest cannot be split.
        StorageError: A file cannot be written, or would overwrite one that no export wrote.
    """
    index = load_index(dataset)
    recipe = recipe or dataset.recipe()
    if not allow_changed:
        check_fits(recipe, index, name=dataset.name)
    recipe = replace(recipe, fingerprint=fingerprint_of(index))
    table = apply_recipe(recipe, index)
    kind = dataset.spec.kind or _kind_of(dataset)
    files = dataset_files(neutralised(table), recipe, name=dataset.name, kind=kind)
    earlier = read_json(out / CARD_FILE) or {}
    of_before = earlier.get("files", []) if earlier.get("schema") == CARD_SCHEMA else []
    foreign = [name for name in files if (out / name).exists() and name not in of_before]
    if foreign:
        raise StorageError(say("error.not_an_export", name=out / foreign[0]))
    written = write_together(out, files)
    for name in (set(OPTIONAL_FILES) & set(of_before)) - set(written):
        (out / name).unlink(missing_ok=True)
    return written


def crop_dataset(
    dataset: Dataset,
    target: Path,
    *,
    recipe: DatasetRecipe | None = None,
    allow_changed: bool = False,
    side_px: int = CROP_SIDE_PX,
    on_progress: OnProgress | None = None,
) -> tuple[int, int]:
    """Write a ZIP with the face of every picture that stays, cut out by the default model's rule.

    `faces/<label>/<number>.png`, `faces.csv` (`image_path,emotion,source,split`) and
    `skipped.csv` (`image_path,reason`). Where the rest cannot be split, the split is the source's.

    Args:
        dataset: Whose pictures.
        target: The ZIP.
        recipe: None takes the data set's own.
        allow_changed: Apply a recipe that was made for another state of the source.
        side_px: Side of the square faces, in colour.
        on_progress: Called after each picture.

    Returns:
        How many faces were written, and how many pictures were skipped.

    Raises:
        BadTable: The recipe was made for another source, or another state of it.
    """
    index, recipe = load_index(dataset), recipe or dataset.recipe()
    if not allow_changed:
        check_fits(recipe, index, name=dataset.name)
    try:
        table = apply_recipe(recipe, index)
    except BadTable:  # it cannot be split, which faces need not be
        table = apply_recipe(replace(recipe, split=SplitChoice(GIVEN)), index)
    rows = kept_rows(table)
    model = verify_model(DEFAULT_MODEL).crop
    rule = CropRule(model.margin, model.shift_y, model.align, side_px, channels=3)
    detector = load_detector(DEFAULT_DETECTOR)
    named = list(zip(rows["path"], rows["label"], rows["split"], strict=True))
    written: list[tuple[str, ...]] = []
    skipped: list[tuple[str, ...]] = []
    with (
        closing(dataset.open()) as source,
        atomic_path(target) as temporary,
        zipfile.ZipFile(temporary, "w") as archive,
    ):
        for number, (path, label, split) in enumerate(named):
            try:
                crop = _crop_of(read_picture_of(source, path), detector, rule)
            except InputError as error:
                skipped.append((path, str(error)))
            else:
                name = f"faces/{_folder_name(label)}/{number:06d}.png"
                archive.writestr(_entry(name), encode_png(crop))
                written.append((name, label, path, split))
            if on_progress:
                on_progress(number + 1, len(rows))
        tables = {
            "faces.csv": pd.DataFrame(
                written, columns=["image_path", "emotion", "source", "split"], dtype="str"
            ),
            "skipped.csv": pd.DataFrame(skipped, columns=["image_path", "reason"], dtype="str"),
        }
        for name, held in tables.items():
            archive.writestr(_entry(name), to_csv(held))
    return len(written), len(skipped)


def _crop_of(image: Image, detector: Detector, rule: CropRule) -> Image:
    """Return the face of a picture, or all of a small one.

    Raises:
        InputError: There is no face in a large picture.
    """
    face, is_whole = face_or_whole(image, detector)
    if is_whole and min(image.shape[:2]) >= limits.FACE_CROP_FROM_PX:
        raise InputError(say("dataset.no_face"))
    crop: Image = crop_faces(image, face, rule_for(rule, is_whole=is_whole))[0]
    return crop


def report_dataset(dataset: Dataset, out: Path) -> dict[str, Path]:
    """Write `report.html`, which opens without a network, and `report.json` with all counts.

    Raises:
        InputError: The pictures have not been measured.
        StorageError: A file cannot be written, or would overwrite one that no report is.
    """
    index = load_index(dataset)
    if (read_json(out / "report.json") or {}).get("schema") != REPORT_SCHEMA:
        for name in ("report.json", "report.html"):
            if (out / name).exists():
                raise StorageError(say("error.not_an_export", name=out / name))
    # the source as it is, not as the recipe leaves it
    plain = index.assign(label=label_rows(index, dataset.recipe().labels))
    groups = summarise_groups(plain)
    noise = load_readings(dataset, "noise")
    with closing(dataset.open()) as source:
        report = report_of(plain, groups, noise, name=dataset.name, kind=source.kind)
        pictures = {
            part: thumbnails(source, paths)
            for part, paths in _examples(plain, groups, noise).items()
        }
    return {
        "report.html": atomic_write(out / "report.html", report_html(report, pictures)),
        "report.json": write_json(out / "report.json", report),
    }


def thumbnails(
    source: Source, paths: Iterable[str], *, side_px: int = _THUMB_PX
) -> dict[str, bytes]:
    """Return small JPEGs of pictures by path; those that cannot be read are left out."""
    found: dict[str, bytes] = {}
    for path in paths:
        try:
            image = read_picture_of(source, path, least_px=side_px)
            found[path] = encode_jpeg(_enlarged(image), max_side_px=side_px)
        except InputError:
            continue
    return found


def zip_files(files: Mapping[str, Path]) -> bytes:
    """Return files as a ZIP whose bytes depend on names and contents alone."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in sorted(files):
            archive.writestr(_entry(name), files[name].read_bytes())
    return buffer.getvalue()


def _examples(
    table: pd.DataFrame, groups: pd.DataFrame, noise: pd.DataFrame | None
) -> dict[str, list[str]]:
    """Return which pictures the report shows, by its parts."""
    found: dict[str, list[str]] = {}
    for label, rows in table[table["is_readable"]].groupby("label", sort=True):
        found[f"label:{label}"] = rows["path"].iloc[:: max(1, len(rows) // 6)][:6].tolist()
    worst = groups[groups["is_conflict"]]["group"].head(_SHOWN_PER_PART // 2)
    found["conflicts"] = table[table["group"].isin(worst)]["path"].head(_SHOWN_PER_PART).tolist()
    if noise is not None:
        found["noise"] = noise["path"].head(_SHOWN_PER_PART).tolist()
    return found


def _kind_of(dataset: Dataset) -> str:
    with closing(dataset.open()) as source:
        return source.kind


def _folder_name(label: str) -> str:
    """Return a label as the name of a folder; labels of one's own may hold anything."""
    plain = "".join(c if c.isalnum() or c in "-_ " else "-" for c in label).strip()
    return plain or "label"


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)  # its time is always 1980
    entry.external_attr = 0o644 << 16
    return entry


def _enlarged(image: Image) -> Image:
    """Return tiny pictures three times as large, so that they can be looked at."""
    small = max(image.shape[:2]) <= _THUMB_PX // 3
    return image.repeat(3, axis=0).repeat(3, axis=1) if small else image
