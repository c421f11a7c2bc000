"""How cross sections grow with the mass of the ion: the trend that structures deviate from."""

from __future__ import annotations

TRENDS: dict[str, tuple[float, float]] = {
    "[M+H]+": (220.6, 0.480),
    "[M+Na]+": (221.6, 0.496),
    "[M-H]-": (217.6, 0.453),
    "[M+H-H2O]+": (223.2, 0.496),
    "[M+K]+": (205.9, 0.437),
    "[M+NH4]+": (229.2, 0.536),
    "[M+HCOO]-": (226.3, 0.567),
    "[M+CH3COO]-": (219.6, 0.532),
    "[M]+": (183.8, 0.298),
    "[M+Cl]-": (225.3, 0.603),
    "[M+Na-2H]-": (195.6, 0.386),
}
"""By adduct: CCS in A^2 of an ion of 500 Da in N2, and the exponent of the mass. Fitted to the values of molvis's
benchmark table in fold `train` that may be passed on with attribution."""
USUAL = (220.2, 0.484)
"""The same over all adducts."""


def usual_ccs(mass: float, adduct: str | None = None) -> float:
    """CCS in A^2 that ions of this mass (Da) and adduct usually have in N2."""
    at_500, exponent = TRENDS.get(adduct or "", USUAL)
    return at_500 * (mass / 500) ** exponent
