"""From spectra to structures where a range was not measured: the regression is solved anew from what was."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from molvis_ir._regression.learning import FLOOR, PENALTY_BACK, along, backward, likeness
from molvis_ir._regression.ridge import inverted
from molvis_nn.regression import whitening

_BLOCK = 10
"""Points of the grid that are known together or not at all: spectra whose ends differ a little are of one range."""
_MISSED = 0.02
"""Of the usual sum of squares: what is missed below that is filled in."""
_RIDGE = 0.01
_NEAREST = 20
"""Spectra that tell how large the dot product with a candidate that matters is."""
_TRUST = 0.5
"""Share of the weight that structures to spectra have where a range is missing: the rest is the other regression's."""
_MOST = 3.0
"""Times as far as without a range missing may a compound's own spectrum move a prediction."""


@dataclass(frozen=True)
class Backward:
    """The regression from spectra to coordinates of structures and to codes of compounds.

    Attributes:
        known: spectra of compounds as their kernel takes them.
        middle: middle squared distance between them.
        coordinates, codes: coefficients.
    """

    known: Float[np.ndarray, "n t"]
    middle: float
    coordinates: Float[np.ndarray, "n k"]
    codes: Float[np.ndarray, "n c"]

    def read(self, root: Float[np.ndarray, "m t"]) -> tuple[Float[np.ndarray, "m k"], Float[np.ndarray, "m c"]]:
        """Coordinates of length 1, and codes, which are subtracted.

        Args:
            root: square roots of the absorbance, 0 where it is not known.
        """
        like = likeness(backward(root), self.known, self.middle)
        found = like @ self.coordinates
        size = np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)
        return found / size, -(like @ self.codes) / size


@dataclass(frozen=True)
class Targets:
    """What the regression to structures was solved for.

    Attributes:
        points: coordinates of the compounds.
        white: what they were multiplied by.
        code: of the compounds, as long as their own spectra move predictions, in parts of `strength`.
        strength: the farthest of that.
    """

    points: Float[np.ndarray, "n k"]
    white: Float[np.ndarray, "k k"]
    code: Float[np.ndarray, "n c"]
    strength: float

    def solved(self, back: Float[np.ndarray, "n t"], seen: Bool[np.ndarray, " t"]) -> Backward:
        """The regression from these points of the grid alone.

        Structures keep the vectors that they have: what changes is how a spectrum points at them.

        Args:
            back: whole spectra of the compounds as the kernel takes them.
            seen: points of the grid.
        """
        known = (back * seen).astype(np.float32)
        known /= np.maximum(np.linalg.norm(known, axis=1, keepdims=True), 1e-12)
        squares = (2 - 2 * known @ known.T).clip(min=0)
        middle = max(float(np.median(squares[:: max(1, len(known) // 1000)])), 1e-6)
        inverse = inverted(likeness(known, known, middle), PENALTY_BACK)
        found = inverse @ self.points
        wrong = found / np.diag(inverse)[:, None]
        white = whitening(wrong, FLOOR)
        turn = white @ np.linalg.solve(self.white, white).T
        moved = along(wrong @ turn, self.points @ self.white)
        # A structure's code has the length that counts for whole spectra: the coefficients make up for it.
        usual = np.maximum(np.linalg.norm(self.code, axis=1), 1e-12)
        share = (moved / (self.strength * usual)).clip(-_MOST, _MOST)
        codes = inverse @ (self.code * (share * self.strength / usual)[:, None])
        return Backward(known, middle, found @ turn, codes)


@dataclass(frozen=True)
class Lengths:
    """Spectra that are predicted are of length 1 over the whole range: what they have of it in a part differs.

    A dot product over a part is divided by that length, which a dot product cannot do. But the reciprocal is close to
    linear in the vector, and for all candidates that matter the dot product is about the same: so much of that linear
    function is added.

    Attributes:
        examples: vectors of spectra over the whole range, each of length 1.
        direction: along which the reciprocal of the length in the part grows, whose mean is 1.
    """

    examples: Float[np.ndarray, "n k"]
    direction: Float[np.ndarray, " k"]

    @classmethod
    def within(cls, examples: Float[np.ndarray, "n k"], form: Float[np.ndarray, "k k"]) -> Lengths:
        """Those in a part, of which `form` gives the square: that of a vector a is a F a."""
        size = np.sqrt(((examples @ form) * examples).sum(axis=1).clip(min=1e-12))
        away, centred = size.mean() / size, examples - examples.mean(axis=0)
        gram = centred.T @ centred
        ridge = _RIDGE * len(examples) / len(gram) * np.eye(len(gram))
        return cls(examples, np.linalg.solve(gram + ridge, centred.T @ (away - away.mean())))

    def divided(self, rows: Float[np.ndarray, "m k"]) -> Float[np.ndarray, "m k"]:
        """Vectors over a part, whose dot products with whole ones rank as if these were of length 1 there.

        Args:
            rows: of length 1.
        """
        alike = np.partition(rows @ self.examples.T, -min(_NEAREST, len(self.examples)), axis=1)[:, -_NEAREST:]
        return _TRUST * (rows + alike.mean(axis=1, keepdims=True) * self.direction)


def coarse(known: Bool[np.ndarray, " t"]) -> Bool[np.ndarray, " t"]:
    """Blocks of points that are known as a whole."""
    out = np.zeros_like(known)
    for start in range(0, len(known), _BLOCK):
        out[start : start + _BLOCK] = known[start : start + _BLOCK].all()
    return out


def misses_much(known: Bool[np.ndarray, " t"], usual: Float[np.ndarray, " t"]) -> bool:
    """Whether what was not measured is too much to be filled in.

    Args:
        known: which points of the grid were measured.
        usual: mean squares of spectra there.
    """
    return bool(usual[~known].sum() > _MISSED * usual.sum())
