"""What a SavedModel of somebody else would do, found in its description before it is loaded."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import ModelError, ModelNotTrusted

#: What a SavedModel may do besides computing: hold its weights and call its own functions.
_STATEFUL = {
    "Assert", "AssignVariableOp", "DisableCopyOnRead", "If", "RandomStandardNormal",
    "RandomUniform", "ReadVariableOp", "ResourceGather", "RestoreV2", "StatefulPartitionedCall",
    "VarHandleOp", "VarIsInitializedOp", "VariableShape", "While",
}  # fmt: skip
#: What saves the weights: it stands in every file, and nothing that is run may lead to it.
_SAVING = {"SaveV2", "MergeV2Checkpoints"}
#: What TensorFlow takes for computing although it looks at the disk, or runs something else.
_READING = {"ReadFile", "MatchingFiles", "ImmutableConst"}
_REACHING = re.compile(r"^Debug|Dataset|^PyFunc|CustomCall|^Mlir")
#: What an operation that reaches a file, an address or a debugger asks for.
_ASKED_FOR = re.compile(r"url|file|path|descriptor_source|debug_ops", re.IGNORECASE)
_ENDPOINT = "serving_default"


def check_saved_model(path: Path, name: str) -> str:
    """Refuse a SavedModel that would do more than compute.

    Args:
        path: Its folder.
        name: How it is called.

    Returns:
        The type of numbers that it takes, such as `float32` or `uint8`.

    Raises:
        ModelError: It has no signature that answers, or one for a fixed number of pictures.
        ModelNotTrusted: An operation in it does more, or saving is reached without being asked.
    """
    from tensorflow.core.protobuf import saved_model_pb2

    described = saved_model_pb2.SavedModel()
    described.ParseFromString((path / "saved_model.pb").read_bytes())
    if not any(_ENDPOINT in meta.signature_def for meta in described.meta_graphs):
        raise ModelError(f"The SavedModel {name} has no signature {_ENDPOINT!r}.")
    own = {one.signature.name for meta in described.meta_graphs for one in _functions(meta)}
    found = {
        node.op
        for meta in described.meta_graphs
        for node in _all_nodes(meta)
        if not _only_computes(node.op, own)
    }
    found |= {op for meta in described.meta_graphs for op in _saved_unasked(meta)}
    if found:
        raise ModelNotTrusted(f"The SavedModel {name} does more than compute: {min(found)}.")
    return _taken(described, name)


def _taken(described: Any, name: str) -> str:
    """Return the type of what a SavedModel takes first, when it takes any number of pictures."""
    import tensorflow as tf

    meta = next(one for one in described.meta_graphs if _ENDPOINT in one.signature_def)
    taken = next(iter(meta.signature_def[_ENDPOINT].inputs.values()), None)
    if taken is None:
        raise ModelError(f"The SavedModel {name} takes no picture.")
    sides = taken.tensor_shape.dim
    if sides and sides[0].size > 0:
        raise ModelError(
            f"The SavedModel {name} takes batches of {sides[0].size} alone. Save it again for any "
            "number of pictures, with None as the first side of its input."
        )
    return str(tf.as_dtype(taken.dtype).name)


def _only_computes(operation: str, own: set[str]) -> bool:
    """Whether an operation, or a function of the file's own, touches but inputs and weights."""
    from tensorflow.python.framework import op_def_registry

    known = op_def_registry.get(operation)
    if known is None:  # a name of TensorFlow's is never one of the file's own
        return operation in own
    if operation in _STATEFUL | _SAVING:
        return True
    asked = [one.name for one in (*known.input_arg, *known.attr)]
    return not (
        known.is_stateful
        or operation in _READING
        or _REACHING.search(operation)
        or any(_ASKED_FOR.search(name) for name in asked)
    )


def _saved_unasked(meta: Any) -> Iterator[str]:
    """Yield what saves and is reached by what is loaded, begun with or answers."""
    functions = {one.signature.name: one for one in _functions(meta)}
    saving: dict[str, str] = {}
    found = True
    while found:  # until no function is left that calls one of those
        new = {
            name: told
            for name, one in functions.items()
            if name not in saving and (told := _first_saving(one.node_def, saving))
        }
        saving |= new
        found = bool(new)
    yield from (saving[name] for name in meta.object_graph_def.concrete_functions if name in saving)
    nodes = {node.name: node for node in meta.graph_def.node}
    seen: set[str] = set()
    waiting = list(_begun_with(meta))
    while waiting:
        at = waiting.pop().lstrip("^").partition(":")[0]
        if at in seen or at not in nodes:
            continue
        seen.add(at)
        waiting += nodes[at].input
        told = _first_saving([nodes[at]], saving)
        if told:
            yield told


def _first_saving(nodes: Any, saving: dict[str, str]) -> str:
    """Return an operation by which some nodes save, themselves or by a function; else ""."""
    for node in nodes:
        if node.op in _SAVING:
            return str(node.op)
        called = {node.op, *(one.func.name for one in node.attr.values())}
        called |= {one.name for value in node.attr.values() for one in value.list.func}
        for name in called & saving.keys():
            return saving[name]
    return ""


def _begun_with(meta: Any) -> Iterator[str]:
    """Yield the nodes of the graph that are run: answers, beginnings, the reading of weights."""
    for signature in meta.signature_def.values():
        yield from (tensor.name for tensor in signature.outputs.values())
    for collection in meta.collection_def.values():
        yield from collection.node_list.value
    yield meta.saver_def.restore_op_name


def _functions(meta: Any) -> Any:
    return meta.graph_def.library.function


def _all_nodes(meta: Any) -> Iterator[Any]:
    yield from meta.graph_def.node
    for one in _functions(meta):
        yield from one.node_def
