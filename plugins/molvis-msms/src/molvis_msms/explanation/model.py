r"""How probable it is that a peak is a given substructure, or none: a small network that was learned from open spectra.

For a peak with matches $k$ and the share $s$ of the spectrum's peaks that are the structure's,

$$P(k) \propto \frac{s}{s_0}\, \bigl(e^{f_k}\, 2 N(e_k; \mu, \sigma)\bigr)^a\, \phi(p_k), \qquad
P(\text{unexplained}) \propto \frac{1 - s}{1 - s_0}\, e^{b g}\, \psi(q),$$

where $f$ and $g$ are the network's, which learned with as many foreign peaks as own ones, and $e_k$ is the mass error
in tolerances: normal where the match is right, uniform where it fits by chance. $\mu$, $\sigma$ and $s$ are estimated
from the spectrum. $p_k$ is the probability that the forward model gives the match before any peak is seen, $q$ that of
a fragment of this m/z that formed anew; $a$, $b$, $\phi$ and $\psi$ are a dozen numbers, learned after the rest.
"""

from __future__ import annotations

import functools
import importlib.resources
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from molvis_core.errors import BundleError
from molvis_fragmentation.matching import CROSSED, NO_BOND
from molvis_fragmentation.molecule import BOND_CLASSES
from molvis_msms.explanation.features import MATCH_NUMBERS, PEAK_NUMBERS, PREDICTED_NUMBERS, STRAY_NUMBERS
from molvis_msms.explanation.matching import Matches

Weights = Mapping[str, np.ndarray]
NETWORK: Mapping[str, tuple[int, ...]] = {
    "bonds": (BOND_CLASSES, 64), "match": (MATCH_NUMBERS, 64), "peak": (PEAK_NUMBERS, 64), "bias": (64,),
    "inner": (64, 48), "inner_bias": (48,), "out": (48,), "out_bias": (1,),
    "none": (PEAK_NUMBERS, 32), "none_bias": (32,), "none_out": (32,), "none_out_bias": (1,),
}  # fmt: skip
"""Arrays of the network: of a match by its broken bonds, its numbers and its peak's, and of a peak without any."""
PREDICTION: Mapping[str, tuple[int, ...]] = {
    "predicted": (PREDICTED_NUMBERS,), "stray": (STRAY_NUMBERS,), "scales": (2,),
}  # fmt: skip
"""Arrays by which what was predicted counts, and how much the network's logits do beside it."""
SHAPES: Mapping[str, tuple[int, ...]] = {**NETWORK, **PREDICTION}
_STATE = "fragments.safetensors"


@dataclass(frozen=True, slots=True)
class MassErrors:
    """Errors of m/z of the peaks of a spectrum that are explained rightly, as a normal distribution in tolerances.

    Attributes:
        offset: their mean.
        width: their standard deviation.
    """

    offset: float = 0.0
    width: float = 0.2

    def evidence(self, error: Float[np.ndarray, " m"]) -> Float[np.ndarray, " m"]:
        """Logarithm of how much likelier each error is for a right explanation than for one by chance."""
        z = (error - self.offset) / self.width
        return -0.5 * z * z + np.log(2 / (self.width * np.sqrt(2 * np.pi)))


@dataclass(frozen=True, eq=False)
class FragmentModel:
    """The network, as arrays.

    Attributes:
        weights: by the names of `SHAPES`.
    """

    weights: Weights

    def __post_init__(self) -> None:
        for name, shape in SHAPES.items():
            found = self.weights[name].shape if name in self.weights else None
            if found != shape:
                raise BundleError(f"the model of fragments: {name} must be of shape {shape}, got {found}")

    def logits(
        self, matches: Matches, match_numbers: Float[np.ndarray, "m f"], peak_numbers: Float[np.ndarray, "p g"]
    ) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, " p"]]:
        """Logits of the matches, and of each peak being none of them."""
        w = self.weights
        codes = matches.rows[:, :CROSSED]
        # A row of zeros beyond the classes stands for no bond.
        table = np.concatenate([w["bonds"], np.zeros((1, w["bonds"].shape[1]))])
        bonds = table[np.where(codes == NO_BOND, BOND_CLASSES, codes.astype(np.int64))].sum(axis=1)
        of_peak = peak_numbers.astype(np.float64) @ w["peak"] + w["bias"]
        hidden = _silu(match_numbers.astype(np.float64) @ w["match"] + bonds + of_peak[matches.peak])
        own = _silu(hidden @ w["inner"] + w["inner_bias"]) @ w["out"] + w["out_bias"][0]
        none = _silu(peak_numbers.astype(np.float64) @ w["none"] + w["none_bias"]) @ w["none_out"]
        return own, none + w["none_out_bias"][0]

    def with_predicted(
        self,
        own: Float[np.ndarray, " m"],
        none: Float[np.ndarray, " p"],
        predicted: Float[np.ndarray, "m f"],
        stray: Float[np.ndarray, "p g"],
    ) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, " p"]]:
        """Logits with what was predicted.

        Args:
            own: of the matches, the evidence of their mass errors included.
            none: of each peak being none of them.
            predicted: as `molvis_msms.explanation.features.predicted_numbers` makes them.
            stray: as `molvis_msms.explanation.features.stray_numbers` makes them.
        """
        return with_predicted(self.weights, own, none, predicted, stray)

    def save(self, path: Path) -> None:
        """Write the arrays."""
        from safetensors.numpy import save_file

        save_file({name: np.asarray(self.weights[name], dtype=np.float32) for name in SHAPES}, path)


