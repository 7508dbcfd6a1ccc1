"""What a training leaves, before any network is there."""

import io
import secrets

import pandas as pd
import pytest

from emotion_core.runs import new_run


def test_no_table_takes_the_name_of_a_run_for_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "token_hex", lambda _: "77265e8814144864")
    run = new_run("mine", owner_hash="", recipe={}, dataset={})
    table = pd.read_csv(io.StringIO(f"run\n{run.id}\n"))
    assert table["run"].tolist() == [run.id]
