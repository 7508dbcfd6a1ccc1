"""A data set as a training takes it: faces, targets, splits."""

import hashlib
import os
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from ..affect import ANCHORS, RAYS, anchor_targets, ray_targets
from ..datasets.cleaning import GIVEN, clean_rows, fingerprint_of, kept_rows, split_cleaned
from ..datasets.naming import in_label_order
from ..datasets.sources import VOTE
from ..datasets.splits import TEST, TRAIN, VAL
from ..errors import TrainingError
from ..files import atomic_path
from ..labels import canonical_name, class_ids
from ..registry import is_shipped, load_model
from ..runs import Run
from ..texts import say
from ..training.examples import Examples, Rows, TrainingData, check_trained
from ..training.recipe import AFFECT, Recipe, parse_recipe
from ..types import CropRule
from .faces import load_faces, read_probs
from .index import OnProgress, load_index
from .store import Dataset, load_dataset
from .teachers import learned_here, sources_of

#: Faces of this many preparations are kept beside a data set.
_KEPT = 2
#: A file that is being written changes more often than this.
_PARTIAL_S = 86_400.0


def training_rows(dataset: Dataset, recipe: Recipe) -> pd.DataFrame:
    """Return the pictures of a data set that a recipe trains, validates and tests with.

    Columns as `cleaning.apply_recipe` gives them; only labelled pictures that stay. Labels that the
    recipe leaves out are gone before the split.

    Raises:
        TrainingError: Nothing is left.
        BadTable, InputError: The data set is not measured, or cannot be split.
    """
    cleaning = dataset.recipe()
    table = clean_rows(cleaning, load_index(dataset))
    left_out = {canonical_name(label) or label for label in recipe.leave_out}
    table.loc[table["label"].isin(left_out), "removed"] = "left out by the training"
    choice = replace(cleaning.split, rule=recipe.split, share=None, seed=None)
    table = split_cleaned(table, choice if recipe.split else cleaning.split)
    rows = kept_rows(table).reset_index(drop=True)
    if rows.empty:
        raise TrainingError(say("error.no_training_rows", name=dataset.name))
    return rows


def check_rows(rows: pd.DataFrame, recipe: Recipe) -> None:
    """Check what can be known before faces are cut out.

    Args:
        rows: As `training_rows` gives them.
        recipe: What is trained on them.

    Raises:
        TrainingError: A label has no picture to train on, or no point of valence and arousal where
            those are learned.
    """
    labels = in_label_order(rows["label"])
    votes = [column for column in rows.columns if column.startswith(VOTE)]
    if not (votes and recipe.loss.soft_votes):  # where people voted, faces of other labels count
        trained = set(rows.loc[rows["split"] == TRAIN, "label"])
        check_trained([name for name in labels if name not in trained])
    if AFFECT in recipe.outputs:
        known = ANCHORS if recipe.affect == "anchors" else RAYS
        unknown = sorted(set(labels) - set(known))
        if unknown:
            raise TrainingError(
                say("error.no_affect_point", names=", ".join(unknown), system=recipe.affect)
            )


def prepare_data(
    dataset: Dataset, recipe: Recipe, *, on_progress: OnProgress | None = None
) -> TrainingData:
    """Return a data set as a recipe trains on it; its faces are kept for the next time.

    Args:
        dataset: Indexed before.
        recipe: What it sees, which labels and targets it takes, how it splits.
        on_progress: Called after some pictures each.

    Raises:
        TrainingError: A split is empty, fewer than two labels are left, or as `check_rows`.
        BadTable, InputError: The data set is not measured, cannot be split or read.
        StorageError: The faces cannot be kept.
    """
    rows = training_rows(dataset, recipe)
    labels = in_label_order(rows["label"])
    check_rows(rows, recipe)
    images = _faces(dataset, rows, recipe, on_progress)
    votes = _votes(dataset, rows, labels) if recipe.loss.soft_votes else None
    targets = _targets(rows, labels, votes)
    affect = None
    if AFFECT in recipe.outputs:
        affect = _affect(dataset, rows, recipe, on_progress)
    splits: dict[str, Examples] = {}
    for name in (TRAIN, VAL, TEST):
        chosen = np.flatnonzero((rows["split"] == name).to_numpy())
        splits[name] = Examples(
            Rows(images, chosen),
            targets[chosen],
            affect=None if affect is None else affect[chosen],
            names=tuple(rows["path"].iloc[chosen]),
        )
    cleaning = dataset.recipe()
    data = TrainingData(
        labels=tuple(labels),
        train=splits[TRAIN],
        val=splits[VAL],
        test=splits[TEST] if len(splits[TEST]) else None,
        content_hash=_hash(rows, targets),
        about={
            "data_set": dataset.name,
            "data_set_id": dataset.id,
            "fingerprint": fingerprint_of(load_index(dataset)),
            "origin": cleaning.origin or say("training.not_stated"),
            "terms": cleaning.terms or say("training.not_stated"),
            "pictures": {name: len(split) for name, split in splits.items()},
        },
        crop=crop_rule(rows, recipe),
        limits=_limits(dataset, recipe),
    )
    data.check_labels()
    return data


