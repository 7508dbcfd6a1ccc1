"""Bytes to upright RGB pictures and back."""
