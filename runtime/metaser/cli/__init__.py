"""The `metaser` command: one file a command, and few shared ones beside them."""
