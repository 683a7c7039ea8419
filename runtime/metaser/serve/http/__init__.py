"""Requests over HTTP: clips, profiles, state."""
