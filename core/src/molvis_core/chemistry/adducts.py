"""Adducts: from the neutral molecule's mass to the ion's m/z, and back.

In core because mass spectra and collision cross sections both need it, and a search of a library for either does too.
"""

from __future__ import annotations

import functools
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from molvis_core.chemistry.formula import ELECTRON_MASS, formula_mass, parse_formula
from molvis_core.errors import AdductError, did_you_mean
from molvis_core.text import quoted

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
_CLEAN = str.maketrans(
    {
        "⁺": "+",
        "⁻": "-",
        "−": "-",
        "–": "-",
        "²": "2",
        "³": "3",
        "•": ".",
        "·": ".",
        "˙": ".",
        "∙": ".",
        "(": "[",
        ")": "]",
    }
)
_ACIDS = re.compile(r"\[(\d{0,2})M\+(FA|HCOOH|HAc|Hac|TFA)\]-")
"""An acid that makes an anion has given its proton away, also where a program leaves that out."""
_SHAPE = re.compile(r"\[(\d{0,2})M([^\]]*)\](\d{0,2})([+-]?)(\d{0,2})")
_BARE = re.compile(r"(?:(\d*M(?:[+-]\d*[A-Z][A-Za-z0-9]*)*)|M(H|Na|K|NH4|Li))(\d*[+-]\d*)?")
_RADICAL = re.compile(r"[.*](?=[+-]?\]?\d*[+-]?\d*$)")
_UNKNOWN = re.compile(r"\[?M(?:[+-]?\?)?\]?(?:\?|(\d{0,2})([+-])(\d{0,2})\??)")
_CARRIERS = {"H": 1, "H1": 1, "Na": 1, "K": 1, "Li": 1, "NH4": 1, "Cl": -1, "Br": -1, "CHO2": -1, "C2H3O2": -1}
"""Charges of what makes a molecule an ion, to derive the charge of a spelling that leaves it out."""
_PART = re.compile(r"([+-])(\d{0,3})([A-Z][A-Za-z0-9]*)")


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


_LONGEST = 100
"""Characters of an adduct."""


@functools.lru_cache(maxsize=10_000)
def parse_adduct(text: str) -> Adduct:
    """Read an adduct such as `[M+H]+`, `[2M+Na]+` or `[M+H-C6H10O5]+`, in the notations that programs use for it.

    `M+H`, `MH+`, `(M+H)+`, `[M+H]1+`, `[M+H]+1`, `[M+H]⁺`, `[M]+*` and `[M-H2O+H]+` are understood. An ion of the same
    composition as one of `COMMON_ADDUCTS` has its name.

    Raises:
        AdductError: it cannot be read; the message offers the nearest that can.
    """
    if len(text) > _LONGEST:
        raise AdductError(f"adduct {quoted(text)} is not understood. Write it like [M+H]+ or [M+H-H2O]+.")
    written = _written(text)
    match = _SHAPE.fullmatch(written)
    if match is None:
        raise AdductError(
            f"adduct {text!r} is not understood.{did_you_mean(written, COMMON_ADDUCTS)} "
            "Write it like [M+H]+, [M-H]-, [2M+Na]+ or [M+H-H2O]+."
        )
    molecules, changes, before, sign, after = match.groups()
    added, carried = added_atoms(text, changes)
    if sign:
        charge = int(before or after or 1) * (1 if sign == "+" else -1)
    elif carried:
        charge = carried
    else:
        raise AdductError(f"adduct {text!r} has no charge; write it like [M+H]+ or [M-H]-.")
    count = int(molecules or 1)
    key = count, charge, _key(added)
    size = "" if abs(charge) == 1 else str(abs(charge))
    name = _common().get(key) or f"[{molecules}M{changes}]{size}{'+' if charge > 0 else '-'}"
    return Adduct(name, count, charge, _shift(added, charge))


def _written(text: str) -> str:
    """An adduct in brackets with its charge behind them, whichever way it was written."""
    name = text.strip().replace(" ", "").translate(_CLEAN)
    # The dot or star of a radical adds nothing to what the charge states.
    name = _RADICAL.sub("", name, count=1)
    name = re.sub(r"(\+{2,}|-{2,})$", lambda signs: f"{len(signs.group())}{signs.group()[0]}", name)
    name = _ACIDS.sub(r"[\1M+\2-H]-", name)
    if bare := _BARE.fullmatch(name):
        inside, added, charge = bare.groups()
        return f"[{inside or f'M+{added}'}]{charge or ''}"
    return name


