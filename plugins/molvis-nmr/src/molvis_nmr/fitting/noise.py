"""How large the noise of a spectrum is, and how far residuals correlate from point to point."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float


def noise_level(y: Float[np.ndarray, " t"]) -> float:
    """Standard deviation of the noise, from the quietest quarter of short stretches, each with its own slope."""
    size = 64
    blocks = y[: len(y) // size * size].reshape(-1, size)
    ramp = np.stack([np.ones(size), np.linspace(-1, 1, size)])
    basis = np.linalg.qr(ramp.T)[0]
    spread = np.sqrt(((blocks - blocks @ basis @ basis.T) ** 2).sum(axis=1) / (size - 2))
    spread = np.sort(spread[spread > 0])  # a window around water may have been set to zero
    if not len(spread):
        return 0.0
    # The median of the lowest quarter is the 12.5% quantile: 0.897 times the middle of such estimates.
    return float(np.median(spread[: max(1, len(spread) // 4)]) / 0.897)


def noise_outside(y: Float[np.ndarray, " t"]) -> float | None:
    """Standard deviation of points without signal, from their deviations within blocks of 64; None for fewer points."""
    if len(y) < 64:
        return None
    blocks = y[: len(y) // 64 * 64].reshape(-1, 64)
    # Half of a normal distribution lies within 0.6745 standard deviations.
    return 1.4826 * float(np.median(np.abs(blocks - np.median(blocks, axis=1, keepdims=True))))


def autocorrelation(residuals: Sequence[Float[np.ndarray, " _t"]], longest: int) -> Float[np.ndarray, " lag"]:
    """Of residuals in several windows, up to the first lag at which it is lost in its own error; 1 at lag 0."""
    power = sum(float(r @ r) for r in residuals)
    count = sum(len(r) for r in residuals)
    found = [1.0]
    for lag in range(1, longest + 1):
        value = sum(float(r[lag:] @ r[:-lag]) for r in residuals if len(r) > lag) / max(power, 1e-300)
        if value < 2 / np.sqrt(max(count, 1)):
            break
        found.append(value)
    return np.array(found)


def variance_factor(values: Float[np.ndarray, " t"], mask: Bool[np.ndarray, " t"]) -> float:
    """By how much correlated neighbours make the variance of a mean larger than that of as many independent points.

    1 + 2 times the sum of the autocorrelation over positive lags.
    """
    variance = float((values[mask] ** 2).mean()) if mask.any() else 0.0
    total = 1.0
    for lag in range(1, min(200, len(values) // 4)):
        both = mask[lag:] & mask[:-lag]
        if variance <= 0 or not both.any():
            break
        rho = float((values[lag:][both] * values[:-lag][both]).mean()) / variance
        if rho < 0.05:
            break
        total += 2 * rho
    return total
