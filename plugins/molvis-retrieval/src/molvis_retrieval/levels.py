"""How sure an identification is, in the words of the field: levels after Schymanski.

Reference: E. L. Schymanski et al., Identifying small molecules via high resolution mass spectrometry: communicating
confidence, Environ. Sci. Technol. 48 (2014) 2097, doi:10.1021/es5002105
"""

from __future__ import annotations

from collections import defaultdict

from molvis_retrieval.results import Identification

__all__ = ["confidence_level"]

_PROBABLE = 0.9
"""Joint probability of one structure, or of one formula, from which it is taken as the probable or the only one."""
_TENTATIVE = 0.5
"""Probability that the truth is among the candidates, from which these are tentative candidates."""


def confidence_level(one: Identification, *, has_spectrum: bool) -> tuple[str, str]:
    """The level and, in a few words, why.

    `2b`, a probable structure: it is the truth with a probability of 0.9 or more, that it is among the candidates at
    all counted in. `3`, tentative candidates: the truth is among them with a probability of 0.5 or more, or that is not
    calibrated. `4`, a molecular formula: one has a probability of 0.9 or more. `5`, a mass. Level 1 wants a reference
    standard and 2a a spectrum of one in a library, which are not looked at here.

    Args:
        one: the identification.
        has_spectrum: whether MS/MS was measured; without it there is a mass and nothing more.
    """
    if not has_spectrum:
        return "5", "no MS/MS"
    if one.problem or not one.candidates:
        return "5", "no candidate"
    among = one.probability_among
    best = one.candidates[0]
    if among is None:
        return "3", f"{one.n_candidates} candidates; whether the truth is among them is not calibrated"
    if among * best.probability >= _PROBABLE:
        return "2b", f"one structure with probability {among * best.probability:.2f}"
    if among >= _TENTATIVE:
        return "3", f"{one.n_candidates} candidates, the truth among them with probability {among:.2f}"
    formulas: defaultdict[str, float] = defaultdict(float)
    for candidate in one.candidates:
        formulas[candidate.structure.formula] += candidate.probability
    formula, share = max(formulas.items(), key=lambda item: item[1])
    if among * share >= _PROBABLE:
        return "4", f"{formula} with probability {among * share:.2f}"
    return "5", f"the truth is among the candidates with probability {among:.2f} only"
