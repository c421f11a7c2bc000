"""What infrared spectra usually look like: to fill in what was not measured."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float

from molvis_nn.vectors import unit_rows

_RANGES = 8
"""Ranges whose matrices are kept."""


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
