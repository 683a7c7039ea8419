"""Bundles: opening a folder with its manifest, and checking it."""
