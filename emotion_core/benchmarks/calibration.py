"""Committees as sure as they are right: what is fitted for their soft votes."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from itertools import combinations
from pathlib import Path

from .. import calibration
from ..classify import Calibration, Classifier, Committee
from ..datasets.fer2013 import EMOTIONS, emotion_targets, majority_labels
from ..errors import CardMismatch
from ..registry import CommitteeRecords, committee_records, write_committee_records
from ..texts import say
from .contract import OnProgress, among
from .given import faces_of, read_votes


def calibrate_committees(
    data: Path, members: Sequence[Classifier], on_progress: OnProgress | None = None
) -> dict[str, dict[str, Calibration]]:
    """Fit temperature and threshold of every soft vote of some models, on validation.

    Args:
        data: An `.npz` as `datasets.fer2013.load_arrays` reads it; its public test is looked at.
        members: Models that answer the eight emotions; every two or more make a committee.
        on_progress: Called with (faces read, faces in all).

    Returns:
        By `CommitteeRecords.key_of` the members, then by prior.

    Raises:
        BadTable: The file is not such a set.
        InputError: It has no validation faces.
        CardMismatch: There are not two models, one takes other pictures, or their labels differ.
    """
    if len(members) < 2:
        raise CardMismatch(say("error.calibrate_alone"))
    faces = faces_of(data, "val")
    targets = emotion_targets(faces.votes)
    is_voted = targets.any(axis=1)
    truth = targets.argmax(axis=1)[is_voted]
    is_clear = (majority_labels(faces.votes) >= 0)[is_voted]
    sizes = range(2, len(members) + 1)
    chosen = [Committee(some) for size in sizes for some in combinations(members, size)]
    keys = {
        one.id: CommitteeRecords.key_of([member.card.id for member in one.members])
        for one in chosen
    }
    found: dict[str, dict[str, Calibration]] = {}
    for row, vote in read_votes(faces, chosen, on_progress):
        if row["mirrored"]:
            continue
        probs = among(vote, EMOTIONS)[is_voted]
        temperature, threshold, _ = calibration.calibrate(probs, truth, is_clear)
        fitted = Calibration(temperature, threshold)
        found.setdefault(keys[row["model"]], {})[row["prior"]] = fitted
    return found


def keep_calibration(found: dict[str, dict[str, Calibration]]) -> None:
    """Write what was fitted beside the shipped models, in place of what was there.

    Raises:
        ModelError: The file about committees is broken.
        StorageError: It cannot be written.
    """
    plain = {
        key: {prior: asdict(one) for prior, one in held.items()} for key, held in found.items()
    }
    write_committee_records(replace(committee_records(), calibration=plain))
