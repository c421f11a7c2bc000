"""How alike two spectra are by their tokens: a kernel in which rare tokens count for more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int64
from scipy import sparse

from molvis_msms.fingerprint.network import Vocabulary
from molvis_msms.fingerprint.tokens import DIFFERENCES

_POWER = 0.5
"""Of the tokens' weights, which are square roots of heights already: low peaks count nearly as much as high ones."""
_STEEP = 3.0
"""The kernel is exp(-3 (1 - cosine))."""
_OF_DIFFERENCES = 0.4
"""Of the cosine, if a spectrum has tokens of both sorts: so much is of differences between peaks, the rest of peaks."""
_OTHER_MODE = 0.5
"""What the kernel of a positive and a negative ion is multiplied by; of theirs only differences can be the same."""


@dataclass(frozen=True, eq=False)
class SpectraKernel:
    """Spectra that others are compared with.

    Attributes:
        keys: of the tokens that count, ascending.
        rarity: of each, by which its weight is multiplied.
        rows: one spectrum to a row, a token to a column, of unit length.
        negative: whether each spectrum's ion is.
    """

    keys: Int64[np.ndarray, " v"]
    rarity: Float32[np.ndarray, " v"]
    rows: sparse.csr_matrix
    negative: Bool[np.ndarray, " n"]

    @classmethod
    def of(
        cls,
        spectra: Sequence[tuple[np.ndarray, np.ndarray]],
        compound: Int64[np.ndarray, " n"],
        negative: Bool[np.ndarray, " n"],
        min_compounds: int,
    ) -> SpectraKernel:
        """The kernel with these spectra.

        Args:
            spectra: keys and weights of the tokens of each.
            compound: which compound each is of.
            negative: whether each spectrum's ion is.
            min_compounds: tokens in spectra of fewer compounds do not count.
        """
        keys = Vocabulary.of([key for key, _ in spectra], compound, min_compounds).keys
        ones = cls(keys, np.ones(len(keys), dtype=np.float32), sparse.csr_matrix((0, len(keys))), negative[:0])
        rows = ones.prepared(spectra)
        compounds = int(compound.max(initial=-1)) + 1
        of_compound = sparse.csr_matrix(
            (np.ones(len(compound)), (compound, np.arange(len(compound)))), shape=(compounds, len(compound))
        )
        having = np.bincount((of_compound @ rows).tocsr().indices, minlength=len(keys))
        rarity = np.log((compounds + 1) / np.maximum(having, 1)).astype(np.float32)
        return cls(keys, rarity, _balanced((rows @ sparse.diags(rarity)).tocsr(), keys), negative)

    def prepared(self, spectra: Sequence[tuple[np.ndarray, np.ndarray]]) -> sparse.csr_matrix:
        """Rows of unit length for spectra, given as keys and weights of their tokens; unknown ones do not count."""
        lengths = [len(key) for key, _ in spectra]
        flat = np.concatenate([np.empty(0, dtype=np.int64), *(key for key, _ in spectra)])
        weight = np.concatenate([np.empty(0, dtype=np.float32), *(weight for _, weight in spectra)]) ** _POWER
        place = np.searchsorted(self.keys, flat).clip(max=max(len(self.keys) - 1, 0))
        known = self.keys[place] == flat if len(self.keys) else np.zeros(len(flat), dtype=bool)
        owner = np.repeat(np.arange(len(lengths)), lengths)[known]
        values = weight[known] * self.rarity[place[known]]
        rows = sparse.csr_matrix((values, (owner, place[known])), shape=(len(lengths), len(self.keys)))
        return _balanced(rows, self.keys)

    def with_all(self, rows: sparse.csr_matrix, negative: Bool[np.ndarray, " m"]) -> Float32[np.ndarray, "m n"]:
        """The kernel of prepared spectra with all that are known."""
        out = (rows @ self.rows.T).toarray().astype(np.float32)
        np.exp(_STEEP * (out - 1), out=out)
        out[negative[:, None] != self.negative[None]] *= _OTHER_MODE
        return out


def _balanced(rows: sparse.csr_matrix, keys: Int64[np.ndarray, " v"]) -> sparse.csr_matrix:
    """Rows of unit length, whose differences between peaks have their share: a product is a mean of two cosines."""
    first = int(np.searchsorted(keys, DIFFERENCES))
    if first == len(keys):
        return _unit(rows)
    shares = (1 - _OF_DIFFERENCES) ** 0.5, _OF_DIFFERENCES**0.5
    parts = [_unit(part) * share for part, share in zip((rows[:, :first], rows[:, first:]), shares, strict=True)]
    return _unit(sparse.hstack(parts, format="csr"))


def _unit(rows: sparse.csr_matrix) -> sparse.csr_matrix:
    length = np.sqrt(np.asarray(rows.multiply(rows).sum(axis=1)).ravel())
    return sparse.csr_matrix(sparse.diags(1 / np.maximum(length, 1e-12)) @ rows, dtype=np.float32)
