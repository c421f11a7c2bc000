"""Evidence that depends on how a run was measured: scorers are adapted to all queries of a run before any is ranked."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from molvis_core.errors import AdductError
from molvis_core.interfaces import AdaptsToRun
from molvis_core.records import Measurement
from molvis_retrieval.evidence import Weigher
from molvis_retrieval.ions import check_ion

if TYPE_CHECKING:
    from molvis_retrieval.library import Library

log = logging.getLogger("molvis")

PRECURSOR_ERROR = 3.0
"""In ppm, of the errors that calculated precursors get where a weight is fitted."""


def adapts(weigh: Weigher) -> bool:
    """Whether a scorer of it depends on the run."""
    return any(isinstance(channel.scorer, AdaptsToRun) for channel in weigh.scorers.values())


def adapted(weigh: Weigher, library: Library, records: Mapping[str, Sequence[Any]], ppm: float) -> Weigher:
    """The same evidence with scorers that know how a run was measured.

    Args:
        weigh: the evidence; it stays as it is.
        library: of the candidates.
        records: all that was measured in the run, by modality; those whose neutral mass is not known are passed over.
        ppm: half width of the mass window.
    """
    if not adapts(weigh):
        return weigh
    scorers = dict(weigh.scorers)
    for key, channel in weigh.scorers.items():
        if isinstance(channel.scorer, AdaptsToRun):
            known = [(r, masses) for r in weigh.taken(key, records) if (masses := _masses(library, r, ppm)) is not None]
            queries, masses = [r for r, _ in known], [m for _, m in known]
            scorers[key] = replace(channel, scorer=channel.scorer.adapted(queries, masses, ppm))
    return weigh.with_scorers(scorers)


def _masses(library: Library, record: Any, ppm: float) -> Float[np.ndarray, " m"] | None:
    try:
        _, mass = check_ion(record)
    except AdductError:
        return None
    return None if mass is None else library.mass[library.within_ppm(mass, ppm)]


def remarks(weigh: Weigher, records: Mapping[str, Sequence[Any]]) -> dict[str, int]:
    """What adapted scorers have to remark on the records, each with the number of records that it is about."""
    found: dict[str, int] = {}
    for key, channel in weigh.scorers.items():
        if isinstance(channel.scorer, AdaptsToRun):
            for record in weigh.taken(key, records):
                if text := channel.scorer.note(record):
                    found[f"{key}: {text}"] = found.get(f"{key}: {text}", 0) + 1
    return found


def as_measured(
    weigh: Weigher, library: Library, measurements: Sequence[Measurement], ppm: float, rng: np.random.Generator
) -> tuple[Weigher, list[Measurement]]:
    """Adapted evidence, and measurements of which a weight can be fitted.

    Libraries of spectra hold calculated precursors. Where they do, an error of 3 ppm is put on each, or else the weight
    of the error in mass could not be fitted.
    """
    found = adapted(weigh, library, _records(measurements), ppm)
    if not adapts(weigh):
        return found, list(measurements)
    out = [
        replace(one, record=_shifted(one.record, rng)) if remarks(found, {one.modality: [one.record]}) else one
        for one in measurements
    ]
    moved = sum(new is not old for new, old in zip(out, measurements, strict=True))
    if moved:
        log.warning(
            "%d of %d precursors look calculated: an error of %g ppm is put on each, so that a weight of mass errors "
            "can be fitted",
            moved, len(out), PRECURSOR_ERROR,
        )  # fmt: skip
    return adapted(weigh, library, _records(out), ppm), out


def _shifted(record: Any, rng: np.random.Generator) -> Any:
    return replace(record, precursor_mz=record.precursor_mz * (1 + rng.normal(0, PRECURSOR_ERROR) * 1e-6))


def _records(measurements: Sequence[Measurement]) -> dict[str, list[Any]]:
    out: dict[str, list[Any]] = {}
    for one in measurements:
        out.setdefault(one.modality, []).append(one.record)
    return out
