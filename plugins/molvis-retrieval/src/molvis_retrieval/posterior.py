"""Adduct, formula and structure of an unknown as one posterior.

A hypothesis is an adduct, a formula and a structure of the library; or an adduct and a formula whose structure the
library lacks, which together are *none of these*. What mass, isotopes and fragments say of formulas
(`molvis_formula.ranking`) enters the logit of each candidate beside the structure's own evidence, with a weight below
1, since scorers of structures look at the same peaks. Where no structure is right, adduct and formula have the
probabilities that they have without a library.
"""

from __future__ import annotations

import logging
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float

from molvis_core.errors import MolvisError
from molvis_core.records import PeakList
from molvis_retrieval.unknowns import Unknown

if TYPE_CHECKING:
    from molvis_formula.ranking import FormulaList

__all__ = ["Hypotheses", "kept", "marginals", "with_formula"]

log = logging.getLogger("molvis")

FORMULA_WEIGHT = 0.25
"""Of the logarithm of a formula's probability, beside the evidence of structures."""
STRUCTURE_WEIGHT = 0.85
"""Of the evidence of structures beside it. Both were fitted on the validation fold, a spectrum of each compound."""
_UNLISTED = -7.0
"""Logarithm of the probability of a formula that is not listed: it has other elements, or breaks a rule."""
_LEAST = -12.0
"""The same of any formula at least: beyond that nothing was measured."""
_HEAVIEST = 1000.0
"""Da. Heavier molecules have so many formulas that listing them takes minutes, and none of them stands out."""
_LEFT_OUT = 7.0
"""Candidates whose adduct and formula are by so much less probable than those of another, in natural logarithms, are
not looked at."""
_SHOWN = 0.001
"""Probability from which an adduct or a formula is told of."""
_AMONG = (0.553, 0.941, 0.062, 0.536)
"""Offset, and weights of the logit without formulas, of the formula's and of the adduct's logarithm: fitted on the
validation fold with the truth among the candidates, without it, and without all structures of its formula."""
_RARE = math.log(0.02)
"""Logarithm of the share of the commonest adduct, below which the formulas of another are looked at last."""
_FAINT = 1e-3
_MERGED = 20.0
"""ppm within which peaks of two energies are one."""


@dataclass(frozen=True, slots=True)
class Hypotheses:
    """Which adducts and formulas an unknown may have, before any structure is looked at.

    Attributes:
        lists: formulas under each adduct, with their probabilities given it; empty where none was listed.
        priors: logarithm of how probable each adduct is, what was seen beside the ion counted in.
        waiting: readings whose formulas were not looked at so far, by their adducts.
        ppm: tolerance of the precursors' m/z.
    """

    lists: dict[str, FormulaList | None]
    priors: Mapping[str, float]
    waiting: dict[str, Unknown] = field(default_factory=dict)
    ppm: float = 10.0

    @classmethod
    def of(cls, readings: Sequence[Unknown], ppm: float, *, rare_later: bool = False) -> Hypotheses | None:
        """Formulas under each reading of an unknown; None where nothing can be listed for any of them.

        Args:
            readings: the unknown, its ions taken for one adduct after the other.
            ppm: tolerance of the precursors' m/z.
            rare_later: leave adducts waiting that are far less probable than another, see `look_at`. Listing their
                formulas takes most of the time, and for nearly all unknowns no candidate of them comes near.
        """
        usable = {one.adduct: one for one in readings if not one.problem and one.mass is not None and one.adduct}
        priors = {adduct: math.log(one.share) + one.support for adduct, one in usable.items()}
        least = max(priors.values(), default=0.0) + (_RARE if rare_later else -math.inf)
        found = cls({}, priors, dict(usable), ppm)
        for adduct, prior in priors.items():
            if prior >= least:
                found.look_at(adduct)
        for adduct in priors if not any(found.lists.values()) else ():
            found.look_at(adduct)
        return found if any(found.lists.values()) else None

    def look_at(self, adduct: str | None) -> bool:
        """List the formulas of an adduct that is waiting; whether it was."""
        one = self.waiting.pop(adduct or "", None)
        if one is None or one.mass is None:
            return False
        self.lists[str(adduct)] = _formulas_of(one, self.ppm) if one.mass <= _HEAVIEST else None
        return True

    def values(self, adduct: str | None, formulas: Sequence[str]) -> Float[np.ndarray, " m"]:
        """Logarithms of the probabilities of candidates' formulas given an adduct; 0 where none was listed for it.

        0, the most that they can be, also where the adduct is waiting.
        """
        if adduct in self.waiting:
            return np.zeros(len(formulas))
        listed = self.lists.get(adduct or "")
        if not listed:
            return np.full(len(formulas), _UNLISTED if any(self.lists.values()) else 0.0)
        found = {f: listed.log_of(neutral(f)) for f in dict.fromkeys(formulas)}
        known = {f: _UNLISTED if log is None else max(log, _LEAST) for f, log in found.items()}
        return np.array([known[f] for f in formulas])

    def adducts_without_structure(self) -> dict[str, float]:
        """Probability of each adduct, where the structure is none of the library's."""
        named = {a: prior for a, prior in self.priors.items() if a in self.waiting or self.lists[a]}
        total = float(np.logaddexp.reduce([*named.values()]))
        return {a: math.exp(x - total) for a, x in named.items()}

    def share(self, adduct: str, formula: str) -> float:
        """Probability of an adduct with a formula, where the structure is none of the library's."""
        listed = self.lists.get(adduct)
        log = listed.log_of(neutral(formula)) if listed else None
        return 0.0 if log is None else math.exp(log) * self.adducts_without_structure()[adduct]

    def without_structure(self, least: float = 0.0) -> dict[tuple[str, str], float]:
        """Probability of each adduct with each formula, where the structure is none of the library's.

        Args:
            least: probability of those that are told of.
        """
        found: dict[tuple[str, str], float] = {}
        for adduct, share in self.adducts_without_structure().items():
            listed, floor = self.lists.get(adduct), math.log(least / share) if least and share else -math.inf
            if listed:
                found |= {(adduct, f): share * math.exp(x) for f, x in listed.likely(floor).items()}
        return found


