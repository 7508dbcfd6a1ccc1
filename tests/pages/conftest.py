"""Spares each app a look through all installed packages, which takes longer than most pages."""

from contextlib import suppress
from functools import cache

with suppress(ImportError, AttributeError):  # no part of what Streamlit promises
    from streamlit.components.v2 import manifest_scanner as scanner

    scanner.scan_component_manifests = cache(scanner.scan_component_manifests)
