"""What a network is fed with and what it minimises: smoothing, weights, mixup, adjusted logits."""

from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from emotion_core.errors import TrainingError
from emotion_core.training.examples import Examples, Rows, class_weights
from emotion_core.training.recipe import Recipe, parse_recipe
from tests.builders import tiny

FACES = np.random.default_rng(0).integers(0, 256, (12, 8, 8, 1)).astype(np.uint8)
#: Nine of one label, three of the other.
TARGETS = np.eye(2, dtype=np.float32)[[0] * 9 + [1] * 3]
AFFECT = np.linspace(-1, 1, 24, dtype=np.float32).reshape(12, 2)


def recipe(**loss: object) -> Recipe:
    return parse_recipe(tiny(batch=6, augmentation={}, loss=loss))


def batches(chosen: Recipe, examples: Examples, epoch: int = 0) -> list[tuple]:
    from emotion_core.training.feed import FaceFeed

    feed = FaceFeed(examples, chosen, epoch=epoch)
    return [feed[number] for number in range(len(feed))]


def test_an_epoch_shows_every_face_once_in_an_order_of_its_own() -> None:
    examples = Examples(FACES, TARGETS)
    first, second = (batches(recipe(), examples, epoch) for epoch in (0, 1))
    shown = np.concatenate([faces for faces, _ in first])
    assert sorted(map(bytes, shown.astype(np.uint8))) == sorted(map(bytes, FACES))
    again = np.concatenate([faces for faces, _ in batches(recipe(), examples, 0)])
    assert np.array_equal(shown, again)
    assert not np.array_equal(shown, np.concatenate([faces for faces, _ in second]))


@pytest.mark.parametrize(("n", "batch"), [(12, 5), (12, 7), (12, 96), (11, 6), (1, 6)])
def test_an_epoch_has_equal_steps_and_leaves_out_fewer_faces_than_steps(n: int, batch: int) -> None:
    chosen = parse_recipe(tiny(batch=batch, augmentation={}))
    sizes = [len(faces) for faces, _ in batches(chosen, Examples(FACES[:n], TARGETS[:n]))]
    assert len(set(sizes)) == 1
    assert sizes[0] <= batch
    assert n - sum(sizes) < len(sizes)


def test_a_face_that_is_drawn_again_is_changed_otherwise() -> None:
    examples = Examples(FACES, TARGETS)
    chosen = parse_recipe(tiny(batch=6, evenness=1.0, augmentation={"noise": 1.0}))
    plain = parse_recipe(tiny(batch=6, evenness=1.0, augmentation={}))
    shown, drawn = (
        [bytes(face) for faces, _ in batches(one, examples) for face in faces.astype(np.uint8)]
        for one in (chosen, plain)
    )
    assert len(set(drawn)) < len(drawn), "some are drawn again"
    assert len(set(shown)) == len(shown)


def test_faces_are_changed_alike_in_processes_of_their_own() -> None:
    from emotion_core.training.augment_workers import face_changer
    from emotion_core.training.feed import FaceFeed

    def spawned() -> list[psutil.Process]:
        children = psutil.Process().children()
        return [one for one in children if "spawn_main" in " ".join(one.cmdline())]

    chosen = parse_recipe(tiny(batch=6, augmentation={"rotation_deg": 20, "noise": 1.0}))
    examples = Examples(FACES, TARGETS)
    here = batches(chosen, examples)
    with face_changer(2) as change:
        feed = FaceFeed(examples, chosen, epoch=0, change=change)
        there = [feed[number] for number in range(len(feed))]
        assert spawned()
    assert not spawned()
    for (faces, targets), (others, same) in zip(here, there, strict=True):
        assert np.array_equal(faces, others)
        assert np.array_equal(targets, same)


def test_each_batch_is_made_once() -> None:
    import keras

    from emotion_core.training.feed import FaceFeed

    made: list[int] = []

    class Noted(FaceFeed):
        def _made(self, index: int) -> tuple[Any, ...]:
            made.append(index)
            return super()._made(index)

    model = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(2, "softmax")])
    model.compile("sgd", "categorical_crossentropy")
    feed = Noted(Examples(FACES, TARGETS), parse_recipe(tiny(batch=3)), epoch=0)
    model.fit(feed, verbose=0)
    assert sorted(made) == list(range(len(feed)))
    assert len(feed) > 2


