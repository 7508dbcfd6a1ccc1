"""What networks say of a data set: doubtful labels, suggestions, and a map."""

import shutil
from importlib.util import find_spec

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .. import limits
from ..datasets.cleaning import clean_rows
from ..datasets.decisions import RELABEL, Decision
from ..datasets.measures import content_hash
from ..datasets.naming import in_label_order
from ..datasets.noise import rank_labels
from ..datasets.splits import TEST, VAL, fold_rows
from ..errors import BadTable, TrainingError
from ..registry import like_minded, load_model
from ..runs import alone_in
from ..texts import say
from .faces import load_faces, read_probs
from .index import OnProgress, load_index, write_table
from .store import Dataset

FOLDS = 3
METHODS = ("pca", "tsne", "umap")
#: A network needs about so many steps, however small the data set is; epochs follow from it.
_SAMPLES_WANTED = 80_000
_EPOCHS_MAX = 100
#: Networks of more numbers take several times as long, and see little else.
_QUICK_PARAMETERS = 2_000_000


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
    rows = table[(table["removed"] == "") & table["label"].notna()].reset_index(drop=True)
    names = in_label_order(rows["label"])
    if len(names) < 2:
        raise TrainingError(say("error.few_labels", n=len(names)))
    recipe = fitted_to(
        load_recipe(recipe_name), n=len(rows), samples=_SAMPLES_WANTED, longest=_EPOCHS_MAX
    )
    # of few groups of pictures some folds stay empty
    held, fold = np.unique(fold_rows(rows, folds=folds), return_inverse=True)
    folds = len(held)
    class_id = pd.Index(names).get_indexer(pd.Index(rows["label"]))
    targets = np.eye(len(names), dtype=np.float32)[class_id]
    per_epoch = len(rows) * (folds - 1) // folds

    def tell_epochs(done: int, epochs: int) -> None:
        if on_progress:
            on_progress(done * per_epoch, epochs * per_epoch)

    source = dataset.open()
    try:
        images = load_faces(source, rows["path"].tolist(), recipe.crop, on_progress=on_progress)
    finally:
        source.close()
    identity = "\n".join([*rows["path"] + rows["sha256"] + rows["label"], str(recipe), str(folds)])
    work = dataset.folder / "noise-work" / content_hash(identity.encode() + fold.tobytes())[:16]
    with alone_in(dataset.folder):
        for other in work.parent.glob("*"):  # of labels that have changed meanwhile
            if other != work:
                shutil.rmtree(other, ignore_errors=True)
        probs = out_of_fold_probs(recipe, images, targets, fold, work, on_epoch=tell_epochs)
        ranked = rank_labels(rows["path"], rows["label"], probs, names)
        write_table(ranked, dataset.folder / "noise.parquet")
        shutil.rmtree(work.parent, ignore_errors=True)
    return ranked


