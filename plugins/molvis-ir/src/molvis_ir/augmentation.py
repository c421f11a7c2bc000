"""What training changes about spectra, so that an encoder knows them from any instrument."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from molvis_ir.preparation import HIGH, LOW, STEP

FARTHEST = 6.5
"""Points by which a wavenumber scale is off at most in training: 26 cm^-1."""


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


def distort(
    spectra: Float[Tensor, "n t"], known: Bool[Tensor, "n t"], strength: float = 1.0
) -> tuple[Float[Tensor, "n t"], Bool[Tensor, "n t"], Float[Tensor, " n"]]:
    """What any instrument, accessory or operator might have made of spectra, drawn anew at every call.

    Beyond what `augment` changes: wavenumber scales that are off by up to 26 cm^-1, attenuated total reflection (bands
    weaker towards high wavenumbers), resolutions down to some 30 cm^-1, what a correction leaves of a baseline, bands
    that saturate, and ranges that were not measured.

    Args:
        spectra: of unit norm on the grid of `molvis_ir.preparation`, without baseline.
        known: which points were measured.
        strength: of all of it; 0 leaves the spectra as they are.

    Returns:
        The spectra, of unit norm; which points of them are known; and by how many points each was moved.
    """
    count, points = spectra.shape
    if not strength:
        return spectra, known, spectra.new_zeros(count)

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(count, 1, device=spectra.device)

    def some(share: float) -> Tensor:
        return torch.rand(count, 1, device=spectra.device) < share * min(strength, 1.0)

    axis = torch.linspace(LOW, HIGH, points, device=spectra.device)[None]
    out = spectra / spectra.amax(dim=1, keepdim=True).clamp_min(1e-12)
    out = torch.where(some(0.3), out * (axis / 2000) ** (-uniform(0.3, 1.2) * strength), out)
    out = torch.where(some(0.1), out.minimum(uniform(0.5, 0.95) * out.amax(dim=1, keepdim=True)), out)
    moved = torch.where(some(0.6), uniform(-FARTHEST, FARTHEST), uniform(-1, 1)) * strength
    out, known = move(out, known, moved[:, 0])
    width = torch.where(some(0.4), uniform(0, 3.2), uniform(0, 0.7)) * strength
    out = _blurred(out, width)
    out = augment(out, strength)
    rest = 0.03 * strength * torch.randn(count, 1, 7, device=spectra.device) * uniform(0, 1)[:, None]
    out = out + torch.nn.functional.interpolate(rest, points, mode="linear", align_corners=True)[:, 0]
    out = out + some(0.3) * uniform(0, 0.015) * strength * torch.randn_like(out)
    known = _cut(known, axis, some(0.45), uniform)
    out = out.clamp_min(0) * known
    return torch.nn.functional.normalize(out, dim=1), known, moved[:, 0]


def move(
    spectra: Float[Tensor, "n t"], known: Bool[Tensor, "n t"], points: Float[Tensor, " n"]
) -> tuple[Float[Tensor, "n t"], Bool[Tensor, "n t"]]:
    """Spectra whose bands lie this many points lower, between points by linear interpolation."""
    last = spectra.shape[1] - 1
    place = (torch.arange(last + 1, device=spectra.device)[None] + points[:, None]).clamp(0, last - 1e-3)
    left = place.long()
    share = place - left
    out = spectra.gather(1, left) * (1 - share) + spectra.gather(1, left + 1) * share
    return out, known.gather(1, left) & known.gather(1, left + 1)


def _blurred(spectra: Float[Tensor, "n t"], width: Float[Tensor, "n 1"]) -> Float[Tensor, "n t"]:
    """Convolved with a Gaussian of this standard deviation in points."""
    points = spectra.shape[1]
    waves = torch.fft.rfft(torch.cat([spectra, spectra.flip(1)], dim=1), dim=1)
    turn = torch.linspace(0, torch.pi, waves.shape[1], device=spectra.device)[None]
    return torch.fft.irfft(waves * torch.exp(-0.5 * (turn * width) ** 2), n=2 * points, dim=1)[:, :points]


def _cut(known: Bool[Tensor, "n t"], axis: Float[Tensor, "1 t"], which: Bool[Tensor, "n 1"], uniform) -> Tensor:
    """Without a range at either end or within, where `which` is true; a quarter of the grid is left at least."""
    low = torch.where(uniform(0, 1) < 0.6, uniform(LOW, 1700), uniform(LOW, LOW))
    high = torch.where(uniform(0, 1) < 0.6, uniform(1750, HIGH), uniform(HIGH, HIGH))
    begin = uniform(LOW, 3200)
    gap = (axis > begin) & (axis < begin + uniform(50, 500)) & (uniform(0, 1) < 0.3)
    left = known & (axis >= low) & (axis <= high) & ~gap
    enough = left.sum(1, keepdim=True) * STEP >= 0.27 * (HIGH - LOW)
    return torch.where(which & enough, left, known)