def _limits(dataset: Dataset, recipe: Recipe) -> tuple[str, ...]:
    """Say whether what a network starts from or is taught by may know its validation faces."""
    cards = sources_of(recipe)
    if (recipe.split or dataset.recipe().split.rule) == GIVEN:
        cards = [card for card in cards if not is_shipped(card.id)]
    if not cards:
        return ()
    known = learned_here(dataset, cards)
    return (say("training.knows_validation", names=", ".join(known)),) if known else ()


def validation_again(
    run: Run, paths: Sequence[str] | None = None
) -> tuple[tuple[str, ...], Examples]:
    """Return the labels of a finished run and faces that validated it, cut out anew.

    They are those of its report, whatever has become of the data set's labels and split since.

    Args:
        run: A run that is done.
        paths: Which pictures; None takes all that are still there.

    Raises:
        TrainingError: It is not done, or such pictures are gone.
        InputError: The data set is gone, or a picture cannot be read.
    """
    answers = run.answers()
    if answers is None:
        raise TrainingError(say("error.run_not_done", name=run.name))
    columns = [str(column) for column in answers if str(column).startswith("prob_")]
    labels = tuple(column.removeprefix("prob_") for column in columns)
    recipe, dataset = parse_recipe(run.recipe), load_dataset(run.dataset["id"])
    there = answers["path"].isin(load_index(dataset)["path"])
    held = answers[there].set_index("path")
    asked = list(held.index if paths is None else paths)
    if not asked or not set(asked) <= set(held.index):
        raise TrainingError(say("error.heatmap_gone"))
    held = held.loc[asked]
    with closing(dataset.open()) as source:
        is_whole = recipe.sees == "whole"
        faces = load_faces(source, asked, recipe.crop, is_whole_wanted=is_whole)
    truth = class_ids(held["truth"], labels)
    targets = np.eye(len(labels), dtype=np.float32)[truth]
    clear = held["is_clear"].to_numpy(bool)
    return labels, Examples(faces, targets, is_clear=clear, names=tuple(asked))


def crop_rule(rows: pd.DataFrame, recipe: Recipe) -> CropRule:
    """Return how a network of this recipe wants faces cut out of photos.

    One that was trained on whole pictures gets as much around a face as its pictures have: the
    median of their longer side over the face's, whose boxes are nearly square.
    """
    if recipe.sees == "face":
        return recipe.crop
    has_face = rows["face_size_px"] > 0
    sides = rows.loc[has_face, ["width", "height"]].max(axis=1)
    margin = (sides / rows.loc[has_face, "face_size_px"]).median() if has_face.any() else 1.0
    return replace(recipe.crop, margin=round(float(margin), 2), shift_y=0.0, align=False)


def _faces(
    dataset: Dataset, rows: pd.DataFrame, recipe: Recipe, on_progress: OnProgress | None
) -> NDArray[np.uint8]:
    """Return the faces of all rows, from the disk where they were cut out before."""
    rule = recipe.crop
    identity = "\n".join([*(rows["path"] + rows["sha256"]), str(rule), recipe.sees])
    folder = dataset.folder / "faces"
    kept = folder / f"{hashlib.sha256(identity.encode()).hexdigest()[:16]}.npy"
    held = _kept_faces(kept)
    if held is None:
        shape = (len(rows), rule.side_px, rule.side_px, rule.channels)
        with atomic_path(kept) as temporary:
            cut = open_memmap(temporary, mode="w+", dtype=np.uint8, shape=shape)
            _reserve(temporary)
            with closing(dataset.open()) as source:
                load_faces(
                    source,
                    rows["path"].tolist(),
                    rule,
                    is_whole_wanted=recipe.sees == "whole",
                    into=cut,
                    on_progress=on_progress,
                )
            cut.flush()
            del cut  # Windows moves no file that is mapped
        held = np.load(kept, mmap_mode="r")
    _tidy(folder)
    return held


