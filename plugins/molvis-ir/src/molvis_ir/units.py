"""What files call their axes and signals, turned into wavenumbers and absorbance."""

from __future__ import annotations

import re

import numpy as np
from jaxtyping import Float

from molvis_core.errors import RecordError

FLOOR = 1e-4
"""Transmittance below which values cannot be distinguished: an absorbance of 4 is more than instruments measure."""
LAYER = 1e-4
"""Thickness in cm of the layer for which an absorption index becomes an absorbance."""

_AXES = (
    (r"1/CM|/CM$|^CM-?1|CM\^-?1|CM⁻¹|WAVENUMBER|KAYSER|RECIPROCALC", "wavenumber"),
    (r"NANOMET|\bNM\b|^NM", "nm"),
    (r"MICROMET|MICRON|^UM\b|\(UM\)", "um"),
)
_SIGNALS = (
    (r"LOG\(?1/[RT]|KUBELKA|^K-?M$", "as it is"),
    (r"TRANSMI(TTANCE|SSION)|^%?T%?$|^T\(%\)$|^PERCENTT$", "transmittance"),
    (r"ABSORPTIONINDEX|IMAGINARYREFRACTIVE|^K$", "absorption index"),
    (r"ABSORBANCE|^ABS\.?$|^A$|OPTICALDENSITY|ABSORPTIONCOEFF|ABSORPTIVITY|MOL.*BASE(10|E)", "as it is"),
    (r"REFLECT|^%?R%?$", "reflectance"),
    (r"DISPERSIONINDEX|REFRACTIVEINDEX|^N$", "refractive index"),
)


def axis_kind(unit: str) -> str | None:
    """`wavenumber`, `um` or `nm` from what files call it; None for any other."""
    plain = unit.strip().replace("**", "^").replace("\N{MICRO SIGN}", "u").replace("\N{GREEK SMALL LETTER MU}", "u")
    return _kind(plain.upper(), _AXES)


def signal_kind(unit: str) -> str | None:
    """`as it is`, `transmittance`, `absorption index`, `reflectance`, `refractive index`, or None for anything else."""
    return _kind(re.sub(r"[\s_]", "", unit.upper()), _SIGNALS)


def taken_as(x: Float[np.ndarray, " t"], y: Float[np.ndarray, " t"], unit: str) -> tuple[Float[np.ndarray, " t"], str]:
    """A signal as absorbance, its unit judged from the data as well as from what is stated.

    Args:
        x: wavenumbers in cm^-1.
        y: the signal.
        unit: as stated.

    Returns:
        Absorbance, as `absorbance` makes it, and why the data were taken for something else than what is stated; empty
        where they were not.

    Raises:
        RecordError: see `absorbance`.
    """
    order = np.argsort(x)
    if signal_kind(unit) == "as it is" and looks_transmitted(x[order], y[order]):
        top = float(np.quantile(y, 0.99))
        actual = "PERCENT TRANSMITTANCE" if top > 2 else "TRANSMITTANCE"
        reason = (
            f"y is stated to be {unit!r}, but goes down from {top:.3g} in narrow bands, as transmittance does; it was "
            "taken as that. Correct the unit, or divide by the highest value if it is absorbance"
        )
        return absorbance(y, actual, x), reason
    return absorbance(y, unit, x), ""


def looks_transmitted(x: Float[np.ndarray, " t"], y: Float[np.ndarray, " t"]) -> bool:
    """Whether a signal has its baseline near 1, or 100, and bands that point down from it.

    Of what is stated as absorbance only, where little speaks for it: the middle of all values lies in the upper part of
    their range, and what sticks out of the neighbourhood does so downwards.

    Args:
        x: wavenumbers in cm^-1, ascending.
        y: the signal.
    """
    if len(y) < 50:
        return False
    top, low = float(np.quantile(y, 0.99)), float(np.min(y))
    scale = 100.0 if top > 2 else 1.0
    if not 0.6 * scale <= top <= 1.3 * scale or low < -0.1 * scale or top - low < 0.02 * scale:
        return False
    if float(np.median(y)) < low + 0.6 * (top - low):
        return False
    even = np.linspace(x[0], x[-1], max(50, round((x[-1] - x[0]) / 8)))
    values = np.interp(even, x, y)
    bent = np.diff(values, 2)
    return float(np.mean((bent - bent.mean()) ** 3)) > 0


def _kind(text: str, kinds: tuple[tuple[str, str], ...]) -> str | None:
    return next((kind for pattern, kind in kinds if re.search(pattern, text)), None)


def wavenumbers(x: Float[np.ndarray, " t"], unit: str) -> Float[np.ndarray, " t"]:
    """An axis in cm^-1, from wavenumbers, micrometres or nanometres.

    Raises:
        RecordError: the unit is another one, or a value is not positive.
    """
    kind = axis_kind(unit)
    if kind is None:
        raise RecordError(f"x in {unit!r}; it must be in wavenumbers (1/CM), micrometres or nanometres")
    if not (x > 0).all():
        where = int(np.flatnonzero(~(x > 0))[0])
        raise RecordError(f"x must be positive, got {x[where]:g} at point {where + 1}")
    return x if kind == "wavenumber" else (1e4 if kind == "um" else 1e7) / x


def absorbance(y: Float[np.ndarray, " t"], unit: str, wavenumber: Float[np.ndarray, " t"]) -> Float[np.ndarray, " t"]:
    """A signal as absorbance, or as what is proportional to it.

    - Absorbance, absorption coefficients, Kubelka-Munk units and log(1/R) stay as they are.
    - Transmittance T becomes -log10 T, for which T below 1e-4, noise around nothing, is taken as 1e-4. It is in percent
      where the unit is percent, and where a twentieth of the values exceeds 2: many files of TRANSMITTANCE hold
      percent.
    - The absorption index k (imaginary refractive index) becomes the absorbance of a layer of 1 micrometre,
      4 pi k d wavenumber / ln 10.
    - Reflectance is refused, as specular, diffuse and attenuated total reflection want different conversions, and so
      are refractive indices and arbitrary units, which may point up or down.

    Raises:
        RecordError: the unit is another one, or no transmittance is positive.
    """
    kind = signal_kind(unit)
    if kind == "as it is":
        return y
    if kind == "transmittance":
        percent = "%" in unit or "PERCENT" in unit.upper() or (len(y) > 0 and float(np.quantile(y, 0.95)) > 2)
        through = y / 100 if percent else y
        if not (through > 0).any():
            raise RecordError("no transmittance is positive; is it absorbance, or an empty beam?")
        return -np.log10(np.maximum(through, FLOOR))
    if kind == "absorption index":
        return 4 * np.pi * LAYER / np.log(10) * y * wavenumber
    if kind == "reflectance":
        reason = "a reflectance, which its geometry decides how to convert; store it as Kubelka-Munk units or log(1/R)"
    elif kind == "refractive index":
        reason = "a real refractive index, which is no absorption"
    else:
        reason = "neither absorbance nor transmittance; correct the unit if it is one of them"
    raise RecordError(f"y in {unit!r}: {reason}")
