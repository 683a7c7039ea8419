"""File formats of sound: recognising them, and the recordings and true lengths in a file."""
