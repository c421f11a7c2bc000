"""Measured spectra as they are fitted, and the checks that they pass before."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

from molvis_core.errors import RecordError, did_you_mean
from molvis_core.records import Trace
from molvis_nmr.fitting.lorentzians import Window
from molvis_nmr.spins.hamiltonian import RATIOS
from molvis_nmr.spins.system import SpinSystem


class Measured:
    """A spectrum, ready to be fitted: in Hz, with excluded regions bridged, at any broadening.

    Attributes:
        trace: as it was given.
        frequency: of 1H, in MHz.
        observed: of the observed nucleus, in MHz.
        hertz: the axis in Hz.
        step: between points, in Hz.
        keep: points that are not excluded.
        data: the signal, divided by `unit`.
        unit: the highest point.
    """

    def __init__(self, trace: Trace, nucleus: str, exclude: Sequence[tuple[float, float]]) -> None:
        self.trace = trace
        self.observed = float(trace.frequency or 0.0)
        self.frequency = self.observed * 100 / RATIOS[nucleus]
        self.hertz = trace.x * self.observed
        self.step = float((self.hertz[-1] - self.hertz[0]) / (len(trace) - 1))
        self.keep = np.ones(len(trace), dtype=bool)
        for low, high in exclude:
            self.keep &= ~((trace.x >= min(low, high)) & (trace.x <= max(low, high)))
        data = np.array(trace.y)
        if not self.keep.all() and self.keep.any():
            at = np.arange(len(trace))
            data = np.interp(at, at[self.keep], data[self.keep])
        self.unit = float(np.abs(data).max()) or 1.0
        self.data = data / self.unit
        self._broadened: dict[float, np.ndarray] = {0.0: self.data}

    def broadened(self, width: float) -> Float[np.ndarray, " t"]:
        """The measurement convolved with a Lorentzian of `width` Hz."""
        if width not in self._broadened:
            from scipy.fft import irfft, next_fast_len, rfft, rfftfreq

            size = next_fast_len(len(self.data) + int(40 * width / self.step), real=True)
            decay = np.exp(-2 * np.pi * width * rfftfreq(size, self.step))
            self._broadened[width] = np.asarray(irfft(np.asarray(rfft(self.data, size)) * decay, size))[
                : len(self.data)
            ]
        return self._broadened[width]

    def windows(self, mask: Bool[np.ndarray, " t"], broadening: float, step: float) -> list[Window]:
        """Runs of `mask`, on every m-th point, so that these are at most `step` Hz apart."""
        every = max(int(step / self.step), 1)
        data = self.broadened(broadening)
        edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.view(np.int8), [0]])))
        found: list[Window] = []
        for first, last in edges.reshape(-1, 2).tolist():
            count = (last - first) // every
            if count < 4:
                continue
            stop = first + count * every
            start = self.hertz[first]
            if broadening == 0 and every > 1:  # the mean of each m points, whose middle is where they are
                some = data[first:stop].reshape(count, every).mean(axis=1)
                keep = np.asarray(self.keep[first:stop].reshape(count, every).all(axis=1))
                start += self.step * (every - 1) / 2
            else:
                some, keep = data[first:stop:every], self.keep[first:stop:every]
            found.append(Window(float(start), self.step * every, some, keep))
        return found


def check(
    traces: Sequence[Trace],
    systems: Sequence[SpinSystem],
    nucleus: str,
    exclude: Sequence[tuple[float, float]],
    broadening: Sequence[float],
) -> None:
    """Raise `RecordError` for what cannot be fitted: see `fit`."""
    if not traces:
        raise RecordError("no spectrum was given")
    if len(systems) != len(traces):
        raise RecordError(
            f"{len(systems)} spin systems were given for {len(traces)} spectra; give one, or one for each"
        )
    if nucleus not in RATIOS:
        raise RecordError(f"no spin-1/2 nucleus is named {nucleus!r}.{did_you_mean(nucleus, RATIOS)}")
    if not broadening or broadening[-1] != 0 or min(broadening) < 0:
        raise RecordError(f"broadening must be widths in Hz that end with 0, got {tuple(broadening)}")
    for other in systems[1:]:
        same = other.names == systems[0].names and other.nuclei == systems[0].nuclei
        if not same or (other.multiplicity != systems[0].multiplicity).any():
            raise RecordError("the spin systems of the spectra must have the same groups, but they differ")
    for number, (trace, system) in enumerate(zip(traces, systems, strict=True), start=1):
        name = f"spectrum {number}" + (f" ({trace.identifier})" if trace.identifier else "")
        _check_trace(trace, name, nucleus, exclude)
        _check_shifts(trace, name, nucleus, system)


def _check_trace(trace: Trace, name: str, nucleus: str, exclude: Sequence[tuple[float, float]]) -> None:
    if trace.frequency is None:
        raise RecordError(f"{name} has no frequency; give Trace.frequency, that of {nucleus} in MHz")
    if len(trace) < 16:
        raise RecordError(f"{name} has {len(trace)} points; a spectrum has at least 16")
    steps = np.diff(trace.x)
    if steps.max() - steps.min() > 0.02 * steps.mean():
        raise RecordError(
            f"{name} has an uneven axis: its steps are from {steps.min():.3g} to {steps.max():.3g} ppm; "
            f"interpolate it to even ones"
        )
    if not np.abs(trace.y).max() > 0:
        raise RecordError(f"{name} is 0 everywhere")
    keep = np.ones(len(trace), dtype=bool)
    for low, high in exclude:
        keep &= (trace.x < min(low, high)) | (trace.x > max(low, high))
    if not np.abs(trace.y[keep]).max(initial=0.0) > 0:
        raise RecordError(f"{name} is 0 everywhere outside of the excluded windows")


def _check_shifts(trace: Trace, name: str, nucleus: str, system: SpinSystem) -> None:
    if nucleus not in system.nuclei:
        raise RecordError(f"the spin system has no {nucleus}; it has {', '.join(sorted(set(system.nuclei)))}")
    for group, shift, kind in zip(system.names, system.shifts, system.nuclei, strict=True):
        if kind == nucleus and not trace.x[0] <= shift <= trace.x[-1]:
            raise RecordError(
                f"{group} is at {shift:g} ppm, outside of {name}, which goes from {trace.x[0]:.3f} to "
                f"{trace.x[-1]:.3f} ppm; correct the start values or the reference"
            )
