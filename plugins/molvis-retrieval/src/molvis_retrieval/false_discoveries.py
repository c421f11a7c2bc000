"""How many of the annotations that are believed are wrong: q-values from calibrated probabilities.

The probability of each first candidate, that the truth is among the candidates and that it is this one, says how
probable an error is. The mean of these over all annotations that are at least as probable is the share of wrong ones
among them: the false-discovery rate. A q-value is the least rate at which an annotation is among those believed.

References: L. Käll et al., J. Proteome Res. 7 (2008) 40, doi:10.1021/pr700739d; B. Efron et al., J. Am. Stat. Assoc. 96
(2001) 1151, doi:10.1198/016214501753382129
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from molvis_core.errors import ConfigError
from molvis_lcms.records import Feature

__all__ = ["believed", "q_values", "rates_of"]

_CALIBRATION = (-0.056, 0.798)
"""Offset and slope of the logit of a joint probability: fitted on MassBank's validation fold, with and without the
truth among the candidates."""
_FORMULA = 0.9
"""Probability of a formula from which it is what is left of an annotation that is not believed."""


def q_values(joint: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """The q-value of each annotation, from the joint probabilities of their first candidates."""
    p = np.clip(np.asarray(joint, dtype=np.float64), 1e-9, 1 - 1e-9)
    wrong = 1 / (1 + np.exp(_CALIBRATION[0] + _CALIBRATION[1] * np.log(p / (1 - p))))
    order = np.argsort(wrong, kind="stable")
    rates = np.cumsum(wrong[order]) / np.arange(1, len(order) + 1)
    out = np.empty(len(order))
    # Equal probabilities have one rate, that of the last of them; the mean of an ascending list only rises.
    last = np.searchsorted(wrong[order], wrong[order], side="right") - 1
    out[order] = rates[last]
    return out


def rates_of(found: Iterable[tuple[Feature, Mapping[str, Any] | None]]) -> dict[str, float]:
    """The q-value of each feature that has candidates of calibrated probability; ions of one unknown count once."""
    joint: dict[str, float] = {}
    owner: dict[str, str] = {}
    for feature, one in found:
        if one and one["candidates"] and (value := one["candidates"][0]["probability_joint"]) is not None:
            owner[feature.identifier] = one["unknown"]
            joint[one["unknown"]] = value
    rates = dict(zip(joint, q_values(np.array([*joint.values()])).tolist(), strict=True))
    return {name: rates[unknown] for name, unknown in owner.items()}


def believed(
    found: Iterable[tuple[Feature, dict[str, Any] | None]], rates: Mapping[str, float], fdr: float | None
) -> Iterator[tuple[Feature, dict[str, Any] | None]]:
    """Features with what was found and their q-values; those above a rate without candidates.

    Confirmed structures and those with a spectrum of a library (levels 1 and 2a) have evidence of their own and stay.

    Raises:
        ConfigError: the rate is not between 0 and 1.
    """
    if fdr is not None and not 0 < fdr < 1:
        raise ConfigError(f"--fdr must be between 0 and 1, got {fdr:g}")
    for feature, one in found:
        if one is None:
            yield feature, None
            continue
        rate = rates.get(feature.identifier, math.nan)
        told = one | {"q_value": None if math.isnan(rate) else rate}
        if fdr is not None and one["candidates"] and one["level"] not in ("1", "2a") and not rate <= fdr:
            told |= _left_of(one, rate, fdr)
        yield feature, told


def _left_of(one: Mapping[str, Any], rate: float, fdr: float) -> dict[str, Any]:
    """What is left of an annotation that is not believed: its formula, where that is sure."""
    why = "no q-value" if math.isnan(rate) else f"q-value {rate:.2f}"
    formula, share = max(one["formulas"].items(), key=lambda item: item[1], default=("", 0.0))
    level = ("4", f"{formula} with probability {share:.2f}") if share >= _FORMULA else ("5", f"{why}, above {fdr:g}")
    return {"candidates": [], "level": level[0], "level_evidence": level[1], "problem": f"{why}, above --fdr {fdr:g}"}
