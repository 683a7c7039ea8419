"""Labelled clips: corpora, tables of clips, and the decoded speech on disk."""