def added_atoms(text: str, changes: str) -> tuple[Counter[str], int]:
    """Atoms that are added to the molecules, and the charge that what is added usually carries."""
    added: Counter[str] = Counter()
    carried = position = 0
    while position < len(changes):
        part = _PART.match(changes, position)
        if part is None:
            raise AdductError(f"adduct {text!r}: {changes[position:]!r} is not understood; write it like +H or -H2O.")
        sign, number, formula = part.groups()
        try:
            atoms = parse_formula(_ALIASES.get(formula, formula))
        except ValueError as error:
            raise AdductError(f"adduct {text!r}: {error}. Write it like [M+H]+ or [M+H-H2O]+.") from error
        times = int(number or 1) * (1 if sign == "+" else -1)
        for element, count in atoms.items():
            added[element] += times * count
        carried += times * _CARRIERS.get(_ALIASES.get(formula, formula), 0)
        position = part.end()
    return added, carried


def _key(added: Mapping[str, int]) -> frozenset[tuple[str, int]]:
    return frozenset((element, count) for element, count in added.items() if count)


def _shift(added: Mapping[str, int], charge: int) -> float:
    return formula_mass(added) - ELECTRON_MASS * charge


@functools.cache
def _common() -> dict[tuple[int, int, frozenset[tuple[str, int]]], str]:
    """Names of the common adducts by what they are made of."""
    found: dict[tuple[int, int, frozenset[tuple[str, int]]], str] = {}
    for name in COMMON_ADDUCTS:
        match = _SHAPE.fullmatch(name)
        assert match is not None
        molecules, changes, before, sign, _ = match.groups()
        charge = int(before or 1) * (1 if sign == "+" else -1)
        found[int(molecules or 1), charge, _key(added_atoms(name, changes)[0])] = name
    return found


def unknown_charge(text: str) -> int | None:
    """The charge of an ion whose adduct is left open, such as `[M+?]+`: 0 where that is open too, None for others."""
    match = _UNKNOWN.fullmatch(text.strip().replace(" ", "").translate(_CLEAN))
    if match is None or "?" not in text:
        return None
    before, sign, after = match.groups()
    return int(before or after or 1) * {"+": 1, "-": -1}[sign] if sign else 0


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


ADDUCT_SHARES: dict[str, dict[str, float]] = {
    "positive": {
        "[M+H]+": 3545, "[M+Na]+": 96, "[M]+": 61, "[M+H-H2O]+": 32, "[M+NH4]+": 21, "[M+K]+": 9, "[M+2H]2+": 3,
    },
    "negative": {
        "[M-H]-": 2910, "[M+CH3COO]-": 454, "[M+HCOO]-": 140, "[M]-": 10, "[M-2H]2-": 7, "[M+Cl]-": 0, "[M-H-H2O]-": 0,
    },
}  # fmt: skip
"""Likely adducts of each polarity: how many neutral compounds of MassBank's training fold have a spectrum of it."""
LEAST_SHARE = 0.01
"""Of an adduct that is tried: MassBank holds ions that people chose to isolate, a survey run holds the others too."""


def likely_adducts(ionmode: str | None, charge: int | None = None, names: Sequence[str] = ()) -> dict[str, float]:
    """Adducts to try for an ion that names none, and how probable each is before its spectrum is looked at.

    Args:
        ionmode: `positive` or `negative`; None for both.
        charge: of the ion, where it is known; adducts of another are left out.
        names: to try in place of the usual ones: adducts, or `positive` and `negative` for the usual ones of either.
            Where none of them has the charge, the charge is not believed.

    Raises:
        AdductError: one of the names cannot be read, or none of them fits the polarity and the charge.
    """
    usual = {mode: _shares(mode) for mode in ADDUCT_SHARES}
    chosen: dict[str, float] = {}
    for name in names or usual:
        every = usual["positive"] | usual["negative"]
        chosen |= usual[name] if name in usual else {(a := parse_adduct(name).name): every.get(a, LEAST_SHARE)}
    mode = {name: share for name, share in chosen.items() if ionmode in (None, parse_adduct(name).ionmode)}
    fitting = {name: share for name, share in mode.items() if charge in (None, parse_adduct(name).charge)}
    if names and not fitting:
        fitting = mode  # whoever names adducts knows better than a charge that a program guessed
    if not fitting:
        known = " and ".join(text for text in (ionmode, f"charge {charge:+d}" if charge else "") if text)
        raise AdductError(
            f"no adduct to try is {known}: {', '.join(chosen)}; name others with --adducts, or correct the charge"
        )
    total = math.fsum(fitting.values())
    return {name: share / total for name, share in fitting.items()}


def _shares(mode: str) -> dict[str, float]:
    counts = ADDUCT_SHARES[mode]
    total = sum(counts.values())
    return {name: max(count / total, LEAST_SHARE) for name, count in counts.items()}
