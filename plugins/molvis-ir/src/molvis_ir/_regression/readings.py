"""How a spectrum may have to be read: its wavenumbers may be off, and total reflection may have tilted its bands."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy import linalg

from molvis_ir._regression.learning import backward, forward_of, likeness
from molvis_ir._regression.ranges import coarse, misses_much
from molvis_ir.preparation import grid
from molvis_nn.vectors import unit_rows

_SHIFTS = np.arange(-6, 7)
"""Points of 4 cm^-1 that a wavenumber scale may be off by: whole ones, for between points a spectrum is smoothed, and a
smooth one is always more usual."""
_LEAST = 0.2
"""Of the grid has to be known for a spectrum to be read in any other way than as measured."""
_NEAREST = 10
_NEAR = 37.0
"""Logarithm of the odds for each part of 1 of the mean cosine of slopes with the most similar training spectra."""
_FAR = 0.65
"""The same for each point that a shift is away from what the judge tells."""
_DRAWN = 1.25
"""What the judge tells has to be multiplied by: a regression draws towards the middle."""
_TILTED = 10.0
"""The same for the judge's opinion of a tilt, which is 1/2 where it is sure."""
_SHIFT, _TILT = 4.0, 2.0
"""What speaks against a shift and against a tilt beforehand: most spectra are as they should be."""
_RARE = 0.03
"""Probability below which a reading is left out."""
_ROUNDS, _MARKS = 4, 2500
_PENALTY, _JITTER = 0.1, 3e-6
_KEPT = 6
"""Judges that are kept."""


@dataclass(frozen=True)
class Reading:
    """A spectrum as it would be if its scale or its heights had been wrong so, where it is known, and how likely."""

    spectrum: Float[np.ndarray, " t"]
    known: Bool[np.ndarray, " t"]
    share: float


class Readings:
    """What tells how spectra have to be read: those that were learned from.

    Args:
        back: training spectra as their kernel takes them.
        usual: mean squares of spectra.
    """

    def __init__(self, back: Float[np.ndarray, "n t"], usual: Float[np.ndarray, " t"]) -> None:
        self._back, self._usual, self._slopes = back, usual, slopes_of(back)
        self._judges: dict[bytes, Judge] = {}

    def of(self, spectrum: Float[np.ndarray, " t"], known: Bool[np.ndarray, " t"]) -> list[Reading]:
        """The readings of a spectrum that are not too unlikely.

        No band tells how far a scale is off, but all together do: by how similar their slopes are to those of the
        training spectra that are most like them, and by what a judge learned from training spectra that were moved.

        Args:
            spectrum: on the grid.
            known: which of its points were measured.
        """
        reach = int(np.abs(_SHIFTS).max())
        inside = np.convolve(~known, np.ones(2 * reach + 1), mode="same") == 0
        inside[:reach] = inside[-reach:] = False
        if inside.mean() < _LEAST:
            return [Reading(spectrum, known, 1.0)]
        off, tilted = self._judge(known).told(spectrum)
        # An evanescent wave reaches as far into the sample as it is long.
        forms = (spectrum, spectrum * grid() / 1000)
        odds = np.stack([self._near(form, inside) for form in forms])
        odds += _TILTED * tilted * np.array([[0.0], [1.0]]) - _FAR * np.abs(_SHIFTS - _DRAWN * off)
        odds -= _SHIFT * (_SHIFTS != 0) + _TILT * np.array([[0.0], [1.0]])
        share = np.exp(odds - odds.max())
        share /= share.sum()
        share[share < _RARE] = 0
        share /= share.sum()
        return [
            Reading(*moved(forms[tilt], known, int(_SHIFTS[place])), float(share[tilt, place]))
            for tilt, place in np.argwhere(share)
        ]

    def _near(self, spectrum: Float[np.ndarray, " t"], inside: Bool[np.ndarray, " t"]) -> Float[np.ndarray, " s"]:
        """How similar slopes are to those of the most similar training spectra, by every shift."""
        points = np.arange(len(spectrum), dtype=np.float64)
        rows = np.stack([np.interp(points + shift, points, spectrum) for shift in _SHIFTS])
        alike = slopes_of(np.sqrt(rows.clip(min=0)), inside) @ self._slopes.T
        nearest = min(_NEAREST, alike.shape[1])
        return _NEAR * np.partition(alike, -nearest, axis=1)[:, -nearest:].mean(axis=1)

    def _judge(self, known: Bool[np.ndarray, " t"]) -> Judge:
        seen = coarse(known)
        if not misses_much(seen, self._usual):
            seen = np.ones_like(known)
        if (key := seen.tobytes()) not in self._judges:
            if len(self._judges) >= _KEPT:
                self._judges.pop(next(iter(self._judges)))
            self._judges[key] = Judge.of(self._back, seen)
        return self._judges[key]


