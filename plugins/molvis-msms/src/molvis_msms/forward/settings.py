"""How an ion is made and broken: adduct, collision energy, instrument, polarity."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from molvis_core.chemistry.adducts import ion_mz
from molvis_core.records import PeakList
from molvis_fragmentation.ions import adduct_of, forms_of, polarity

ADDUCTS = (
    "[M+H]+", "[M-H]-", "[M+Na]+", "[M+K]+", "[M+NH4]+", "[M]+", "[M]-", "acid", "loss", "dimer", "double", "other",
)  # fmt: skip
"""Adducts by themselves where they are common, else what kind they are."""
INSTRUMENTS = ("unknown", "time of flight", "Fourier transform", "ion trap and Fourier transform", "low resolution")
_ENERGIES = np.log(np.array([5.0, 10.0, 15.0, 20.0, 30.0, 45.0, 65.0, 90.0, 130.0]))
NUMBERS = len(ADDUCTS) + len(INSTRUMENTS) + 8 + len(_ENERGIES)


@dataclass(frozen=True, slots=True)
class Setting:
    """Settings of a spectrum. What is None is not known, and a prediction is then a mean over what is usual.

    Attributes:
        adduct: such as `[M+H]+`.
        energy: of the collision, in eV.
        instrument: as MassBank spells its type, such as `LC-ESI-QTOF` or `LC-ESI-QFT`.
        ionmode: `positive` or `negative`; that of the adduct where it is None.
    """

    adduct: str | None = "[M+H]+"
    energy: float | None = None
    instrument: str | None = None
    ionmode: str | None = None

    @classmethod
    def of(cls, spectrum: PeakList) -> Setting:
        """Those that a spectrum was measured with."""
        energy = spectrum.collision_energy
        known = energy is not None and math.isfinite(energy) and energy > 0
        return cls(spectrum.adduct, energy if known else None, spectrum.instrument_type, spectrum.ionmode)

    @property
    def sign(self) -> int:
        """1 for positive ions, -1 for negative ones."""
        return polarity(_bare(self.adduct, self.ionmode))

    def precursor_mz(self, exact_mass: float) -> float:
        """m/z of the precursor; with a proton more or less where there is no adduct that can be read.

        Args:
            exact_mass: of the molecule in Da.
        """
        known = adduct_of(self.adduct)
        return ion_mz(exact_mass, known or ("[M+H]+" if self.sign > 0 else "[M-H]-"))

    def forms(self, exact_mass: float) -> Float[np.ndarray, "v 4"]:
        """Forms that a fragment can have, as `molvis_fragmentation.ions.forms_of` gives them."""
        return forms_of(_bare(self.adduct, self.ionmode), exact_mass)

    def numbers(self, exact_mass: float, atoms: int) -> Float[np.ndarray, " s"]:
        """The settings as `NUMBERS` numbers near 1.

        Args:
            exact_mass: of the molecule in Da.
            atoms: its heavy atoms.
        """
        out = np.zeros(NUMBERS, dtype=np.float32)
        out[_kind(self.adduct)] = 1
        start = len(ADDUCTS)
        out[start + instrument_class(self.instrument)] = 1
        start += len(INSTRUMENTS)
        mz = self.precursor_mz(exact_mass)
        out[start : start + 4] = self.sign, mz / 500, math.log(mz) / 6, _is_gas_phase(self.instrument)
        if self.energy is not None:
            place = math.log(max(self.energy, 1.0))
            per_atom = self.energy / max(atoms, 1)
            out[start + 4 : start + 8] = 1, place / 4, min(per_atom / 3, 3), min(self.energy * 10 / mz, 4)
            out[start + 8 :] = np.exp(-(((place - _ENERGIES) / 0.35) ** 2))
        return out


@functools.lru_cache(maxsize=256)
def _bare(adduct: str | None, ionmode: str | None) -> PeakList:
    """A spectrum without peaks: what else there is to know of an ion."""
    return PeakList(np.empty(0), np.empty(0), adduct=adduct, ionmode=ionmode)


def _kind(name: str | None) -> int:
    adduct = adduct_of(name)
    if adduct is None:
        return ADDUCTS.index("other")
    if adduct.name in ADDUCTS:
        return ADDUCTS.index(adduct.name)
    if adduct.molecules > 1:
        return ADDUCTS.index("dimer")
    if abs(adduct.charge) > 1:
        return ADDUCTS.index("double")
    inside = adduct.name[adduct.name.index("M") + 1 : adduct.name.index("]")]
    if inside in ("+HCOO", "+CH3COO", "+Cl", "+Br"):
        return ADDUCTS.index("acid")
    return ADDUCTS.index("loss" if "-" in inside else "other")


def instrument_class(name: str | None) -> int:
    """Place among `INSTRUMENTS` of an instrument's type, as MassBank spells it or as people call it."""
    kind = (name or "").upper()
    if "TOF" in kind:
        return 1
    if "ITFT" in kind or "LTQ" in kind:
        return 3
    if "FT" in kind or "ORBI" in kind or "HCD" in kind or "EXACTIVE" in kind:
        return 2
    return 4 if "QQ" in kind or "QIT" in kind or kind.endswith("-IT") else 0


def _is_gas_phase(name: str | None) -> bool:
    return "APCI" in (name or "").upper()
