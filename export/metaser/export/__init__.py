"""From PyTorch to a bundle: graphs, precisions, parity, and the folder that a device opens."""
