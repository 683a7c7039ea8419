"""From embeddings to labels: cosines, probabilities, thresholds and their calibration."""
