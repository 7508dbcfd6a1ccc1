"""Labelled faces: reading, cleaning and splitting them."""
