"""Fine-tuning a pooling head on the device, and the guard that decides whether it is kept."""
