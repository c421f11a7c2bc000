"""Which formulas a molecule may have: the rules that leave out what is chemically unlikely.

After T. Kind and O. Fiehn, Seven Golden Rules for heuristic filtering of molecular formulas obtained by accurate mass
spectrometry, BMC Bioinformatics 8 (2007) 105, doi:10.1186/1471-2105-8-105. Every bound is a field of `Rules`, and can
be widened or taken away.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from types import MappingProxyType

import numpy as np
from jaxtyping import Int

from molvis_core.errors import ConfigError
from molvis_formula.elements import ELEMENTS

COMBINATIONS = (
    ({"N": 1, "O": 1, "P": 1, "S": 1}, {"N": 10, "O": 20, "P": 4, "S": 3}),
    ({"N": 3, "O": 3, "P": 3}, {"N": 11, "O": 22, "P": 6}),
    ({"O": 1, "P": 1, "S": 1}, {"O": 14, "P": 3, "S": 3}),
    ({"P": 1, "S": 1, "N": 1}, {"P": 3, "S": 3, "N": 4}),
    ({"N": 6, "O": 6, "S": 6}, {"N": 19, "O": 14, "S": 8}),
)
"""Rule 6: with more atoms than these of all of some elements, a formula has fewer than those of each of them."""


@dataclass(frozen=True)
class Rules:
    """Bounds of a neutral molecule's formula.

    Attributes:
        hydrogen: fewest and most hydrogen and halogen atoms for each carbon atom (rule 4, where they are hydrogen atoms
            alone, so that the rule leaves out perfluorinated and perchlorinated compounds); None for any number.
        per_carbon: most atoms of other elements for each carbon atom (rule 5). An element that is not named is free.
            Of oxygen, three atoms for each of phosphorus and sulphur come on top.
        kinds: most elements beside C, H, N and O in one formula; a rule of ours.
        combinations: whether many atoms of several of N, O, P and S exclude each other (rule 6), see `COMBINATIONS`.
        senior: whether valences must suffice for one connected molecule (rule 2): their sum is at least twice the atoms
            less one, and at least twice the largest, with the highest valence of each element.
        rings: fewest and most rings and double bonds, with the usual valence of each element.
        closed_shell: whether the number of electrons is even (rule 2). Of an ion that is nothing but the molecule,
            `[M]+` or `[M]-`, both numbers are tried, as it may be a salt's.
        carbon: whether there must be a carbon atom.

    Raises:
        ConfigError: bounds that nothing can be between, or an element that is not known.
    """

    hydrogen: tuple[float, float] | None = (0.2, 4.0)
    per_carbon: Mapping[str, float] = field(
        default_factory=lambda: MappingProxyType(
            {"N": 2.0, "O": 1.5, "P": 0.5, "S": 1.0, "F": 2.5, "Cl": 1.0, "Br": 1.0, "I": 1.0, "Si": 0.5}
        )
    )
    kinds: int = 3
    combinations: bool = True
    senior: bool = True
    rings: tuple[float, float] = (0.0, 60.0)
    closed_shell: bool = True
    carbon: bool = True

    def __post_init__(self) -> None:
        for name, bounds in (("hydrogen", self.hydrogen), ("rings", self.rings)):
            if bounds is not None and not bounds[0] <= bounds[1]:
                raise ConfigError(f"Rules.{name} is {bounds}; the first number must not be larger than the second")
        for name, most in self.per_carbon.items():
            if name not in ELEMENTS or not most > 0:
                raise ConfigError(
                    f"Rules.per_carbon has {name!r}: {most}; it takes elements of {' '.join(ELEMENTS)}, "
                    "and numbers larger than 0"
                )

    def ratios(self) -> Int[np.ndarray, "e 2"]:
        """Most atoms of each element for each carbon atom as a fraction of whole numbers; 0/0 for any number."""
        rows = np.zeros((len(ELEMENTS), 2), dtype=np.int64)
        for name, most in self.per_carbon.items():
            rows[ELEMENTS.index(name)] = _fraction(most)
        return rows

    def numbers(self, *, any_shell: bool = False) -> Int[np.ndarray, " 8"]:
        """The other rules, as `molvis_formula.kernels.decompose` takes them."""
        least, most = (_fraction(h) for h in self.hydrogen) if self.hydrogen else ((0, 1), (0, 0))
        rings = [round(2 * bound) for bound in self.rings]
        # A saturated cation, such as choline, has one hydrogen atom more than a molecule.
        rings[0] -= any_shell
        parity = 0 if self.closed_shell and not any_shell else 2
        return np.array([*least, *most, *rings, parity, self.senior], dtype=np.int64)

    def together(self) -> Int[np.ndarray, "2 r 4"]:
        """Of each combination, the numbers of N, O, P and S above which it counts, and below which they must be."""
        rows = COMBINATIONS if self.combinations else ()
        above = [[over.get(name, -1) for name in "NOPS"] for over, _ in rows]
        below = [[under.get(name, 10_000) for name in "NOPS"] for _, under in rows]
        return np.array([above, below], dtype=np.int64).reshape(2, -1, 4)


def _fraction(value: float) -> tuple[int, int]:
    exact = Fraction(str(value))
    return exact.numerator, exact.denominator


COMMON = Rules()
"""Near the range that 99.7% of the molecules have that Kind and Fiehn counted, and wider where MassBank's training and
validation folds have compounds that it leaves out: the paper has hydrogen alone from 0.2 to 3.1, N 1.3, P 0.3, F 1.5,
and for O 1.2 without exception, which excludes malic acid, sugar phosphates, taurine and perfluorinated acids."""
EXTENDED = Rules(
    hydrogen=(0.1, 6.0),
    per_carbon=MappingProxyType(
        {"N": 4.0, "O": 3.0, "P": 2.0, "S": 3.0, "F": 6.0, "Cl": 2.0, "Br": 2.0, "I": 2.0, "Si": 1.0}
    ),
    kinds=5,
)
"""The range that 99.99% have."""
VALENCE = Rules(hydrogen=None, per_carbon=MappingProxyType({}), kinds=9, combinations=False, carbon=False)
"""Nothing but valences."""
PRESETS = {"common": COMMON, "extended": EXTENDED, "valence": VALENCE}


def rules_named(name: str) -> Rules:
    """One of `PRESETS`.

    Raises:
        ConfigError: there is none of that name.
    """
    if name not in PRESETS:
        raise ConfigError(f"no rules named {name!r}; choose one of {', '.join(PRESETS)}")
    return PRESETS[name]
