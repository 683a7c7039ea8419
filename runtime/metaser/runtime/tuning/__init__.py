"""Fine-tuning a pooling head on the device, and the guard that decides whether to keep it."""
