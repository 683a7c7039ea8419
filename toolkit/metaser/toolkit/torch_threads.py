"""PyTorch's threads on the CPU; its own default ignores CPU quotas."""

from __future__ import annotations

import torch

from metaser.runtime.system.cores import usable_cores


def set_threads(threads: int | None = None) -> None:
    """Let PyTorch use `threads`; by default its own number, at most one per core that the process may use."""
    torch.set_num_threads(threads or min(torch.get_num_threads(), usable_cores()))
