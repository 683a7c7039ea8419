"""Audio file formats: recognising them, and finding the recordings and true lengths in a file."""
