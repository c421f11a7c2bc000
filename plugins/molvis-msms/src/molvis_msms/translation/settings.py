"""How a spectrum was measured, as far as translation knows it: collision energy, class of instrument, ion."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from molvis_core.errors import ConfigError, did_you_mean
from molvis_core.records import PeakList

INSTRUMENTS = ("QTOF", "Orbitrap", "ion trap", "other")
"""Classes of instruments; `ion trap` is an Orbitrap whose ions may have been broken in the linear trap before it."""
_PATTERNS = (
    (re.compile(r"ITFT|ITTOF|\bIT\b|ion.?trap|LTQ", re.IGNORECASE), "ion trap"),
    (re.compile(r"Q-?TOF|QqTOF|TripleTOF|maXis|\bTOF\b", re.IGNORECASE), "QTOF"),
    (re.compile(r"QFT|orbitrap|exactive|exploris|HCD|\bFT\b", re.IGNORECASE), "Orbitrap"),
)
_ADDUCTS = ("[M+H]+", "[M-H]-", "[M]+", "[M+Na]+", "[M+NH4]+", "[M+HCOO]-", "[M+CH3COO]-")
_CENTRES = np.linspace(math.log(4.0), math.log(200.0), 12)
_WIDTH = float(_CENTRES[1] - _CENTRES[0])
_TYPICAL = 500.0
"""m/z at which energy and normalized energy are equal, by the convention of Orbitrap instruments."""

SETTINGS = 2 * len(_CENTRES) + 1 + len(INSTRUMENTS)
"""Numbers that describe settings."""
ION = len(_ADDUCTS) + 5
"""Numbers that describe an ion."""


def instrument_class(name: str | None) -> str:
    """The class of an instrument from what sources write: `LC-ESI-QTOF`, `Q Exactive`, `orbitrap`, ..."""
    return next((kind for pattern, kind in _PATTERNS if pattern.search(name or "")), "other")


def named_instrument(name: str) -> str:
    """The class that a user names.

    Raises:
        ConfigError: it is none that translation knows.
    """
    if (found := instrument_class(name)) == "other":
        known = [kind for kind in INSTRUMENTS if kind != "other"]
        raise ConfigError(
            f"no instrument class is like {name!r}.{did_you_mean(name, known)} There are: {', '.join(known)}."
        )
    return found


def energy_in_ev(text: str, precursor_mz: float) -> float:
    """A collision energy as a user writes it: `40`, `40 eV`, or normalized, `30 NCE` or `30%`.

    Normalized energies become eV as NCE x m/z / 500.

    Raises:
        ConfigError: it is not of this form, or not positive.
    """
    found = re.fullmatch(r"\s*(\d+\.?\d*|\.\d+)\s*(eV|NCE|%)?\s*", text[:100], re.IGNORECASE)
    if found is None or not float(found.group(1)) > 0:
        raise ConfigError(f"energy {text!r}: write a positive number, in eV or normalized, such as 40, 40eV or 30NCE")
    value = float(found.group(1))
    return value if (found.group(2) or "ev").lower() == "ev" else value * precursor_mz / _TYPICAL


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of a measurement.

    Attributes:
        energy: of the collision in eV; None where it is not known.
        instrument: one of `INSTRUMENTS`.
    """

    energy: float | None
    instrument: str = "other"

    @classmethod
    def of(cls, spectrum: PeakList) -> Settings:
        """Those that a spectrum states."""
        energy = spectrum.collision_energy
        return cls(energy if energy is not None and energy > 0 else None, instrument_class(spectrum.instrument_type))

    def numbers(self, precursor_mz: float) -> Float[np.ndarray, " q"]:
        """Energy, absolute and normalized by m/z, as bumps along its logarithm; and the instrument."""
        known = self.energy is not None
        values = np.zeros(SETTINGS, dtype=np.float32)
        if self.energy is not None:
            for place, energy in enumerate((self.energy, self.energy * _TYPICAL / max(precursor_mz, 1.0))):
                bumps = np.exp(-0.5 * ((math.log(energy) - _CENTRES) / _WIDTH) ** 2)
                values[place * len(_CENTRES) : (place + 1) * len(_CENTRES)] = bumps
        values[2 * len(_CENTRES)] = known
        values[2 * len(_CENTRES) + 1 + INSTRUMENTS.index(self.instrument)] = 1
        return values


def ion_numbers(spectrum: PeakList, *, formula: bool) -> Float[np.ndarray, " q"]:
    """What describes an ion: adduct, polarity, m/z, and whether its formula is known."""
    values = np.zeros(ION, dtype=np.float32)
    if spectrum.adduct in _ADDUCTS:
        values[_ADDUCTS.index(spectrum.adduct)] = 1
    mz = spectrum.precursor_mz or 0.0
    rest = (spectrum.ionmode == "negative", formula, mz / 500, math.log(max(mz, 20.0) / 250), mz % 1)
    values[len(_ADDUCTS) :] = rest
    return values
