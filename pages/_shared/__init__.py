"""Widgets and state that several pages share."""

import streamlit as st
from streamlit.runtime.pages_manager import PagesManager

# Streamlit's older router runs a file of pages/ alone, without app.py, when the first visitor of a
# server enters at a page's own address. There is no setting against it; this is imported first.
if PagesManager.uses_pages_directory:
    PagesManager.uses_pages_directory = False
    st.rerun()
