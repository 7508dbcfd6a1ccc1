"""Recipes of data sets: what rules, copies and people remove, and the same bytes every time."""

import json

import pytest
import yaml

from emotion_core import yaml_text
from emotion_core.datasets import cleaning
from emotion_core.datasets.cleaning import (
    DatasetRecipe,
    SplitChoice,
    apply_recipe,
    check_fits,
    fingerprint_of,
    parse_recipe,
)
from emotion_core.datasets.decisions import Decision
from emotion_core.datasets.outliers import RULES, find_outliers
from emotion_core.datasets.outputs import dataset_files, removed_counts
from emotion_core.errors import BadTable, UnknownLabels
from tests.builders import make_index

#: Twelve of each of two labels, so that every rule has something to split.
PLAIN = [{"raw_label": label} for label in ("happy", "sad") for _ in range(12)]
UNSPLIT = SplitChoice("given")


def removed(recipe: DatasetRecipe, *rows: dict[str, object]) -> list[str]:
    table = apply_recipe(recipe, make_index(list(rows)))
    return table["removed"].tolist()


def decided(**actions: str) -> dict[str, Decision]:
    """`p3="drop"`, `p4="sad"`: decisions about the pictures by number."""
    found = {}
    for key, word in actions.items():
        path = f"{key[1:]}.png"
        is_label = word not in ("keep", "drop")
        action = "relabel" if is_label else word
        found[path] = Decision(path, action, "seen", word if is_label else "")
    return found


@pytest.mark.parametrize(
    ("name", "odd", "even"),
    [
        ("small", {"width": 30}, {"width": 40}),
        ("long", {"width": 201}, {"width": 200}),
        ("blank", {"contrast": 2.9}, {"contrast": 3.0}),
        ("dark", {"brightness": 14.0}, {"brightness": 15.0}),
        ("bright", {"brightness": 246.0}, {"brightness": 245.0}),
        ("blurred", {"sharpness": 4.9}, {"sharpness": 5.0}),
        ("plain", {"entropy": 1.9}, {"entropy": 2.0}),
        ("faceless", {"face_count": 0}, {"face_count": -1}),
        ("crowded", {"face_count": 2}, {"face_count": 1}),
        ("small_face", {"face_size_px": 20.0}, {"face_size_px": 0.0, "face_count": 0}),
        ("unreadable", {"is_readable": False}, {"is_readable": True}),
    ],
)
def test_every_rule_finds_its_pictures(name: str, odd: dict, even: dict) -> None:
    index = make_index([odd, even])
    assert find_outliers(index, name).tolist() == [True, False]
    if RULES[name].low < RULES[name].high:
        lax = -1e9 if RULES[name].side == "below" else 1e9
        assert not find_outliers(index, name, lax).any()
    unread = make_index([{**odd, "is_readable": False}])
    assert find_outliers(unread, name).tolist() == [name == "unreadable"]


def test_people_outrank_rules() -> None:
    rules = {"blank": 3.0}
    blank = {"contrast": 1.0}
    recipe = DatasetRecipe(
        rules=rules, decisions=decided(p0="keep", p2="drop", p3="sad"), split=UNSPLIT
    )
    assert removed(recipe, blank, blank, {}, blank) == ["", "blank (3)", "dropped: seen", ""]


def test_what_cannot_be_read_goes_whatever_was_decided() -> None:
    broken = {"is_readable": False}
    recipe = DatasetRecipe(rules={}, decisions=decided(p0="keep", p1="sad"), split=UNSPLIT)
    assert removed(recipe, broken, broken, broken, {}) == ["unreadable"] * 3 + [""]


def test_what_a_model_relabelled_judges_none() -> None:
    rows = [{"raw_label": label} for label in ("happy", "sad") for _ in range(200)]
    rows[0], rows[200] = {**rows[0], "group": 0}, {**rows[200], "group": 0}
    index = make_index(rows)
    taught = {f"{i}.png": Decision(f"{i}.png", "relabel", label="sad", by="m") for i in range(90)}
    for choice in (SplitChoice(), SplitChoice("seed-002")):
        found = apply_recipe(
            DatasetRecipe(decisions=taught, conflicts="leave", split=choice), index
        )
        assert set(found["split"][found["path"].isin(taught)]) == {"train"}
        assert (found["split"] == "val").sum() > 20
    text = DatasetRecipe(decisions=taught).to_yaml()
    assert parse_recipe(text).decisions["0.png"].by == "m"


