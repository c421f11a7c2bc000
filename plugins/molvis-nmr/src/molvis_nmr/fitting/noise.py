"""How large the noise of a spectrum is, and how far residuals correlate."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float


def correlation_factor(values: Float[np.ndarray, " t"], mask: Bool[np.ndarray, " t"]) -> float:
    """By how much neighbors that agree make the variance of a mean larger than that of as many independent points."""
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


def noise_level(y: Float[np.ndarray, " t"]) -> float:
    """Standard deviation of the noise, from the quietest quarter of short stretches, each with its own slope."""
    size = 64
    blocks = y[: len(y) // size * size].reshape(-1, size)
    ramp = np.stack([np.ones(size), np.linspace(-1, 1, size)])
    basis = np.linalg.qr(ramp.T)[0]
    spread = np.sqrt(((blocks - blocks @ basis @ basis.T) ** 2).sum(axis=1) / (size - 2))
    spread = np.sort(spread[spread > 0])  # somebody may have zeroed the water
    if not len(spread):
        return 0.0
    # The median of the lowest quarter is the 12.5% quantile: 0.897 times the middle of such estimates.
    return float(np.median(spread[: max(1, len(spread) // 4)]) / 0.897)
