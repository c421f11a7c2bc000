"""Learns how much the forward model's probabilities count beside the network's, from compounds that neither knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from molvis_core.errors import TrainingError
from molvis_core.records import PeakList
from molvis_msms.explanation.assignment import Looked
from molvis_msms.explanation.learning import formulas_of_peaks, log_sum, right_matches
from molvis_msms.explanation.model import FragmentModel, with_predicted, without_prediction

_SOFT = 0.5
"""Difference of evidence at which a right structure counts as told from a wrong one."""
_LOGITS = ("own", "none", "predicted", "stray")
"""Of `Looked`: what the logits are made of."""
_PENALTY = 1e-3
"""On the squares of how far what is learned is from counting nothing."""


@dataclass(frozen=True, eq=False, slots=True)
class Judged:
    """A spectrum of a known compound, looked at with the right structure.

    Attributes:
        seen: what of the molecule fits the peaks.
        right: whether the formula of each match is that of its peak.
        counts: which peaks are known to be explained or not: those of other compounds, and those whose formula is
            known.
    """

    seen: Looked
    right: Bool[np.ndarray, " m"]
    counts: Bool[np.ndarray, " p"]


@dataclass(frozen=True, eq=False, slots=True)
class Contrast:
    """One spectrum, looked at with the right structure and with wrong ones of equal mass.

    Attributes:
        roots: of the intensities below the precursor, as shares of their sum.
        seen: with the right structure first.
    """

    roots: Float[np.ndarray, " p"]
    seen: Sequence[Looked]


def judge(seen: Looked, spectrum: PeakList, formulas: Mapping[float, str], foreign: Bool[np.ndarray, " p"]) -> Judged:
    """What is known of the peaks of a spectrum.

    Args:
        seen: with the right structure.
        spectrum: with foreign peaks among its own.
        formulas: of ions by m/z, as far as they are known.
        foreign: which peaks are of other compounds.
    """
    wanted = formulas_of_peaks(spectrum, formulas, foreign)
    matches = seen.matches
    right = right_matches(matches, seen.of, seen.inside, wanted, spectrum.adduct)
    matched = np.bincount(matches.peak, minlength=len(spectrum)) > 0
    return Judged(seen, right, matched & (foreign | np.array([bool(w) for w in wanted], dtype=bool)))


def roots_below(spectrum: PeakList) -> Float[np.ndarray, " p"]:
    """Shares of the root intensity below the precursor; 0 for the precursor."""
    roots = np.sqrt(spectrum.intensity.astype(np.float64)) * (spectrum.mz < (spectrum.precursor_mz or np.inf) - 0.5)
    return roots / max(float(roots.sum()), 1e-12)


def weigh(model: FragmentModel, judged: Sequence[Judged], contrasts: Sequence[Contrast]) -> FragmentModel:
    """The model with what was predicted counting so much that what is known of peaks and structures is likeliest.

    Args:
        model: its network stays as it is.
        judged: spectra with as many foreign peaks as own ones.
        contrasts: structures that are to be told apart.

    Raises:
        TrainingError: there is nothing to learn from.
    """
    if not judged or not contrasts:
        raise TrainingError(f"{len(judged)} spectra with known peaks and {len(contrasts)} with wrong structures")
    start = {name: torch.from_numpy(array).float() for name, array in without_prediction().items()}
    free = {name: tensor.clone().requires_grad_() for name, tensor in start.items()}
    peaks, wrong = _joined([one.seen for one in judged]), _joined([one for c in contrasts for one in c.seen])
    right = torch.from_numpy(np.concatenate([one.right for one in judged]))
    number = len(peaks["none"])
    explained = torch.zeros(number, dtype=torch.bool).index_put((peaks["peak"][right],), torch.tensor(True))
    weight = np.concatenate([one.counts / np.sqrt(max(len(one.counts), 1)) for one in judged])
    of_peak = torch.from_numpy(weight.astype(np.float32))
    roots = torch.from_numpy(np.concatenate([c.roots for c in contrasts for _ in c.seen]).astype(np.float32))
    first, other, share = _pairs(contrasts)
    optimizer = torch.optim.LBFGS(list(free.values()), max_iter=60, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        own, none = _logits(peaks, free)
        every = torch.logaddexp(none, log_sum(own, peaks["peak"], number))
        fitting = log_sum(torch.where(right, own, torch.full_like(own, -30.0)), peaks["peak"], number)
        known = (of_peak * (every - torch.where(explained, fitting, none))).sum() / of_peak.sum()
        own, none = _logits(wrong, free)
        mine = log_sum(own, wrong["peak"], len(none))
        evidence = torch.logaddexp(np.log(0.8) + mine, np.log(0.2) + none) - none
        of_structure = torch.zeros(int(wrong["spectrum"][-1]) + 1).index_add(0, wrong["spectrum"], roots * evidence)
        gap = of_structure[first] - of_structure[other]
        told = (share * torch.nn.functional.softplus(-gap / _SOFT)).sum() / share.sum()
        return known + told + _PENALTY * sum(((free[n] - start[n]) ** 2).sum() for n in free)

    def closure() -> float:
        optimizer.zero_grad()
        cost = loss()
        cost.backward()
        return float(cost.detach())

    optimizer.step(closure)
    learned = {name: tensor.detach().double().numpy().copy() for name, tensor in free.items()}
    return FragmentModel({**model.weights, **learned})


def _joined(seen: Sequence[Looked]) -> dict[str, Tensor]:
    """What is known of the matches and the peaks of several spectra, one after the other."""
    start = np.cumsum([0, *(len(one.none) for one in seen[:-1])]).tolist()
    arrays = {n: np.concatenate([getattr(one, n) for one in seen]) for n in _LOGITS}
    out = {name: torch.from_numpy(array.astype(np.float32)) for name, array in arrays.items()}
    out["peak"] = torch.from_numpy(np.concatenate([o.matches.peak + s for o, s in zip(seen, start, strict=True)]))
    out["spectrum"] = torch.repeat_interleave(torch.tensor([len(one.none) for one in seen]))
    return out


def _logits(batch: Mapping[str, Tensor], free: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    return with_predicted(free, *(batch[name] for name in _LOGITS))


def _pairs(contrasts: Sequence[Contrast]) -> tuple[Tensor, Tensor, Tensor]:
    """Right and wrong structures by their places, and how much each pair counts: each spectrum the same."""
    first, other, share, place = [], [], [], 0
    for one in contrasts:
        wrong = len(one.seen) - 1
        first += [place] * wrong
        other += range(place + 1, place + 1 + wrong)
        share += [1 / max(wrong, 1)] * wrong
        place += 1 + wrong
    return torch.tensor(first), torch.tensor(other), torch.tensor(share)
