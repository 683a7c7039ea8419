"""The `metaser` command: one file per command, and a few shared modules."""
