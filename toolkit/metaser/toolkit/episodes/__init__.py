"""N-way K-shot episodes and the protocol of speakers."""
