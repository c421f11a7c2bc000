"""What peaks are, in the notation of the field.

Reference: HUPO-PSI, mzPAF 1.0, https://psidev.info/mzPAF
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Protocol, runtime_checkable

from molvis_core.interfaces import PeakExplanation

__all__ = ["UNEXPLAINED", "ExplainedIon", "joined", "mzpaf"]

UNEXPLAINED = "?"
"""What mzPAF writes for a peak that nothing is known of."""
_ATOMS = re.compile(r"([A-Z][a-z]?)(\d*)")


@runtime_checkable
class ExplainedIon(PeakExplanation, Protocol):
    """An explanation of a peak that also tells how sure it is, and which isotope.

    Attributes:
        charge: of the ion.
        isotope: such as `13C` where the peak is the ion with one heavier atom; else empty.
        precursor: whether it is the ion that was isolated.
        formula_probability: that the peak has this formula.
    """

    @property
    def charge(self) -> int: ...  # noqa: D102
    @property
    def isotope(self) -> str: ...  # noqa: D102
    @property
    def precursor(self) -> bool: ...  # noqa: D102
    @property
    def formula_probability(self) -> float: ...  # noqa: D102


def mzpaf(one: PeakExplanation) -> str:
    """An explanation as mzPAF writes it: the ion's formula, its charge, error, and confidence where it is known.

    One heavier atom stands in the formula, `f{C6[13C]H6}`.
    """
    elements, charge = _split(one.formula)
    if not isinstance(one, ExplainedIon):
        return f"{_ion(elements, '')}{_times(charge)}/{one.ppm:.1f}ppm"
    ion = "p" if one.precursor and not one.isotope else _ion(elements, one.isotope)
    return f"{ion}{_times(one.charge)}/{one.ppm:.1f}ppm*{min(one.formula_probability, 1.0):.2f}"


def joined(annotations: Iterable[str]) -> str:
    """The annotations of one peak, each once; `?` where there is none."""
    return ",".join(dict.fromkeys(annotations)) or UNEXPLAINED


def _split(formula: str) -> tuple[str, int]:
    """A formula without its charge, and the charge: `C7H7+` and `C7H6+2` are written so."""
    found = re.fullmatch(r"(.*?)([+-]+)(\d*)", formula)
    if not found:
        return formula, 1
    size = int(found[3] or len(found[2]))
    return found[1], -size if found[2][0] == "-" else size


def _times(charge: int) -> str:
    return f"^{abs(charge)}" if abs(charge) > 1 else ""


def _ion(elements: str, isotope: str) -> str:
    if not isotope:
        return f"f{{{elements}}}"
    heavy = isotope.lstrip("0123456789")

    def lighter(found: re.Match[str]) -> str:
        if found[1] != heavy:
            return found[0]
        left = int(found[2] or 1) - 1
        return (f"{heavy}{left if left > 1 else ''}" if left else "") + f"[{isotope}]"

    return f"f{{{_ATOMS.sub(lighter, elements)}}}"
