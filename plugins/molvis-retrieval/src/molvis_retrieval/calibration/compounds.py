"""Measurements of known compounds, as the fits of a calibration use them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from molvis_core.errors import (
    AdductError,
)
from molvis_core.records import Measurement, PeakList
from molvis_retrieval.evidence import Weigher
from molvis_retrieval.ions import check_ion
from molvis_retrieval.parents import ParentsOfMeasurements


def by_compound(measurements: Iterable[Measurement]) -> dict[str, dict[str, list[Measurement]]]:
    """Measurements of known structures, by the first block of the InChIKey of the parent and by modality."""
    compounds: dict[str, dict[str, list[Measurement]]] = {}
    for item in map(ParentsOfMeasurements(), measurements):
        if item.structure is not None:
            compounds.setdefault(item.structure.inchikey14, {}).setdefault(item.modality, []).append(item)
    return compounds


def usable_records(
    weigh: Weigher,
    embedded: Sequence[str],
    found: Mapping[str, Sequence[Measurement]],
    per_compound: int,
    rng: np.random.Generator,
) -> tuple[dict[str, list[Any]], list[float]]:
    """Up to so many records of each modality that an encoder or a scorer takes, drawn; and their neutral masses."""
    records: dict[str, list[Any]] = {}
    masses: list[float] = []
    for modality, items in found.items():
        for place in rng.permutation(len(items))[:per_compound]:
            try:
                record, mass = check_ion(items[place].record)
            except AdductError:
                continue
            if mass is None and isinstance(record, PeakList):
                continue  # an ion whose mass nobody knows has no candidates of equal mass
            records.setdefault(modality, []).append(record)
            masses += [mass] if mass is not None else []
    taken = {
        m: r
        for m, r in records.items()
        if m in embedded or any(weigh.takes(k, m, one) for k in weigh.scorers for one in r)
    }
    return taken, masses


def draw_subsets(counts: Mapping[str, int], most: int, rng: np.random.Generator) -> list[dict[str, int]]:
    """Which record of which modality the cases of a compound hold: every second case all, the others some."""
    names = list(counts)
    if len(names) == 1:
        return [{names[0]: i} for i in range(counts[names[0]])]
    draws: list[dict[str, int]] = []
    for number in range(most):
        size = len(names) if number % 2 == 0 else int(rng.integers(1, len(names)))
        some = rng.permutation(len(names))[:size]
        draws.append({names[i]: int(rng.integers(counts[names[i]])) for i in sorted(some)})
    return draws
