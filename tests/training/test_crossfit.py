"""Out-of-fold probabilities: from networks that never saw the picture, resumed after a stop."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from emotion_core.errors import TrainingError
from emotion_core.training.crossfit import out_of_fold_probs
from emotion_core.training.examples import Examples
from emotion_core.training.recipe import fitted_to, parse_recipe
from emotion_core.training.recipes import load_recipe
from tests.builders import make_voted_faces, tiny

RECIPE = parse_recipe(tiny(epochs=2))


IMAGES = make_voted_faces(48).images[..., None]
TARGETS = np.eye(2, dtype=np.float32)[np.arange(48) % 2]
FOLD = np.repeat(np.arange(3), 16)


@dataclass
class Judged:
    """What came out, what each network was trained on, and what was told meanwhile."""

    probs: np.ndarray
    trained: list[np.ndarray]
    told: list[tuple[int, int]]


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Judged:
    from emotion_core.training import crossfit

    trained: list[np.ndarray] = []
    told: list[tuple[int, int]] = []
    real = crossfit.fit_network

    def spy(recipe: object, examples: Examples, *rest: object, **options: object) -> object:
        trained.append(examples.images)
        return real(recipe, examples, *rest, **options)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(crossfit, "fit_network", spy)
        folder = tmp_path_factory.mktemp("folds")
        probs = out_of_fold_probs(
            RECIPE, IMAGES, TARGETS, FOLD, folder, on_epoch=lambda *now: told.append(now)
        )
    return Judged(probs, trained, told)


def test_no_network_judges_what_it_saw(judged: Judged) -> None:
    assert judged.probs.shape == (48, 2)
    assert np.allclose(judged.probs.sum(axis=1), 1, atol=1e-4)
    assert judged.told[-1] == (6, 6)
    for number, others in enumerate(judged.trained):
        held = {image.tobytes() for image in IMAGES[FOLD == number]}
        assert not held & {image.tobytes() for image in others}
    assert len(judged.trained) == 3


class Stopped(Exception):
    pass


def test_a_stopped_run_goes_on(tmp_path: Path, judged: Judged) -> None:
    seen: list[int] = []

    def stop(done: int, _: int) -> None:
        seen.append(done)
        if done == 3:
            raise Stopped

    with pytest.raises(Stopped):
        out_of_fold_probs(RECIPE, IMAGES, TARGETS, FOLD, tmp_path / "a", on_epoch=stop)
    seen.clear()
    probs = out_of_fold_probs(
        RECIPE, IMAGES, TARGETS, FOLD, tmp_path / "a", on_epoch=lambda n, _: seen.append(n)
    )
    assert seen == [2, 4, 4, 5, 6, 6]
    assert np.abs(probs - judged.probs).max() < 0.02


def test_one_fold_or_one_label_is_refused(tmp_path: Path) -> None:
    images = make_voted_faces(8).images[..., None]
    one, two = np.ones((8, 1), np.float32), np.eye(2, dtype=np.float32)[np.arange(8) % 2]
    for targets, fold in ((one, np.arange(8) % 2), (two, np.zeros(8, np.int64))):
        with pytest.raises(TrainingError, match="two of each at least"):
            out_of_fold_probs(RECIPE, images, targets, fold, tmp_path)


def test_small_data_sets_get_more_and_smaller_steps() -> None:
    recipe = load_recipe("label-noise")
    assert fitted_to(recipe, n=50_000, samples=60_000, longest=60) == recipe
    small = fitted_to(recipe, n=2_000, samples=60_000, longest=60)
    assert (small.epochs, small.batch) == (30, 40)
    assert small.stages[0].learning_rate == pytest.approx(0.1 * (40 / 96) ** 0.5)
    tiny_set = fitted_to(recipe, n=10, samples=60_000, longest=60)
    assert (tiny_set.epochs, tiny_set.batch) == (60, 32)
