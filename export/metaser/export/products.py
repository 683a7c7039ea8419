"""Strided convolutions as one matrix product over gathered rows: exact, without transposes, and quantisable.

Kernel 3, stride 2 over the rows of [B, T, C]: each output is one row of a product [M, 3 C] @ [3 C, O]::

    rows      r0 r1 r2 r3 r4 r5 r6
    output 0 [r0 r1 r2]
    output 1       [r2 r3 r4]
    output 2             [r4 r5 r6]

Letters: B batch, T rows in, M rows out, C channels in, O channels out, N frames.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class StridedProduct(nn.Module):
    """The convolution [B, C, T] -> [B, O, M] of an `nn.Conv1d` without groups, over rows: [B, T, C] -> [B, M, O]."""

    def __init__(self, convolution: nn.Conv1d) -> None:
        super().__init__()
        assert convolution.groups == 1
        assert convolution.dilation == (1,)
        (self.kernel,), (self.stride,) = convolution.kernel_size, convolution.stride
        self.padding = int(convolution.padding[0])
        weight = convolution.weight.detach().permute(2, 1, 0)  # [kernel, C, O]
        self.weight = nn.Parameter(weight.reshape(-1, weight.shape[2]).contiguous())
        self.bias = None if convolution.bias is None else nn.Parameter(convolution.bias.detach())

    def forward(self, rows: Tensor) -> Tensor:
        """[B, T, C] -> [B, M, O]."""
        if self.padding:
            rows = F.pad(rows, (0, 0, self.padding, self.padding))
        product = gather_windows(rows, self.kernel, self.stride) @ self.weight  # [B, M, O]
        return product if self.bias is None else product + self.bias


def gather_windows(rows: Tensor, kernel: int, stride: int) -> Tensor:
    """[B, T, C] -> [B, M, kernel * C], the rows that each output of a convolution sees."""
    batch, n, channels = rows.shape
    outputs = (n - kernel) // stride + 1
    first = torch.arange(outputs, device=rows.device) * stride  # [M]
    index = (first[:, None] + torch.arange(kernel, device=rows.device)).reshape(-1)  # [M * kernel]
    return rows.index_select(1, index).reshape(batch, outputs, kernel * channels)
