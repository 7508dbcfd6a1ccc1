"""The studio: a router over the pages."""

import streamlit as st

from emotion_core.texts import say

st.set_page_config(page_title=say("app.name"), layout="wide")
page = st.navigation(
    [
        st.Page("pages/home.py", title=say("app.home"), default=True),
        st.Page("pages/photo.py", title=say("app.photo")),
    ],
    position="top",
)
page.run()
