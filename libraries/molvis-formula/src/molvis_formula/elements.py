"""The elements that formulas are made of: masses as whole numbers, isotopes, valences, and which of them to try."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fractions import Fraction

import numpy as np
from jaxtyping import Int

from molvis_core.chemistry.formula import ELECTRON_MASS, ISOTOPE_MASS
from molvis_core.errors import ConfigError
from molvis_core.text import quoted

ELEMENTS = ("C", "H", "N", "O", "P", "S", "F", "Cl", "Br", "I", "Si", "Se", "B")
"""Columns of every array of counts."""
DEFAULT = "CHNOPSFClBrI"
"""Elements that are tried unless others are asked for."""
UNIT = 10**11
"""Units of mass in one Da. Masses of isotopes have eleven decimals at most, so that they are whole numbers of units:
sums, differences and comparisons of masses are exact, and the same on every machine."""
MASSES = np.array([round(ISOTOPE_MASS[name] * UNIT) for name in ELEMENTS], dtype=np.int64)
"""Of one atom of each element, in units."""
ELECTRON = round(ELECTRON_MASS * UNIT)
"""Mass of the electron in units, rounded to one: by a millionth of a millionth of a Da."""
VALENCES = np.array([4, 1, 3, 2, 3, 2, 1, 1, 1, 1, 4, 2, 3], dtype=np.int64)
"""Usual valences, of which rings and double bonds are counted."""
MOST_VALENCES = np.array([4, 1, 5, 2, 5, 6, 1, 7, 7, 7, 4, 6, 3], dtype=np.int64)
"""Highest valences, of which Senior's rules are: Kind and Fiehn 2007, rule 2."""

ISOTOPES: dict[str, tuple[tuple[float, float], ...]] = {
    "H": ((1.00782503223, 0.999885), (2.01410177812, 0.000115)),
    "Li": ((6.0151228874, 0.0759), (7.0160034366, 0.9241)),
    "B": ((10.01293695, 0.199), (11.00930536, 0.801)),
    "C": ((12.0, 0.9893), (13.00335483507, 0.0107)),
    "N": ((14.00307400443, 0.99636), (15.00010889888, 0.00364)),
    "O": ((15.99491461957, 0.99757), (16.9991317565, 0.00038), (17.99915961286, 0.00205)),
    "F": ((18.99840316273, 1.0),),
    "Na": ((22.989769282, 1.0),),
    "Si": ((27.97692653465, 0.92223), (28.9764946649, 0.04685), (29.973770136, 0.03092)),
    "P": ((30.97376199842, 1.0),),
    "S": ((31.9720711744, 0.9499), (32.9714589098, 0.0075), (33.967867004, 0.0425), (35.96708071, 0.0001)),
    "Cl": ((34.968852682, 0.7576), (36.965902602, 0.2424)),
    "K": ((38.9637064864, 0.932581), (39.963998166, 0.000117), (40.9618252579, 0.067302)),
    "Se": (
        (73.922475934, 0.0089), (75.919213704, 0.0937), (76.919914154, 0.0763), (77.91730928, 0.2377),
        (79.9165218, 0.4961), (81.9166995, 0.0873),
    ),
    "Br": ((78.9183376, 0.5069), (80.9162897, 0.4931)),
    "I": ((126.9044719, 1.0),),
}  # fmt: skip
"""Mass in Da and share of each natural isotope. NIST Atomic Weights and Isotopic Compositions, version 4.1,
https://physics.nist.gov/Comp"""

_LARGEST = 10_000
"""Atoms of an element beyond which a limit says nothing."""
_PART = re.compile(r"([A-Z][a-z]?)(?:\[(?:(\d{1,4})-)?(\d{1,4})\])?")


def parse_elements(text: str) -> Int[np.ndarray, "2 e"]:
    """Which elements to try, and how many atoms of each: `CHNOPS`, `CHNOCl[3]`, `CHNOBr[1-2]`.

    Returns:
        Fewest and most atoms of each of `ELEMENTS`. An element without a limit in brackets has as many as the mass
        allows, and those that are not named have none.

    Raises:
        ConfigError: an element that is none of `ELEMENTS`, one that is named twice, or limits that exclude each other.
    """
    limits = np.zeros((2, len(ELEMENTS)), dtype=np.int64)
    position, seen = 0, set[str]()
    while position < len(text) or not text:
        match = _PART.match(text, position)
        if match is None or match[1] not in ELEMENTS or match[1] in seen:
            why = "is named twice" if match and match[1] in seen else f"at position {position + 1} is not understood"
            raise ConfigError(
                f"elements {quoted(text)}: {quoted(match[1] if match else text[position:])} {why}; write them like "
                f"CHNOPS or CHNOCl[3]Br[1-2], with elements of {' '.join(ELEMENTS)}"
            )
        name, least, most = match[1], int(match[2] or 0), int(match[3] or _LARGEST)
        if least > most:
            raise ConfigError(f"elements {quoted(text)}: {name}[{least}-{most}] has more atoms at least than at most")
        limits[:, ELEMENTS.index(name)] = least, most
        seen.add(name)
        position = match.end()
    return limits


def counts_of(formula: Mapping[str, int]) -> Int[np.ndarray, " e"]:
    """Atoms of each of `ELEMENTS`.

    Raises:
        KeyError: the formula has an element that is none of them.
    """
    counts = np.zeros(len(ELEMENTS), dtype=np.int64)
    for name, count in formula.items():
        if name not in ELEMENTS:
            raise KeyError(name)
        counts[ELEMENTS.index(name)] = count
    return counts


_HILL = (0, 1, *sorted(range(2, len(ELEMENTS)), key=lambda i: ELEMENTS[i]))
_ALPHABETIC = sorted(range(len(ELEMENTS)), key=lambda i: ELEMENTS[i])


def hill(counts: Sequence[int] | Int[np.ndarray, " e"]) -> str:
    """A formula in Hill's order, such as `C2H6O`."""
    order = _HILL if counts[0] else _ALPHABETIC
    return "".join(f"{ELEMENTS[i]}{counts[i] if counts[i] > 1 else ''}" for i in order if counts[i] > 0)


def units(mass: float) -> int:
    """A mass in Da, or a share of a mass, to the nearest unit.

    A decimal number of eleven digits or fewer behind the point becomes what was written, though a float holds it only
    nearly.
    """
    return round(mass * UNIT)


def tolerance(mass: int, ppm: float) -> int:
    """Largest difference in whole units that is within so many millionths of a mass."""
    return int(mass * Fraction(str(ppm)) / 1_000_000)
