"""Natural isotopes, and those that tracers carry."""

from __future__ import annotations

from molvis_core.errors import did_you_mean
from molvis_flux.errors import SimulationError

MASS_SHIFT = {"H": 1, "C": 1, "N": 1, "O": 2, "S": 2}
"""Mass numbers between the light and the heavy isotope that tracers carry: 2H, 13C, 15N, 18O, 34S."""

ABUNDANCE: dict[str, tuple[float, ...]] = {
    "H": (0.999885, 0.000115),
    "C": (0.9893, 0.0107),
    "N": (0.99636, 0.00364),
    "O": (0.99757, 0.00038, 0.00205),
    "F": (1.0,),
    "Na": (1.0,),
    "Si": (0.92223, 0.04685, 0.03092),
    "P": (1.0,),
    "S": (0.9499, 0.0075, 0.0425, 0.0, 0.0001),
    "Cl": (0.7576, 0.0, 0.2424),
    "K": (0.932581, 0.000117, 0.067302),
    "Br": (0.5069, 0.0, 0.4931),
    "I": (1.0,),
}
"""Shares of the isotopes of each element, one for each mass number from the lightest on.

Reference: Berglund and Wieser, Pure Appl. Chem. 83 (2011) 397, doi:10.1351/PAC-REP-10-06-02
"""


def heavy_share(element: str) -> float:
    """Natural share of the isotope that tracers of this element carry.

    Raises:
        SimulationError: no tracer of this element is known.
    """
    if element not in MASS_SHIFT:
        raise SimulationError(
            f"no tracer of element {element!r} is known; those of {', '.join(MASS_SHIFT)} are."
            f"{did_you_mean(element, MASS_SHIFT)}"
        )
    return ABUNDANCE[element][MASS_SHIFT[element]]
