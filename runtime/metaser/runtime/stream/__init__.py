"""Streams: chunks of samples in, label events out."""
