"""Fits of cost growth: a power law with an interval of its exponent, and a polynomial by relative least squares."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import t as student


@dataclass(frozen=True)
class PowerLaw:
    """cost = factor · x^exponent, with the 95 % interval of the exponent."""

    factor: float
    exponent: float
    low: float
    high: float


@dataclass(frozen=True)
class Quadratic:
    """cost = constant + linear · x + quadratic · x²."""

    constant: float
    linear: float
    quadratic: float

    def quadratic_share(self, x: float) -> float:
        """The share of the quadratic term in the cost at x."""
        last = self.quadratic * x**2
        return last / (self.constant + self.linear * x + last)


def fit_power_law(x: npt.ArrayLike, cost: npt.ArrayLike) -> PowerLaw:
    """Fit a line to the logarithms by least squares, with Student's interval of its slope, n - 2 degrees of freedom.

    Needs at least three different x; all values must be above zero.
    """
    log_x, log_cost = np.log(np.asarray(x, np.float64)), np.log(np.asarray(cost, np.float64))
    assert len(set(log_x)) >= 3
    centred = log_x - log_x.mean()
    spread = float(centred @ centred)
    slope = float(centred @ log_cost) / spread
    intercept = float(log_cost.mean() - slope * log_x.mean())
    residual = log_cost - intercept - slope * log_x
    freedom = len(log_x) - 2
    half = float(student.ppf(0.975, freedom)) * float((residual @ residual / freedom / spread) ** 0.5)
    return PowerLaw(float(np.exp(intercept)), slope, slope - half, slope + half)


def fit_quadratic(x: npt.ArrayLike, cost: npt.ArrayLike) -> Quadratic:
    """Fit by least squares of relative errors, so that short and long clips have equal weight; at least three x."""
    at, costs = np.asarray(x, np.float64), np.asarray(cost, np.float64)
    assert len(set(at)) >= 3
    columns = np.stack([np.ones_like(at), at, at**2], axis=1) / costs[:, None]  # [n, 3]
    constant, linear, quadratic = np.linalg.lstsq(columns, np.ones_like(at), rcond=None)[0]
    return Quadratic(float(constant), float(linear), float(quadratic))
