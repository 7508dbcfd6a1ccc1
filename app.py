"""The studio: a router over the pages."""

import streamlit as st

from emotion_core.texts import say
from pages._shared import resources, visitor
from pages._shared.drawer import show_drawer
from pages._shared.errors import error_box

#: Streamlit leaves six lines above a page, of which its row of pages takes four.
_LESS_ABOVE = "<style>[data-testid=stMainBlockContainer] {padding-top: 4.5rem}</style>"

st.set_page_config(page_title=say("app.name"), layout="wide", initial_sidebar_state="collapsed")
page = st.navigation(
    [
        st.Page("pages/home.py", title=say("app.home"), default=True),
        st.Page("pages/photo.py", title=say("app.photo")),
        st.Page("pages/video.py", title=say("app.video")),
        st.Page("pages/live.py", title=say("app.live")),
        st.Page("pages/dataset.py", title=say("app.dataset")),
        st.Page("pages/training.py", title=say("app.training")),
        st.Page("pages/models.py", title=say("app.models")),
    ],
    position="top",
)
with error_box():
    resources.sweeper()
    show_drawer()
visitor.remember_owner()
is_other = st.session_state.get("page") != page.url_path
st.session_state["has_arrived"] = st.session_state.pop("was_led", False) or is_other
st.session_state["page"] = page.url_path
st.html(_LESS_ABOVE)
page.run()