def neutral(formula: str) -> str:
    """A formula without the sign of its charge."""
    return formula.rstrip("+-")


def _formulas_of(one: Unknown, ppm: float) -> FormulaList | None:
    """The formulas of an unknown with their probabilities, each of its ions asked for its own."""
    from molvis_formula.ranking import FormulaList, FormulaSettings, formula_list

    settings = FormulaSettings(ppm=ppm)
    found: list[FormulaList] = []
    for spectrum in _ions(one):
        # What was seen around one ion says nothing of another.
        pattern = one.isotopes if not found else None
        try:
            listed = formula_list(spectrum, adduct=str(spectrum.adduct), isotope_pattern=pattern, settings=settings)
        except MolvisError as error:
            log.info("%s as %s: no formulas: %s", one.name, spectrum.adduct, error)
            continue
        found.append(listed)
    return FormulaList.joined(found, _LEAST) if found else None


def _ions(one: Unknown) -> list[PeakList]:
    """The spectra of an unknown's ions, those of one ion merged over their energies."""
    from molvis_lcms.merging import merge_energies

    groups: defaultdict[tuple[str, float], list[PeakList]] = defaultdict(list)
    for record in one.records:
        if isinstance(record, PeakList) and record.adduct and record.precursor_mz and len(record):
            groups[record.adduct, round(record.precursor_mz, 2)].append(record)
    merged = [(some[0], merge_energies(some, _MERGED)) for some in groups.values()]
    return [replace(first, mz=one.mz, intensity=one.intensity) for first, one in merged if one is not None]


def kept(values: Sequence[Float[np.ndarray, " _"]]) -> list[Bool[np.ndarray, " _"]]:
    """Which candidates of each reading are looked at, by the logarithms of their adducts' and formulas' shares."""
    best = max((float(v.max()) for v in values if len(v)), default=0.0)
    return [v >= best - _LEFT_OUT for v in values]


def with_formula(among: float, hypotheses: Hypotheses, adduct: str | None, formula: str) -> float:
    """How probable it is that the truth is among the candidates, what is known of the first one's formula counted in.

    Args:
        among: the probability without formulas.
        hypotheses: what is known of formulas.
        adduct: of the first candidate.
        formula: of the first candidate.
    """
    share = hypotheses.share(adduct or "", formula)
    logit = math.log(max(among, 1e-12) / max(1 - among, 1e-12))
    offset, own, formulas, adducts = _AMONG
    told = hypotheses.priors.get(adduct or "", 0.0) - float(np.logaddexp.reduce([*hypotheses.priors.values()]))
    x = offset + own * logit + formulas * math.log(share + _FAINT) + adducts * told
    return 1 / (1 + math.exp(-x))


def marginals(
    hypotheses: Hypotheses, among: float, candidates: Mapping[tuple[str, str], float]
) -> tuple[dict[str, float], dict[str, float]]:
    """Probabilities of adducts and of formulas, whichever structure is behind them; the likeliest first.

    Args:
        hypotheses: what is known without a library.
        among: probability that the truth is among the candidates.
        candidates: probability of each adduct with each formula, given that it is.
    """
    adducts: defaultdict[str, float] = defaultdict(float)
    formulas: defaultdict[str, float] = defaultdict(float)
    for (adduct, formula), probability in candidates.items():
        adducts[adduct] += among * probability
        formulas[neutral(formula)] += among * probability
    for adduct, probability in hypotheses.adducts_without_structure().items():
        adducts[adduct] += (1 - among) * probability
    # All that could come to what is shown, if each adduct had as much.
    alone = hypotheses.without_structure(_SHOWN / (len(adducts) + 1))
    named = dict.fromkeys([*formulas, *(formula for _, formula in alone)])
    shares = hypotheses.adducts_without_structure()
    for adduct, listed in hypotheses.lists.items():
        for formula in named if listed else ():
            known = alone.get((adduct, formula))
            if known is None:
                log = listed.log_of(formula) if listed else None
                known = 0.0 if log is None else math.exp(log) * shares[adduct]
            formulas[formula] += (1 - among) * known
    return _sorted(adducts), _sorted(formulas)


def _sorted(found: Mapping[str, float]) -> dict[str, float]:
    shown = {name: value for name, value in found.items() if value >= _SHOWN}
    return dict(sorted(shown.items(), key=lambda item: (-round(item[1], 9), item[0])))
