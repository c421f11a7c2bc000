"""The candidates of an unknown under each of its readings, with the evidence for each.

Where an unknown may be one of several ions, scorers are asked in the order of what they cost. A reading all of whose
candidates are far behind those of another by what is known so far is not looked at any further.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int64

from molvis_core.errors import MolvisError, ScoreError
from molvis_core.records import Structure
from molvis_retrieval.evidence import Embedded, Scored, Weigher, cosines
from molvis_retrieval.placing import Placed, likely
from molvis_retrieval.posterior import STRUCTURE_WEIGHT, Hypotheses
from molvis_retrieval.unknowns import Unknown

if TYPE_CHECKING:
    from molvis_retrieval.index import Index

__all__ = ["Weighed", "weigh_readings"]

_FAR = (4.0, 6.0)
"""How far, in natural logarithms, the best candidate of a reading may be behind that of another after the scorers that
cost least were asked, and after the next ones were. On 199 compounds of the validation fold, a spectrum of each, the
readings that were left out would have had 0.5% of the probability in the mean, and no first candidate."""


@dataclass(frozen=True, slots=True)
class Weighed:
    """The candidates of an unknown, its ion taken for one adduct.

    Attributes:
        unknown: with that adduct.
        places: of the candidates in the library.
        cosine: of the records with them, before weighing.
        scored: their evidence.
        prior: logarithm of how often each forms the ion, and what was seen beside it; None where the ion is known.
        formula: what the probability of each one's formula adds; None where formulas were not looked at.
    """

    unknown: Unknown
    places: Int64[np.ndarray, " m"]
    cosine: Mapping[str, Float[np.ndarray, "r m"]]
    scored: Scored
    prior: Float[np.ndarray, " m"] | None
    formula: Float[np.ndarray, " m"] | None = None

    @property
    def weight(self) -> float:
        """Of the structures' evidence."""
        return 1.0 if self.formula is None else STRUCTURE_WEIGHT

    @property
    def logits(self) -> Float[np.ndarray, " m"]:
        """Of all candidates, with the prior."""
        told = self.scored.logits * self.weight
        return told + sum((x for x in (self.prior, self.formula) if x is not None), np.zeros(1))

    def evidence(self, place: int) -> dict[str, float]:
        """What each piece adds to the logit of a candidate."""
        out = {m: self.weight * float(values[place]) for m, values in self.scored.cosines.items()}
        where = np.flatnonzero(self.scored.near == place)
        for key, values in self.scored.scorers.items():
            out[key] = self.weight * (float(values[where[0]]) if len(where) else float(values.min(initial=0.0)))
        doubt = None if self.scored.doubted is None else self.weight * self.scored.doubted.added
        others = {"doubt": doubt, "adduct": self.prior, "formula": self.formula}
        return out | {name: float(values[place]) for name, values in others.items() if values is not None}


def weigh_readings(
    readings: Sequence[Embedded],
    placed: Sequence[Placed | str],
    index: Index,
    weigh: Weigher,
    cosine: Mapping[str, Float[np.ndarray, "r m"]] | None = None,
    hypotheses: Hypotheses | None = None,
) -> list[Weighed | str]:
    """The candidates of each reading of an unknown with their evidence, or why there is none.

    Args:
        readings: the unknown, its ions taken for one adduct after the other.
        placed: the candidates of each.
        index: that they are from.
        weigh: gives the evidence.
        cosine: of the records with the whole library, where that is looked at.
        hypotheses: formulas of the readings; those of a reading that waits for them are listed where it comes near.
    """
    opened = [_opened(one, at, index, cosine) for one, at in zip(readings, placed, strict=True)]
    costs = weigh.costs
    for cost, far in zip(costs[:-1], _FAR, strict=False):
        # Between ions alone: among the candidates of one, each is evidence for what is usual there.
        rivals = [one for one in opened if isinstance(one, _Opened) and one.at.formula is not None]
        if len(rivals) < 2:
            break
        _sift(opened, index, weigh.costing(cost), far)
        _list_late(opened, readings, index, cosine, hypotheses)
    _list_late(opened, readings, index, cosine, hypotheses)
    return [one if isinstance(one, str) else _weighed(one, index, weigh) for one in opened]


