"""Spectra of spin systems."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from molvis_core.errors import RecordError
from molvis_core.progress import Progress
from molvis_core.records import Trace
from molvis_nmr.spins.hamiltonian import larmor
from molvis_nmr.spins.rendering import grid, shares
from molvis_nmr.spins.system import SpinSystem
from molvis_nmr.spins.transitions import Lines, lines

MOST_POINTS = 1 << 20


def simulate(
    system: SpinSystem,
    frequency: float,
    *,
    axis: Float[np.ndarray, " t"] | None = None,
    window: tuple[float, float] | None = None,
    points: int | None = None,
    gaussian: float = 0.0,
    broadening: float = 0.0,
    kernel: Float[np.ndarray, "o 2"] | None = None,
    nucleus: str = "1H",
    threshold: float = 1e-6,
    states: int = 4096,
) -> Trace:
    """The spectrum of one nucleus of a spin system.

    A line of intensity 1 is w / (w^2 + (v - v0)^2), v in Hz: its area is pi.

    Args:
        system: groups of spins, with widths and intensities.
        frequency: of 1H in the same field, in MHz.
        axis: chemical shifts in ppm, ascending, even or not.
        window: from and to, in ppm, in place of `axis`; 0.2 ppm around all lines if neither is given.
        points: of the window; four to the narrowest line's width if not given.
        gaussian: standard deviation in Hz of a Gaussian that lines are broadened by as well.
        broadening: Hz that is added to every width.
        kernel: an instrument's line shape: offsets in Hz and how much of the signal comes there; made to add up to 1.
        nucleus: whose spectrum.
        threshold: of lines to leave out, see `lines`.
        states: beyond which coupled groups are simulated in clusters, see `lines`.

    Raises:
        RecordError: the system has no such nucleus, or a width, an axis or a kernel that cannot be.
    """
    if not (0 <= gaussian < np.inf and 0 <= broadening < np.inf):
        raise RecordError(f"gaussian and broadening must not be negative, got {gaussian:g} and {broadening:g} Hz")
    found = lines(system, frequency, nucleus=nucleus, threshold=threshold, states=states)
    mhz = larmor(nucleus, frequency)
    if axis is None:
        axis = _axis(system, found, mhz, window, points, gaussian + broadening)
    else:
        axis = np.asarray(axis, dtype=np.float64)
        if axis.ndim != 1 or len(axis) < 2 or not np.isfinite(axis).all() or not (np.diff(axis) > 0).all():
            raise RecordError("axis must have two or more finite chemical shifts in ppm, ascending")
    y = render(
        found, system.widths, system.intensities, axis * mhz, gaussian=gaussian, broadening=broadening, kernel=kernel
    )
    return Trace(x=axis, y=y, frequency=mhz, identifier=system.identifier or system.name or None)


def _axis(
    system: SpinSystem,
    found: Lines,
    mhz: float,
    window: tuple[float, float] | None,
    points: int | None,
    broader: float,
) -> Float[np.ndarray, " t"]:
    if window is None:
        window = (float(found.position.min()) / mhz - 0.2, float(found.position.max()) / mhz + 0.2)
    low, high = window
    if not (np.isfinite([low, high]).all() and low < high):
        raise RecordError(f"window is {low:g} to {high:g} ppm; the lower end comes first")
    if points is None:
        points = int(np.ceil(4 * (high - low) * mhz / (system.widths.min() + broader))) + 1
        points = min(max(points, 64), MOST_POINTS)
    if points < 2:
        raise RecordError(f"points must be at least 2, got {points}")
    return np.linspace(low, high, points)


def render(
    found: Lines,
    widths: Float[np.ndarray, " g"],
    intensities: Float[np.ndarray, " g"],
    hertz: Float[np.ndarray, " t"],
    *,
    gaussian: float = 0.0,
    broadening: float = 0.0,
    kernel: Float[np.ndarray, "o 2"] | None = None,
) -> Float[np.ndarray, " t"]:
    """Lines as a spectrum at the points `hertz`, ascending.

    Raises:
        RecordError: the kernel is none.
    """
    signal = found.weight @ intensities
    width = found.share @ widths + broadening
    few, first, mixture = shares(width)
    weight = np.zeros((len(found), len(few)))
    np.put_along_axis(weight, first[:, None] + np.arange(mixture.shape[1]), mixture * signal[:, None], axis=1)
    ground = grid(
        hertz, float(width.min()), float(found.position.min()), float(found.position.max()), widest=float(width.max())
    )
    time = ground.time
    total = sum(
        wave * ground.decay(w) for wave, w in zip(ground.transform(found.position, weight), few.tolist(), strict=True)
    )
    if gaussian:
        total = total * np.exp(-2 * (np.pi * gaussian * time) ** 2)
    if kernel is not None:
        total = total * line_shape(kernel, time)
    return ground.spectrum(np.atleast_2d(total))[0]


def line_shape(kernel: Float[np.ndarray, "o 2"], time: Float[np.ndarray, " f"]) -> np.ndarray:
    """What an instrument's line shape multiplies the signal in time by.

    Raises:
        RecordError: it is no table of finite offsets and parts that add up to something.
    """
    kernel = np.asarray(kernel, dtype=np.float64)
    if kernel.ndim != 2 or kernel.shape[1] != 2 or not np.isfinite(kernel).all() or not kernel[:, 1].sum() > 0:
        raise RecordError("kernel must have rows of an offset in Hz and a part of the signal, whose sum is positive")
    shape = np.zeros(len(time), dtype=np.complex128)
    for offset, part in kernel / [1, kernel[:, 1].sum()]:
        shape += part * np.exp(-2j * np.pi * offset * time)
    return shape


def simulate_all(
    systems: Sequence[SpinSystem],
    frequency: float,
    axis: Float[np.ndarray, " t"],
    *,
    gaussian: float = 0.0,
    broadening: float = 0.0,
    kernel: Float[np.ndarray, "o 2"] | None = None,
    nucleus: str = "1H",
    progress: Progress | None = None,
) -> Float[np.ndarray, "n t"]:
    """Spectra of many spin systems on one axis, a row each. Arguments are those of `simulate`.

    Raises:
        RecordError: as `simulate`.
    """
    rows = np.empty((len(systems), len(axis)))
    for i, system in enumerate(systems):
        rows[i] = simulate(
            system, frequency, axis=axis, gaussian=gaussian, broadening=broadening, kernel=kernel, nucleus=nucleus
        ).y
        if progress:
            progress(i + 1, len(systems))
    return rows
