"""Playing a source into a stream, and showing and recording what it says."""