@dataclass(slots=True)
class _Opened:
    """A reading that is being weighed.

    Attributes:
        unknown: with its adduct.
        at: its candidates.
        places: of these in the library.
        cosine: of the records with them.
        given: what scorers gave so far.
        structures: that were looked up so far, by their places.
    """

    unknown: Unknown
    at: Placed
    places: Int64[np.ndarray, " m"]
    cosine: Mapping[str, Float[np.ndarray, "r m"]]
    given: Mapping[str, Float[np.ndarray, "s f"]] = field(default_factory=dict)
    structures: dict[bytes, Sequence[Structure]] = field(default_factory=dict)


def _opened(one: Embedded, at: Placed | str, index: Index, cosine: Mapping[str, np.ndarray] | None) -> _Opened | str:
    if isinstance(at, str):
        return at
    try:
        near = cosine or {m: cosines(v, index, at.rows) for m, v in one.vectors.items()}
    except MolvisError as error:
        return str(error)
    return _Opened(one.unknown, at, np.arange(len(index.library)) if at.rows is None else at.rows, near)


def _list_late(
    opened: list[_Opened | str],
    readings: Sequence[Embedded],
    index: Index,
    cosine: Mapping[str, Float[np.ndarray, "r m"]] | None,
    hypotheses: Hypotheses | None,
) -> None:
    """List the formulas of readings that waited for them and are still open, and leave out what they make unlikely."""
    if hypotheses is None:
        return
    late = [k for k, o in enumerate(opened) if isinstance(o, _Opened) and hypotheses.look_at(o.unknown.adduct)]
    if late:
        placed = likely([one if isinstance(one, str) else one.at for one in opened], hypotheses)
        for place in late:
            opened[place] = _opened(readings[place], placed[place], index, cosine)


def _sift(opened: list[_Opened | str], index: Index, weigh: Weigher, far: float) -> None:
    """Close the readings whose best candidate is far behind another's."""
    best: dict[int, float] = {}
    for place, one in enumerate(opened):
        if isinstance(one, str):
            continue
        found = _weighed(one, index, weigh)
        if isinstance(found, str):
            opened[place] = found
            continue
        one.given = {**one.given, **found.scored.given}
        best[place] = float(found.logits.max())
    for place, top in best.items():
        if top < max(best.values()) - far:
            one = opened[place]
            adduct = one.unknown.adduct if isinstance(one, _Opened) else None
            opened[place] = f"every candidate as {adduct} is far behind those as another ion"


def _weighed(one: _Opened, index: Index, weigh: Weigher) -> Weighed | str:
    try:
        scored = _scored(one, index, weigh)
    except MolvisError as error:
        return str(error)
    if not np.isfinite(scored.logits).all():
        return f"query {one.unknown.name!r} has scores that are not finite"
    return Weighed(one.unknown, one.places, one.cosine, scored, one.at.prior, one.at.formula)


def _scored(one: _Opened, index: Index, weigh: Weigher) -> Scored:
    measured = one.unknown.measured
    if not one.cosine and not any(weigh.taken(key, measured) for key in weigh.scorers):
        raise ScoreError(
            f"{', '.join(measured)} alone cannot be searched for here: the bundle has no encoder for it, and "
            "its scorers rank candidates of equal mass. Give a mass with --mass or a formula with --formula, or add "
            "another measurement"
        )

    def structures_at(chosen: np.ndarray) -> Sequence[Structure]:
        key = chosen.tobytes()
        if key not in one.structures:
            one.structures[key] = index.library.structures(one.places[chosen])
        return one.structures[key]

    if one.cosine:
        return weigh.score(measured, one.cosine, structures_at, one.given)
    return weigh.score_without(measured, len(one.places), structures_at, one.given)
