"""Meta-training: the loop, what it trains on, its losses, optimiser and state."""
