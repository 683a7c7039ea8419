"""Operations by hand, and a plausible speed."""

import pytest

from benchmarks.cost.roofline import roofline_gops, xlsr_operations


def test_the_operations_of_the_convolutions_by_hand() -> None:
    # 400 samples give 79, 39, 19, 9, 4, 2 and 1 frames
    convolutions = 79 * 10 * 512 + (39 + 19 + 9 + 4) * 3 * 512 * 512 + (2 + 1) * 2 * 512 * 512
    assert xlsr_operations(400 / 16_000, 0) == 2 * (convolutions + 512 * 1024)


def test_a_layer_has_four_projections_and_two_feed_forward_products_per_frame() -> None:
    frames = 199  # of 4 s
    assert xlsr_operations(4.0, 1) - xlsr_operations(4.0, 0) == 2 * frames * (4 * 1024**2 + 2 * 1024 * 4096)


def test_the_speed_of_both_types_is_measured() -> None:
    found = roofline_gops(1)
    assert set(found) == {"int8", "float32"}
    assert min(found.values()) == pytest.approx(max(found.values()), rel=20)
    assert min(found.values()) > 0.1
