"""Trainings that start from a wider model."""

import numpy as np
import pytest

from emotion_core.errors import TrainingError
from emotion_core.registry import verify_model
from emotion_core.training.recipe import Recipe, parse_recipe
from emotion_core.workbench.teachers import start_of
from tests.builders import tiny

WIDE = {"widths": [16, 32, 48], "depths": [1, 2, 1]}
NARROW = {"widths": [8, 16, 40], "depths": [1, 2, 1]}


def recipe(network: str, options: dict[str, object], **changes: object) -> Recipe:
    return parse_recipe({**tiny(), "network": network, "options": options, **changes})


@pytest.mark.parametrize(
    ("network", "head"),
    [
        ("compact_se_resnet", {}),
        ("compact_vgg", {}),
        ("compact_vgg", {"pooling": "flatten", "hidden": 6}),
    ],
)
def test_the_channels_that_nothing_reads_are_those_that_go(
    network: str, head: dict[str, object]
) -> None:
    from emotion_core.training.fit import build_model
    from emotion_core.training.narrow import narrow_weights

    rng = np.random.default_rng(3)
    wide, narrow = (build_model(recipe(network, one, head=head), 5) for one in (WIDE, NARROW))
    pairs = [
        (held, wanted)
        for held, wanted in zip(wide.layers, narrow.layers, strict=True)
        if held.get_weights()
    ]
    for held, wanted in pairs:
        values = [rng.uniform(0.2, 1, one.shape) for one in held.get_weights()]
        if "conv" in held.name or "dense" in held.name or held.name == "emotion":
            values[0] -= 0.6  # as many below zero as above
            rows, read = (one.get_weights()[0].shape[-2] for one in (held, wanted))
            # flattened, all channels of one place come after those of another
            places = 144 if held.name == "head_dense" and head else 1
            dead = np.arange(rows) % (rows // places) < (rows - read) // places
            values[0][..., dead, :] = 0
        held.set_weights(values)
    taken = narrow_weights(wide, pairs)
    for (_, wanted), values in zip(pairs, taken, strict=True):
        wanted.set_weights(values)
    faces = np.kron(rng.integers(0, 256, (4, 4, 4, 1)), np.ones((12, 12, 1))).astype(np.float32)
    told = wide.predict(faces, verbose=0)
    assert np.ptp(told, axis=0).max() > 1e-3, "the faces are told apart"
    assert np.allclose(narrow.predict(faces, verbose=0), told, atol=1e-5)


def test_a_training_starts_from_a_wider_model() -> None:
    from emotion_core.training.fit import build_model
    from emotion_core.training.weights import load_weights

    labels = verify_model("se-resnet-n").labels

    def started(*widths: int) -> list[np.ndarray]:
        options = {"widths": widths, "depths": [1, 2, 2, 1][: len(widths)]}
        asked = recipe("compact_se_resnet", options, weights="model:se-resnet-n")
        model = build_model(asked, len(labels))
        load_weights(model, asked, start=start_of(asked, labels))
        return [np.array(one) for one in model.get_weights()]

    whole, part = started(24, 64, 144, 288), started(16, 64, 144, 192)
    assert part[-2].shape == (192, len(labels))
    rows = {row.tobytes() for row in whole[-2]}
    assert all(row.tobytes() in rows for row in part[-2]), "the head reads the channels that stay"
    assert np.array_equal(part[-1], whole[-1])
    with pytest.raises(TrainingError, match="of the same with wider layers"):
        started(24, 64, 144, 320)
    with pytest.raises(TrainingError, match="its layers are others"):
        started(24, 64, 144)