@pytest.mark.parametrize(
    ("exact", "conflicts", "labels", "gone"),
    [
        ("one", "drop", "hhs", {0, 1, 2}),
        ("one", "drop", "hhh", {1, 2}),
        ("one", "majority", "hhs", {1, 2}),
        ("one", "majority", "hs", {0, 1}),
        ("one", "leave", "hhs", {1, 2}),
        ("leave", "majority", "shh", {0}),
        ("leave", "leave", "hs", set()),
    ],
)
def test_copies_go_by_the_policy(exact: str, conflicts: str, labels: str, gone: set) -> None:
    names = {"h": "happy", "s": "sad"}
    rows = [{"raw_label": names[c], "exact": 0, "group": 0, "sha256": "x"} for c in labels]
    recipe = DatasetRecipe(exact=exact, conflicts=conflicts, split=UNSPLIT)
    found = removed(recipe, *rows)
    assert {i for i, reason in enumerate(found) if reason} == gone


def test_a_decision_settles_a_conflict() -> None:
    rows = [{"raw_label": x, "exact": 0, "group": 0} for x in ("happy", "sad", "sad")]
    keep = DatasetRecipe(decisions=decided(p0="keep"), split=UNSPLIT)
    assert removed(keep, *rows) == ["", *["copies with different labels"] * 2]
    relabel = DatasetRecipe(decisions=decided(p0="sad"), split=UNSPLIT)
    assert removed(relabel, *rows) == ["", "copy of 0.png", "copy of 0.png"]


@pytest.mark.parametrize("by", ["", "vgg-s"])
@pytest.mark.parametrize("conflicts", ["drop", "majority", "leave"])
@pytest.mark.parametrize("copies", [{"exact": 0}, {}])
@pytest.mark.parametrize("label", ["sad", "happy", ""])
def test_a_decision_about_a_copy_leaves_the_test_picture_in_test(
    label: str, copies: dict, conflicts: str, by: str
) -> None:
    rows = [*PLAIN, {"split": "test", "group": 0, **copies}, {"group": 0, **copies}]
    decision = Decision("25.png", "relabel" if label else "keep", label=label, by=by)
    recipe = DatasetRecipe(near="one", conflicts=conflicts, decisions={decision.path: decision})
    table = apply_recipe(recipe, make_index(rows)).set_index("path")
    assert table.loc["24.png", ["label", "split", "removed"]].tolist() == ["happy", "test", ""]
    assert table.loc["25.png", "removed"]


def test_a_test_picture_leaves_for_another_one_or_where_nobody_knows() -> None:
    rows = [{"exact": 0, "group": 0, "split": "test", "raw_label": x} for x in ("happy", "sad")]
    keep = DatasetRecipe(decisions=decided(p1="keep"), split=UNSPLIT)
    assert removed(keep, *rows) == ["copies with different labels", ""]
    rows[1]["split"] = "train"
    assert removed(DatasetRecipe(split=UNSPLIT), *rows) == ["copies with different labels"] * 2
    most = DatasetRecipe(conflicts="majority", split=UNSPLIT)
    assert removed(most, *rows, rows[1]) == ["", "copy of 0.png", "copy of 0.png"]


def test_what_a_model_relabelled_outranks_no_rule_and_no_copy() -> None:
    taught = {"0.png": Decision("0.png", "relabel", label="sad", by="vgg-s")}
    rows = [{"exact": 0, "group": 0}, {"exact": 0, "group": 0}]
    recipe = DatasetRecipe(decisions=taught, split=UNSPLIT)
    assert removed(recipe, *rows) == ["copies with different labels", ""]
    blank = DatasetRecipe(rules={"blank": 3.0}, decisions=taught, split=UNSPLIT)
    assert removed(blank, {"contrast": 1.0}) == ["blank (3)"]


def test_near_copies_are_left_unless_asked() -> None:
    rows = [{"group": 0}, {"group": 0}, {"group": 0, "raw_label": "sad"}, {}]
    assert removed(DatasetRecipe(split=UNSPLIT), *rows) == [""] * 4
    found = removed(DatasetRecipe(near="one", conflicts="majority", split=UNSPLIT), *rows)
    assert [bool(reason) for reason in found] == [False, True, True, False]


def test_the_copy_that_judges_stays() -> None:
    rows = [{"exact": 0, "group": 0, "split": word} for word in ("train", "test", "val")]
    assert removed(DatasetRecipe(split=UNSPLIT), *rows) == ["copy of 1.png", "", "copy of 1.png"]


def test_test_pictures_stay_so_and_their_near_copies_leave_training() -> None:
    rows = [*PLAIN, {"split": "test", "group": 0}, {"group": 0}]
    table = apply_recipe(DatasetRecipe(exact="leave"), make_index(rows))
    assert table["split"].iloc[24] == "test"
    assert table["removed"].iloc[25] == "copy of a test picture"
    assert removed_counts(table) == {"copy of a test picture": 1}
    assert set(table["split"].iloc[:24]) == {"train", "val"}
    assert table["split"].iloc[25] == ""


