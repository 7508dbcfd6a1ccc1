"""Which labels of a data set are probably wrong, by confident learning."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..errors import BadTable
from ..labels import class_ids
from ..texts import say

#: What each column of the ranking means: the data dictionary.
NOISE_COLUMNS = {
    "path": "name of the picture in the data set",
    "given": "the label it has",
    "suggested": "the label that the judging networks prefer",
    "confidence": "their probability of the suggested label, 0 to 1",
    "quality": "label quality, 0 wrong to 1 right: how much the given label leads the next one",
    "is_issue": "whether confident learning counts the label as wrong",
}


def rank_labels(
    paths: pd.Series, given: pd.Series, probs: NDArray[np.float32], names: list[str]
) -> pd.DataFrame:
    """Rank labels, the most doubtful first.

    Args:
        paths: The pictures, n of them.
        given: Their labels, names of `names`.
        probs: float32 (n, k): out-of-fold probabilities, of networks that did not see the picture.
        names: The k labels in the order of `probs`.

    Returns:
        Columns as in `NOISE_COLUMNS`. Issues are those of Northcutt, Jiang and Chuang 2021
        (arXiv 1911.00068, by cleanlab); they stand first, each part sorted by quality.

    Raises:
        BadTable: A label is not among the names.
    """
    # slow to import, and only needed here
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    class_id = class_ids(given, names)
    if (class_id < 0).any():
        unknown = sorted(set(given[class_id < 0]))
        raise BadTable(say("error.unknown_labels", names=", ".join(unknown), known=str(names)))
    probs = np.asarray(probs, np.float64)
    probs /= probs.sum(axis=1, keepdims=True)
    # of cleanlab's methods the one whose first labels the votes of FER+ doubt most often, on
    # FER2013: python -m benchmarks.datasets --fer
    quality = get_label_quality_scores(class_id, probs, method="normalized_margin")
    is_issue = find_label_issues(class_id, probs, filter_by="prune_by_noise_rate", n_jobs=1)
    best = probs.argmax(axis=1)
    table = pd.DataFrame(
        {
            "path": paths.to_numpy(),
            "given": given.to_numpy(),
            "suggested": np.array(names, object)[best],
            "confidence": probs.max(axis=1).astype(np.float32),
            "quality": quality.astype(np.float32),
            "is_issue": is_issue,
        }
    )
    order = np.lexsort((table["quality"], ~table["is_issue"]))
    return table.iloc[order].reset_index(drop=True)


def vote_entropy(votes: pd.DataFrame) -> pd.Series:
    """Return how much the people who judged a picture disagree: Shannon entropy in bits.

    Args:
        votes: A column per label with numbers of votes; rows without votes give NaN.
    """
    total = votes.sum(axis=1)
    shares = votes.div(total.where(total > 0), axis=0)
    return -(shares * np.log2(shares.where(shares > 0))).sum(axis=1, min_count=1)
