"""Few-shot accuracy by the protocol, with and without tuning, with intervals."""
