"""The model: a bundle's graphs from waveforms to frames and embeddings."""
