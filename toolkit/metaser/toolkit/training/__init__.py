"""Meta-training: the loop, data, losses, optimiser and state."""
