"""What is known of FER2013, found again by the index."""

from pathlib import Path

import pandas as pd
import pytest

from emotion_core.datasets.noise import vote_entropy
from emotion_core.datasets.outliers import find_outliers
from emotion_core.datasets.sources import VOTE, SourceSpec
from emotion_core.workbench.index import build_index, load_index
from emotion_core.workbench.store import new_dataset

#: Pictures per label and split (train, val, test), as published.
PUBLISHED = {
    "angry": (3995, 467, 491), "disgust": (436, 56, 55), "fear": (4097, 496, 528),
    "happy": (7215, 895, 879), "sad": (4830, 653, 594), "surprise": (3171, 415, 416),
    "neutral": (4965, 607, 626),
}  # fmt: skip


@pytest.mark.data
def test_the_known_facts(test_data: Path) -> None:
    spec = SourceSpec(str(test_data / "fer2013" / "fer2013.npz"))
    dataset = new_dataset("fer2013", spec, owner="me")
    build_index(dataset, with_faces=False)
    index = load_index(dataset)
    counts = pd.crosstab(index["raw_label"], index["split"])[["train", "val", "test"]]
    names = {"anger": "angry"}
    assert {names.get(k, k): tuple(v) for k, v in zip(counts.index, counts.to_numpy().tolist(),
                                                       strict=True)} == PUBLISHED  # fmt: skip
    exact = index.dropna(subset=["exact"])
    groups = exact.groupby("exact")["raw_label"].nunique()
    assert (len(groups), len(exact), int((groups > 1).sum())) == (1516, 3369, 57)
    trained = set(exact["exact"][exact["split"] == "train"])
    copied = exact[exact["exact"].isin(trained)]
    assert (copied["split"] == "val").sum() == 280
    assert (copied["split"] == "test").sum() == 288
    blank = index[find_outliers(index, "blank")]
    assert len(blank) == 13
    assert index["path"][find_outliers(index, "blank", 19.0)].isin(["row-05274"]).any()
    votes = index.set_index("path").filter(like=VOTE)
    assert votes.loc["row-05274"].equals(votes.loc["row-06968"])
    assert vote_entropy(votes).max() > 2
