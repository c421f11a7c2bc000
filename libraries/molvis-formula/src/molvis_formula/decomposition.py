"""All sum formulas of a mass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from molvis_core.chemistry.adducts import Adduct
from molvis_core.errors import ConfigError, MolvisError
from molvis_formula.cores import complete, cores_for
from molvis_formula.elements import (
    DEFAULT,
    ELECTRON,
    ELEMENTS,
    MASSES,
    MOST_VALENCES,
    UNIT,
    VALENCES,
    parse_elements,
    tolerance,
    units,
)
from molvis_formula.ions import ion_atoms
from molvis_formula.kernels import decompose
from molvis_formula.rules import COMMON, Rules

MOST = 1_000_000
"""Formulas of one mass, beyond which there is no point in going on."""


class FormulaError(MolvisError, ValueError):
    """A mass that no formulas can be listed for."""


@dataclass(frozen=True, slots=True)
class Window:
    """A range of masses in units of `molvis_formula.elements.UNIT`, both ends included.

    Attributes:
        low, high: of the neutral molecule.
    """

    low: int
    high: int


def neutral_window(precursor_mz: float, adduct: str | Adduct, ppm: float) -> Window:
    """Masses of the molecules whose ion is at most so many ppm of the measured m/z away from it.

    Whole numbers throughout: whether a formula at the very edge is within the tolerance is decided, not rounded.

    Raises:
        AdductError: the adduct cannot be read.
        FormulaError: the m/z or the tolerance cannot be, or the ion is lighter than what the adduct adds.
    """
    ion = ion_atoms(adduct)
    if not 0 < precursor_mz < 20_000:
        raise FormulaError(f"precursor m/z {precursor_mz} is not between 0 and 20,000")
    if not 0 < ppm <= 1000:
        raise FormulaError(f"a tolerance of {ppm} ppm was asked for; it is larger than 0, and 1000 at most")
    mz = units(precursor_mz)
    off = tolerance(mz, ppm)
    charge = abs(ion.adduct.charge)
    shift = ion.mass - ion.adduct.charge * ELECTRON
    low = -(-((mz - off) * charge - shift) // ion.adduct.molecules)
    high = ((mz + off) * charge - shift) // ion.adduct.molecules
    if high <= 0:
        raise FormulaError(
            f"precursor m/z {precursor_mz} is too small for adduct {ion.adduct.name}: "
            f"M would weigh {high / UNIT:.4f} Da"
        )
    return Window(max(low, 1), high)


def formulas_within(
    window: Window,
    *,
    elements: str | Int[np.ndarray, "2 e"] = DEFAULT,
    rules: Rules = COMMON,
    any_shell: bool = False,
) -> Int[np.ndarray, "n e"]:
    """All formulas of a range of masses that keep the rules: counts of each of `ELEMENTS`, in a fixed order.

    Args:
        window: of the neutral molecule.
        elements: as `molvis_formula.elements.parse_elements` takes them, or what it returns.
        rules: see `molvis_formula.rules`.
        any_shell: whether formulas of an odd number of electrons count too, whatever the rules say.

    Raises:
        ConfigError: elements that cannot be read.
        FormulaError: the range is wider than a hydrogen atom is heavy, or holds more than `MOST` formulas.
    """
    if window.high - window.low >= MASSES[1]:
        raise FormulaError(
            f"masses from {window.low / UNIT:.4f} to {window.high / UNIT:.4f} Da are more than one nominal mass; "
            "give a smaller tolerance"
        )
    least, most = parse_elements(elements) if isinstance(elements, str) else elements
    if least.shape != (len(ELEMENTS),):
        raise ConfigError(f"there must be limits of {len(ELEMENTS)} elements, got an array of shape {least.shape}")
    least = least.copy()
    if rules.carbon:
        least[0] = max(least[0], 1)
    # The heaviest first: what is left after them bounds the others most.
    order = np.array([e for e in np.argsort(-MASSES).tolist() if e > 1 and most[e]], dtype=np.int64)
    ratios, numbers = rules.ratios(), rules.numbers(any_shell=any_shell)
    given = (ratios, numbers, rules.together(), rules.kinds, VALENCES, MOST_VALENCES, MOST)
    cores = cores_for(window.high, most, ratios, numbers)
    if cores is None:
        found, number = decompose(window.low, window.high, MASSES, least, most, order, *given)
    else:
        others = order[order > 3]
        found, number = complete(
            window.low, window.high, cores.masses, cores.codes, MASSES, least, most, others, *given
        )
    if number > MOST:
        raise FormulaError(
            f"more than {MOST:,} formulas weigh from {window.low / UNIT:.5f} to {window.high / UNIT:.5f} Da; "
            "give a smaller tolerance, fewer elements or stricter rules"
        )
    return found


def masses_of(
    counts: Int[np.ndarray, "n e"] | Sequence[Sequence[int] | Int[np.ndarray, " e"]],
) -> Int[np.ndarray, " n"]:
    """Monoisotopic masses of neutral formulas in units, exactly."""
    return np.asarray(counts, dtype=np.int64) @ MASSES
