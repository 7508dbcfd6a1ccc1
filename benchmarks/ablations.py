"""What pays when the shipped networks are trained: one change at a time, read on validation.

    python -m benchmarks.ablations --data fer2013.npz [--only NAME …] [--epochs 10]

Every row is `vgg-xs` without its teacher and with one change, trained on FER2013 with FER+ votes
and read on the public test by the majority rule. A row that is finished is kept in the work folder
and not trained again, unless its recipe or the data are others.
"""

import argparse
import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from emotion_core import calibration, metrics
from emotion_core.datasets.fer2013 import (
    emotion_targets,
    load_arrays,
    subtle_labels,
    validation_faces,
)
from emotion_core.files import work_folder, write_json
from emotion_core.training.feed import answers_of
from emotion_core.training.ferplus import ferplus_data
from emotion_core.training.fit import train
from emotion_core.training.measure import learned_prior
from emotion_core.training.recipe import Recipe
from emotion_core.training.recipes import changed_recipe, load_recipe
from emotion_core.workbench.teachers import teacher_of

BASE = "vgg-xs"
#: Without its teacher, and with as few calm epochs as a short training can spare.
ALONE = ("teachers=[]", "calm_epochs=2")
#: How far towards even labels the rows are read: the published table is older than `BALANCE`.
HALF = 0.5
#: Name of a row: what is changed.
CHANGES: dict[str, Sequence[str]] = {
    "base": (),
    "taught by vgg-plain": ("teachers=[vgg-plain]",),
    "cutmix 1": ("loss.cutmix=1",),
    "mixup 0.2": ("loss.mixup=0.2",),
    "labels drawn from votes": ("loss.draw_votes=true",),
    "squeeze and excitation": ("options.reduction=8",),
    "logit adjustment 0.5": ("loss.logit_adjustment=0.5",),
    "rarer labels drawn more, 0.5": ("evenness=0.5",),
    "FER2013's labels beside, 0.3": ("loss.given_weight=0.3",),
    "inner 40 of 48 px": ("options.trim=4",),
    "no weight average": ("average=0",),
    "no erasing": ("augmentation.erase=0",),
    "smaller moves": (
        "augmentation.rotation_deg=8",
        "augmentation.scale=0.08",
        "augmentation.shift=0.04",
    ),
    "no blur, no noise": ("augmentation.blur=0", "augmentation.noise=0"),
    "more blur and noise": ("augmentation.blur=0.4", "augmentation.noise=0.4"),
    "no gamma": ("augmentation.gamma=0",),
    "a lamp beside the face": ("augmentation.light=0.5",),
    "labels smoothed 0.1": ("loss.label_smoothing=0.1",),
    "base, another seed": ("seed=12",),
    "wider": ("options.widths=[32,64,128,256]",),
    "two layers at full size": ("options.depths=[2,2,2,2]",),
    "twice as long": ("stages.0.epochs={twice}",),
}


def recipe_of(name: str, epochs: int) -> Recipe:
    """Return the recipe of a row."""
    base = changed_recipe(load_recipe(BASE), [*ALONE, f"stages.0.epochs={epochs}"])
    changes = [one.format(twice=2 * epochs) for one in CHANGES[name]]
    tag = "".join(letter if letter.isalnum() else "-" for letter in name)
    return replace(changed_recipe(base, changes), name=f"ablation-{tag}-{epochs}")


def folder_of(recipe: Recipe, content_hash: str) -> Path:
    """Return the folder of a training by this recipe on these faces, and of no other."""
    told = hashlib.sha256((recipe.to_yaml() + content_hash).encode()).hexdigest()
    return work_folder() / "runs" / f"{recipe.name}-{told[:8]}"


def figures_of(model: Any, recipe: Recipe, data: Any, subtle: np.ndarray) -> dict[str, float]:
    """Return the figures of a row, at the prior that was learned and half way to an even one."""
    val = data.val
    (raw,) = answers_of(model, val.images)
    temperature, _, _ = calibration.calibrate(raw, val.truth, val.clear)
    probs = calibration.scale_temperature(raw, temperature)
    found: dict[str, float] = {"nll": metrics.negative_log_likelihood(raw, val.targets)}
    prior = learned_prior(recipe, data.train.targets)
    for kind, read in (
        ("data", probs),
        ("balanced", calibration.balance(probs, prior, strength=HALF)),
    ):
        shown, truth = read[val.clear], val.truth[val.clear]
        found[f"accuracy_{kind}"] = metrics.accuracy(shown, truth)
        found[f"recall_{kind}"] = metrics.mean_recall(shown, truth)
        found[f"subtle_{kind}"] = metrics.accuracy(read[subtle >= 0], subtle[subtle >= 0])
    return {name: round(value, 4) for name, value in found.items()}


def main() -> None:
    """Train what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", nargs="*", choices=list(CHANGES), default=list(CHANGES))
    parser.add_argument("--epochs", type=int, default=10)
    chosen = parser.parse_args()
    faces = load_arrays(chosen.data)
    data = ferplus_data(faces)
    votes = validation_faces(faces).votes
    subtle = subtle_labels(votes)[emotion_targets(votes).any(axis=1)]
    names = ("accuracy_data", "recall_balanced", "subtle_balanced", "accuracy_balanced", "nll")
    print(f"validation, n {int(data.val.clear.sum())}; subtle n {int((subtle >= 0).sum())}")
    print(f"{'change':26}" + "".join(f"{name:>18}" for name in names) + f"{'minutes':>9}")
    for name in chosen.only:
        recipe = recipe_of(name, chosen.epochs)
        folder = folder_of(recipe, data.content_hash)
        kept = folder / "figures.json"
        if not kept.is_file():
            teacher = teacher_of(recipe, data.labels)
            model, state = train(recipe, data, folder, teacher=teacher)
            taken = sum(row["seconds"] for row in state.history) / 60
            row = {**figures_of(model, recipe, data, subtle), "minutes": round(taken, 1)}
            write_json(kept, row)
        row = json.loads(kept.read_text(encoding="utf-8"))
        told = "".join(f"{row[one]:18.4f}" for one in names)
        print(f"{name:26}{told}{row['minutes']:9.1f}", flush=True)


if __name__ == "__main__":
    main()
