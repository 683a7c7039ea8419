"""Convolutions as matrix products: the same results as torch's, for every kernel, stride and padding."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from metaser.export.products import StridedProduct, gather_windows


def test_the_windows_of_kernel_3_and_stride_2_by_hand() -> None:
    rows = torch.arange(7.0).reshape(1, 7, 1)
    assert gather_windows(rows, 3, 2).tolist() == [[[0, 1, 2], [2, 3, 4], [4, 5, 6]]]


def test_channels_of_a_row_stay_together() -> None:
    rows = torch.tensor([[[0.0, 10.0], [1.0, 11.0], [2.0, 12.0]]])
    assert gather_windows(rows, 2, 1).tolist() == [[[0, 10, 1, 11], [1, 11, 2, 12]]]


@settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 10), st.integers(1, 5), st.integers(0, 2)),
    extra=st.integers(0, 20),
    bias=st.booleans(),
    seed=st.integers(0, 2**16),
)
def test_a_product_equals_the_convolution(shape: tuple[int, int, int], extra: int, bias: bool, seed: int) -> None:
    kernel, stride, padding = shape
    torch.manual_seed(seed)
    convolution = nn.Conv1d(3, 4, kernel, stride, padding, bias=bias)
    clip = torch.randn(2, 3, kernel + extra)
    with torch.no_grad():
        product = StridedProduct(convolution)(clip.transpose(1, 2))
        torch.testing.assert_close(product.transpose(1, 2), convolution(clip), atol=1e-5, rtol=0)


@pytest.mark.parametrize("refused", [nn.Conv1d(4, 4, 3, groups=2), nn.Conv1d(4, 4, 3, dilation=2)])
def test_groups_and_dilation_are_not_products(refused: nn.Conv1d) -> None:
    with pytest.raises(AssertionError):
        StridedProduct(refused)
