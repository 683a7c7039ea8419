"""Transcripts of recordings: their cues are read, and written again with a label each."""
