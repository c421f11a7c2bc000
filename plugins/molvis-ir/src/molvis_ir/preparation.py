"""Spectra on one grid: what every encoder takes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from molvis_core.errors import RecordError
from molvis_core.records import Trace
from molvis_ir.baselines import Baseline, baseline

LOW, HIGH, STEP = 550.0, 3846.0, 4.0
"""The reference design's grid in cm^-1: 825 points."""

_LEAST = 0.25

_DONE: dict[tuple[object, ...], Float[np.ndarray, " t"]] = {}
"""Spectra without their baselines, by what they were made of: each part of an encoder asks for them, in every epoch."""

_MOST = 20_000
"""Of them are kept, some 70 MB on the usual grid; beyond, it begins anew."""


def grid(low: float = LOW, high: float = HIGH, step: float = STEP) -> Float[np.ndarray, " t"]:
    """Wavenumbers in cm^-1 from `low` to `high`, both included where `step` divides the range."""
    return low + step * np.arange(round((high - low) / step) + 1)


def prepare(
    traces: Sequence[Trace], low: float = LOW, high: float = HIGH, step: float = STEP, *, below: Baseline = "none"
) -> Float[np.ndarray, "n t"]:
    """Absorbance on the grid by linear interpolation, each spectrum of Euclidean norm 1.

    Outside of what was measured it is 0; a negative absorbance, which is noise or a baseline, stays.

    Args:
        traces: absorbance over wavenumber in cm^-1.
        low: first wavenumber of the grid in cm^-1.
        high: last one.
        step: from one to the next.
        below: how the baseline is found that is taken away.

    Raises:
        RecordError: a spectrum that covers less than a quarter of the grid, or is zero all over it.
    """
    points = grid(low, high, step)
    out = np.empty((len(traces), len(points)), dtype=np.float32)
    for number, trace in enumerate(traces):
        name = trace.identifier or f"record {number}"
        covered = 0.0
        if len(trace) > 1:
            covered = (min(trace.x[-1], high) - max(trace.x[0], low)) / (high - low)
        if covered < _LEAST:
            span = f"{trace.x[0]:g} to {trace.x[-1]:g} cm^-1" if len(trace) else "no point"
            raise RecordError(
                f"infrared spectrum {name!r} covers {span}, which is less than a quarter of {low:g} to {high:g}. "
                "Are its units right?"
            )
        out[number] = _of_norm_1(trace, points, step, below, name)
    return out


def _of_norm_1(
    trace: Trace, points: Float[np.ndarray, " t"], step: float, below: Baseline, name: str
) -> Float[np.ndarray, " t"]:
    if below == "none":
        return _scaled(np.interp(points, trace.x, trace.y, left=0.0, right=0.0), points, name)
    digest = hashlib.blake2b(np.ascontiguousarray(trace.x).tobytes(), digest_size=16)
    digest.update(np.ascontiguousarray(trace.y).tobytes())
    key = (digest.digest(), points[0], len(points), step, below)
    if (found := _DONE.get(key)) is None:
        values = np.interp(points, trace.x, trace.y, left=0.0, right=0.0)
        inside = _inside(trace, points)
        values[inside] -= baseline(values[inside], step, below)
        found = _scaled(values, points, name).astype(np.float32)
        if len(_DONE) >= _MOST:
            _DONE.clear()
        _DONE[key] = found
    return found


def _scaled(values: Float[np.ndarray, " t"], points: Float[np.ndarray, " t"], name: str) -> Float[np.ndarray, " t"]:
    norm = float(np.sqrt(values @ values))
    if norm == 0:
        raise RecordError(f"infrared spectrum {name!r} is zero from {points[0]:g} to {points[-1]:g} cm^-1")
    return values / norm


def measured(
    traces: Sequence[Trace], low: float = LOW, high: float = HIGH, step: float = STEP
) -> Bool[np.ndarray, "n t"]:
    """Which points of the grid were measured: those between a spectrum's ends, outside of its gaps.

    A gap is twenty times as wide as the middle step of the spectrum, and at least 40 cm^-1: what instruments or people
    cut out, such as carbon dioxide or the bands of diamond.

    Args:
        traces: absorbance over wavenumber in cm^-1.
        low: first wavenumber of the grid in cm^-1.
        high: last one.
        step: from one to the next.
    """
    points = grid(low, high, step)
    return np.array([_inside(trace, points) for trace in traces]).reshape(len(traces), len(points))


def _inside(trace: Trace, points: Float[np.ndarray, " t"]) -> Bool[np.ndarray, " t"]:
    inside = (points >= trace.x[0]) & (points <= trace.x[-1])
    steps = np.diff(trace.x)
    for i in np.flatnonzero(steps > max(40.0, 20 * float(np.median(steps)))):
        inside &= (points <= trace.x[i]) | (points >= trace.x[i + 1])
    return inside


def channels(spectra: Float[Tensor, "n t"], known: Bool[Tensor, "n t"] | None = None) -> Float[Tensor, "n c t"]:
    """Absorbance and its square root, both of about unit variance, and where `known` is given that as a third.

    The root shows weak bands: a strong carbonyl band leaves the rest of a spectrum of unit norm near zero. Points that
    were not measured are 0, where a point without absorption is -0.5.

    Args:
        spectra: of unit norm on a grid.
        known: which points were measured.
    """
    root = spectra.clamp_min(0).sqrt()
    root = root / root.norm(dim=1, keepdim=True).clamp_min(1e-12)
    if known is None:
        return torch.stack([spectra, root], dim=1) * spectra.shape[1] ** 0.5 - 0.5
    # As many points count as were measured, so that a part of a spectrum looks as it does in the whole.
    size = known.sum(1, keepdim=True)[:, None].to(spectra.dtype).sqrt()
    both = (torch.stack([spectra, root], dim=1) * size - 0.5) * known[:, None]
    return torch.cat([both, known[:, None].to(spectra.dtype)], dim=1)
