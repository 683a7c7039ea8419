"""N-way K-shot episodes and the evaluation protocol."""
