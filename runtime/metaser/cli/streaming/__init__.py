"""Play a source into a stream; show and record its events."""
