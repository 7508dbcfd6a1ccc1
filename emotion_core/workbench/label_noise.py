"""Doubtful labels of a data set, found by networks that never saw what they judge."""

import shutil
from contextlib import closing
from importlib.util import find_spec

import numpy as np
import pandas as pd

from ..datasets.cleaning import clean_rows, kept_rows
from ..datasets.measures import content_hash
from ..datasets.naming import in_label_order
from ..datasets.noise import rank_labels
from ..datasets.splits import fold_rows
from ..errors import TrainingError
from ..labels import class_ids
from ..runs import alone_in
from ..texts import say
from .faces import load_faces
from .index import OnProgress, load_index, write_table
from .store import Dataset

FOLDS = 3
#: A network needs about so many steps, however small the data set is; epochs follow from it.
_SAMPLES_WANTED = 80_000
_EPOCHS_MAX = 100


def judge_labels(
    dataset: Dataset,
    *,
    recipe_name: str = "label-noise",
    folds: int = FOLDS,
    on_progress: OnProgress | None = None,
) -> pd.DataFrame:
    """Rank the labels of a data set by networks that never saw the picture they judge.

    One network is trained per fold on the others; copies of a picture share a fold. Stopped or
    killed, it goes on after the last finished epoch when it is called again.

    Args:
        dataset: Whose labels; the pictures that its recipe removes are left out.
        recipe_name: How the networks are trained: a name of `training.recipes`, or a file.
        folds: How many networks.
        on_progress: Called with (pictures done, pictures in all), where a picture counts once
            when it is read and once for every epoch that takes it.

    Returns:
        Columns as in `noise.NOISE_COLUMNS`, also kept as the table `noise`.

    Raises:
        TrainingError: Keras is missing, there are fewer than two labels, or another process judges
            them now.
        BadTable: A label stands in one group of copies only.
    """
    if find_spec("keras") is None:
        raise TrainingError(say("error.no_keras"))
    # heavy: Keras and its backend are imported only by this job, and only now
    from ..training.crossfit import out_of_fold_probs
    from ..training.recipe import fitted_to
    from ..training.recipes import load_recipe

    table = clean_rows(dataset.recipe(), load_index(dataset))
    rows = kept_rows(table).reset_index(drop=True)
    names = in_label_order(rows["label"])
    if len(names) < 2:
        raise TrainingError(say("error.few_labels", n=len(names)))
    recipe = fitted_to(
        load_recipe(recipe_name), n=len(rows), samples=_SAMPLES_WANTED, longest=_EPOCHS_MAX
    )
    # of few groups of pictures some folds stay empty
    held, fold = np.unique(fold_rows(rows, folds=folds), return_inverse=True)
    folds = len(held)
    class_id = class_ids(rows["label"], names)
    targets = np.eye(len(names), dtype=np.float32)[class_id]
    per_epoch = len(rows) * (folds - 1) // folds

    def tell_epochs(done: int, epochs: int) -> None:
        if on_progress:
            on_progress(done * per_epoch, epochs * per_epoch)

    with closing(dataset.open()) as source:
        images = load_faces(source, rows["path"].tolist(), recipe.crop, on_progress=on_progress)
    identity = "\n".join([*rows["path"] + rows["sha256"] + rows["label"], str(recipe), str(folds)])
    work = dataset.folder / "noise-work" / content_hash(identity.encode() + fold.tobytes())[:16]
    with alone_in(dataset.folder):
        for other in work.parent.glob("*"):  # of labels that have changed meanwhile
            if other != work:
                shutil.rmtree(other, ignore_errors=True)
        probs = out_of_fold_probs(recipe, images, targets, fold, work, on_epoch=tell_epochs)
        ranked = rank_labels(rows["path"], rows["label"], probs, names)
        kept = ranked.merge(rows[["path", "sha256"]], on="path")
        write_table(kept, dataset.folder / "noise.parquet")
        shutil.rmtree(work.parent, ignore_errors=True)
    return ranked
