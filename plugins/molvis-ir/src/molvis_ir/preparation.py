"""Spectra on one grid: what every encoder takes, and what training may change about it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from molvis_core.errors import RecordError
from molvis_core.records import Trace

LOW, HIGH, STEP = 550.0, 3846.0, 4.0
"""The reference design's grid in cm^-1: 825 points."""

_LEAST = 0.25


def grid(low: float = LOW, high: float = HIGH, step: float = STEP) -> Float[np.ndarray, " t"]:
    """Wavenumbers in cm^-1 from `low` to `high`, both included where `step` divides the range."""
    return low + step * np.arange(round((high - low) / step) + 1)


def prepare(
    traces: Sequence[Trace], low: float = LOW, high: float = HIGH, step: float = STEP
) -> Float[np.ndarray, "n t"]:
    """Absorbance on the grid by linear interpolation, each spectrum of Euclidean norm 1.

    Outside of what was measured it is 0; a negative absorbance, which is noise or a baseline, stays.

    Args:
        traces: absorbance over wavenumber in cm^-1.
        low: first wavenumber of the grid in cm^-1.
        high: last one.
        step: from one to the next.

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
        values = np.interp(points, trace.x, trace.y, left=0.0, right=0.0)
        norm = float(np.sqrt(values @ values))
        if norm == 0:
            raise RecordError(f"infrared spectrum {name!r} is zero from {low:g} to {high:g} cm^-1")
        out[number] = values / norm
    return out


def channels(spectra: Float[Tensor, "n t"]) -> Float[Tensor, "n 2 t"]:
    """Absorbance and its square root, both of about unit variance.

    The root shows weak bands: a strong carbonyl band leaves the rest of a spectrum of unit norm near zero.
    """
    root = spectra.clamp_min(0).sqrt()
    root = root / root.norm(dim=1, keepdim=True).clamp_min(1e-12)
    return torch.stack([spectra, root], dim=1) * spectra.shape[1] ** 0.5 - 0.5


def augment(spectra: Float[Tensor, "n t"], strength: float = 1.0) -> Float[Tensor, "n t"]:
    """What another instrument, sample or laboratory might have measured, drawn anew at every call.

    Wavenumber calibration (a shift of up to 4 cm^-1 and a stretch of up to 0.1%), resolution, a tilted and a slowly
    varying gain, baseline, noise, and a departure from Beer's law, each drawn for every spectrum.

    Args:
        spectra: on a grid; scaled as one likes.
        strength: of all of it; 0 leaves the spectra as they are.
    """
    if not strength:
        return spectra
    count, points = spectra.shape
    device = spectra.device

    def uniform(width: float) -> Tensor:
        return (2 * torch.rand(count, 1, device=device) - 1) * width * strength

    place = torch.arange(points, device=device)[None] * (1 + uniform(1e-3)) + uniform(1.0)
    place = place.clamp(0, points - 1.001)
    left = place.long()
    share = place - left
    out = spectra.gather(1, left) * (1 - share) + spectra.gather(1, left + 1) * share
    out = out / out.amax(dim=1, keepdim=True).clamp_min(1e-12)
    blur = uniform(0.25).abs()
    out = (1 - 2 * blur) * out + blur * (out.roll(1, 1) + out.roll(-1, 1))
    tilt = torch.linspace(-1, 1, points, device=device)[None]
    knots = 0.08 * strength * torch.randn(count, 1, 9, device=device)
    wave = torch.nn.functional.interpolate(knots, points, mode="linear", align_corners=True)[:, 0]
    out = out * (1 + 0.1 * strength * torch.randn(count, 1, device=device) * tilt) * (1 + wave)
    out = out + uniform(0.02).abs() + uniform(0.004) * torch.randn(count, points, device=device)
    return out.clamp_min(0) ** (1 + uniform(0.25))
