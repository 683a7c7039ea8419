"""Labelled clips: corpora, tables of clips, and decoded speech on disk."""
