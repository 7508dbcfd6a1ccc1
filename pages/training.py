"""Trainings: begin one, follow it, read it, compare it with others."""

import streamlit as st

from emotion_core.texts import say
from pages._shared import (
    notice,
    place,
    training_bring,
    training_measure,
    training_new,
    training_run,
    training_runs,
)
from pages._shared.choice import one_of
from pages._shared.errors import error_box

VIEWS = {
    "runs": training_runs.show,
    "new": training_new.show,
    "measure": training_measure.show,
    "bring": training_bring.show,
}

st.title(say("training.title"))
with error_box(), place.kept("training_view", "run", "measure_job", "bring_job"):
    notice.require()
    run = training_runs.opened()
    if run is not None:
        training_run.show(run)
    else:
        VIEWS[
            one_of(list(VIEWS), key="training_view", shown=lambda name: say(f"training.{name}"))
        ]()
