"""Models: what is there, how good each is and on what, how quick here, what it is not for."""

import streamlit as st

from emotion_core.texts import say
from pages._shared import model_view, models_grid, notice, place, resources
from pages._shared.errors import error_box

st.title(say("models.title"))
with error_box(), place.kept("model_shown"):
    notice.require()
    entries = {entry.id: entry for entry in resources.models()}
    chosen = entries.get(st.session_state.get("model_shown", ""))
    if chosen is not None and chosen.card is not None:
        model_view.show(chosen.card)
    else:
        models_grid.show(list(entries.values()))
