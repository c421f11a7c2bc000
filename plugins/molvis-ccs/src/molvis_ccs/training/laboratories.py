"""How far predictions are off for a laboratory and compounds that taught nothing: what intervals have to hold.

Values of one laboratory share its calibration, its instruments and the classes of compounds that it works on. Intervals
that were calibrated on other compounds of the same laboratories hold too few values of the next one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from molvis_ccs.features import kind_of
from molvis_ccs.predictor.ensemble import CcsEnsemble
from molvis_ccs.training.fitting import fit
from molvis_ccs.training.ions import usable
from molvis_core.records import Measurement


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A value with its prediction by a predictor that saw neither its compound nor its laboratory.

    Attributes:
        laboratory, compound: of the value.
        adduct, instrument_type: of the predictor's.
        kind: place of the compound's class in `molvis_ccs.features.KINDS`.
        measured, mean, sd: in A^2; the standard deviation is the networks' own, with nothing added for laboratories.
        source: what the value is quoted from.
    """

    laboratory: str
    compound: str
    adduct: str
    instrument_type: str
    kind: int
    measured: float
    mean: float
    sd: float
    source: str = ""


def left_out(
    measurements: Sequence[Measurement],
    laboratory: Callable[[Measurement], str],
    *,
    teaches: Callable[[Measurement], bool] = lambda _: True,
    note: Callable[[str], None] | None = None,
    **options: Any,
) -> list[LeftOut]:
    """Predictions for each laboratory by a predictor that learned from the others and from other compounds.

    Args:
        measurements: those that are not `usable` are passed over; those of fold `test` teach nothing.
        laboratory: of a measurement.
        teaches: whether a measurement of another laboratory may be learned from.
        note: called with the name of each laboratory.
        options: of `fit`: fewer networks and epochs than in the end will do.

    Raises:
        TrainingError: nothing is left to learn from.
        molvis_core.errors.StructureError: RDKit refuses a structure.
    """
    rows = [(m, laboratory(m)) for m in measurements if usable(m)]
    out: list[LeftOut] = []
    for name in sorted({lab for _, lab in rows}):
        if note:
            note(name)
        mine = [m for m, lab in rows if lab == name]
        others = _others([m for m, lab in rows if lab != name and m.fold != "test" and teaches(m)], mine)
        out += _predicted(fit(others, **options), name, mine)
    return out


def _others(measurements: Sequence[Measurement], mine: Sequence[Measurement]) -> list[Measurement]:
    """Those of other compounds, to learn from."""
    known = {m.structure.inchikey14 for m in mine if m.structure}
    return [replace(m, fold="train") for m in measurements if m.structure and m.structure.inchikey14 not in known]


def _predicted(model: CcsEnsemble, laboratory: str, mine: Sequence[Measurement]) -> list[LeftOut]:
    """The values of a laboratory with their predictions."""
    structures = [m.structure for m in mine if m.structure]
    adducts, instruments = ([getattr(m.record, a) for m in mine] for a in ("adduct", "instrument_type"))
    mean, sd = model.predict(structures, adducts, instruments)
    kinds = {smiles: kind_of(smiles) for smiles in {one.smiles for one in structures}}
    rows = zip(mine, structures, mean.tolist(), sd.tolist(), strict=True)
    return [
        LeftOut(
            laboratory, s.inchikey14, m.record.adduct, m.record.instrument_type, kinds[s.smiles], m.record.value, a, b,
            m.source or "",
        )
        for m, s, a, b in rows
    ]  # fmt: skip
