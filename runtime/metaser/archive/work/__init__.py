"""Labelling units in several processes, and the shards in which their results are stored."""
