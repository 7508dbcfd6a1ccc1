"""The learning rate and the end of a stage follow from recipe and history alone."""

import pytest

from emotion_core.training.rates import is_stalled, plateau_scale, rate_at
from emotion_core.training.recipe import EarlyStop, Plateau, Stage


def rows(*figures: float, monitor: str = "val_accuracy") -> list[dict[str, float]]:
    return [{monitor: figure} for figure in figures]


def rate(stage: Stage, step: int, history: list | None = None) -> float:
    return rate_at(stage, step, steps_per_epoch=10, history=history or [])


def test_a_cosine_rises_falls_and_rises_again() -> None:
    stage = Stage(15, 0.1, schedule="cosine", warmup_epochs=1, restarts=(10,), restart_scale=0.5)
    rates = [rate(stage, step) for step in (0, 5, 10, 55, 99, 110, 150)]
    assert rates == pytest.approx([0, 0.05, 0.1, 0.05, 0.0, 0.05, 0], abs=1e-3)


def test_an_exponential_falls_by_its_rate_every_so_many_steps() -> None:
    stage = Stage(50, 5e-4, schedule="exponential", decay_steps=100, decay_rate=0.9)
    assert rate(stage, 0) == 5e-4
    assert rate(stage, 100) == pytest.approx(4.5e-4)
    assert rate(stage, 50) == pytest.approx(5e-4 * 0.9**0.5)


def test_a_plateau_lowers_the_rate_and_has_a_floor() -> None:
    plateau = Plateau(patience=2, factor=0.1, min_rate=3e-4)
    stage = Stage(20, 1e-2, plateau=plateau)
    assert rate(stage, 0, rows(0.5, 0.6)) == 1e-2
    assert rate(stage, 0, rows(0.5, 0.6, 0.6)) == 1e-2
    assert rate(stage, 0, rows(0.5, 0.6, 0.6, 0.59)) == pytest.approx(1e-3)
    assert rate(stage, 0, rows(*[0.5] * 9)) == pytest.approx(3e-4)
    low = Stage(20, 1e-4, plateau=plateau)
    assert rate(low, 0, rows(*[0.5] * 9)) == 1e-4, "the floor never raises a rate"


def test_a_plateau_is_that_of_keras() -> None:
    import keras

    figures = [0.3, 0.4, 0.40008, 0.39, 0.41, 0.4, 0.4, 0.4, 0.4, 0.42, 0.1, 0.1]
    model = keras.Sequential([keras.layers.Dense(1)])
    model.build((1, 1))
    model.compile(keras.optimizers.SGD(1.0))
    theirs = keras.callbacks.ReduceLROnPlateau(
        monitor="val_accuracy", factor=0.5, patience=2, mode="max"
    )
    theirs.set_model(model)
    theirs.on_train_begin()
    ours = Plateau(patience=2, factor=0.5)
    for epoch, figure in enumerate(figures):
        theirs.on_epoch_end(epoch, {"val_accuracy": figure})
        scale = plateau_scale(ours, rows(*figures[: epoch + 1]))
        assert scale == pytest.approx(float(model.optimizer.learning_rate))


@pytest.mark.parametrize(
    ("figures", "is_over"),
    [
        ((), False),
        ((0.5, 0.6, 0.6), False),
        ((0.5, 0.6, 0.6, 0.6), True),
        ((0.6, 0.5, 0.61, 0.5), False),
    ],
)
def test_a_stage_ends_when_nothing_gets_better(figures: tuple, is_over: bool) -> None:
    stage = Stage(20, 0.1, early_stop=EarlyStop(patience=2))
    assert is_stalled(stage, rows(*figures)) is is_over
    falling = Stage(20, 0.1, early_stop=EarlyStop("val_loss", patience=2))
    losses = [{"val_loss": -figure} for figure in figures]
    assert is_stalled(falling, losses) is is_over
    assert not is_stalled(Stage(20, 0.1), rows(*figures))


def test_the_first_step_has_the_first_rate() -> None:
    import keras

    from emotion_core.training.rates import RateControl

    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.1))
    stage = Stage(4, 0.1, schedule="cosine", warmup_epochs=1)
    control = RateControl(stage, first_step=0, steps_per_epoch=10, history=[])
    control.set_model(model)
    for batch, expected in ((0, 0.0), (1, 0.01), (9, 0.09)):
        control.on_train_batch_begin(batch)
        assert float(model.optimizer.learning_rate) == pytest.approx(expected)