def with_predicted(weights: Mapping[str, Any], own: Any, none: Any, predicted: Any, stray: Any) -> tuple[Any, Any]:
    """As `FragmentModel.with_predicted`, of arrays or, where the weights are learned, of tensors."""
    level = weights["scales"][0] * own + predicted @ weights["predicted"]
    return level, weights["scales"][1] * none + stray @ weights["stray"]


def without_prediction() -> dict[str, np.ndarray]:
    """Arrays with which what was predicted does not count."""
    return {name: np.ones(shape) if name == "scales" else np.zeros(shape) for name, shape in PREDICTION.items()}


def load_model(path: Path) -> FragmentModel:
    """Read what `FragmentModel.save` wrote.

    Raises:
        BundleError: it is missing, damaged or of another layout.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        found = load_file(path)
    except (OSError, SafetensorError) as error:
        raise BundleError(f"{path}: damaged: {error}") from error
    return FragmentModel({name: array.astype(np.float64) for name, array in found.items()})


@functools.lru_cache(maxsize=1)
def shipped_model() -> FragmentModel:
    """The model that comes with molvis-msms."""
    with importlib.resources.as_file(importlib.resources.files("molvis_msms.explanation") / _STATE) as path:
        return load_model(path)


def _silu(x: np.ndarray) -> np.ndarray:
    return x / (1 + np.exp(-np.clip(x, -60, 60)))


def estimate_errors(matches: Matches, count: int) -> MassErrors:
    """Offset and width of the mass errors of a spectrum, from the cheapest match of each peak.

    What fits by chance has uniform errors: a mixture with the normal distribution of what fits rightly is estimated,
    with a prior worth six peaks of a width of 0.2 tolerances and no offset.

    Args:
        matches: of the spectrum, cheapest first.
        count: peaks that the spectrum has.
    """
    first = np.full(count, -1, dtype=np.int64)
    first[matches.peak[::-1]] = np.arange(len(matches))[::-1]
    error = matches.error[first[first >= 0]]
    offset, width, share = 0.0, _WIDTH, 0.7
    for _ in range(30):
        own = share * np.exp(MassErrors(offset, width).evidence(error))
        r = own / (own + 1 - share)
        total = float(r.sum())
        offset = float((r * error).sum()) / (total + _PRIOR)
        spread = float((r * (error - offset) ** 2).sum())
        width = float(np.sqrt(np.clip((spread + _PRIOR * _WIDTH**2) / (total + _PRIOR), 0.027**2, 0.6**2)))
        share = (total + 3.5) / (len(error) + 5)
    return MassErrors(offset, width)


_PRIOR, _WIDTH = 6.0, 0.2


@dataclass(frozen=True, eq=False, slots=True)
class Probabilities:
    """What the peaks of a spectrum are.

    Attributes:
        match: probability of each match.
        unexplained: probability of each peak of being none of them.
        evidence: logarithm of how much likelier each peak is in a spectrum of this structure, of whose peaks four in
            five are its own, than in one of another compound.
        share: of the peaks with a match those that are the structure's, estimated from the spectrum.
    """

    match: Float[np.ndarray, " m"]
    unexplained: Float[np.ndarray, " p"]
    evidence: Float[np.ndarray, " p"]
    share: float


def probabilities(matches: Matches, level: Float[np.ndarray, " m"], none: Float[np.ndarray, " p"]) -> Probabilities:
    """Probabilities from logits.

    Args:
        matches: of the spectrum.
        level: logits of the matches, as `FragmentModel.with_predicted` returns them.
        none: those of the peaks.
    """
    top = none.copy()
    np.maximum.at(top, matches.peak, level)
    mass = np.exp(level - top[matches.peak])
    explained = np.bincount(matches.peak, weights=mass, minlength=len(none)).astype(np.float64)
    left = np.exp(none - top)
    # A peak without a match may be the structure's as well as another's: it tells nothing of the share.
    counted = np.bincount(matches.peak, minlength=len(none)) > 0
    share = _USUAL
    for _ in range(200):
        chance = _of_share(share, explained, left)
        fresh = (float(chance[counted].sum()) + _WORTH * _PRIOR_SHARE) / (float(counted.sum()) + _WORTH)
        settled, share = abs(fresh - share) < 1e-9, fresh
        if settled:
            break
    own_weight, foreign_weight = share / _USUAL, (1 - share) / (1 - _USUAL)
    total = own_weight * explained + foreign_weight * left
    evidence = np.log(0.8 * explained + 0.2 * left) - np.log(np.maximum(left, 1e-300))
    return Probabilities(own_weight * mass / total[matches.peak], foreign_weight * left / total, evidence, share)


def _of_share(
    share: float, explained: Float[np.ndarray, " p"], left: Float[np.ndarray, " p"]
) -> Float[np.ndarray, " p"]:
    """Probability of each peak of being explained where the structure has a share of the peaks that have a match."""
    own, foreign = share / _USUAL * explained, (1 - share) / (1 - _USUAL) * left
    return own / (own + foreign)


_USUAL = 0.63
"""Share of the peaks with a match that were the structure's where the network learned; it and the two below make the
probabilities of the validation fold come true."""
_PRIOR_SHARE, _WORTH = 5 / 6, 30.0
"""Share that is expected in a spectrum, and how many peaks that expectation is worth."""