def _reserve(path: Path) -> None:
    """Take the room of a mapped file now: a disk that fills under a map ends the process."""
    if hasattr(os, "posix_fallocate"):
        with path.open("rb+") as handle:
            os.posix_fallocate(handle.fileno(), 0, path.stat().st_size)


def _kept_faces(kept: Path) -> NDArray[np.uint8] | None:
    """Return the faces of a file and note that they are in use, or None where it is not there."""
    try:
        held: NDArray[np.uint8] = np.load(kept, mmap_mode="r")
        os.utime(kept)
    except FileNotFoundError:  # never cut out, or another training has just made room
        return None
    return held


def _tidy(folder: Path) -> None:
    """Delete all but the faces that were used last, and what a killed process was writing."""
    used: dict[Path, float] = {}
    for path in folder.glob("*.npy"):
        with suppress(FileNotFoundError):  # other trainings write and delete meanwhile
            used[path] = path.stat().st_mtime
    whole = sorted((path for path in used if not path.name.startswith(".")), key=used.__getitem__)
    partial = used.keys() - set(whole)
    abandoned = [path for path in partial if time.time() - used[path] > _PARTIAL_S]
    for path in [*abandoned, *whole[:-_KEPT]]:
        with suppress(OSError):  # on Windows a training may be reading it
            path.unlink()


def _votes(dataset: Dataset, rows: pd.DataFrame, labels: list[str]) -> NDArray[np.float32]:
    """Return how many people voted for each label, float32 (n, k); zeros where nobody did.

    Their words mean what the data set's recipe says of its labels.
    """
    answers = dataset.recipe().labels
    votes = np.zeros((len(rows), len(labels)), np.float32)
    for column in rows.columns:
        if not column.startswith(VOTE):
            continue
        word = column.removeprefix(VOTE)
        meant = answers.get(word, word)
        name = canonical_name(meant) or meant
        if name in labels:
            votes[:, labels.index(name)] += rows[column].fillna(0).to_numpy(np.float32)
    votes[votes < 2] = 0  # single votes are dropped, as the authors of FER+ do
    return votes


def _targets(
    rows: pd.DataFrame, labels: list[str], votes: NDArray[np.float32] | None
) -> NDArray[np.float32]:
    """Return a distribution per row: the votes where several people judged, else the label.

    A row whose label was changed, by a person or a rule, follows its label.
    """
    class_id = class_ids(rows["label"], labels)
    targets = np.eye(len(labels), dtype=np.float32)[class_id]
    if votes is None:
        return targets
    leads = (votes.max(axis=1) > 0) & (votes.argmax(axis=1) == class_id)
    targets[leads] = votes[leads] / votes[leads].sum(axis=1, keepdims=True)
    return targets


def _affect(
    dataset: Dataset, rows: pd.DataFrame, recipe: Recipe, on_progress: OnProgress | None
) -> NDArray[np.float32]:
    """Return the targets of valence and arousal; seeded by the recipe."""

    def still_here(*_: int) -> None:
        if on_progress:
            on_progress(len(rows), len(rows))

    names = rows["label"].tolist()
    if recipe.affect == "anchors":
        return anchor_targets(names, seed=recipe.seed)
    model = load_model(prior="data")
    with closing(dataset.open()) as source:
        (scores,) = read_probs(source, rows["path"].tolist(), [model], on_progress=still_here)
    columns = [model.labels.index(name) if name in model.labels else -1 for name in names]
    sure = np.array([1.0 if c < 0 else scores.probs[n, c] for n, c in enumerate(columns)])
    return ray_targets(names, sure, seed=recipe.seed)


def _hash(rows: pd.DataFrame, targets: NDArray[np.float32]) -> str:
    """Return a hash over what is trained on: which pictures, their split and their targets."""
    digest = hashlib.sha256()
    for row in rows[["path", "sha256", "split", "label"]].itertuples(index=False):
        digest.update("\0".join(map(str, row)).encode() + b"\n")
    digest.update(targets.tobytes())
    return digest.hexdigest()
