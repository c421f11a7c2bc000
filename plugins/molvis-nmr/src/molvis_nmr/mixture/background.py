"""What lies beneath the compounds: the wing of water, a rolling baseline, and broad signals of macromolecules and
lipids.

Broad signals are splines whose second differences are held small (P-splines): they follow what is wider than a
multiplet.

Reference: P. H. C. Eilers, B. D. Marx, Stat. Sci. 11 (1996) 89, doi:10.1214/ss/1038425655
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float

from molvis_nmr.mixture.axis import Axis

if TYPE_CHECKING:
    from scipy.sparse import csc_array

SPACING = 40.0
"""Hz between the knots of the baseline."""
_STIFF, _SOFT = 100.0, 1.0


@dataclass(frozen=True, eq=False, slots=True)
class Background:
    """A basis of smooth curves. Make it with `background_of`.

    Attributes:
        basis: cubic splines.
        roughness: second differences of their coefficients, squared, as a matrix.
    """

    basis: csc_array
    roughness: Float[np.ndarray, "b b"]

    def fit(
        self, y: Float[np.ndarray, " t"], sigma: Float[np.ndarray, " t"], mask: Bool[np.ndarray, " t"],
        *, stiffness: float, below: bool, rounds: int = 12, start: Float[np.ndarray, " t"] | None = None,
    ) -> Float[np.ndarray, " b"]:  # fmt: skip
        """Coefficients of the curve that most points follow; what stands out of it above (and below) counts less.

        Args:
            y: spectrum.
            sigma: standard deviation of each point.
            mask: points that count.
            stiffness: how much rougher than its data the curve may not be.
            below: whether only what lies above is a signal, as before any compound is known.
            rounds: of reweighting.
            start: curve that the first round's weights go by; the lower of the points without.
        """
        basis = self.basis
        curve = start
        coefficients = np.zeros(basis.shape[1])
        for _ in range(rounds):
            weight = np.where(mask, 1 / sigma**2, 0.0)
            if curve is not None:
                off = (y - curve) / sigma
                weight = weight / (1 + (off / 2) ** 2) ** np.where(
                    off > 0, 1.5 if below else 1.0, 0.5 if below else 1.0
                )
            normal = (basis.T @ (basis * weight[:, None])).toarray()
            scale = float(np.median(np.diag(normal))) or 1.0
            matrix = normal + stiffness * scale * self.roughness + 1e-9 * scale * np.eye(len(normal))
            coefficients = np.linalg.solve(matrix, basis.T @ (weight * y))
            curve = basis @ coefficients
        return coefficients


def background_of(axis: Axis) -> Background:
    """Splines over the axis."""
    from scipy.interpolate import BSpline
    from scipy.sparse import csc_array

    x = axis.hertz
    pieces = max(4, round((x[-1] - x[0]) / SPACING))
    inner = np.linspace(x[0], x[-1], pieces + 1)
    knots = np.concatenate([[inner[0]] * 3, inner, [inner[-1]] * 3])
    basis = csc_array(BSpline.design_matrix(x, knots, 3))
    second = np.diff(np.eye(basis.shape[1]), n=2, axis=0)
    return Background(basis, second.T @ second)


def lower_envelope(y: Float[np.ndarray, " t"], points: int) -> Float[np.ndarray, " t"]:
    """A smooth curve beneath the signals: local low quantiles, smoothed."""
    from scipy.ndimage import percentile_filter, uniform_filter1d

    stride = max(1, points // 40)
    few = y[: len(y) // stride * stride].reshape(-1, stride).mean(axis=1)
    low = np.asarray(uniform_filter1d(percentile_filter(few, 20, max(3, points // stride)), max(3, points // stride)))
    return np.interp(np.arange(len(y)), stride * (np.arange(len(few)) + 0.5), low)


def water_wing(
    axis: Axis, y: Float[np.ndarray, " t"], mask: Bool[np.ndarray, " t"], center: float, reach: float
) -> Float[np.ndarray, " t"]:
    """What water that was left out does beside its window: a Lorentzian's wing, absorbed and dispersed.

    Args:
        axis: of the spectrum.
        y: spectrum.
        mask: points that count.
        center: of water in Hz.
        reach: how far the wing is looked for, in Hz.
    """
    off = axis.hertz - center
    near = mask & (np.abs(off) < reach)
    if near.sum() < 50 or mask[np.argmin(np.abs(off))]:
        return np.zeros(axis.points)
    edge = float(np.abs(off[near]).min())
    u = edge / np.where(np.abs(off) < edge, np.copysign(edge, off + 1e-9), off)
    columns = np.stack([u**2, u, np.ones(axis.points), off / reach], axis=1)
    weight = near.astype(float)
    scale = float(np.median(np.abs(np.diff(y[near])))) + 1e-12
    found = np.zeros(4)
    for _ in range(20):
        found = np.linalg.lstsq(columns * np.sqrt(weight)[:, None], y * np.sqrt(weight), rcond=None)[0]
        rest = (y - columns @ found) / (3 * scale)
        weight = np.where(near, np.where(rest > 0, 1 / (1 + rest**2) ** 1.5, 1 / (1 + rest**2) ** 0.5), 0.0)
    return np.where(mask, columns[:, :2] @ found[:2], 0.0)
