"""Servers that help a browser on another machine to find this one."""

import json
import os
from typing import Any

import streamlit as st
from streamlit_webrtc.credentials import get_available_ice_servers

from emotion_core.errors import InputError
from emotion_core.texts import say

from . import visitor

_STUN = "stun:stun.l.google.com:19302"
#: Accounts whose servers streamlit-webrtc asks for by itself.
_PROVIDERS = ("CLOUDFLARE_TURN_KEY_ID", "TWILIO_ACCOUNT_SID", "HF_TOKEN")


def ice_servers() -> tuple[list[dict[str, Any]], str]:
    """Return the ICE servers, and the name of one that nobody here chose, which the page tells.

    From `MIEN_ICE_SERVERS` (JSON), else the secret `ice_servers`; else none on a machine of one's
    own; else from the variables of a provider, and last one public STUN server.

    Raises:
        InputError: `MIEN_ICE_SERVERS` is not a JSON list of servers.
    """
    named = os.environ.get("MIEN_ICE_SERVERS")
    if named:
        try:
            servers = json.loads(named)
        except ValueError as error:
            raise InputError(say("error.ice_servers", reason=error)) from error
        if not isinstance(servers, list):
            raise InputError(say("error.ice_servers", reason=type(servers).__name__))
        for server in servers:
            if not isinstance(server, dict) or "urls" not in server:
                raise InputError(say("error.ice_servers", reason=json.dumps(server)))
        return servers, ""
    secret = _secret()
    if secret:
        return secret, ""
    if visitor.is_own_machine():
        return [], ""
    if any(os.environ.get(name) for name in _PROVIDERS):
        servers = [dict(server) for server in get_available_ice_servers()]
        # a provider that does not answer is replaced by a public server
        return servers, _STUN if _STUN in [server.get("urls") for server in servers] else ""
    return [{"urls": _STUN}], _STUN


def _secret() -> list[dict[str, Any]]:
    try:
        return [dict(server) for server in st.secrets["ice_servers"]]
    except (KeyError, FileNotFoundError):  # no secrets, or others
        return []
