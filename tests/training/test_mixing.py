"""Batches: which faces they hold, labels that are drawn, faces that are mixed, teachers."""

from dataclasses import replace

import numpy as np
import pytest

from emotion_core.cards import KERAS_FILE
from emotion_core.errors import ModelError, TrainingError
from emotion_core.training.examples import Examples
from emotion_core.training.mixing import cut_mix, draw_labels, mix_up, order_of
from emotion_core.training.recipe import parse_recipe
from emotion_core.training.recipes import changed_recipe
from emotion_core.workbench.teachers import teacher_of
from tests.builders import tiny
from tests.training.test_feed import FACES, TARGETS, batches


def test_every_face_is_shown_once_or_every_label_alike() -> None:
    targets = np.eye(3, dtype=np.float32)[[0] * 900 + [1] * 90 + [2] * 10]
    once = order_of(targets, 0.0, np.random.default_rng(0))
    assert sorted(once) == list(range(1000))
    alike = targets[order_of(targets, 1.0, np.random.default_rng(0))].mean(axis=0)
    assert alike == pytest.approx([1 / 3] * 3, abs=0.05)
    half = targets[order_of(targets, 0.5, np.random.default_rng(0))].mean(axis=0)
    expected = np.sqrt([0.9, 0.09, 0.01])
    assert half == pytest.approx(expected / expected.sum(), abs=0.05)


def test_a_label_nobody_has_is_never_drawn() -> None:
    targets = np.eye(3, dtype=np.float32)[[0] * 5 + [2] * 5]
    assert len(order_of(targets, 1.0, np.random.default_rng(0))) == 10


def test_labels_are_drawn_by_their_votes() -> None:
    votes = np.tile(np.array([[0.7, 0.0, 0.3]], np.float32), (4000, 1))
    drawn = draw_labels(votes, np.random.default_rng(1))
    assert set(np.unique(drawn)) == {0.0, 1.0}
    assert (drawn.sum(axis=1) == 1).all()
    assert drawn.mean(axis=0) == pytest.approx([0.7, 0.0, 0.3], abs=0.03)
    assert not draw_labels(votes, np.random.default_rng(2))[:, 1].any()


def test_a_recipe_draws_another_label_in_another_epoch() -> None:
    votes = np.full_like(TARGETS, 0.5)
    chosen = parse_recipe(tiny(batch=12, augmentation={}, loss={"draw_votes": True}))
    first, again, second = (batches(chosen, Examples(FACES, votes), n)[0] for n in (0, 0, 1))
    assert set(np.unique(first[1])) == {0.0, 1.0}
    assert np.array_equal(first[1], again[1])
    assert not np.array_equal(first[1], second[1])


@pytest.mark.parametrize("mix", [mix_up, cut_mix])
def test_what_is_mixed_keeps_the_share_of_its_labels(mix: object) -> None:
    flat = np.where(TARGETS[:, 1] == 1, 200, 0).astype(np.float32)
    faces = np.broadcast_to(flat[:, None, None, None], (12, 16, 16, 1)).copy()
    partly = 0
    for seed in range(20):
        mixed, (targets,) = mix(faces, [TARGETS], 1.0, np.random.default_rng(seed))  # type: ignore[operator]
        shares = mixed.mean(axis=(1, 2, 3)) / 200
        assert shares == pytest.approx(targets[:, 1], abs=1e-5)
        partly += int(((shares > 0.05) & (shares < 0.95)).any())
    assert partly > 10, "hardly anything was mixed"


@pytest.mark.parametrize("mix", ["mixup", "cutmix"])
def test_a_rare_label_counts_as_much_in_mixed_faces(mix: str) -> None:
    """What a label counts for over an epoch, its weight times its share, is that of plain faces."""
    targets = np.eye(2, dtype=np.float32)[[0] * 9 + [1] * 3]
    loss = {"class_weights": "balanced", mix: 1.0}
    chosen = parse_recipe(tiny(batch=12, augmentation={}, loss=loss))
    for epoch in range(5):
        _, told, weights = batches(chosen, Examples(FACES, targets), epoch)[0]
        assert told.sum(axis=1) == pytest.approx(1, abs=1e-5)
        assert (told * weights[:, None]).sum(axis=0) == pytest.approx([6, 6], rel=1e-4)


def test_both_mixes_take_turns() -> None:
    flat = np.where(TARGETS[:, 1] == 1, 200, 0).astype(np.uint8)
    faces = np.broadcast_to(flat[:, None, None, None], FACES.shape)
    both = parse_recipe(tiny(batch=12, augmentation={}, loss={"mixup": 1.0, "cutmix": 1.0}))
    looks = [batches(both, Examples(faces, TARGETS), epoch)[0][0] for epoch in range(30)]
    is_cut = [bool(np.isin(look, [0, 200]).all()) for look in looks]
    assert 5 < sum(is_cut) < 28


