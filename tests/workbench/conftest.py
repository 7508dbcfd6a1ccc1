"""Data sets that the tests of the workbench work on."""

from pathlib import Path

import pytest

from emotion_core.datasets.sources import SourceSpec
from emotion_core.workbench.index import build_index
from emotion_core.workbench.store import (
    Dataset,
    new_dataset,
)
from tests.builders import make_class_folders, write_faces


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_class_folders(tmp_path / "set", {"happy": 12, "sad": 12})


@pytest.fixture
def dataset(folder: Path) -> Dataset:
    return new_dataset("set", SourceSpec(str(folder)), owner="me")


@pytest.fixture
def measured(dataset: Dataset) -> Dataset:
    build_index(dataset, with_faces=False)
    return dataset


@pytest.fixture
def learnable(tmp_path: Path) -> Dataset:
    """Sixty faces of two labels that a network can tell apart."""
    folder = write_faces(tmp_path / "set")
    made = new_dataset("set", SourceSpec(str(folder)), owner="me")
    build_index(made, with_faces=False)
    return made
