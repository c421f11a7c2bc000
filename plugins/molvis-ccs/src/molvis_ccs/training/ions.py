"""Measurements grouped by ion: what the predictor learns from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from molvis_ccs.predictor.ensemble import ADDUCTS, INSTRUMENTS
from molvis_core.records import Measurement, Structure, Value


@dataclass(frozen=True, slots=True)
class Ion:
    """All values of one ion on one type of instrument.

    Attributes:
        structure: of the molecule M.
        adduct, instrument_type: of the predictor's.
        ccs: median in A^2.
        count: how many values it is the median of.
        fold: of the compound.
    """

    structure: Structure
    adduct: str
    instrument_type: str
    ccs: float
    count: int
    fold: str


def redistributable(measurement: Measurement) -> bool:
    """Whether a row of the benchmark table may be passed on with attribution alone, by its licence."""
    return (measurement.licence or "").startswith("ok-with-attribution")


def usable(measurement: Measurement) -> bool:
    """Whether the predictor can learn from it, or be measured by it: structure, ion and instrument are of its kind."""
    return _parts(measurement) is not None


def _parts(measurement: Measurement) -> tuple[Structure, Value, str, str] | None:
    """Structure, value, adduct and type of instrument."""
    found, value = measurement.structure, measurement.record
    if found is None or not isinstance(value, Value) or value.gas not in (None, "N2"):
        return None
    if value.adduct not in ADDUCTS or value.instrument_type not in INSTRUMENTS:
        return None
    return found, value, value.adduct, value.instrument_type


def gather(measurements: Iterable[Measurement]) -> list[Ion]:
    """Medians over the values of each ion and type of instrument, without those over 10% off that of all types."""
    groups: dict[tuple[str, str], list[tuple[float, str]]] = defaultdict(list)
    compounds: dict[str, tuple[Structure, str]] = {}
    for measurement in measurements:
        if (parts := _parts(measurement)) is not None:
            found, value, adduct, kind = parts
            groups[found.smiles, adduct].append((value.value, kind))
            compounds.setdefault(found.smiles, (found, measurement.fold or "train"))
    ions: list[Ion] = []
    for (smiles, adduct), group in groups.items():
        usual = float(np.median([value for value, _ in group]))
        kinds: dict[str, list[float]] = defaultdict(list)
        for value, kind in group:
            if abs(value / usual - 1) <= 0.1:
                kinds[kind].append(value)
        found, fold = compounds[smiles]
        ions += [Ion(found, adduct, k, float(np.median(values)), len(values), fold) for k, values in kinds.items()]
    return ions
