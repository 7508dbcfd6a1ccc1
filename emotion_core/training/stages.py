"""What a stage of a recipe means to a network: which layers learn, by which loss and optimiser."""

from typing import Any

import keras
from keras import ops

from ..errors import TrainingError
from .examples import Examples, label_prior
from .hardware import wants_xla
from .recipe import AFFECT, EMOTION, GIVEN, Recipe, Stage
from .zoo.heads import backbone_layers


def compile_stage(model: Any, recipe: Recipe, stage: Stage, examples: Examples) -> None:
    """Freeze and compile a network for a stage.

    Raises:
        TrainingError: The stage trains more layers than there are.
    """
    set_trainable(model, stage)
    weights = {
        EMOTION: 1.0,
        AFFECT: recipe.loss.affect_weight,
        GIVEN: recipe.loss.given_weight,
    }
    outputs = recipe.trained_outputs
    model.compile(
        _optimizer(stage),
        [loss_of(name, recipe, examples) for name in outputs],
        loss_weights=[weights[name] for name in outputs],
        jit_compile=wants_xla(),
    )


def set_trainable(model: Any, stage: Stage) -> None:
    """Let the layers learn that a stage names, and freeze the others.

    Raises:
        TrainingError: The backbone has fewer layers.
    """
    below = backbone_layers(model)
    model.trainable = True
    for layer in below:
        layer.trainable = True
    if stage.train == "all":
        return
    learning = 0 if stage.train == "head" else int(stage.train)
    if not 0 <= learning <= len(below):
        raise TrainingError(
            f"The stage trains the last {learning} layers, but the backbone has {len(below)}."
        )
    for layer in below[: len(below) - learning]:
        layer.trainable = False


def _optimizer(stage: Stage) -> Any:
    options: dict[str, Any] = {"learning_rate": stage.learning_rate}
    if stage.weight_decay:
        options["weight_decay"] = stage.weight_decay
    if stage.optimizer == "sgd":
        optimizer = keras.optimizers.SGD(momentum=stage.momentum, nesterov=True, **options)
    else:
        kind = {"adam": keras.optimizers.Adam, "nadam": keras.optimizers.Nadam}[stage.optimizer]
        optimizer = kind(**options)
    if stage.weight_decay:
        optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


def loss_of(name: str, recipe: Recipe, examples: Examples) -> Any:
    """Return the loss of one output, as Keras takes it.

    With adjusted logits the network learns to answer as if labels were less uneven.
    """
    if name == AFFECT:
        return "mean_squared_error"
    if name == GIVEN or not recipe.loss.logit_adjustment:
        return "categorical_crossentropy"
    prior = label_prior(examples.targets) ** recipe.loss.logit_adjustment

    def adjusted_crossentropy(target: Any, probs: Any) -> Any:
        tilted = probs * ops.cast(ops.array(prior), probs.dtype)
        tilted = tilted / ops.sum(tilted, axis=-1, keepdims=True)
        return keras.losses.categorical_crossentropy(target, tilted)

    return adjusted_crossentropy
