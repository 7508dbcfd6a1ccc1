"""Data sets: open one, look at it, find what is wrong, mend it, split it."""

import streamlit as st

from emotion_core.texts import say
from pages._shared import dataset_open, dataset_view, notice, place
from pages._shared.errors import error_box

st.title(say("dataset.title"))
with error_box(), place.kept("dataset", "dataset_view"):
    notice.require()
    dataset = dataset_open.choose()
    if dataset is None:
        st.info(say("dataset.empty"))
    else:
        dataset_view.show(dataset)
