"""Adducts: from the neutral molecule's mass to the ion's m/z, and back.

In core because mass spectra and collision cross sections both need it, and a search of a library for either does too.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

from molvis_core.errors import AdductError, did_you_mean
from molvis_core.formula import ELECTRON_MASS, formula_mass, parse_formula

COMMON_ADDUCTS = (
    "[M+H]+", "[M+Na]+", "[M+K]+", "[M+Li]+", "[M+NH4]+", "[M+H-H2O]+", "[M+H-2H2O]+", "[M+H-NH3]+", "[M+2H]2+",
    "[M+H+Na]2+", "[M+2Na]2+", "[M+2Na-H]+", "[2M+H]+", "[2M+Na]+", "[2M+NH4]+", "[M+ACN+H]+", "[M+CH3OH+H]+", "[M]+",
    "[M-H]-", "[M+Cl]-", "[M+Br]-", "[M+HCOO]-", "[M+CH3COO]-", "[M-H-H2O]-", "[M-2H]2-", "[M+Na-2H]-", "[2M-H]-",
    "[M-H-CO2]-", "[M]-",
)  # fmt: skip
"""What an error message offers, and what tests run through."""

_ALIASES = {
    "ACN": "C2H3N", "CAN": "C2H3N", "MeCN": "C2H3N", "DMSO": "C2H6OS", "MeOH": "CH4O", "IsoProp": "C3H8O",
    "iPrOH": "C3H8O", "FA": "CH2O2", "HAc": "C2H4O2", "Hac": "C2H4O2", "Ac": "C2H3O2", "OAc": "C2H3O2",
    "TFA": "C2HF3O2", "HCOO": "CHO2", "HCOOH": "CH2O2", "CH3COO": "C2H3O2", "NH4": "NH4", "Hex": "C6H10O5",
}  # fmt: skip
_SHORTHAND = {
    "M+H": "[M+H]+", "M-H": "[M-H]-", "M+Na": "[M+Na]+", "M+K": "[M+K]+", "M+NH4": "[M+NH4]+", "M+Cl": "[M+Cl]-",
    "[M]+.": "[M]+", "[M].+": "[M]+", "[M]+*": "[M]+", "[M]-.": "[M]-", "M+": "[M]+", "[M+FA-H]-": "[M+HCOO]-",
    "[M+H2CO2-H]-": "[M+HCOO]-", "[M+Hac-H]-": "[M+CH3COO]-", "[M+OAc]-": "[M+CH3COO]-", "M-H1": "[M-H]-",
    "[M+CHO2]-": "[M+HCOO]-", "[M+C2H3O2]-": "[M+CH3COO]-", "[M+H-H2O]+": "[M+H-H2O]+", "[M-H2O+H]+": "[M+H-H2O]+",
}  # fmt: skip
_SHAPE = re.compile(r"\[(\d*)M([^\]]*)\](\d*)([+-])(\d*)")
_PART = re.compile(r"([+-])(\d*)([A-Z][A-Za-z0-9]*)")


@dataclass(frozen=True, slots=True)
class Adduct:
    """A way a molecule becomes an ion.

    Attributes:
        name: as molvis spells it, such as `[M+H]+`.
        molecules: how many M are in it.
        charge: signed, never 0.
        shift: mass in Da added to the molecules, electrons accounted for.
    """

    name: str
    molecules: int
    charge: int
    shift: float

    @property
    def ionmode(self) -> str:
        """`positive` or `negative`."""
        return "positive" if self.charge > 0 else "negative"


@functools.cache
def parse_adduct(text: str) -> Adduct:
    """Read an adduct such as `[M+H]+`, `[2M+Na]+`, `[M+H-C6H10O5]+` or the shorthand `M+H`.

    Raises:
        AdductError: it cannot be read; the message offers the nearest that can.
    """
    name = text.strip().replace(" ", "")
    name = _SHORTHAND.get(name, name)
    name = name.removesuffix(".").removesuffix("*")
    match = _SHAPE.fullmatch(name)
    if match is None:
        raise AdductError(
            f"adduct {text!r} is not understood.{did_you_mean(name, COMMON_ADDUCTS)} "
            "Write it like [M+H]+, [M-H]-, [2M+Na]+ or [M+H-H2O]+."
        )
    molecules, changes, before, sign, after = match.groups()
    size = int(before or after or 1)
    charge = size if sign == "+" else -size
    shift = -ELECTRON_MASS * charge
    position = 0
    while position < len(changes):
        part = _PART.match(changes, position)
        if part is None:
            raise AdductError(f"adduct {text!r}: {changes[position:]!r} is not understood; write it like +H or -H2O.")
        plus, count, formula = part.groups()
        try:
            mass = formula_mass(parse_formula(_ALIASES.get(formula, formula)))
        except ValueError as error:
            raise AdductError(f"adduct {text!r}: {error}") from error
        shift += (1 if plus == "+" else -1) * int(count or 1) * mass
        position = part.end()
    return Adduct(name, int(molecules or 1), charge, shift)


def ion_mz(exact_mass: float, adduct: str | Adduct) -> float:
    """m/z of the ion that a molecule of this monoisotopic mass (Da) forms.

    Raises:
        AdductError: the adduct cannot be read.
    """
    ion = parse_adduct(adduct) if isinstance(adduct, str) else adduct
    return (ion.molecules * exact_mass + ion.shift) / abs(ion.charge)


def neutral_mass(precursor_mz: float, adduct: str | Adduct) -> float:
    """Monoisotopic mass (Da) of the molecule behind an ion of this m/z.

    Raises:
        AdductError: the adduct cannot be read, or the ion is lighter than what the adduct adds.
    """
    ion = parse_adduct(adduct) if isinstance(adduct, str) else adduct
    mass = (precursor_mz * abs(ion.charge) - ion.shift) / ion.molecules
    if mass <= 0:
        raise AdductError(
            f"precursor m/z {precursor_mz} is too small for adduct {ion.name}: M would weigh {mass:.4f} Da"
        )
    return mass
