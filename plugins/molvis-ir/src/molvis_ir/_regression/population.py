"""What infrared spectra usually look like: to put scales right, and to fill in what was not measured."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float

from molvis_nn.vectors import unit_rows

_SHIFTS = np.arange(-6, 7)
"""Points of 4 cm^-1 that a wavenumber scale may be off by: whole ones, for between points a spectrum is smoothed, and a
smooth one is always more likely."""
_RANGES = 8
"""Ranges whose matrices are kept."""
_LEAST = 0.2
"""Of the grid has to be known for a scale to be put right."""
_SHARE = 0.05
"""Of the likelihood: points of a spectrum are far from independent."""
_NEAREST = 10
_NEAR = 100.0
"""Weight of the mean cosine of slopes with the most similar training spectra."""
_MOVED, _BY = 3.0, 0.5
"""What a shift costs, and each point of it: most scales are right."""
_DOUBT = 6.0
"""By how much a shift has to be more likely than none for the two to count alike; four times that, it counts alone."""


def channels_of(spectra: Float[np.ndarray, "n t"]) -> Float[np.ndarray, "n c"]:
    """Absorbance and its square root side by side, each of norm 1: the root shows weak bands."""
    root = np.sqrt(spectra.clip(min=0))
    return np.concatenate([unit_rows(spectra), unit_rows(root)], axis=1)


@dataclass(frozen=True)
class Population:
    """Mean and covariance of the channels of spectra: a few directions, and the same variance in all others.

    Attributes:
        mean: of both channels.
        basis: orthonormal directions.
        variance: along each of them.
        rest: variance along every other direction.
    """

    mean: Float[np.ndarray, " c"]
    basis: Float[np.ndarray, "c k"]
    variance: Float[np.ndarray, " k"]
    rest: float
    _within: dict[bytes, Seen] = field(default_factory=dict, init=False, repr=False, compare=False)

    @classmethod
    def of(cls, rows: Float[np.ndarray, "n c"], most: int) -> Population:
        """That of channels of spectra."""
        mean = rows.mean(axis=0)
        _, scale, turned = np.linalg.svd(rows - mean, full_matrices=False)
        count = min(most, len(scale))
        squares = scale**2 / max(len(rows), 1)
        rest = float(squares[count:].sum()) / max(rows.shape[1] - count, 1)
        floor = 1e-5 * float(squares.sum()) / max(count, 1)
        return cls(mean, turned[:count].T.copy(), squares[:count] + floor, max(rest, 1e-3 * floor, 1e-12))

    def within(self, known: Bool[np.ndarray, " t"]) -> Seen:
        """The same where only some points are known; it is kept, for spectra are often of one range."""
        if (key := known.tobytes()) not in self._within:
            if len(self._within) >= _RANGES:
                self._within.clear()
            self._within[key] = Seen(self, np.concatenate([known, known]))
        return self._within[key]

    def filled(self, spectrum: Float[np.ndarray, " t"], known: Bool[np.ndarray, " t"]) -> Float[np.ndarray, " c"]:
        """Channels of a spectrum, what was not measured being what is most likely beside what was."""
        if known.all():
            return channels_of(spectrum[None])[0]
        seen, half = self.within(known), len(known)
        root = np.sqrt(spectrum.clip(min=0))
        parts = [part * known for part in (spectrum, root)]
        parts = [part / max(float(np.linalg.norm(part)), 1e-12) for part in parts]
        usual = self.mean**2 + (self.basis**2) @ self.variance
        scale = [
            np.sqrt(usual[i * half :][:half][known].sum() / usual[i * half :][:half].sum()) for i in (0, 1)
        ]  # fmt: skip
        out = np.zeros(2 * half)
        for _ in range(4):
            out = np.concatenate([part * s for part, s in zip(parts, scale, strict=True)])
            guess = self.mean + self.basis @ seen.along(out - self.mean)
            out = np.where(seen.known, out, guess.clip(min=0))
            # Scaled so that the whole spectrum, and not what was measured of it, is of norm 1.
            norms = [max(float(np.linalg.norm(out[i * half :][:half])), 1e-12) for i in (0, 1)]
            scale = [s / norm for s, norm in zip(scale, norms, strict=True)]
        return out

    def put_right(
        self,
        spectrum: Float[np.ndarray, " t"],
        known: Bool[np.ndarray, " t"],
        slopes: Float[np.ndarray, "n s"],
    ) -> tuple[Float[np.ndarray, " t"], Bool[np.ndarray, " t"], float]:
        """The spectrum on the wavenumber scale that is most likely, where it is known, and how sure the shift is.

        No band tells how far a scale is off, but all together do: by how usual the spectrum is, and by how similar
        its slopes are to those of the spectra that are most like it.

        Args:
            spectrum: on the grid.
            known: which of its points were measured.
            slopes: of training spectra, as `slopes_of` makes them.
        """
        points = np.arange(len(spectrum), dtype=np.float64)
        reach = int(np.abs(_SHIFTS).max())
        inside = np.convolve(~known, np.ones(2 * reach + 1), mode="same") == 0
        inside[:reach] = inside[-reach:] = False
        if inside.mean() < _LEAST:
            return spectrum, known, 0.0
        rows = np.stack([np.interp(points + shift, points, spectrum) for shift in _SHIFTS])
        alike = slopes_of(np.sqrt(rows.clip(min=0)), inside) @ slopes.T
        nearest = np.sort(alike, axis=1)[:, -_NEAREST:].mean(axis=1)
        likely = _SHARE * self.within(inside).likelihood(rows) + _NEAR * nearest
        likely = likely - _MOVED * (_SHIFTS != 0) - _BY * np.abs(_SHIFTS)
        shift = int(_SHIFTS[np.argmax(np.round(likely, 6))])
        if not shift:
            return spectrum, known, 0.0
        margin = float(likely.max() - likely[_SHIFTS == 0].item())
        moved = np.interp(points + shift, points, known.astype(np.float64)) > 0.99
        best = np.interp(points + shift, points, spectrum) * moved
        return best / max(float(np.linalg.norm(best)), 1e-12), moved, 1 / (1 + np.exp((_DOUBT - margin) / _DOUBT))


def slopes_of(root: Float[np.ndarray, "n t"], inside: Bool[np.ndarray, " t"] | None = None) -> Float[np.ndarray, "n t"]:
    """Slopes of square roots of spectra where these are inside, each row of norm 1."""
    out = np.zeros(root.shape, dtype=np.float32)
    out[:, 1:-1] = root[:, 2:] - root[:, :-2]
    return unit_rows(out if inside is None else out * inside)


class Seen:
    """A population of which some points are seen."""

    def __init__(self, population: Population, known: Bool[np.ndarray, " c"]) -> None:
        self.population, self.known = population, known
        self.basis = population.basis * known[:, None]

    @cached_property
    def gram(self) -> Float[np.ndarray, "k k"]:
        """Of the basis where it is seen."""
        return self.basis.T @ self.basis

    @cached_property
    def _inverse(self) -> Float[np.ndarray, "k k"]:
        rest = self.population.rest
        return np.linalg.inv(np.diag(rest / self.population.variance) + self.gram)

    def along(self, away: Float[np.ndarray, " c"]) -> Float[np.ndarray, " k"]:
        """How far along each direction a spectrum most likely is, from what is seen of its distance from the mean."""
        return self._inverse @ (self.basis.T @ away)

    def likelihood(self, spectra: Float[np.ndarray, "n t"]) -> Float[np.ndarray, " n"]:
        """Logarithm of the density of what is seen, up to a constant; every spectrum as high as the mean is there."""
        half = spectra.shape[1]
        total = np.zeros(len(spectra))
        rows = []
        for i, part in enumerate((spectra, np.sqrt(spectra.clip(min=0)))):
            seen, mean = self.known[i * half :][:half], self.population.mean[i * half :][:half]
            size = np.sqrt(
                (mean[seen] ** 2).sum() + ((self.basis[i * half :][:half]) ** 2 @ self.population.variance).sum()
            )
            rows.append(unit_rows(part * seen) * size)
        away = (np.concatenate(rows, axis=1) - self.population.mean) * self.known
        along = away @ self.basis
        total -= 0.5 * ((away**2).sum(1) - ((along @ self._inverse) * along).sum(1)) / self.population.rest
        return total
