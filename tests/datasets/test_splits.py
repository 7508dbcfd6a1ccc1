"""Splits: the published counts of the student systems, and copies that never part."""

import numpy as np
import pandas as pd
import pytest

from emotion_core.datasets.splits import RULES, fold_rows, split_rows
from emotion_core.errors import BadTable

#: Pictures per label of the competition that three of the systems used, in the order of its table.
COUNTS = {
    "anger": 7022, "contempt": 3085, "disgust": 3155, "fear": 5044, "happy": 5955,
    "neutral": 6795, "sad": 6740, "surprise": 6323, "uncertain": 5927,
}  # fmt: skip


@pytest.fixture(scope="module")
def competition() -> pd.DataFrame:
    return pd.DataFrame({"label": np.repeat(list(COUNTS), list(COUNTS.values()))})


def sizes(words: pd.Series) -> tuple[int, int]:
    counts = words.value_counts()
    return int(counts["train"]), int(counts["val"])


def test_the_split_of_system_000(competition: pd.DataFrame) -> None:
    words = split_rows(competition, "seed-000")
    found = competition["label"][words == "val"].value_counts()
    wanted = [702, 308, 315, 504, 595, 679, 674, 632, 592]
    assert [found[label] for label in COUNTS] == wanted
    assert sizes(words) == (45_045, 5_001)


def test_the_splits_of_the_other_systems(competition: pd.DataFrame) -> None:
    assert sizes(split_rows(competition, "seed-002")) == (45_041, 5_005)
    assert sizes(split_rows(competition, "seed-003")) == (40_037, 10_009)
    without = competition[competition["label"] != "uncertain"]
    assert sizes(split_rows(without, "seed-003")) == (35_295, 8_824)
    fer = pd.DataFrame({"label": np.resize(list("abcdefg"), 28_709)})
    assert sizes(split_rows(fer, "seed-004")) == (27_273, 1_436)


def test_system_002_splits_as_scikit_learn_does() -> None:
    selection = pytest.importorskip("sklearn.model_selection")
    table = pd.DataFrame({"label": np.resize(list("abc"), 1003)})
    for rule in ("seed-002", "seed-004"):
        _, val = selection.train_test_split(
            np.arange(1003), test_size=RULES[rule].share, random_state=RULES[rule].seed
        )
        ours = np.flatnonzero(split_rows(table, rule) == "val")
        assert set(ours) == set(val)


@pytest.mark.parametrize("rule", RULES)
def test_the_same_seed_gives_the_same_split(rule: str, competition: pd.DataFrame) -> None:
    first, again = (split_rows(competition, rule) for _ in range(2))
    assert first.equals(again)
    assert not first.equals(split_rows(competition, rule, seed=99))


