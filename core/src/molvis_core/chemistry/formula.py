"""Molecular formulas and their monoisotopic masses, without RDKit: readers and adducts need them at once."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping

from molvis_core.text import count_of, quoted

ELECTRON_MASS = 0.000548579909065
"""Da. CODATA 2018, https://physics.nist.gov/cgi-bin/cuu/Value?meu"""

ISOTOPE_MASS: dict[str, float] = {
    "H": 1.00782503223, "D": 2.01410177812, "Li": 7.0160034366, "Be": 9.012183065, "B": 11.00930536, "C": 12.0,
    "N": 14.00307400443, "O": 15.99491461957, "F": 18.99840316273, "Na": 22.9897692820, "Mg": 23.985041697,
    "Al": 26.98153853, "Si": 27.97692653465, "P": 30.97376199842, "S": 31.9720711744, "Cl": 34.968852682,
    "K": 38.9637064864, "Ca": 39.962590863, "Ti": 47.94794198, "V": 50.94395704, "Cr": 51.94050623,
    "Mn": 54.93804391, "Fe": 55.93493633, "Co": 58.93319429, "Ni": 57.93534241, "Cu": 62.92959772,
    "Zn": 63.92914201, "Ga": 68.9255735, "Ge": 73.921177761, "As": 74.92159457, "Se": 79.9165218, "Br": 78.9183376,
    "Rb": 84.9117897379, "Sr": 87.9056125, "Mo": 97.90540482, "Ag": 106.9050916, "Cd": 113.90336509,
    "Sn": 119.90220163, "Sb": 120.903812, "Te": 129.906222748, "I": 126.9044719, "Cs": 132.905451961,
    "Ba": 137.905247, "Pt": 194.9647917, "Au": 196.96656879, "Hg": 201.9706434, "Pb": 207.9766525,
    "Bi": 208.9803991,
}  # fmt: skip
"""Da, of the most abundant isotope. NIST Atomic Weights and Isotopic Compositions, after the 2012 mass evaluation."""

_TOKEN = re.compile(r"([A-Z][a-z]?)(\d*)|\(|\)(\d*)")


def parse_formula(text: str) -> dict[str, int]:
    """`"Ca(OH)2"` to `{"Ca": 1, "O": 2, "H": 2}`.

    Raises:
        ValueError: a character or an element that is none.
    """
    stack: list[Counter[str]] = [Counter()]
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise ValueError(f"formula {quoted(text)}: {text[position]!r} at position {position + 1} is not understood")
        token = match.group(0)
        if token == "(":
            stack.append(Counter())
        elif token.startswith(")"):
            if len(stack) == 1:
                raise ValueError(
                    f"formula {quoted(text)}: a bracket closes at position {position + 1} that never opened"
                )
            inner = stack.pop()
            for element, count in inner.items():
                stack[-1][element] += count * count_of(match.group(3))
        else:
            element = match.group(1)
            if element not in ISOTOPE_MASS:
                raise ValueError(f"formula {quoted(text)}: {element!r} is not an element that molvis knows the mass of")
            stack[-1][element] += count_of(match.group(2))
        position = match.end()
    if len(stack) > 1:
        raise ValueError(f"formula {quoted(text)}: a bracket is not closed")
    return dict(stack[0])


def formula_mass(formula: str | Mapping[str, int]) -> float:
    """Monoisotopic mass in Da of a neutral formula.

    Raises:
        ValueError: see `parse_formula`.
    """
    counts = parse_formula(formula) if isinstance(formula, str) else formula
    return sum(ISOTOPE_MASS[element] * count for element, count in counts.items())
