"""What stands on a backbone: pooling, and one output per question."""

from typing import Any

from keras import layers

from ..recipe import AFFECT, EMOTION, GIVEN, Head

_POOLING = {
    "avg": layers.GlobalAveragePooling2D,
    "max": layers.GlobalMaxPooling2D,
    "flatten": layers.Flatten,
}
#: The layer between backbone and head.
POOL = "pool"
#: Layers of the head, by how their names begin; all others are backbone.
HEAD_NAMES = (POOL, "head_", EMOTION, AFFECT, GIVEN)


def attach_heads(
    x: Any, head: Head, *, classes: int, outputs: tuple[str, ...], given: int = 0
) -> Any:
    """Return the outputs on features (n, h, w, c) or (n, c): one tensor, or a list in order.

    `emotion` is a softmax over the classes, (n, classes); `affect` is linear, valence and arousal
    (n, 2); `given` is a softmax over so many labels that others gave, (n, given). All are
    float32 whatever the precision of the rest.
    """
    if len(x.shape) == 4:
        x = _POOLING[head.pooling](name=POOL)(x)
    if head.hidden:
        x = layers.Dense(head.hidden, activation=head.activation, name="head_dense")(x)
    if head.dropout:
        x = layers.Dropout(head.dropout, name="head_dropout")(x)
    start = "zeros" if head.zeros else "glorot_uniform"
    made = {
        EMOTION: lambda: layers.Dense(
            classes, activation="softmax", dtype="float32", kernel_initializer=start, name=EMOTION
        ),
        GIVEN: lambda: layers.Dense(given, activation="softmax", dtype="float32", name=GIVEN),
        AFFECT: lambda: layers.Dense(2, dtype="float32", kernel_initializer=start, name=AFFECT),
    }
    answers = [made[name]()(x) for name in outputs]
    return answers[0] if len(answers) == 1 else answers


def backbone_layers(model: Any) -> list[Any]:
    """Return the layers below the head, in order; a nested backbone's own layers."""
    found: list[Any] = []
    for layer in model.layers:
        if layer.name.startswith(HEAD_NAMES):
            continue
        found.extend(getattr(layer, "layers", [layer]))
    return found
