"""Curves of trainings: of a run, of a model that comes along, of a file from elsewhere."""

from collections.abc import Mapping, Sequence

import pandas as pd
import streamlit as st

from emotion_core.cards import HISTORY_FILE
from emotion_core.errors import EmotionError
from emotion_core.histories import read_history
from emotion_core.registry import is_shipped, model_folder
from emotion_core.texts import say

from . import resources, training_charts
from .errors import plain
from .names import short

#: What is shown of our own histories: losses on the left, how good it is on the right.
LOSSES = ("loss", "val_loss", "val_mse")
QUALITIES = ("val_accuracy", "val_macro_f1", "val_mae")


def show(
    name: str,
    rows: Sequence[Mapping[str, float]],
    *,
    key: str,
    losses: Sequence[str] = LOSSES,
    others: Sequence[str] = QUALITIES,
) -> None:
    """Show the curves of one history in two charts.

    Args:
        name: What it is called.
        rows: A row per epoch.
        key: Tells these charts from others.
        losses: Figures of the left chart.
        others: Figures of the right one.
    """
    for column, names in zip(st.columns(2, gap="large"), (losses, others), strict=True):
        with column:
            if names:
                st.plotly_chart(
                    training_charts.curves({name: rows}, names),
                    key=f"curves-{key}-{names[0]}",
                    config={"displayModeBar": False},
                    alt=say("training.curves"),
                )


def show_shipped() -> None:
    """Show how a model that comes along learned, as an example."""
    shipped = (e.card for e in resources.models() if e.card and is_shipped(e.id))
    cards = [card for card in shipped if HISTORY_FILE in card.files]
    # one that others began or taught does not show how a network learns
    helped = ("begins_with", "teachers")
    alone = [card for card in cards if not any(card.training.get(name) for name in helped)]
    card = min(alone, key=lambda one: one.parameters, default=None)
    if card is None:
        return
    rows = _rows(pd.read_csv(model_folder(card.id) / HISTORY_FILE))
    st.subheader(say("training.example", name=plain(card.title)), anchor=False)
    told = card.training
    st.caption(
        say(
            "training.example_about",
            faces=f"{told.get('faces_trained_on', 0):,}",
            epochs=len(rows),
            minutes=round(60 * float(told.get("hours", 0))),
        )
    )
    show(card.title, rows, key=f"example-{card.id}")


def show_foreign() -> None:
    """Let people look into histories of trainings from elsewhere."""
    with st.expander(say("training.foreign")):
        uploads = st.file_uploader(
            say("training.foreign_file"), accept_multiple_files=True, key="training_foreign"
        )
        for number, upload in enumerate(uploads or []):
            name = short(upload.name)
            try:
                table = read_history(upload.name, upload.getvalue())
            except EmotionError as error:
                st.error(plain(str(error)))
                continue
            figures = [str(column) for column in table if column != "epoch"]
            losses = [figure for figure in figures if "loss" in figure]
            others = [figure for figure in figures if figure not in losses]
            st.markdown(say("training.foreign_name", name=plain(name)))
            key = f"foreign-{number}"
            show(name, _rows(table), key=key, losses=losses, others=others)


def _rows(table: pd.DataFrame) -> list[dict[str, float]]:
    """Return rows without what is missing in them."""
    rows = table.to_dict("records")
    return [{str(k): v for k, v in row.items() if pd.notna(v)} for row in rows]
