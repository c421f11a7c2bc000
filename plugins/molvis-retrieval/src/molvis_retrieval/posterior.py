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
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float

from molvis_core.errors import MolvisError
from molvis_core.records import PeakList
from molvis_retrieval.unknowns import Unknown

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
_FAINT = 1e-3
_MERGED = 20.0
"""ppm within which peaks of two energies are one."""


@dataclass(frozen=True, slots=True)
class Hypotheses:
    """Which adducts and formulas an unknown may have, before any structure is looked at.

    Attributes:
        logs: logarithm of the probability of each formula given the adduct, by adduct; empty where none was listed.
        priors: logarithm of how probable each adduct is, what was seen beside the ion counted in.
    """

    logs: Mapping[str, Mapping[str, float]]
    priors: Mapping[str, float]

    @classmethod
    def of(cls, readings: Sequence[Unknown], ppm: float) -> Hypotheses | None:
        """Formulas under each reading of an unknown; None where nothing can be listed for any of them.

        Args:
            readings: the unknown, its ions taken for one adduct after the other.
            ppm: tolerance of the precursors' m/z.
        """
        logs: dict[str, Mapping[str, float]] = {}
        priors: dict[str, float] = {}
        for one in readings:
            if one.problem or one.mass is None or one.adduct is None:
                continue
            priors[one.adduct] = math.log(one.share) + one.support
            logs[one.adduct] = _formulas_of(one, ppm) if one.mass <= _HEAVIEST else {}
        return cls(logs, priors) if any(logs.values()) else None

    def values(self, adduct: str | None, formulas: Sequence[str]) -> Float[np.ndarray, " m"]:
        """Logarithms of the probabilities of candidates' formulas given an adduct; 0 where none was listed for it."""
        listed = self.logs.get(adduct or "", {})
        if not listed:
            return np.full(len(formulas), _UNLISTED if any(self.logs.values()) else 0.0)
        return np.array([max(listed.get(neutral(f), _UNLISTED), _LEAST) for f in formulas])

    def without_structure(self) -> dict[tuple[str, str], float]:
        """Probability of each adduct with each formula, where the structure is none of the library's."""
        found = {(a, f): self.priors[a] + x for a, listed in self.logs.items() for f, x in listed.items()}
        top = max(found.values())
        total = math.fsum(math.exp(x - top) for x in found.values())
        return {key: math.exp(x - top) / total for key, x in found.items()}


def neutral(formula: str) -> str:
    """A formula without the sign of its charge."""
    return formula.rstrip("+-")


def _formulas_of(one: Unknown, ppm: float) -> dict[str, float]:
    """Logarithms of the probabilities of the formulas of an unknown, each of its ions asked for its own.

    Ions of one molecule see the same fragments and errors in part: n of them count as the square root of n.
    """
    from molvis_formula.ranking import FormulaSettings, formulas

    settings = FormulaSettings(ppm=ppm)
    found: list[dict[str, float]] = []
    for spectrum in _ions(one):
        # What was seen around one ion says nothing of another.
        pattern = one.isotopes if not found else None
        try:
            listed = formulas(spectrum, adduct=spectrum.adduct, isotope_pattern=pattern, settings=settings)
        except MolvisError as error:
            log.info("%s as %s: no formulas: %s", one.name, spectrum.adduct, error)
            continue
        found.append({c.formula: math.log(max(c.probability, 1e-300)) for c in listed})
    if len(found) < 2:
        return found[0] if found else {}
    both = {f: sum(max(x.get(f, _LEAST), _LEAST) for x in found) / math.sqrt(len(found)) for x in found for f in x}
    top = max(both.values())
    total = top + math.log(math.fsum(math.exp(v - top) for v in both.values()))
    return {f: v - total for f, v in both.items()}


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
    share = hypotheses.without_structure().get((adduct or "", neutral(formula)), 0.0)
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
    for share, found in ((among, candidates), (1 - among, hypotheses.without_structure())):
        for (adduct, formula), probability in found.items():
            adducts[adduct] += share * probability
            formulas[neutral(formula)] += share * probability
    return _sorted(adducts), _sorted(formulas)


def _sorted(found: Mapping[str, float]) -> dict[str, float]:
    shown = {name: value for name, value in found.items() if value >= _SHOWN}
    return dict(sorted(shown.items(), key=lambda item: (-round(item[1], 9), item[0])))