def with_groups(n: int = 4000, *, seed: int = 0) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    labels = random.choice(["a", "b", "c"], n, p=[0.7, 0.25, 0.05])
    groups = random.integers(0, n // 2, n).astype(object)
    groups[random.random(n) < 0.5] = None
    return pd.DataFrame({"label": labels, "group": groups}, index=np.arange(n) * 3)


def leaks(table: pd.DataFrame) -> int:
    """How many groups stand in more than one split."""
    return int((table.groupby("group")["split"].nunique() > 1).sum())


def test_the_default_keeps_groups_together_and_labels_balanced() -> None:
    table = with_groups()
    table["split"] = split_rows(table)
    assert leaks(table) == 0
    shares = (table["split"] == "val").groupby(table["label"]).mean()
    assert shares.between(0.08, 0.12).all(), shares
    table["split"] = split_rows(table, "seed-000")
    assert leaks(table) > 10


@pytest.mark.parametrize("share", [0.05, 0.15, 0.35, 0.4, 0.6, 0.8])
def test_the_default_keeps_to_its_share(share: float) -> None:
    table = with_groups()
    table["split"] = split_rows(table, share=share)
    assert leaks(table) == 0
    shares = (table["split"] == "val").groupby(table["label"]).mean()
    assert shares.between(share - 0.02, share + 0.02).all(), shares


def test_folds_are_even_and_keep_groups_together() -> None:
    table = with_groups()
    table["split"] = fold_rows(table, folds=5).astype(str)
    assert leaks(table) == 0
    counts = table.groupby(["split", "label"]).size().unstack()
    assert (counts.max() - counts.min() <= np.maximum(4, 0.12 * counts.mean())).all(), counts


def copied(n: int = 4000) -> pd.DataFrame:
    """Five labels, and every seventh picture twice."""
    labels = np.resize(list("abcde"), n)
    table = pd.DataFrame({"path": [f"{i}.png" for i in range(n)], "label": labels, "group": None})
    twins = table[np.arange(n) % 7 == 0].assign(group=lambda rows: rows.index)
    table.loc[twins.index, "group"] = twins["group"]
    again = twins.assign(path=lambda rows: "copy/" + rows["path"])
    return pd.concat([table, again], ignore_index=True)


def test_every_part_has_its_share_of_the_copies() -> None:
    table = copied()
    is_copied = table["group"].notna()
    shares = is_copied.groupby(split_rows(table, share=0.15)).mean()
    assert shares.between(is_copied.mean() - 0.03, is_copied.mean() + 0.03).all(), shares
    shares = is_copied.groupby(fold_rows(table, folds=5)).mean()
    assert shares.between(is_copied.mean() - 0.04, is_copied.mean() + 0.04).all(), shares


def test_what_comes_or_goes_moves_hardly_any_other_row() -> None:
    table = copied()
    before = split_rows(table)
    fewer = table.drop(index=np.arange(5, 400, 13))
    relabelled = table.assign(label=table["label"].where(table.index % 20 != 1, "c"))
    for other in (fewer, relabelled, table.sample(frac=1, random_state=0)):
        after = split_rows(other)
        assert (after != before[other.index]).mean() < 0.01


@pytest.mark.parametrize("folds", [2, 3, 5])
def test_folds_do_not_follow_the_split(folds: int) -> None:
    table = copied()
    counts = fold_rows(table, folds=folds)[split_rows(table) == "val"].value_counts()
    assert len(counts) == folds
    assert counts.max() < 2 * counts.min()


def test_what_a_model_labelled_trains_and_people_s_labels_validate() -> None:
    people = pd.DataFrame({"label": ["neutral"] * 2000 + ["contempt"] * 30, "by_model": False})
    taught = pd.DataFrame({"label": ["contempt"] * 300, "by_model": True})
    before, after = split_rows(people), split_rows(pd.concat([people, taught], ignore_index=True))
    assert (after[: len(people)] == before).all()
    assert set(after[len(people) :]) == {"train"}
    assert (before[people["label"] == "contempt"] == "val").sum() == 3
    new = pd.DataFrame({"label": ["anger"], "by_model": True})  # which nobody else has
    assert split_rows(pd.concat([people, new], ignore_index=True)).iloc[-1] == "train"


def test_a_label_that_stands_beside_rarer_ones_alone_is_on_both_sides() -> None:
    mixed = pd.DataFrame(
        {"label": (["happy"] * 50 + ["disgust"]) * 2, "group": ["a"] * 51 + ["b"] * 51}
    )
    rest = pd.DataFrame({"label": ["disgust"] * 18 + ["sad"] * 200})
    table = pd.concat([mixed, rest], ignore_index=True)
    for seed in range(8):
        words = split_rows(table, seed=seed)
        for label in ("happy", "disgust", "sad"):
            assert set(words[table["label"] == label]) == {"train", "val"}, (seed, label)


def test_a_rare_label_beside_another_is_dealt_by_itself() -> None:
    rare = pd.DataFrame({"label": ["disgust"] * 12, "group": [f"g{i}" for i in range(12)]})
    beside = rare.assign(label="anger")
    table = pd.concat([rare, beside, pd.DataFrame({"label": ["anger"] * 300})], ignore_index=True)
    for seed in range(10):
        words = split_rows(table, seed=seed)
        assert (words[table["label"] == "disgust"] == "val").sum() == 1


def test_a_rare_label_is_on_both_sides() -> None:
    for rare in (2, 3, 6):
        table = pd.DataFrame({"label": ["a"] * 500 + ["b"] * rare})
        words = split_rows(table)
        assert set(words[table["label"] == "b"]) == {"train", "val"}
        assert sizes(words)[1] == 51
    few = pd.DataFrame({"label": ["a"] * 500 + ["b"] * 5})
    assert sorted(fold_rows(few, folds=5)[500:]) == [0, 1, 2, 3, 4]


def test_without_groups_every_row_is_its_own(competition: pd.DataFrame) -> None:
    words = split_rows(competition)
    shares = (words == "val").groupby(competition["label"]).mean()
    assert shares.between(0.099, 0.101).all()


def test_impossible_splits_are_refused(competition: pd.DataFrame) -> None:
    with pytest.raises(BadTable, match="no split rule 'x'"):
        split_rows(competition, "x")
    with pytest.raises(BadTable, match="between 0 and 1"):
        split_rows(competition, share=1.5)
    with pytest.raises(BadTable, match="labelled rows"):
        split_rows(pd.DataFrame({"label": ["a", None]}))
    with pytest.raises(BadTable, match="'b' has one picture"):
        split_rows(pd.DataFrame({"label": ["a", "a", "b"], "group": ["1", "2", "3"]}))
    with pytest.raises(BadTable, match="folds are too few"):
        fold_rows(competition, folds=1)