def draw_map(
    dataset: Dataset, method: str = "pca", *, seed: int = 0, on_progress: OnProgress | None = None
) -> pd.DataFrame:
    """Lay the pictures out by what the shipped models read from them.

    The features are the log-probabilities of every quick model side by side: they describe the
    expression and nothing that tells persons apart. They stay in the data set's folder.

    Args:
        dataset: Whose pictures; the unreadable ones are left out.
        method: `pca`, `tsne` (of scikit-learn) or `umap` (when umap-learn is installed).
        seed: Of the layout, and of the sample where there are too many pictures for it.
        on_progress: Called after some pictures each.

    Returns:
        Columns `path`, `x`, `y`, and of the default model `read` (its leading label),
        `confidence`, and `prob_<label>`; also kept as the table `map`.

    Raises:
        BadTable: There is no such method here, or fewer than four pictures.
    """
    if method not in METHODS or (method == "umap" and not umap_is_ready()):
        raise BadTable(say("error.no_map_method", method=method))
    index = load_index(dataset)
    rows = index[index["is_readable"]]
    if method != "pca" and len(rows) > limits.MAP_MAX_POINTS:
        rows = rows.sample(limits.MAP_MAX_POINTS, random_state=seed).sort_index()
    if len(rows) < 4:
        raise BadTable(say("error.few_pictures", n=len(rows)))
    quick = [card.id for card in like_minded() if card.parameters <= _QUICK_PARAMETERS]
    models = [load_model(model_id, prior="data") for model_id in quick]
    source = dataset.open()
    try:
        scores = read_probs(source, rows["path"].tolist(), models, on_progress=on_progress)
    finally:
        source.close()
    probs = [one.probs for one in scores]
    features = np.concatenate([np.log(np.maximum(one, 1e-4)) for one in probs], axis=1)
    place = _layout(features.astype(np.float32), method, seed)
    labels = list(models[0].card.labels)
    table = pd.DataFrame({"path": rows["path"].to_numpy(), "x": place[:, 0], "y": place[:, 1]})
    table["read"] = np.array(labels, object)[probs[0].argmax(axis=1)]
    table["confidence"] = probs[0].max(axis=1)
    for column, name in enumerate(labels):
        table[f"prob_{name}"] = probs[0][:, column]
    table["method"], table["model_id"] = method, models[0].id
    write_table(table, dataset.folder / "map.parquet")
    return table


def suggest_labels(
    cleaned: pd.DataFrame, readings: pd.DataFrame, *, threshold: float
) -> pd.DataFrame:
    """Return what a model would relabel, the surest first.

    Pictures that stand in validation or test are never among them: rows that judge a model must
    not be relabelled by one.

    Args:
        cleaned: As `load_cleaned` gives it.
        readings: Columns `path`, `read`, `confidence` and `model_id`, as `draw_map` gives them.
        threshold: Only readings at least so sure.

    Returns:
        Columns `path`, `label` (the present one), `read`, `confidence` and `model_id`.
    """
    may = (cleaned["removed"] == "") & ~cleaned["split"].isin([VAL, TEST])
    left = cleaned.loc[may & cleaned["label"].notna(), ["path", "label"]]
    found = left.merge(readings[["path", "read", "confidence", "model_id"]], on="path")
    found = found[(found["read"] != found["label"]) & (found["confidence"] >= threshold)]
    return found.sort_values(["confidence", "path"], ascending=[False, True], ignore_index=True)


def accept_labels(suggested: pd.DataFrame, *, at_s: float) -> list[Decision]:
    """Return decisions that relabel pictures as a model suggests."""
    return [
        Decision(
            row["path"],
            RELABEL,
            reason=f"{row['model_id']} reads {row['read']} with {row['confidence']:.0%}",
            label=row["read"],
            at_s=at_s,
            by=row["model_id"],
        )
        for row in suggested.to_dict("records")
    ]


def umap_is_ready() -> bool:
    """Return whether umap-learn is installed."""
    return find_spec("umap") is not None


def vote_entropy(votes: pd.DataFrame) -> pd.Series:
    """Return how much the people who judged a picture disagree: Shannon entropy in bits.

    Args:
        votes: A column per label with numbers of votes; rows without votes give NaN.
    """
    total = votes.sum(axis=1)
    shares = votes.div(total.where(total > 0), axis=0)
    return -(shares * np.log2(shares.where(shares > 0))).sum(axis=1, min_count=1)


def _layout(features: NDArray[np.float32], method: str, seed: int) -> NDArray[np.float32]:
    centred = features - features.mean(axis=0)
    if method == "tsne":
        from sklearn.manifold import TSNE

        near = min(30.0, (len(features) - 1) / 3)
        found = TSNE(init="pca", perplexity=near, random_state=seed).fit_transform(centred)
    elif method == "umap":
        import umap

        found = umap.UMAP(random_state=seed, n_jobs=1).fit_transform(centred)
    else:
        _, _, axes = np.linalg.svd(centred, full_matrices=False)
        found = centred @ axes[:2].T
    return np.asarray(found, np.float32)
