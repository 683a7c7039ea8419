"""Sound in: files, pipes and microphones to 16 kHz mono, where speech lies in it, and how good it is."""
