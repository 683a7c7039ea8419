"""Audio input: files, pipes and microphones to 16 kHz mono, speech detection, and recording quality."""
