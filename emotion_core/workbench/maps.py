"""Maps of a data set: its pictures laid out by what the shipped models read from them."""

from contextlib import closing
from importlib.util import find_spec

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .. import limits
from ..errors import BadTable
from ..registry import like_minded, load_model
from ..texts import say
from .faces import read_probs
from .index import OnProgress, load_index, write_table
from .store import Dataset

METHODS = ("pca", "tsne", "umap")
#: Networks of more numbers take several times as long, and see little else.
_QUICK_PARAMETERS = 2_000_000


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
    with closing(dataset.open()) as source:
        scores = read_probs(source, rows["path"].tolist(), models, on_progress=on_progress)
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
    kept = table.assign(sha256=rows["sha256"].to_numpy())
    write_table(kept, dataset.folder / "map.parquet")
    return table


def umap_is_ready() -> bool:
    """Return whether umap-learn is installed."""
    return find_spec("umap") is not None


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