@dataclass(frozen=True)
class Judge:
    """Kernel ridge regression from spectra to how far their scale is off and whether they are tilted.

    Attributes:
        seen: points of the grid that it knows.
        marks: spectra whose kernel it takes, as the kernel takes them, and their middle squared distance.
        coefficients: to the points that a scale is off by, and to 1/2 for a tilted spectrum and -1/2 for any other.
    """

    seen: Bool[np.ndarray, " t"]
    marks: Float[np.ndarray, "m t"]
    middle: float
    coefficients: Float[np.ndarray, "m 2"]

    @classmethod
    def of(cls, back: Float[np.ndarray, "n t"], seen: Bool[np.ndarray, " t"]) -> Judge:
        """One that learned from training spectra, moved and tilted at random, of some of which the kernel is taken.

        Args:
            back: training spectra as their kernel takes them.
            seen: points of the grid that it may know.
        """
        rng = np.random.default_rng(0)
        spectra = forward_of(back.astype(np.float64))[:, : back.shape[1]]
        drawn = [_drawn(spectra, seen, rng) for _ in range(_ROUNDS)]
        rows = np.concatenate([one[0] for one in drawn])
        told = np.concatenate([one[1] for one in drawn])
        marks = rows[rng.permutation(len(rows))[:_MARKS]]
        middle = max(float(np.median(2 - 2 * marks[:1000] @ marks[:1000].T)), 1e-6)
        gram, onto = np.zeros((len(marks),) * 2), np.zeros((len(marks), 2))
        for start in range(0, len(rows), 2000):
            like = likeness(rows[start : start + 2000], marks, middle)
            gram += like.T @ like
            onto += like.T @ told[start : start + 2000]
        gram += _PENALTY * likeness(marks, marks, middle)
        gram += _JITTER * np.trace(gram) / len(gram) * np.eye(len(gram))
        return cls(seen, marks, middle, linalg.solve(gram, onto, assume_a="pos"))

    def told(self, spectrum: Float[np.ndarray, " t"]) -> tuple[float, float]:
        """By how many points the scale of a spectrum is off, and whether it is tilted, from -1/2 to 1/2 or so."""
        row = backward(np.sqrt(spectrum.clip(min=0))[None] * self.seen).astype(np.float32)
        off, tilted = (likeness(row, self.marks, self.middle) @ self.coefficients)[0]
        return float(off), float(tilted)


def _drawn(
    spectra: Float[np.ndarray, "n t"], seen: Bool[np.ndarray, " t"], rng: np.random.Generator
) -> tuple[Float[np.ndarray, "n t"], Float[np.ndarray, "n 2"]]:
    """Spectra as the kernel takes them, some of them blurred or tilted, all of them moved, and what was done."""
    points = np.arange(spectra.shape[1], dtype=np.float64)
    count, farthest = len(spectra), float(np.abs(_SHIFTS).max()) + 0.5
    off = rng.uniform(-farthest, farthest, count)
    out = np.stack([np.interp(points - by, points, one) for by, one in zip(off, spectra, strict=True)])
    tilted = rng.random(count) < 0.5
    out[tilted] *= 1000 / grid()
    # Of three spectra one is blurred, with weights 1/4, 1/2 and 1/4 as often as is drawn.
    times = rng.integers(1, 13, count) * (rng.random(count) < 1 / 3)
    for done in range(int(times.max(initial=0))):
        more = np.flatnonzero(times > done)
        padded = np.pad(out[more], ((0, 0), (1, 1)), mode="edge")
        out[more] = 0.25 * padded[:, :-2] + 0.5 * out[more] + 0.25 * padded[:, 2:]
    rows = backward(np.sqrt(out.clip(min=0)) * seen).astype(np.float32)
    return rows, np.stack([off, tilted - 0.5], axis=1)


def moved(
    spectrum: Float[np.ndarray, " t"], known: Bool[np.ndarray, " t"], shift: int
) -> tuple[Float[np.ndarray, " t"], Bool[np.ndarray, " t"]]:
    """A spectrum whose bands were this many points too high, of norm 1, and where it is known."""
    points = np.arange(len(spectrum), dtype=np.float64)
    seen = np.interp(points + shift, points, known.astype(np.float64)) > 0.99
    out = np.interp(points + shift, points, spectrum) * seen
    return out / max(float(np.linalg.norm(out)), 1e-12), seen


def slopes_of(root: Float[np.ndarray, "n t"], inside: Bool[np.ndarray, " t"] | None = None) -> Float[np.ndarray, "n t"]:
    """Slopes of spectra where these are inside, each row of norm 1."""
    out = np.zeros(root.shape, dtype=np.float32)
    out[:, 1:-1] = root[:, 2:] - root[:, :-2]
    return unit_rows(out if inside is None else out * inside)
