"""How well a simulated spectrum agrees with a measured one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

from molvis_core.errors import RecordError


def _checked(simulated: np.ndarray, measured: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    simulated, measured = np.asarray(simulated, dtype=np.float64), np.asarray(measured, dtype=np.float64)
    if simulated.shape != measured.shape or simulated.ndim != 1:
        raise RecordError(
            f"a simulated spectrum of shape {simulated.shape} cannot be compared with a measured one of "
            f"{measured.shape}; they must have one length"
        )
    return simulated, measured


def _overlap(simulated: np.ndarray, measured: np.ndarray) -> float:
    """Sum of minima over sum of maxima at unit sum; 0 where one of them is empty."""
    a, b = simulated.sum(), measured.sum()
    if not (a > 0 and b > 0):
        return 0.0
    a, b = simulated / a, measured / b
    return float(np.minimum(a, b).sum() / np.maximum(a, b).sum())


def iou(simulated: Float[np.ndarray, " t"], measured: Float[np.ndarray, " t"], *, threshold: float = 5e-4) -> float:
    """Intersection over union as Fattakhov et al. define it.

    Points where the simulation is above `threshold` times its highest; the measurement clipped at 0; both brought to
    unit sum there; the sum of minima over the sum of maxima. The mask depends on the simulation, which can therefore
    do well by leaving signals out: read it beside `roi_iou`.

    Raises:
        RecordError: spectra of different lengths.

    Reference: M. M. Fattakhov et al., 2026, Application of the Gradient Descent Method for Optimization of Spin System
    Parameters of Metabolite Molecules by NMR Spectra.
    """
    simulated, measured = _checked(simulated, measured)
    if simulated.size == 0 or simulated.max() <= 0:
        return 0.0
    mask = simulated > threshold * simulated.max()
    return _overlap(simulated[mask], np.maximum(measured[mask], 0.0))


def region(
    axis: Float[np.ndarray, " t"],
    position: Float[np.ndarray, " l"],
    strength: Float[np.ndarray, " l"],
    *,
    reach: float = 25.0,
    threshold: float = 1e-3,
) -> Bool[np.ndarray, " t"]:
    """Points within `reach` Hz of a line stronger than `threshold` of the strongest.

    Args:
        axis: of the spectrum in Hz, ascending.
        position: of the lines in Hz.
        strength: of the lines, in any unit.
        reach: in Hz.
        threshold: relative to the strongest line.
    """
    mask = np.zeros(len(axis), dtype=bool)
    strength = np.abs(strength)
    if len(strength):
        strong = np.sort(position[strength > threshold * strength.max()])
        after = np.searchsorted(strong, axis)
        near = np.minimum(
            np.abs(axis - strong[np.maximum(after - 1, 0)]), np.abs(axis - strong[np.minimum(after, len(strong) - 1)])
        )
        mask = near <= reach
    return mask


def roi_iou(
    simulated: Float[np.ndarray, " t"],
    measured: Float[np.ndarray, " t"],
    mask: Bool[np.ndarray, " t"],
    baseline: Float[np.ndarray, " t"] | float = 0.0,
) -> float:
    """Intersection over union in a region that does not depend on the fit.

    Args:
        simulated: spectrum without baseline.
        measured: spectrum; clipped at 0 after the baseline is taken off.
        mask: the region: `region` of the lines of the starting or of a reference model.
        baseline: of the measurement.

    Raises:
        RecordError: spectra of different lengths.
    """
    simulated, measured = _checked(simulated, measured)
    return _overlap(np.maximum(simulated[mask], 0.0), np.maximum((measured - baseline)[mask], 0.0))


def r_factor(simulated: Float[np.ndarray, " t"], measured: Float[np.ndarray, " t"]) -> float:
    """Root of the squared residuals over the squared measurement; 0.05 is what ANATOLIA prints as 5%.

    Raises:
        RecordError: spectra of different lengths.

    Reference: D. A. Cheshkov et al., Magn. Reson. Chem. 56 (2018) 449, doi:10.1002/mrc.4689
    """
    simulated, measured = _checked(simulated, measured)
    total = float(measured @ measured)
    return float(np.sqrt(((simulated - measured) ** 2).sum() / total)) if total > 0 else float("inf")


def cosine(simulated: Float[np.ndarray, " t"], measured: Float[np.ndarray, " t"]) -> float:
    """Cosine of the angle between the two; 0 where one of them is empty.

    Raises:
        RecordError: spectra of different lengths.
    """
    simulated, measured = _checked(simulated, measured)
    norm = float(np.linalg.norm(simulated) * np.linalg.norm(measured))
    return float(simulated @ measured) / norm if norm > 0 else 0.0


def agreement(
    simulated: Float[np.ndarray, " t"],
    measured: Float[np.ndarray, " t"],
    mask: Bool[np.ndarray, " t"],
    baseline: Float[np.ndarray, " t"] | float = 0.0,
) -> dict[str, float]:
    """Every measure of agreement.

    `iou` is that of Fattakhov et al., of the measurement as it is. `roi_iou`, `r_factor`, `cosine`, `mse`, `mae` and
    `rmsd` are of the region `mask` with the baseline taken off; the last three after both are brought to a highest
    measured point of 1.

    Args:
        simulated: spectrum without baseline.
        measured: spectrum.
        mask: the region, see `roi_iou`.
        baseline: of the measurement.

    Raises:
        RecordError: spectra of different lengths.
    """
    simulated, measured = _checked(simulated, measured)
    inside = simulated[mask]
    target = (measured - baseline)[mask]
    top = float(np.abs(target).max()) if target.size else 0.0
    off = (inside - target) / (top or 1.0)
    mse = float((off**2).mean()) if off.size else 0.0
    return {
        "iou": iou(simulated, measured),
        "roi_iou": roi_iou(simulated, measured, mask, baseline),
        "r_factor": r_factor(inside, target),
        "cosine": cosine(inside, target),
        "mse": mse,
        "mae": float(np.abs(off).mean()) if off.size else 0.0,
        "rmsd": mse**0.5,
    }


def mean(figures: Sequence[dict[str, float]]) -> dict[str, float]:
    """Means over several spectra of what `agreement` gives."""
    return {name: float(np.mean([one[name] for one in figures])) for name in figures[0]} if figures else {}
