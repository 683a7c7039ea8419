"""Growth of costs: the fits compared with values by hand, numpy and scipy, and the report of a run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import linregress
from scipy.stats import t as student

from benchmarks.cost.growth import growth_of_lengths
from benchmarks.cost.growth_fit import fit_power_law, fit_quadratic
from benchmarks.cost.growth_report import to_markdown
from benchmarks.cost.latency_peer import Timed

MACHINE = {"processor": "a processor", "flags": [], "cores": 2, "commit": "abc"}


def test_a_power_law_is_found_exactly() -> None:
    law = fit_power_law([1, 2, 4, 8], [3, 12, 48, 192])  # 3 x²
    assert (law.factor, law.exponent) == pytest.approx((3.0, 2.0))
    assert (law.low, law.high) == pytest.approx((2.0, 2.0))


def test_the_interval_of_the_exponent_is_worked_by_hand() -> None:
    # log2 of x: 0, 1, 2; log2 of the cost: 0, 2, 2. Slope 1, intercept 1/3, residuals -1/3, 2/3, -1/3: their squares
    # sum to 2/3 with one degree of freedom, over a spread of 2: the slope's error is sqrt(1/3), times 12.706
    law = fit_power_law([1, 2, 4], [1, 4, 4])
    assert law.factor == pytest.approx(2 ** (1 / 3))
    assert law.exponent == pytest.approx(1.0)
    assert law.high - law.exponent == pytest.approx(12.7062 * 3**-0.5, rel=1e-4)
    assert law.exponent - law.low == pytest.approx(12.7062 * 3**-0.5, rel=1e-4)


@given(st.lists(st.floats(0.1, 1000), min_size=5, max_size=5))
def test_the_exponent_is_that_of_scipy(costs: list[float]) -> None:
    assume(max(costs) > 1.01 * min(costs))  # scipy has no error for a constant
    x = [1, 2, 3, 5, 10]
    reference = linregress(np.log(x), np.log(costs))
    law = fit_power_law(x, costs)
    assert law.exponent == pytest.approx(reference.slope, abs=1e-9)
    assert law.high - law.exponent == pytest.approx(student.ppf(0.975, 3) * reference.stderr, abs=1e-6)


def test_the_terms_of_a_polynomial_are_found_exactly() -> None:
    fit = fit_quadratic([1, 2, 3, 4], [6, 11, 18, 27])  # 3 + 2 x + x²
    assert (fit.constant, fit.linear, fit.quadratic) == pytest.approx((3.0, 2.0, 1.0))
    assert fit.quadratic_share(3) == pytest.approx(9 / 18)


def test_a_polynomial_misses_short_and_long_clips_by_the_same_share() -> None:
    x, costs = np.array([1.0, 2, 5, 10, 10]), np.array([10.0, 20, 50, 90, 110])
    fit = fit_quadratic(x, costs)
    reference = np.polynomial.Polynomial.fit(x, costs, 2, w=1 / costs).convert().coef
    assert (fit.constant, fit.linear, fit.quadratic) == pytest.approx(tuple(reference))


def test_the_growth_within_one_window_leaves_out_longer_clips() -> None:
    # 10 T up to 10 s, then twice as dear
    timed = {seconds: Timed(0.0, [10 * seconds]) for seconds in (1.0, 2.0, 5.0, 10.0)} | {30.0: Timed(0.0, [600.0])}
    grown = growth_of_lengths(timed, longest_window_s=10.0)
    assert grown["power_law_in_one_window"]["exponent"] == pytest.approx(1.0)
    assert grown["power_law"]["exponent"] > 1.1
    assert grown["quadratic_share_of_longest"] == pytest.approx(0.0, abs=1e-9)


def test_the_report_says_what_was_fitted_and_that_too_few_streams_kept_up() -> None:
    timed = {seconds: Timed(0.0, [10 * seconds]) for seconds in (1.0, 2.0, 5.0, 10.0)}
    stream = {
        "core_share_a_stream": 0.05,
        "cores_all_streams": 0.05,
        "window_to_event_ms_p95": 20.0,
        "dropped_ms": 0.0,
        "overload_events": 1,
    }
    document: dict[str, Any] = {
        "machine": MACHINE,
        "command": "python -m benchmarks.cost.growth",
        "matrix_product_ms": [12.0, 13.0],
        "threads": 1,
        "repetitions": 5,
        "streamed_s": 30.0,
        "lengths": {"small": growth_of_lengths(timed, 10.0)},
        "streams": {"bundle": "small", "runs": {"1": stream}, "power_law": None},
    }
    text = to_markdown(document, "growth.png")
    assert "| small | 1.00 [1.00, 1.00] | 1.00 [1.00, 1.00] |" in text
    assert "Fewer than three runs had no overload" in text
    assert "| 1 | 0.050 | 0.05 | 20 | 0 | 1 |" in text