def test_a_gpu_is_fed_by_as_many_processes_as_there_are_cores(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from emotion_core.training import hardware

    monkeypatch.setattr(hardware, "is_accelerated", lambda: False)
    assert hardware.feed_processes() == 0
    monkeypatch.setattr(hardware, "is_accelerated", lambda: True)
    for cores, expected in ((3, 3), (64, 8)):
        monkeypatch.setattr(hardware, "usable_cores", lambda cores=cores: cores)
        assert hardware.feed_processes() == expected


def test_labels_are_smoothed() -> None:
    (_, targets), _ = batches(recipe(label_smoothing=0.1), Examples(FACES, TARGETS))
    assert set(np.unique(targets).round(4)) == {np.float32(0.05), np.float32(0.95)}


def test_rare_labels_weigh_more() -> None:
    weights = class_weights(TARGETS)
    assert weights[:9] == pytest.approx(np.full(9, 12 / (2 * 9)))
    assert weights[9:] == pytest.approx(np.full(3, 12 / (2 * 3)))
    for _, targets, given in batches(recipe(class_weights="balanced"), Examples(FACES, TARGETS)):
        assert given == pytest.approx(np.where(targets[:, 1] == 1, 2.0, 2 / 3))


def test_mixup_mixes_faces_and_targets_by_one_share() -> None:
    flat = np.where(TARGETS[:, 1] == 1, 200, 0).astype(np.uint8)
    faces = np.broadcast_to(flat[:, None, None, None], FACES.shape)
    mixed = batches(recipe(mixup=1.0), Examples(faces, TARGETS))
    for pictures, targets in mixed:
        assert pictures[:, 0, 0, 0] / 200 == pytest.approx(targets[:, 1], abs=1e-5)
    shares = np.concatenate([targets[:, 1] for _, targets in mixed])
    assert ((shares > 0.01) & (shares < 0.99)).any(), "nothing was mixed"


def test_two_outputs_have_two_targets() -> None:
    chosen = parse_recipe(
        tiny(
            batch=6,
            augmentation={},
            outputs=["emotion", "affect"],
            loss={"class_weights": "balanced"},
        )
    )
    faces, (emotion, affect), weights = batches(chosen, Examples(FACES, TARGETS, AFFECT))[0]
    rows = [
        int(np.flatnonzero((FACES == face.astype(np.uint8)).all((1, 2, 3)))[0]) for face in faces
    ]
    assert np.array_equal(emotion, TARGETS[rows])
    assert np.array_equal(affect, AFFECT[rows])
    assert len(weights) == 2
    with pytest.raises(TrainingError, match="no valence and arousal"):
        batches(chosen, Examples(FACES, TARGETS))


def test_adjusted_logits_are_the_prior_times_the_answer() -> None:
    import keras

    from emotion_core.training.stages import loss_of

    examples = Examples(FACES, TARGETS)
    probs = np.array([[0.5, 0.5], [0.9, 0.1]], np.float32)
    truth = np.array([[0, 1], [1, 0]], np.float32)
    loss = loss_of("emotion", recipe(logit_adjustment=1.0), examples)
    tilted = probs * [0.75, 0.25]
    tilted /= tilted.sum(axis=1, keepdims=True)
    expected = -(truth * np.log(tilted)).sum(axis=1)
    assert keras.ops.convert_to_numpy(loss(truth, probs)) == pytest.approx(expected, abs=1e-5)
    assert loss_of("emotion", recipe(), examples) == "categorical_crossentropy"


@pytest.mark.parametrize("average", [pytest.param(0.0, marks=pytest.mark.slow), 0.9])
def test_a_network_with_adjusted_logits_answers_at_the_prior_of_the_data(
    tmp_path: Path, average: float
) -> None:
    from emotion_core.training.feed import answers_of
    from emotion_core.training.fit import fit_network
    from emotion_core.training.measure import measure_epoch

    alike = np.repeat(FACES[:1], 100, axis=0)
    targets = np.eye(2, dtype=np.float32)[[0] * 90 + [1] * 10]
    examples = Examples(alike, targets)
    chosen = parse_recipe(
        tiny(
            epochs=60,
            options={"widths": [4, 8], "depths": [1, 1], "dropout": 0},
            head={"dropout": 0},
            monitor="val_loss",
            batch=50,
            average=average,
            augmentation={},
            crop={"margin": 1.0, "side_px": 8, "channels": 1},
            loss={"logit_adjustment": 1.0},
        )
    )
    model, state = fit_network(
        chosen,
        examples,
        tmp_path,
        measure=lambda now: measure_epoch(now, examples, ("emotion",)),
    )
    # nothing can be learned from one face but how frequent the labels are
    assert answers_of(model, alike)[0].mean(axis=0) == pytest.approx([0.9, 0.1], abs=0.01)
    assert state.history[-1]["val_accuracy"] == pytest.approx(0.9, abs=0.05)


def test_a_second_head_learns_the_labels_as_given_and_is_left_out(tmp_path: Path) -> None:
    from emotion_core.training.fit import build_model, fit_network

    given = np.eye(3, dtype=np.float32)[np.arange(12) % 3]
    examples = Examples(FACES, TARGETS, given=given)
    small = {"crop": {"margin": 1.0, "side_px": 8, "channels": 1}, "augmentation": {}, "batch": 6}
    alone, beside = (
        parse_recipe(tiny(epochs=2, average=0, loss={"given_weight": weight}, **small))
        for weight in (0.0, 0.5)
    )
    (_, (emotion, second)), *_ = batches(beside, examples)
    assert emotion.shape == (6, 2)
    assert second.shape == (6, 3)
    plain, _ = fit_network(alone, examples, tmp_path / "alone")
    model, state = fit_network(beside, examples, tmp_path / "beside")
    assert [output.shape[-1] for output in model.outputs] == [2]
    assert model.count_params() == plain.count_params() == build_model(alone, 2).count_params()
    gaps = [
        np.abs(one - other).max()
        for one, other in zip(model.get_weights(), plain.get_weights(), strict=True)
    ]
    assert max(gaps) > 1e-4, "the second head changes what the backbone learns"
    assert state.epoch == 2
    with pytest.raises(TrainingError, match="no labels that others gave"):
        fit_network(beside, Examples(FACES, TARGETS), tmp_path / "none")


def test_rows_of_an_array_are_read_when_they_are_wanted() -> None:
    rows = Rows(FACES, np.array([3, 1, 2]))
    assert (len(rows), rows.shape) == (3, (3, 8, 8, 1))
    assert np.array_equal(rows[0], FACES[3])
    assert np.array_equal(rows[1:], FACES[[1, 2]])
    assert np.array_equal(np.asarray(rows), FACES[[3, 1, 2]])


def test_gaps_between_outputs() -> None:
    from emotion_core.training.feed import largest_gap

    assert largest_gap([[1.0, 2.0]], [[1.0, 2.5]]) == 0.5
    assert largest_gap([[1.0]], [[1.0, 2.0]]) == float("inf")
    assert largest_gap([[1.0]], [[1.0], [2.0]]) == float("inf")
