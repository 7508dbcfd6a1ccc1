"""One suite for every shipped model, and the registry that guards them."""

import json
import re
import shutil
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from emotion_core import registry
from emotion_core.cards import DEFAULT_PRIOR, Card, read_card
from emotion_core.classify import Committee, LiteRTClassifier
from emotion_core.errors import BadArgument, CardMismatch, ModelError, ModelNotTrusted
from emotion_core.files import sha256_of
from emotion_core.registry import (
    DEFAULT_COMMITTEE,
    DEFAULT_MODEL,
    committees,
    delete_model,
    list_models,
    load_committee,
    load_model,
    load_recognizer,
    model_being_added,
    models_folder,
    slim_model,
    user_models_folder,
    verify_model,
)
from emotion_core.types import CropRule
from tests.steps import called

IDS = [entry.id for entry in list_models()]


def make_crops(n: int, model: LiteRTClassifier, *, seed: int = 0) -> np.ndarray:
    rule = model.card.crop
    shape = (n, rule.side_px, rule.side_px, rule.channels)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@pytest.fixture(scope="module", params=IDS)
def model(request: pytest.FixtureRequest) -> LiteRTClassifier:
    return load_model(request.param)


def test_a_default_and_two_more_are_shipped() -> None:
    assert IDS[0] == DEFAULT_MODEL
    assert len(IDS) >= 3
    assert not [entry.problem for entry in list_models() if entry.problem]
    assert IDS[-1] == "fer2013-l", "its figures are not those of the others' labels"


def test_scores_are_distributions_whatever_the_batch(model: LiteRTClassifier) -> None:
    for n in (0, 1, 2, 3, 16, 23):
        scores = model.classify(make_crops(n, model))
        assert scores.probs.shape == (n, len(model.labels))
        assert scores.probs.sum(axis=1) == pytest.approx(np.ones(n), abs=1e-5)


def test_a_face_reads_the_same_alone_and_in_company(model: LiteRTClassifier) -> None:
    crops = make_crops(21, model)
    together = model.classify(crops).probs
    alone = np.concatenate([model.classify(crops[i : i + 1]).probs for i in range(21)])
    assert together == pytest.approx(alone, abs=1e-5)


def test_the_mirror_image_is_averaged_in(model: LiteRTClassifier) -> None:
    crops = make_crops(3, model)
    symmetric = np.concatenate([crops[:, :, :24], crops[:, :, 23::-1]], axis=2)
    plain = model.classify(symmetric).probs
    assert model.classify(symmetric, flip=True).probs == pytest.approx(plain, abs=1e-6)
    both = model.classify(crops, flip=True).probs
    assert both == pytest.approx(model.classify(crops[:, :, ::-1], flip=True).probs, abs=1e-6)
    once, mirrored = model.classify_both(crops)
    assert (once.probs == model.classify(crops).probs).all()
    assert (mirrored.probs == both).all()
    assert np.abs(both - model.classify(crops).probs).max() > 1e-4


def test_blank_crops_have_a_defined_answer(model: LiteRTClassifier) -> None:
    for value in (0, 128, 255):
        probs = model.classify(np.full_like(make_crops(1, model), value)).probs
        assert np.isfinite(probs).all()


def test_wrong_shapes_are_refused(model: LiteRTClassifier) -> None:
    with pytest.raises(ValueError, match="takes crops"):
        model.classify(np.zeros((1, 20, 20, 1), np.uint8))


def test_many_threads_get_what_one_gets(model: LiteRTClassifier) -> None:
    crops = [make_crops(5, model, seed=s) for s in range(8)]
    serial = [model.classify(c).probs for c in crops]
    parallel: list[np.ndarray | None] = [None] * 8

    def work(i: int) -> None:
        parallel[i] = model.classify(crops[i]).probs

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one, other in zip(serial, parallel, strict=True):
        assert np.array_equal(one, other)