def test_a_teacher_is_asked_of_faces_as_they_were_changed() -> None:
    asked: list[np.ndarray] = []

    def teacher(faces: np.ndarray) -> np.ndarray:
        asked.append(faces)
        return np.tile(np.array([[0.25, 0.75]], np.float32), (len(faces), 1))

    from emotion_core.training.feed import FaceFeed

    chosen = parse_recipe(
        tiny(batch=12, augmentation={"flip": True}, teachers=["any"], loss={"teaching": 0.4})
    )
    feed = FaceFeed(Examples(FACES, TARGETS), chosen, epoch=0, teacher=teacher)
    faces, targets = feed[0]
    assert np.array_equal(asked[0], faces.astype(np.uint8))
    mixed = FaceFeed(
        Examples(FACES, TARGETS),
        changed_recipe(chosen, ["loss.mixup=1"]),
        epoch=0,
        teacher=teacher,
    )
    shown = mixed[0][0]
    assert np.array_equal(asked[1], np.rint(shown)), "it was not asked of mixed faces"
    assert not np.array_equal(asked[1], asked[0])
    expected = {0.6 * 1 + 0.4 * 0.25, 0.4 * 0.25}
    assert {round(float(one), 4) for one in targets[:, 0]} == {round(one, 4) for one in expected}


def test_teachers_have_to_fit(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    from emotion_core.registry import load_model, verify_model
    from emotion_core.training.fit import fit_network

    labels = load_model("vgg-xs").labels.names
    good = parse_recipe({**tiny(), "teachers": ["vgg-xs"]})
    with pytest.raises(TrainingError, match="reads faces of 48 px"):
        teacher_of(parse_recipe({**tiny(), "teachers": ["vgg-xs"], "crop": _crop(32)}), labels)
    chosen = parse_recipe({**tiny(), "teachers": ["vgg-xs"], "crop": _crop(48)})
    with pytest.raises(TrainingError, match="not the labels"):
        teacher_of(chosen, ["happy", "sad"])
    with pytest.raises(ModelError, match="nobody"):
        teacher_of(parse_recipe({**tiny(), "teachers": ["nobody"]}), labels)
    with pytest.raises(TrainingError, match="outputs are"):
        parse_recipe({**tiny(outputs=["affect"], monitor="val_mse"), "teachers": ["vgg-xs"]})
    silent = replace(verify_model("vgg-xs"), outputs=("affect",), coordinates="rays")
    monkeypatch.setattr("emotion_core.workbench.teachers.verify_model", lambda _: silent)
    with pytest.raises(TrainingError, match="vgg-xs tells no expressions"):
        teacher_of(chosen, labels)
    monkeypatch.undo()
    with pytest.raises(TrainingError, match="nobody asks"):
        fit_network(good, Examples(FACES, TARGETS), tmp_path)  # type: ignore[arg-type]
    assert teacher_of(parse_recipe(tiny()), labels) is None


def test_teachers_answer_as_their_networks_do() -> None:
    from emotion_core.calibration import scale_temperature
    from emotion_core.registry import load_model, model_folder
    from emotion_core.training.teacher import ask_keras

    faces = np.random.default_rng(0).integers(0, 256, (5, 48, 48, 1)).astype(np.uint8)
    members = [load_model(name, prior="data") for name in ("vgg-s", "se-resnet-n")]
    chosen = parse_recipe({**tiny(), "teachers": ["vgg-s", "se-resnet-n"], "crop": _crop(48)})
    ask = teacher_of(chosen, members[0].labels.names)
    assert ask is not None
    own = [m.classify(faces).probs for m in members]
    undone = [
        scale_temperature(p, 1 / m.card.temperature) for p, m in zip(own, members, strict=True)
    ]
    answer = ask(faces)
    assert answer == pytest.approx(np.mean(undone, axis=0), abs=1e-5)
    assert answer.sum(axis=1) == pytest.approx(np.ones(5), abs=1e-5)
    beside_a_gpu = teacher_of(chosen, members[0].labels.names, on_gpu=True)
    assert beside_a_gpu is not None
    each = [ask_keras([model_folder(m.card.id) / KERAS_FILE], [0])(faces) for m in members]
    assert beside_a_gpu(faces) == pytest.approx(np.mean(each, axis=0), abs=1e-6)
    # the networks before their weights went into 8 bits
    assert beside_a_gpu(faces) == pytest.approx(answer, abs=0.05)
    assert not np.array_equal(beside_a_gpu(faces), answer)


def _crop(side_px: int) -> dict[str, object]:
    return {"margin": 1.2, "side_px": side_px, "channels": 1}
