"""Which features of a run are ions of one unknown, and what is asked of them together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from molvis_core.chemistry.adducts import neutral_mass
from molvis_core.errors import AdductError
from molvis_core.records import Measurement, Origin, PeakList
from molvis_lcms.records import Feature

__all__ = ["Asked", "asked", "ion_of", "together"]

_SURE = 0.5
"""Probability of the adduct that a group decided for, from which a feature is answered with the others."""
_ONE_MASS = 20e-6
"""Relative difference of neutral masses of one molecule, at most."""


@dataclass(frozen=True, slots=True)
class Asked:
    """An unknown of a run as `molvis_retrieval.identification.identify` takes it.

    Attributes:
        measurements: one for each ion and collision energy.
        ions: adducts that a single feature may be, with the evidence for each; empty where its adduct is known.
        isotopes: peaks of the survey scans around its first ion; None where there are none.
    """

    measurements: tuple[Measurement, ...]
    ions: dict[str, float]
    isotopes: PeakList | None


def together(features: Sequence[Feature]) -> list[tuple[Feature, ...]]:
    """Features with MS/MS by unknown, in the order of the first of each.

    The ions of a group (`Feature.group`) are one unknown as far as each is likelier than not the adduct that the group
    decided for, and their neutral masses agree; so are ions of which another program says so by group and adduct. A
    feature of any other kind is an unknown by itself.
    """
    groups: dict[int, list[Feature]] = {}
    for one in features:
        if one.group is not None and one.spectra and _adduct_of(one) is not None:
            groups.setdefault(one.group, []).append(one)
    joined = {f.identifier: members for some in groups.values() for members in [_of_one_mass(some)] for f in members}
    out: list[tuple[Feature, ...]] = []
    seen: set[str] = set()
    for one in features:
        if one.spectra and one.identifier not in seen:
            members = joined.get(one.identifier, (one,))
            seen |= {f.identifier for f in members}
            out.append(members)
    return out


def _adduct_of(one: Feature) -> str | None:
    """The adduct that a feature is taken for beside others; None where that is not sure enough."""
    if one.adduct:
        return one.adduct
    first = one.adducts[0] if one.adducts else None
    return first.adduct if first is not None and first.weight >= _SURE else None


def _of_one_mass(members: Sequence[Feature]) -> tuple[Feature, ...]:
    """Those of the neutral mass of the largest."""
    largest = max(members, key=lambda f: f.area or 0.0)
    mass = _mass(largest)
    if mass is None:
        return (largest,)
    return tuple(f for f in members if (m := _mass(f)) is not None and abs(m - mass) <= _ONE_MASS * mass)


def _mass(one: Feature) -> float | None:
    try:
        return neutral_mass(one.mz, _adduct_of(one) or "")
    except AdductError:
        return None


def asked(members: Sequence[Feature]) -> Asked:
    """What was measured of an unknown. A feature whose adduct another program or a target names is that ion.

    Of several features each is the ion that their group decided for, the largest with isotopes first.
    """
    first = members[0]
    if len(members) == 1:
        ions = {} if first.adduct else {h.adduct: h.evidence for h in first.adducts}
        return Asked(_measurements(first, first.adduct), ions, _isotopes(first))
    order = sorted(members, key=lambda f: (len(f.isotope_mz) < 2, -(f.area or 0.0)))
    measurements = tuple(m for f in order for m in _measurements(f, _adduct_of(f)))
    return Asked(measurements, {}, _isotopes(order[0]))


def ion_of(feature: Feature, members: Sequence[Feature]) -> str | None:
    """The adduct of a feature that was answered with others; None for one that was answered by itself."""
    return _adduct_of(feature) if len(members) > 1 else None


def _measurements(feature: Feature, adduct: str | None) -> tuple[Measurement, ...]:
    minutes = feature.time / 60 if feature.time is not None else None
    origin = Origin(feature.identifier, ", ".join(feature.scans[:20]) or None, minutes)
    return tuple(
        Measurement(replace(s, adduct=adduct), None, "msms", name=f"feature {feature.identifier}", origin=origin)
        for s in feature.spectra
    )


def _isotopes(feature: Feature) -> PeakList | None:
    if len(feature.isotope_mz) < 2:
        return None
    return PeakList(feature.isotope_mz, feature.isotope_intensity, feature.mz)
