"""What attenuated total reflection does to a spectrum, and back."""

from __future__ import annotations

import math
from typing import Literal, get_args

import numpy as np
from jaxtyping import Complex, Float

from molvis_core.errors import ConfigError

Correction = Literal["depth", "fresnel"]
CRYSTALS = {"diamond": 2.4, "znse": 2.4, "germanium": 4.0, "silicon": 3.4}
"""Refractive indices in the middle infrared, of the ATR elements in use."""
_ROUNDS = 60
_LAYER = 1e-4  # cm; that of `molvis_ir.units`


def transmission_from_atr(
    wavenumber: Float[np.ndarray, " t"],
    y: Float[np.ndarray, " t"],
    *,
    crystal: str | float = "diamond",
    sample: float = 1.5,
    angle: float = 45.0,
    correction: Correction = "depth",
) -> Float[np.ndarray, " t"]:
    """What a spectrum measured by attenuated total reflection would be in transmission, but for a factor.

    The wave reaches less far into the sample the shorter it is: `depth` divides by how far (N. J. Harrick, Internal
    Reflection Spectroscopy, Wiley 1967), so that bands at 3000 cm^-1 gain threefold on those at 1000. `fresnel` also
    puts right that strong bands are moved and skewed, as the refractive index changes with the absorption: absorption
    indices are changed until the Fresnel equations and the Kramers-Kronig relation give what was measured (J. E. Bertie
    and H. H. Eysel, Appl. Spectrosc. 39 (1985) 392, doi:10.1366/0003702854248575). It needs absolute absorbances of a
    single reflection and a flat baseline.

    Args:
        wavenumber: in cm^-1, ascending.
        y: absorbance, -log10 of the reflectance.
        crystal: one of `CRYSTALS`, or its refractive index.
        sample: refractive index of the sample where it does not absorb.
        angle: of incidence, in degrees.
        correction: see above.

    Returns:
        `depth`: absorbance, unchanged at 1000 cm^-1. `fresnel`: that of a layer of 1 micrometre.

    Raises:
        ConfigError: there is no such crystal or correction, or no total reflection under this angle.
    """
    if isinstance(crystal, str) and crystal.lower() not in CRYSTALS:
        raise ConfigError(f"no ATR crystal named {crystal!r}; there are {', '.join(CRYSTALS)}, or its refractive index")
    if correction not in get_args(Correction):
        raise ConfigError(f"no ATR correction named {correction!r}; there are {', '.join(get_args(Correction))}")
    dense = CRYSTALS[crystal.lower()] if isinstance(crystal, str) else float(crystal)
    if not (0 < angle < 90 and 0 < sample < dense * math.sin(math.radians(angle))):
        least = math.degrees(math.asin(min(1.0, max(0.0, sample / dense))))
        raise ConfigError(
            f"no total reflection: a sample of refractive index {sample:g} on a crystal of {dense:g} needs an angle of "
            f"more than {least:.0f} degrees, got {angle:g}"
        )
    if correction == "depth":
        return y * wavenumber / 1000
    return _fresnel(wavenumber, y, dense, sample, math.radians(angle))


def reflectance(index: Complex[np.ndarray, " t"], crystal: float, angle: float) -> Float[np.ndarray, " t"]:
    """Of unpolarised light at a crystal with a sample of a complex refractive index on it, by the Fresnel equations.

    Args:
        index: n + ik of the sample.
        crystal: refractive index.
        angle: of incidence in the crystal, in radians.
    """
    cosine, sine = math.cos(angle), math.sin(angle)
    ratio = (index / crystal) ** 2
    root = np.sqrt(ratio - sine**2)
    across = (cosine - root) / (cosine + root)
    along = (ratio * cosine - root) / (ratio * cosine + root)
    return (np.abs(across) ** 2 + np.abs(along) ** 2) / 2


def dispersion(wavenumber: Float[np.ndarray, " t"], k: Float[np.ndarray, " t"]) -> Float[np.ndarray, " t"]:
    """What absorption indices add to the refractive index, by the Kramers-Kronig relation; 0 outside of the spectrum.

    Args:
        wavenumber: in cm^-1, evenly spaced and ascending.
        k: absorption indices.
    """
    step = (wavenumber[-1] - wavenumber[0]) / (len(wavenumber) - 1)
    before = round(wavenumber[0] / step)
    # k is odd in the wavenumber: a Hilbert transform of it over both signs, by FFT, with as many zeros behind.
    half = before + len(k)
    size = 1 << int(4 * half - 1).bit_length()
    whole = np.zeros(size)
    whole[before:half] = k
    whole[size - half + 1 : size - before + 1] = -k[::-1]
    turned = -1j * np.sign(np.fft.fftfreq(size)) * np.fft.fft(whole)
    return -np.fft.ifft(turned).real[before:half]


def _fresnel(
    wavenumber: Float[np.ndarray, " t"], y: Float[np.ndarray, " t"], crystal: float, sample: float, angle: float
) -> Float[np.ndarray, " t"]:
    even = np.linspace(wavenumber[0], wavenumber[-1], len(wavenumber))
    measured = np.clip(np.interp(even, wavenumber, y), 0, None)
    # Of a weak absorber the absorbance is proportional to k.
    small = 1e-4
    slope = -np.log10(reflectance(np.array([sample + 1j * small]), crystal, angle))[0] / small
    k = measured / slope
    for _ in range(_ROUNDS):
        index = sample + dispersion(even, k) + 1j * k
        found = -np.log10(np.clip(reflectance(index, crystal, angle), 1e-12, None))
        # Steps are limited: where n comes near total reflection's end the absorbance stands still.
        factor = np.clip((measured + 1e-9) / (found + 1e-9), 0.5, 2.0)
        k = np.clip(k * factor, 0, 10)
    layer = 4 * np.pi * _LAYER / np.log(10) * k * even
    return np.interp(wavenumber, even, layer)
