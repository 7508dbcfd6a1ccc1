"""Histories of trainings from elsewhere: Keras' CSV logs, and the event files of TensorBoard."""

import io
import struct
from collections.abc import Iterator
from pathlib import PurePath
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from . import limits
from .errors import BadTable
from .texts import say

_EPOCHS_MAX = 10**9
_EPOCHS = ("epoch", "step", "epochs")
#: A number of 64 bits takes so many bytes as a varint.
_VARINT_MAX_BYTES = 10
#: Wire types of Protocol Buffers: a number, 8 bytes, bytes, 4 bytes.
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def read_history(name: str, content: bytes) -> pd.DataFrame:
    """Return the figures of a training.

    Args:
        name: What its owner calls the file.
        content: A CSV with a row per epoch, such as Keras' `CSVLogger` and `History` give, or an
            event file of TensorBoard.

    Returns:
        A row per epoch, or part of one: `epoch` from 1, and a column per figure; missing where
        there is none.

    Raises:
        BadTable: It is neither, or holds no figure.
    """
    if len(content) > limits.HISTORY_MAX_BYTES:
        limit_mb = limits.HISTORY_MAX_BYTES // 1_000_000
        raise BadTable(say("error.history_large", name=name, mb=limit_mb))
    is_events = "tfevents" in PurePath(name).name
    table = _from_events(name, content) if is_events else _from_csv(name, content)
    figures = [column for column in table if column != "epoch"]
    if table.empty or not figures:
        raise BadTable(say("error.history_empty", name=name))
    return table.sort_values("epoch", ignore_index=True)


def _from_csv(name: str, content: bytes) -> pd.DataFrame:
    head = content.partition(b"\n")[0]
    sep = next((sign for sign in (";", "\t") if sign.encode() in head), ",")
    _check_amount(name, content.count(b"\n"), head.count(sep.encode()) + 1)
    try:
        # where no comma parts the cells, it may part a number
        table = pd.read_csv(io.BytesIO(content), sep=sep, dtype=str)
        if not isinstance(table.index, pd.RangeIndex) and table.iloc[:, -1].isna().all():
            # a mark behind the last cell of each row is no further cell
            names = [*table.columns, ""]
            table = table.reset_index().set_axis(names, axis=1).iloc[:, :-1]
        if sep != ",":
            table = table.apply(lambda cells: cells.str.replace(",", ".", regex=False))
    except (ValueError, UnicodeError, pd.errors.ParserError) as error:
        raise BadTable(say("error.history_none", name=name)) from error
    named = {str(column).strip().lower(): column for column in table}
    found = next((named[one] for one in (*_EPOCHS, "unnamed: 0") if one in named), None)
    numbers: pd.DataFrame = table.apply(pd.to_numeric, errors="coerce").dropna(axis=1, how="all")
    epochs: NDArray[Any] = np.arange(len(table), dtype=np.int64)
    if found in numbers:
        counted = numbers[found].replace([np.inf, -np.inf], np.nan).ffill().fillna(0)
        epochs = counted.clip(-_EPOCHS_MAX, _EPOCHS_MAX).to_numpy(np.float64)
        if (epochs % 1 == 0).all():  # others log within epochs, too
            epochs = epochs.astype(np.int64)
    counters = [one for one in numbers if one == found or str(one).strip().lower() == "epoch"]
    numbers = numbers.drop(columns=counters)
    # Keras counts from 0 in some of its files and from 1 in others
    starts_at_0 = len(epochs) > 0 and epochs.min() == 0
    numbers.insert(0, "epoch", epochs + 1 if starts_at_0 else epochs)
    return numbers


def _from_events(name: str, content: bytes) -> pd.DataFrame:
    rows: dict[int, dict[str, float]] = {}
    tags: set[str] = set()
    try:
        for record in _records(content):
            step, values = _event(record)
            found = {tag.removeprefix("epoch_"): value for tag, value in values}
            found.pop("epoch", None)  # the step counts the epochs
            if found:
                rows.setdefault(step, {}).update(found)
                tags.update(found)
                _check_amount(name, len(rows), len(tags))
    except (struct.error, IndexError, UnicodeError) as error:
        raise BadTable(say("error.history_none", name=name)) from error
    table = pd.DataFrame.from_dict(rows, orient="index").sort_index()
    first = int(table.index.min()) if len(table) else 1
    table.insert(0, "epoch", [int(step) + (first == 0) for step in table.index])
    return table.reset_index(drop=True)


def _check_amount(name: str, rows: int, columns: int) -> None:
    if rows * columns > limits.HISTORY_MAX_FIGURES:
        limit = limits.HISTORY_MAX_FIGURES // 1_000_000
        raise BadTable(say("error.history_figures", name=name, millions=limit))


def _records(content: bytes) -> Iterator[bytes]:
    """Return the records of a TFRecord file; a last one that was cut off is left out."""
    start = 0
    while start + 12 <= len(content):
        (length,) = struct.unpack_from("<Q", content, start)
        end = start + 12 + length
        if end > len(content):
            return
        yield content[start + 12 : end]
        start = end + 4


def _event(record: bytes) -> tuple[int, list[tuple[str, float]]]:
    """Return the step and the scalars of an `Event` (tensorflow/core/util/event.proto)."""
    step, values = 0, []
    for number, value in _fields(record):
        if number == 2 and isinstance(value, int):
            step = value
        if number == 5 and isinstance(value, bytes):
            values = [
                scalar
                for inner, part in _fields(value)
                if inner == 1 and isinstance(part, bytes) and (scalar := _scalar(part)) is not None
            ]
    return step, values


def _scalar(summary: bytes) -> tuple[str, float] | None:
    """Return tag and value of a `Summary.Value`, or None: it is no single number."""
    tag, found = "", None
    for number, value in _fields(summary):
        if not isinstance(value, bytes):
            continue
        if number == 1:
            tag = value.decode("utf-8")
        elif number == 2:  # simple_value, of TensorFlow 1
            (found,) = struct.unpack("<f", value)
        elif number == 8:  # a tensor: float_val 5 or tensor_content 4, dtype 1 = float32
            parts = dict(_fields(value))
            held = parts.get(5) or parts.get(4)
            if parts.get(1) == 1 and isinstance(held, bytes) and len(held) == 4:
                (found,) = struct.unpack("<f", held)
    return None if found is None or not tag else (tag, float(found))


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Return the fields of a message of Protocol Buffers, by number."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        kind = key & 7
        if kind == _VARINT:
            value, at = _varint(message, at)
            yield key >> 3, value
            continue
        if kind == _BYTES:
            size, at = _varint(message, at)
        elif kind in (_FIXED64, _FIXED32):
            size = 8 if kind == _FIXED64 else 4
        else:
            raise IndexError(f"wire type {kind}")
        yield key >> 3, message[at : at + size]
        at += size


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = 0
    for place in range(_VARINT_MAX_BYTES):
        byte = message[at + place]
        value |= (byte & 127) << 7 * place
        if byte < 128:
            return value, at + place + 1
    raise IndexError("a number that does not end")