def test_the_card_is_complete(model: LiteRTClassifier) -> None:
    card = model.card
    test = card.metrics["test"]
    assert test["n"] > 3000
    assert set(test["recall"]) == set(card.labels)
    assert card.limits
    assert card.forbidden
    assert "FER2013" in card.training["faces"]
    text = (models_folder() / card.id / "CARD.md").read_text(encoding="utf-8")
    assert f"{test['accuracy']:.1%}" in text
    if card.id == DEFAULT_MODEL:
        assert (models_folder() / card.id / "model.tflite").stat().st_size <= 6_000_000


def test_all_models_together_are_light() -> None:
    files = [path for path in models_folder().rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 40_000_000


def test_committees_to_choose_from_are_the_default_one_and_that_of_all() -> None:
    cards = [entry.card for entry in list_models() if entry.card]
    small, everybody = committees(cards)
    assert small == DEFAULT_COMMITTEE
    assert set(everybody) > set(small)
    assert "fer2013-l" not in everybody, "it has other labels"
    by_id = {card.id: card for card in cards}
    assert committees([by_id[one] for one in DEFAULT_COMMITTEE]) == [DEFAULT_COMMITTEE]
    assert committees([by_id["vgg-s"], by_id["vgg-xs"]]) == [("vgg-s", "vgg-xs")]
    assert committees([by_id["vgg-s"]]) == []
    mine = replace(by_id["vgg-s"], id="mine")
    assert committees([mine, *cards]) == [small, everybody], "who promotes a model asks for no vote"


def test_a_committee_answers_as_one() -> None:
    committee = load_committee()
    assert tuple(member.id for member in committee.members) == DEFAULT_COMMITTEE
    assert committee.calibration, "nobody fitted it"
    crops = make_crops(4, committee.members[0])  # type: ignore[arg-type]
    scores = [member.classify(crops) for member in committee.members]
    vote = committee.fuse(scores)
    mean = np.mean([s.probs for s in scores], axis=0)
    sharper = mean ** (1 / committee.calibration[committee.prior].temperature)
    assert vote.scores.probs == pytest.approx(
        sharper / sharper.sum(axis=1, keepdims=True), abs=1e-5
    )
    unfitted = replace(committee, calibration={})
    assert unfitted.fuse(scores).scores.probs == pytest.approx(mean, abs=1e-6)
    assert unfitted.threshold == committee.members[0].threshold
    assert load_recognizer(IDS[:1]).id == DEFAULT_MODEL
    with pytest.raises(ModelError, match="weights"):
        load_recognizer(IDS[:1], weights=[0.5, 0.5])
    assert load_recognizer(IDS[:2], vote="hard").id == f"hard({IDS[0]},{IDS[1]})"


def test_the_balanced_prior_lifts_what_is_rare() -> None:
    model = load_model(prior="data")
    assert (model.prior, load_model().prior) == ("data", DEFAULT_PRIOR)
    balanced = model.at_prior("balanced")
    crops = make_crops(9, model)  # type: ignore[arg-type]
    plain, tilted = model.classify(crops).probs, balanced.classify(crops).probs
    expected = plain / np.array(model.card.prior) ** 0.7
    assert tilted == pytest.approx(expected / expected.sum(axis=1, keepdims=True), abs=1e-5)
    assert sum(model.card.prior) == pytest.approx(1, abs=1e-4)
    rare = int(np.argmin(model.card.prior))
    assert (tilted[:, rare] > plain[:, rare]).all()
    assert model.threshold == model.card.threshold
    assert balanced.threshold == model.card.balanced_threshold != model.threshold
    with pytest.raises(CardMismatch, match="no prior 'even'"):
        load_model(prior="even")


def test_a_model_that_knows_no_prior_reads_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(models_folder() / DEFAULT_MODEL, tmp_path / "old")
    held = json.loads((tmp_path / "old" / "card.json").read_text(encoding="utf-8"))
    del held["prior"], held["balanced_threshold"]
    (tmp_path / "old" / "card.json").write_text(json.dumps({**held, "id": "old"}))
    monkeypatch.setenv("MIEN_MODELS", str(tmp_path))
    plain, tilted = (load_model("old", prior=prior) for prior in ("data", "balanced"))
    crops = make_crops(3, plain)  # type: ignore[arg-type]
    assert np.array_equal(plain.classify(crops).probs, tilted.classify(crops).probs)
    assert tilted.threshold == plain.threshold > 0
    assert tilted.prior == "data", "what is written of its answers is true"


def test_a_committee_is_loaded_at_one_prior() -> None:
    committee = load_committee(prior="balanced")
    assert {member.prior for member in committee.members} == {"balanced"}
    assert committee.threshold == committee.calibration["balanced"].threshold
    plain = load_committee(prior="data")
    assert (plain.prior, plain.threshold) == ("data", plain.calibration["data"].threshold)


@pytest.mark.parametrize(
    ("field", "value"),
    [("prior", [0.5, 0.5]), ("prior", [-1.0] * 8), ("balanced_threshold", 2.0)],
)
def test_a_card_with_an_impossible_prior_is_refused(
    tmp_path: Path, field: str, value: object
) -> None:
    held = json.loads((models_folder() / DEFAULT_MODEL / "card.json").read_text(encoding="utf-8"))
    (tmp_path / "card.json").write_text(json.dumps({**held, field: value}))
    with pytest.raises(CardMismatch, match=r"prior|threshold"):
        read_card(tmp_path / "card.json")


class Stranger:
    """A classifier whose labels differ."""

    card = Card("stranger", "", ("emotion",), ("happy", "joyful"), CropRule(1.2), "", {})


def test_a_soft_committee_needs_equal_labels() -> None:
    with pytest.raises(CardMismatch, match="same labels"):
        Committee((load_model(), Stranger()), "soft")  # type: ignore[arg-type]
    assert Committee((load_model(), Stranger()), "hard").labels  # type: ignore[arg-type]
    with pytest.raises(CardMismatch):
        Committee((), "soft")
    with pytest.raises(CardMismatch, match="'soft' or 'hard'"):
        Committee((load_model(),), "loud")


@pytest.fixture
def own_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of models that may be spoilt."""
    folder = tmp_path / "models"
    shutil.copytree(models_folder() / DEFAULT_MODEL, folder / DEFAULT_MODEL)
    monkeypatch.setenv("MIEN_MODELS", str(folder))
    return folder / DEFAULT_MODEL


def edit_card(folder: Path, **changes: object) -> None:
    card = json.loads((folder / "card.json").read_text())
    card.update(changes)
    (folder / "card.json").write_text(json.dumps(card))


def test_a_changed_network_is_not_loaded(own_models: Path) -> None:
    content = bytearray((own_models / "model.tflite").read_bytes())
    content[len(content) // 2] ^= 1
    (own_models / "model.tflite").write_bytes(content)
    with pytest.raises(ModelNotTrusted, match=r"model\.tflite"):
        load_model()
    assert list_models()[0].problem


def test_a_slim_model_reads_as_before(own_models: Path) -> None:
    model = load_model()
    crops = make_crops(3, model)
    before = model.classify(crops).probs
    slim_model(DEFAULT_MODEL)
    assert called("models", "slim", DEFAULT_MODEL).returncode == 0, "again, by the command"
    assert {path.name for path in own_models.iterdir()} == {
        *("model.tflite", "history.csv", "card.json", "CARD.md")
    }
    assert np.array_equal(load_model().classify(crops).probs, before)
    edit_card(own_models, files={"history.csv": sha256_of(own_models / "history.csv")})
    with pytest.raises(ModelError, match="no other file"):
        slim_model(DEFAULT_MODEL)


def test_a_missing_file_and_a_file_elsewhere_are_refused(own_models: Path) -> None:
    (own_models / "model.keras").unlink()
    with pytest.raises(ModelNotTrusted, match=r"lacks its file model\.keras"):
        load_model()
    elsewhere = own_models.parent.parent / "model.tflite"
    shutil.copy(own_models / "model.tflite", elsewhere)
    edit_card(own_models, files={"../../model.tflite": sha256_of(elsewhere)})
    with pytest.raises(ModelNotTrusted, match=r"lacks its file \.\./\.\./model\.tflite"):
        load_model()


def test_a_network_that_is_none_is_refused(own_models: Path) -> None:
    (own_models / "model.tflite").write_bytes(b"no network")
    files = read_card(own_models / "card.json").files
    edit_card(own_models, files={**files, "model.tflite": sha256_of(own_models / "model.tflite")})
    with pytest.raises(ModelNotTrusted, match="not a LiteRT network"):
        load_model()


@pytest.mark.parametrize(
    "changes",
    [
        {"labels": ["happy", "sad"]},
        {"labels": ["happy", "sad"], "prior": []},
        {"labels": ["happy"] * 8},
        {"crop": {"margin": 1.2, "side_px": 64}},
        {"crop": {"margin": 1.2, "colour": "green"}},
        {"outputs": ["mind reading"]},
        {"outputs": ["affect"], "coordinates": "rays"},
        {"outputs": ["emotion", "affect"], "coordinates": "polar"},
        {"temperature": 0},
        {"threshold": 2},
        {"surprise": 1},
        {"id": "another"},
    ],
)
def test_a_card_that_does_not_fit_is_refused(own_models: Path, changes: dict) -> None:
    edit_card(own_models, **changes)
    with pytest.raises(CardMismatch):
        load_model()


@pytest.mark.parametrize(
    ("where", "value"),
    [
        ("title", 5), ("title", None), ("title", ""), ("intended", None), ("forbidden", 1),
        ("network", 5), ("parameters", "many"), ("parameters", True), ("files", {}),
        ("files", {"model.tflite": 5}), ("labels", [1, 2, 3, 4, 5, 6, 7, 8]),
        ("labels", "abcdefgh"), ("limits", [1]), ("limits", "x"), ("training", [1]),
        ("temperature", float("nan")),
        ("temperature", float("inf")), ("temperature", True), ("prior", [0] * 8),
        ("prior", [float("nan")] * 8), ("crop.side_px", 48.0), ("crop.side_px", 0),
        ("crop.side_px", 2048), ("sees", "nose"), ("crop.margin", 0), ("crop.margin", float("nan")),
        ("crop.margin", 1e9), ("crop.shift_y", float("inf")), ("crop.channels", 2),
        ("crop.align", "no"), ("metrics", []), ("metrics.test", 5),
        ("metrics.test", {"accuracy": 0.5}), ("metrics.test.rule", None),
        ("metrics.test.accuracy", "high"), ("metrics.test.accuracy", float("nan")),
        ("metrics.test.accuracy_interval_95", [0.5]), ("metrics.test.recall", []),
        ("metrics.test.recall.happy", {"n": 1}), ("metrics.test_balanced", {}),
        ("metrics.validation.reliability", {}), ("metrics.validation.confusion", 5),
        ("metrics.answered_at_threshold", None), ("metrics.robustness", {"n": 5}),
        ("metrics.validation_affect", {"n": 5}), ("metrics.benchmarks", []),
        ("metrics.benchmarks.ferplus", {"rule": "x", "n": {}}),
        ("metrics.benchmarks.ferplus.rows", [{"prior": "none", "mirrored": False}]),
    ],
)  # fmt: skip
def test_a_card_edited_by_hand_is_listed_as_broken(
    own_models: Path, where: str, value: object
) -> None:
    card = json.loads((own_models / "card.json").read_text())
    *path, name = where.split(".")
    held = card
    for step in path:
        held = held[step]
    held[name] = value
    (own_models / "card.json").write_text(json.dumps(card))
    (entry,) = list_models()
    assert entry.card is None
    assert re.search("cannot be used|wrong type", entry.problem)


def test_a_card_nested_too_deeply_is_listed_as_broken(own_models: Path) -> None:
    (own_models / "card.json").write_text("[" * 100_000)
    assert "cannot be used" in list_models()[0].problem


def test_no_card_and_no_json(own_models: Path) -> None:
    (own_models / "card.json").write_text("{")
    with pytest.raises(CardMismatch):
        load_model()
    (own_models / "card.json").unlink()
    with pytest.raises(ModelError, match="There is no model"):
        load_model()


def test_the_name_of_a_removal_that_was_interrupted_can_be_used_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def add() -> None:
        with model_being_added("mine") as folder:
            shutil.copytree(models_folder() / DEFAULT_MODEL, folder, dirs_exist_ok=True)
            edit_card(folder, id="mine")

    def end(path: Path, **_: object) -> None:
        if path.exists():
            (path / "model.tflite").unlink()
            raise KeyboardInterrupt

    add()
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(shutil, "rmtree", end)
        delete_model("mine")
    assert "mine" not in [entry.id for entry in list_models()]
    add()
    delete_model("mine")
    assert list(user_models_folder().iterdir()) == []
    (user_models_folder() / "mine").mkdir()  # what an interrupted removal of before left
    (user_models_folder() / "mine" / "model.tflite").touch()
    add()
    assert verify_model("mine")


@pytest.mark.parametrize(
    "changes",
    [
        {"calibration": ["se-resnet-l+vgg-s"]},
        {"calibration": {"se-resnet-l+vgg-s": None}},
        {"calibration": {"se-resnet-l+vgg-s": {"data": None}}},
        {"calibration": {"se-resnet-l+vgg-s": {"data": {"temperature": 1}}}},
        {"calibration": {"se-resnet-l+vgg-s": {"data": {"temperature": 0, "threshold": 0.5}}}},
        {"calibration": {"se-resnet-l+vgg-s": {"data": {"temperature": "1", "threshold": 0.5}}}},
        {"figures": None},
        {"figures": {"soft(vgg-s)": {"ferplus": {}}}},
        {"figures": {"loud(vgg-s)": {}}},
    ],
)
def test_committee_records_edited_by_hand_are_refused(own_models: Path, changes: dict) -> None:
    (own_models.parent / "committees.json").write_text(json.dumps(changes))
    with pytest.raises(CardMismatch, match="Restore the folder of the models"):
        load_committee()


def test_members_may_come_from_a_generator_and_a_text_is_refused() -> None:
    listed = load_committee(DEFAULT_COMMITTEE)
    drawn = load_committee(one for one in DEFAULT_COMMITTEE)
    assert listed.calibration == drawn.calibration != {}
    with pytest.raises(BadArgument, match="'vgg-s' is a text"):
        load_committee("vgg-s")
    with pytest.raises(BadArgument, match="at least one member"):
        load_committee([])


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="a file whose reading fails")
def test_a_model_that_cannot_be_read_is_listed_with_what_is_wrong(own_models: Path) -> None:
    network = own_models / "model.tflite"
    network.unlink()
    network.symlink_to("/proc/self/mem")
    (entry,) = [one for one in list_models() if one.id == own_models.name]
    assert entry.card is None
    assert "cannot be read: Input/output error" in entry.problem


def test_without_the_default_model_others_that_come_along_lead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = tmp_path / "models"
    monkeypatch.setenv("MIEN_MODELS", str(shutil.copytree(models_folder(), shipped)))
    shutil.copytree(shipped / "fer2013-l", user_models_folder() / "aaa")
    edit_card(user_models_folder() / "aaa", id="aaa")
    shutil.rmtree(shipped / DEFAULT_COMMITTEE[0])
    assert [one.id for one in load_committee().members] == list(DEFAULT_COMMITTEE[1:])
    for name in {*IDS} - {DEFAULT_COMMITTEE[0], "fer2013-l"}:
        shutil.rmtree(shipped / name)
    assert [one.id for one in load_committee().members] == ["fer2013-l"], (
        "one of one's own votes where it is named"
    )


@pytest.mark.parametrize("name", ["nobody", "../models", ".", "", "/etc", "vgg-s/../vgg-s"])
def test_only_names_of_folders_are_models(name: str) -> None:
    with pytest.raises(ModelError):
        verify_model(name)


def test_an_empty_folder_says_where_it_looked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIEN_MODELS", str(tmp_path))
    assert registry.list_models() == []
    with pytest.raises(ModelError, match=str(tmp_path)):
        load_committee()


def test_the_folder_of_models_may_begin_at_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("MIEN_MODELS", "~/m")
    assert models_folder() == tmp_path / "m"