def test_what_a_model_relabelled_never_judges() -> None:
    rows = [*PLAIN, {"split": "test"}, {"group": 0}, {"group": 0}]
    taught = {
        path: Decision(path, "relabel", "read", "sad", by="vgg-s")
        for path in ("0.png", "24.png", "25.png")
    }
    recipe = DatasetRecipe(decisions=taught, split=SplitChoice(folds=3))
    table = apply_recipe(recipe, make_index(rows)).set_index("path")
    assert table.loc["0.png", ["label", "split"]].tolist() == ["sad", "train"]
    assert table.loc["24.png", ["label", "split"]].tolist() == ["happy", "test"]
    assert not table.loc["24.png", "by_model"]
    assert table.loc[["0.png", "24.png", "25.png", "26.png"], "fold"].isna().all()
    assert table.loc["1.png":"23.png", "fold"].notna().all()


@pytest.mark.parametrize("row", [{"raw_label": None}, {"split": "test"}])
def test_folds_of_nothing_are_none(row: dict) -> None:
    table = apply_recipe(DatasetRecipe(split=SplitChoice(folds=3)), make_index([row] * 4))
    assert table["fold"].isna().all()


def test_other_votes_are_another_source() -> None:
    index = make_index(PLAIN)
    before = fingerprint_of(index)
    voted = index.assign(vote_happy=[5.0, *[float("nan")] * 23], vote_sad=2)
    assert len({before, fingerprint_of(voted), fingerprint_of(voted.assign(vote_sad=4))}) == 3
    assert fingerprint_of(voted) == fingerprint_of(voted.fillna({"vote_happy": 0}))


def test_folds_leave_test_out() -> None:
    table = apply_recipe(
        DatasetRecipe(split=SplitChoice(folds=3)), make_index([*PLAIN, {"split": "test"}])
    )
    assert set(table["fold"].iloc[:24]) == {0, 1, 2}
    assert table["fold"].isna().iloc[24]


def test_labels_are_asked_about_and_may_be_left_out() -> None:
    rows = [{"raw_label": "joyful"}, {"raw_label": "calm"}, {"raw_label": None}]
    with pytest.raises(UnknownLabels):
        removed(DatasetRecipe(split=UNSPLIT), *rows)
    recipe = DatasetRecipe(labels={"joyful": "happy", "calm": ""}, split=UNSPLIT)
    table = apply_recipe(recipe, make_index(rows))
    assert table["label"].fillna("-").tolist() == ["happy", "-", "-"]
    assert table["removed"].tolist() == ["", "label left out", ""]
    assert table["split"].tolist() == ["train", "", ""]


def full_recipe() -> DatasetRecipe:
    return DatasetRecipe(
        fingerprint="f" * 64,
        labels={"joyful": "happy", "calm": ""},
        rules={"blank": 2.5, "unreadable": 1.0},
        near="one",
        conflicts="majority",
        decisions=decided(p1="drop", p0="sad", p7="keep"),
        split=SplitChoice("seed-000", 0.2, 7, 5),
        origin="found = here",
        terms="CC0",
    )


def test_a_recipe_is_its_text_and_back() -> None:
    recipe = full_recipe()
    text = recipe.to_yaml()
    again = parse_recipe(text)
    assert again.to_yaml() == text
    assert apply_recipe(again, make_index(PLAIN)).equals(apply_recipe(recipe, make_index(PLAIN)))
    assert parse_recipe(DatasetRecipe().to_yaml()) == DatasetRecipe()


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (("schema: mien-dataset-recipe/1", "schema: other"), "does not say"),
        (("blank: 2.5", "blank: dark"), "is no number"),
        (("blank: 2.5", "blnk: 2"), "no rule 'blnk'"),
        (("near: one", "near: two"), "near copies"),
        (("rule: seed-000", "rule: mine"), "no split rule"),
        (("rule: seed-000", "ruler: x"), "ruler is not known"),
        (("action: drop", "action: burn"), "'burn'"),
        (("action: drop", "act: drop"), "cannot be used"),
        (("labels:", "colours: {}\nlabels:"), "colours is not known"),
        (("origin", "{"), "cannot be used"),
        (("origin: ", "origin: 2020-13-45 #"), "cannot be used"),
        (("origin: ", "origin: [a, [b]] #"), "a list stands"),
        (("labels:", "more: " + "[" * 5_000 + "\nlabels:"), "cannot be used"),
        (("share: 0.2", "share: abc"), "it goes from 0.01 to 0.9"),
        (("share: 0.2", "share: 0.95"), "it goes from 0.01 to 0.9"),
        (("folds: 5", "folds: 50"), "it goes from 0 to 20"),
        (("seed: 7", "seed: 1.5"), "split.seed is 1.5"),
    ],
)
def test_a_bad_recipe_says_what_is_wrong(change: tuple[str, str], word: str) -> None:
    with pytest.raises(BadTable, match=word):
        parse_recipe(full_recipe().to_yaml().replace(*change, 1))


