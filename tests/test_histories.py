"""Histories of trainings from elsewhere."""

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emotion_core.errors import BadTable
from emotion_core.histories import read_history

CSV = b"""epoch,accuracy,loss,lr,val_accuracy,val_loss
0,0.25,1.8,0.001,0.3,1.7
1,0.4,1.5,0.001,0.42,1.5
"""


def test_the_log_of_keras_is_read() -> None:
    table = read_history("history.csv", CSV)
    assert table["epoch"].tolist() == [1, 2]
    assert table["val_accuracy"].tolist() == [0.3, 0.42]
    assert list(table) == ["epoch", "accuracy", "loss", "lr", "val_accuracy", "val_loss"]


def test_a_history_that_pandas_wrote_is_read() -> None:
    content = b",loss,val_loss\n0,1.8,1.7\n1,1.5,1.5\n2,1.2,1.4\n"
    table = read_history("h.csv", content)
    assert table["epoch"].tolist() == [1, 2, 3]
    assert list(table) == ["epoch", "loss", "val_loss"]


@pytest.mark.parametrize("sep", [",", ";"])
def test_a_mark_behind_the_last_cell_moves_nothing(sep: str) -> None:
    content = "epoch,loss,val_loss\n1,1.5,2.5,\n2,1.2,2.2,\n".replace(",", sep)
    table = read_history("h.csv", content.encode())
    assert list(table) == ["epoch", "loss", "val_loss"]
    assert table["loss"].tolist() == [1.5, 1.2]
    assert table["val_loss"].tolist() == [2.5, 2.2]


def test_odd_numbers_do_no_harm() -> None:
    table = read_history("h.csv", b"epoch,loss\n1e300,1\ninf,nan\n-5,2\n")
    assert len(table) == 3


def test_semicolons_and_epochs_from_one() -> None:
    table = read_history("h.csv", b"Epoch;loss\n1;1.5\n2;1.0\n")
    assert table["epoch"].tolist() == [1, 2]
    assert table["loss"].tolist() == [1.5, 1.0]


def test_tabs_and_logs_within_epochs() -> None:
    table = read_history("h.tsv", b"epoch\tloss\n0.5\t1.5\n1.0\t1,25\n1.5\t1.0\n")
    assert table["epoch"].tolist() == [0.5, 1.0, 1.5]
    assert table["loss"].tolist() == [1.5, 1.25, 1.0]


def test_commas_part_numbers_where_semicolons_part_cells() -> None:
    table = read_history("h.csv", b"epoch;loss;val_loss\n0;0,5;1.25\n1;1,5e-1;\n")
    assert table["loss"].tolist() == [0.5, 0.15]
    assert table["val_loss"].fillna(-1).tolist() == [1.25, -1]


@pytest.mark.parametrize("kind", ["keras", "tensorflow-1"])
def test_events_of_tensorboard_are_read(kind: str, tmp_path: Path) -> None:
    import tensorflow as tf

    losses = [1.75, 1.5, 1.25]
    if kind == "keras":
        writer = tf.summary.create_file_writer(str(tmp_path))
        with writer.as_default():
            for step, loss in enumerate(losses):
                tf.summary.write("epoch_loss", tf.constant(loss, tf.float32), step=step)
        writer.close()
    else:
        with tf.compat.v1.Graph().as_default():
            old = tf.compat.v1.summary.FileWriter(str(tmp_path))
            for step, loss in enumerate(losses):
                value = tf.compat.v1.Summary.Value(tag="loss", simple_value=loss)
                old.add_summary(tf.compat.v1.Summary(value=[value]), step)
            old.close()
    (path,) = tmp_path.glob("*tfevents*")
    table = read_history(path.name, path.read_bytes())
    assert table["epoch"].tolist() == [1, 2, 3]
    assert table["loss"].tolist() == losses
    cut = read_history(path.name, path.read_bytes()[:-9])
    assert cut["loss"].tolist() == losses[:2], "what a killed training left is read"


def event(step: int, figures: dict[str, float]) -> bytes:
    """A record of an event file, without its checksums."""

    def field(number: int, content: bytes) -> bytes:
        return bytes([number << 3 | 2]) + varint(len(content)) + content

    def varint(value: int) -> bytes:
        head = b""
        while value > 127:
            head, value = head + bytes([value & 127 | 128]), value >> 7
        return head + bytes([value])

    summary = b"".join(
        field(1, field(1, tag.encode()) + b"\x15" + struct.pack("<f", value))
        for tag, value in figures.items()
    )
    record = b"\x10" + varint(step) + field(5, summary)
    return struct.pack("<Q", len(record)) + bytes(4) + record + bytes(4)


def test_a_figure_called_epoch_is_the_counter() -> None:
    content = b"".join(event(n, {"train_loss": 1.5 - n, "epoch": float(n)}) for n in range(2))
    table = read_history("events.out.tfevents.1", content)
    assert list(table) == ["epoch", "train_loss"]
    assert table["epoch"].tolist() == [1, 2]
    table = read_history("h.csv", b"epoch,Epoch,loss\n1,1,0.5\n2,2,0.25\n")
    assert list(table) == ["epoch", "loss"]


def test_a_small_file_does_not_fill_the_memory() -> None:
    tags = b"".join(event(n, {f"tag {n}": 1.0}) for n in range(2_500))
    wide = b"epoch" + b",a" * 3_000 + b"\n" + b"1\n" * 3_000
    for name, content in (("a.tfevents", tags), ("a.csv", wide)):
        with pytest.raises(BadTable, match="million figures"):
            read_history(name, content)
    endless = b"\xff" * 100_000
    record = struct.pack("<Q", len(endless)) + bytes(4) + endless + bytes(4)
    with pytest.raises(BadTable, match="no history"):
        read_history("a.tfevents", record)


def test_the_events_of_a_run_are_read(tmp_path: Path) -> None:
    from emotion_core.training.tensorboard_log import log_epoch

    for epoch in (1, 2):
        log_epoch(tmp_path, {"epoch": epoch, "stage": 1, "loss": 2.0 / epoch, "val_accuracy": 0.5})
    tables = [read_history(path.name, path.read_bytes()) for path in sorted(tmp_path.iterdir())]
    assert sorted(float(table["loss"].iloc[0]) for table in tables) == [1.0, 2.0]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("h.csv", b""),
        ("h.csv", b"\xff\xfe\x00\x01"),
        ("h.csv", b"name,what\nanna,happy\n"),
        ("events.out.tfevents.1", b"no events at all"),
        ("events.out.tfevents.1", b""),
    ],
)
def test_what_is_no_history_is_named(name: str, content: bytes) -> None:
    with pytest.raises(BadTable, match=name.replace(".", r"\.")):
        read_history(name, content)


@given(st.binary(max_size=300), st.sampled_from(["h.csv", "events.out.tfevents.1"]))
def test_no_bytes_do_harm(content: bytes, name: str) -> None:
    try:
        table = read_history(name, content)
    except BadTable:
        return
    assert "epoch" in table
    assert np.issubdtype(table["epoch"].dtype, np.integer)
