"""The network: backbones, pooling heads, prototypes, checkpoints."""