def test_numbers_in_a_recipe_are_names() -> None:
    text = "{path: 5, action: relabel, label: 3, at_s: 2.5}"
    recipe = parse_recipe(f"schema: {cleaning.SCHEMA}\ndecisions:\n- {text}\n")
    assert recipe.decisions == {"5": Decision("5", "relabel", label="3", at_s=2.5)}
    with pytest.raises(BadTable, match="float"):
        parse_recipe(f"schema: {cleaning.SCHEMA}\ndecisions:\n- {text.replace('2.5', 'x')}\n")


def test_a_new_label_goes_by_its_one_name() -> None:
    table = make_index([{"raw_label": "anger"}, {"raw_label": "sad"}])
    decision = Decision(table["path"].iloc[1], "relabel", label="angry")
    recipe = DatasetRecipe(decisions={decision.path: decision}, split=UNSPLIT)
    assert apply_recipe(recipe, table)["label"].tolist() == ["anger", "anger"]


def test_a_recipe_knows_its_source() -> None:
    index = make_index(PLAIN)
    recipe = DatasetRecipe(fingerprint=fingerprint_of(index))
    check_fits(recipe, index, name="x")
    check_fits(recipe, index.sample(frac=1, random_state=0), name="x")
    with pytest.raises(BadTable, match="another data set than x"):
        check_fits(recipe, index.assign(sha256="other"), name="x")


def test_the_same_recipe_gives_the_same_bytes() -> None:
    index = make_index([*PLAIN, {"contrast": 1.0}, {"raw_label": None, "split": "test"}])
    recipe = DatasetRecipe(
        fingerprint=fingerprint_of(index),
        rules={"blank": 3.0},
        decisions=decided(p1="drop", p2="sad"),
    )

    def files() -> dict[str, bytes]:
        again = parse_recipe(recipe.to_yaml())
        return dataset_files(apply_recipe(again, index), again, name="x", kind="folders")

    first = files()
    assert files() == first
    assert sorted(first) == ["CARD.md", "card.json", "cleaned.csv", "recipe.yaml", "removed.csv",
                             "train.csv", "val.csv"]  # fmt: skip
    lines = first["cleaned.csv"].decode().split("\r\n")
    assert lines[0] == ",image_path,emotion,width,height,mode,hash,aspect_ratio,face_count"
    assert lines[1].startswith("0,0.png,happy,100,100,RGB,")
    assert len(lines) == 23 + 2
    gone = first["removed.csv"].decode().split("\r\n")
    assert gone[1:3] == ["1.png,happy,dropped: seen", "24.png,happy,blank (3)"]
    assert json.loads(first["card.json"])["fingerprint"] == recipe.fingerprint
    card = first["CARD.md"].decode()
    assert "23 labelled pictures of 26; 1 have no label; 1 were relabelled" in card
    assert "| blank (3) | 1 |" in card


def test_a_choice_of_zero_is_a_choice() -> None:
    recipe = DatasetRecipe(split=SplitChoice("seed-000", seed=0))
    assert parse_recipe(recipe.to_yaml()) == recipe


def test_the_student_systems_did_not_look_for_copies() -> None:
    rows = [*PLAIN, {"split": "test", "group": 0}, {"group": 0}]
    recipe = DatasetRecipe(exact="leave", split=SplitChoice("seed-002"))
    table = apply_recipe(recipe, make_index(rows))
    assert table["removed"].eq("").all()
    assert table["split"].iloc[25] in ("train", "val")


def test_a_recipe_is_the_same_text_with_and_without_the_parser_in_c(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = ("a b: c/#1.png", "ü/ñ.png", "'\"x.png", "- y.png", "é" * 150, "no", "1e3")
    decisions = {name: Decision(name, "relabel", "näher: 'so' #1", "sad") for name in names}
    held = DatasetRecipe(decisions=decisions, labels={"wütend": "anger", "yes": "happy"})
    text = held.to_yaml()
    monkeypatch.setattr(cleaning, "_DUMPER", yaml.SafeDumper)
    assert held.to_yaml() == text
    for loader in (yaml_text._LOADER, yaml.SafeLoader):
        monkeypatch.setattr(yaml_text, "_LOADER", loader)
        assert parse_recipe(text) == held


def test_aliases_that_name_a_value_many_times_over_are_refused_in_few_words() -> None:
    bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9)
    )
    text = f"schema: {cleaning.SCHEMA}\n{bomb}"
    with pytest.raises(BadTable) as refused:
        parse_recipe(text)
    assert "1,000,000 values" in str(refused.value)
