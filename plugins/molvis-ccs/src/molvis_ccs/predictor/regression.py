"""Kernel regression of deviations from the trend: what ions of known structures, alike in what counts, deviate by.

The deviation of an ion of structure s, adduct a and instrument i is a sum over the ions that were learned from,

    f(s, a, i) = sum_j alpha_j k(s, s_j) [p + (1 - p) [a = a_j] + q [i = i_j]] + [i = i_j] (u + v [a = a_j]),

with a kernel k of structures that falls with the distance of their properties, grows with the Tanimoto similarity of
what is counted in them, and has a linear part, which reaches further. It is the mean of a Gaussian process with errors
of Student's t (C. E. Rasmussen and C. K. I. Williams, Gaussian Processes for Machine Learning, MIT Press 2006). Summed
over the ions of a structure, the coefficients are one number for each adduct and each instrument.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from molvis_ccs.features import NUMBERS, SIZE
from molvis_core.errors import TrainingError

_ALL_ADDUCTS, _SAME_INSTRUMENT, _INSTRUMENT, _ION = 0.6, 0.2, 0.2, 0.1
"""p, q, u and v above."""
_COUNTED, _LINEAR = 2.0, 0.3
"""Weights of the Tanimoto similarity and of the linear part, beside 1 of the distance."""
_NOISE = 0.25
"""Standard deviation of a value, in units of what values deviate from the trend by."""
_REWEIGHTED, _TAILS = 2, 3
"""Rounds of weighing down what lies far off, and degrees of freedom of the errors."""
MOST_COUNTED = 255
"""Counts above are taken for this."""


@dataclass(frozen=True, slots=True)
class KnownIons:
    """What is learned from.

    Attributes:
        features: scaled, of structures.
        row: which structure an ion is of.
        adduct, instrument: places in the predictor's.
        deviation: from the trend.
        weight: of each ion; 1 for a single value.
    """

    features: Float[Tensor, "s f"]
    row: Int64[Tensor, " n"]
    adduct: Int64[Tensor, " n"]
    instrument: Int64[Tensor, " n"]
    deviation: Float[Tensor, " n"]
    weight: Float[Tensor, " n"]


class KernelRegression(nn.Module):
    """Deviations from the trend by kernel regression; 0 before it has learned.

    Args:
        structures: how many it knows.
        adducts, instruments: how many there are.
    """

    def __init__(self, structures: int, adducts: int, instruments: int) -> None:
        super().__init__()
        self.register_buffer("numbers", torch.zeros(structures, NUMBERS))
        self.register_buffer("counts", torch.zeros(structures, SIZE - NUMBERS))
        self.register_buffer("by_adduct", torch.zeros(structures, adducts))
        self.register_buffer("by_instrument", torch.zeros(structures, instruments))
        self.register_buffer("levels", torch.zeros(adducts, instruments))

    def forward(
        self,
        features: Float[Tensor, "m f"],
        row: Int64[Tensor, " k"],
        adduct: Int64[Tensor, " k"],
        instrument: Int64[Tensor, " k"] | None,
    ) -> Float[Tensor, " k"]:
        """Deviations of ions.

        Args:
            features: scaled, of structures.
            row: which structure an ion is of.
            adduct: place of each ion's adduct.
            instrument: place of each ion's type of instrument; None for the mean over them.
        """
        known = torch.cat([self.get_buffer("numbers"), self.get_buffer("counts")], dim=1)
        alike = _kernel(features, known)
        own = (alike @ self.get_buffer("by_adduct"))[row, adduct]
        by_instrument, levels = self.get_buffer("by_instrument"), self.get_buffer("levels")
        if instrument is None:
            return own + (alike @ by_instrument.mean(dim=1))[row] + levels.mean(dim=1)[adduct]
        return own + (alike @ by_instrument)[row, instrument] + levels[adduct, instrument]

    def learn(self, ions: KnownIons) -> None:
        """Solve for the coefficients: a Cholesky decomposition of a matrix of all ions, a few times.

        Raises:
            TrainingError: the matrix cannot be decomposed.
        """
        self.get_buffer("numbers").copy_(ions.features[:, :NUMBERS])
        self.get_buffer("counts").copy_(ions.features[:, NUMBERS:])
        scale = 1.4826 * ions.deviation.abs().median().clamp_min(1e-6)
        alpha = scale * _solved(ions, ions.deviation / scale)
        adducts, instruments = self.get_buffer("levels").shape
        count = len(ions.features)
        total = torch.zeros(count).index_add_(0, ions.row, alpha)
        by_adduct = _summed(ions.row, ions.adduct, alpha, count, adducts)
        self.get_buffer("by_adduct").copy_(_ALL_ADDUCTS * total[:, None] + (1 - _ALL_ADDUCTS) * by_adduct)
        self.get_buffer("by_instrument").copy_(
            _SAME_INSTRUMENT * _summed(ions.row, ions.instrument, alpha, count, instruments)
        )
        levels = _summed(ions.adduct, ions.instrument, alpha, adducts, instruments)
        self.get_buffer("levels").copy_(_INSTRUMENT * levels.sum(dim=0) + _ION * levels)


def _summed(
    rows: Int64[Tensor, " n"], columns: Int64[Tensor, " n"], values: Float[Tensor, " n"], count: int, width: int
) -> Float[Tensor, "count width"]:
    return torch.zeros(count * width).index_add_(0, rows * width + columns, values).reshape(count, width)


def _kernel(a: Float[Tensor, "n f"], b: Float[Tensor, "m f"]) -> Float[Tensor, "n m"]:
    """How alike structures are, by their scaled features."""
    left, right = a[:, :NUMBERS], b[:, :NUMBERS]
    distance = torch.cdist(left, right) / NUMBERS**0.5
    counted, known = a[:, NUMBERS:], b[:, NUMBERS:]
    both = counted @ known.T
    either = counted.square().sum(dim=1)[:, None] + known.square().sum(dim=1) - both
    tanimoto = both / either.clamp_min(1e-6)
    return torch.exp(-distance / 2) + _COUNTED * tanimoto + _LINEAR * (left @ right.T) / NUMBERS


def _solved(ions: KnownIons, deviation: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Coefficients of the ions, errors weighed by how far off they are."""
    matrix = _kernel(ions.features, ions.features)[ions.row][:, ions.row]
    adduct = (ions.adduct[:, None] == ions.adduct).float()
    instrument = (ions.instrument[:, None] == ions.instrument).float()
    matrix *= _ALL_ADDUCTS + (1 - _ALL_ADDUCTS) * adduct + _SAME_INSTRUMENT * instrument
    matrix += instrument * (_INSTRUMENT + _ION * adduct)
    del adduct, instrument
    noise = _NOISE**2 / ions.weight
    trust = torch.ones_like(noise)
    for turn in range(_REWEIGHTED + 1):
        of_errors = noise / trust
        try:
            factor = torch.linalg.cholesky(matrix + torch.diag(of_errors))
        except torch.linalg.LinAlgError as error:
            raise TrainingError(f"kernel regression of {len(noise)} ions: {error}") from error
        alpha = torch.cholesky_solve(deviation[:, None], factor)[:, 0]
        if turn == _REWEIGHTED:
            break
        # What is left of a value is its coefficient times the variance of its error.
        off = alpha * of_errors / noise.sqrt()
        trust = ((_TAILS + 1) / (_TAILS + off.square())).clamp(0.02, 1.2)
    return alpha
