"""Markov chains side by side that propose moves from each other's places: differential evolution (DE-MC).

From z_i to z_i + g (z_a - z_b) + noise, where a and b are two chains of the other half and g is 2.38 / sqrt(2 d) for
the d coordinates that move, times a scale that adapts at first. Accepted by Metropolis.

Reference: ter Braak and Vrugt, Stat. Comput. 18 (2008) 435, doi:10.1007/s11222-008-9104-9
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from molvis_core.progress import Progress
from molvis_flux.sampling import effective_size
from molvis_flux.sampling.importance import Draws, LogDensity, equal_draws


def sample(
    target: LogDensity,
    start: Float[np.ndarray, "w k"],
    *,
    draws: int,
    moves: int,
    rng: np.random.Generator,
    progress: Progress | None = None,
) -> Draws:
    """Draw from a density by chains that move along differences of each other in some of the coordinates.

    Args:
        target: logarithm of the density, up to a constant; minus infinity outside its support.
        start: a point for each chain. Those outside the support go to where another one is.
        draws: to keep.
        moves: of each chain; the last two thirds are drawn from.
        rng: of the moves.
        progress: called with what is done of the moves.

    Returns:
        Equally weighted draws; how many they are worth is that of the coordinate that mixes worst.
    """
    z, n = start.copy(), len(start)
    p = target(z)
    lost = ~np.isfinite(p)
    if lost.any() and not lost.all():
        chosen = rng.choice(np.flatnonzero(~lost), int(lost.sum()))
        z[lost], p[lost] = z[chosen], p[chosen]
    halves = np.array_split(np.arange(n), 2)
    scale = 1.0
    kept: list[Float[np.ndarray, "w k"]] = []
    for move in range(moves):
        taken = 0
        for mine, others in (halves, halves[::-1]):
            trial = _trial(z[mine], z[others], scale, rng)
            there = target(trial)
            rows = mine[np.log(rng.random(len(mine))) < there - p[mine]]
            better = np.isin(mine, rows)
            z[rows], p[rows] = trial[better], there[better]
            taken += len(rows)
        if move < moves // 3:  # a chain that adapts for ever need not arrive
            scale = float(np.clip(scale * np.exp(0.3 * (taken / n - 0.25)), 0.05, 2.0))
        else:
            kept.append(z.copy())
        if progress:
            progress(move + 1, moves)
    path = np.stack(kept)
    rows = np.linspace(0, len(path) * n - 1, draws).astype(int)
    points = path.reshape(-1, z.shape[1])[rows]
    return equal_draws(points, effective_size.of_chains(path))


def _trial(
    here: Float[np.ndarray, "n k"], others: Float[np.ndarray, "m k"], scale: float, rng: np.random.Generator
) -> Float[np.ndarray, "n k"]:
    """Steps along differences of two others, in a random part of the coordinates; now and then a whole difference."""
    n, k = here.shape
    a = rng.integers(len(others), size=n)
    b = (a + rng.integers(1, len(others), size=n)) % len(others)
    chosen = rng.random((n, k)) < rng.choice([0.1, 0.25, 0.5, 1.0], size=(n, 1))
    chosen[np.arange(n), rng.integers(k, size=n)] = True
    length = scale * 2.38 / np.sqrt(2 * chosen.sum(axis=1, keepdims=True)) * rng.uniform(0.5, 1.2, (n, 1))
    length = np.where(rng.random((n, 1)) < 0.05, 1.0, length)
    return here + chosen * (length * (others[a] - others[b]) + 1e-3 * rng.standard_normal((n, k)))
