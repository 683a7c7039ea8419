"""Export from PyTorch to a bundle: graphs, precisions, parity checks, and the folder that a device opens."""
