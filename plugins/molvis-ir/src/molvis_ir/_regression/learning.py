"""Both regressions and the functional groups, learned from compounds with their spectra."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy import linalg

from molvis_core.records import Structure, Trace
from molvis_ir._regression.population import Population, channels_of
from molvis_ir._regression.probabilities import Scale, scales
from molvis_ir._regression.ridge import ridge
from molvis_ir._regression.substructures import Substructures, substructures
from molvis_ir.augmentation import augment
from molvis_ir.groups import has_groups
from molvis_ir.preparation import measured, prepare
from molvis_nn.regression import whitening
from molvis_nn.vectors import upright

_PENALTY, PENALTY_BACK, FLOOR = 0.01, 0.1, 0.02
_STRENGTH = 0.5
"""Of the augmentation that errors are drawn from."""
_WIDTH = 2.0
"""Of the kernel of spectra: twice the squared distance over the middle one."""
_POWER = 0.35
"""Of the absorbance in the kernel of spectra."""


@dataclass(frozen=True)
class Learned:
    """What was learned.

    Attributes:
        population: of spectra.
        known: substructures of the compounds.
        spectra: coefficients from structures to directions of spectra, and the correction of each compound.
        errors: covariance of what is predicted wrongly, along the directions; and what is added in all directions.
        back: compounds' spectra as the kernel takes them, and the middle squared distance between them.
        coordinates: coefficients from spectra to coordinates of structures, and from structures to the same.
        targets: coordinates of the compounds before they are whitened, and what whitens them.
        own: coefficients from spectra to codes of compounds, and the codes by how much each compound's own spectrum
            moves the prediction towards itself; the largest of these has length 1, and `strength` before.
        groups: coefficients from spectra to functional groups, and how their values become probabilities.
    """

    population: Population
    known: Substructures
    spectra: tuple[np.ndarray, np.ndarray]
    errors: tuple[np.ndarray, float]
    back: tuple[np.ndarray, float]
    coordinates: tuple[np.ndarray, np.ndarray, np.ndarray]
    targets: tuple[np.ndarray, np.ndarray]
    own: tuple[np.ndarray, np.ndarray, float]
    groups: tuple[np.ndarray, np.ndarray, Sequence[Scale]]
    explained: float


def learn(
    pairs: Sequence[tuple[Trace, Structure]],
    *,
    directions: int,
    coordinates: int,
    codes: int,
    robust: bool,
    seed: int,
    say: Callable[[int, str], None],
) -> Learned:
    """Learn from spectra with their structures; spectra of one compound count as their mean.

    Args:
        pairs: spectra and structures.
        directions: of spectra that are predicted at most.
        coordinates: of structures that are predicted at most.
        codes: length of the code of a compound.
        robust: whether errors are also what other instruments would have measured.
        seed: of what those are.
        say: called with the steps that are done, of five, and what is being done.
    """
    say(0, "putting spectra onto one grid")
    values = prepare([trace for trace, _ in pairs], below="asls").astype(np.float64)
    seen = measured([trace for trace, _ in pairs])
    owners = {key: i for i, key in enumerate(dict.fromkeys(s.inchikey14 for _, s in pairs))}
    owner = np.array([owners[s.inchikey14] for _, s in pairs])
    smiles = list({s.inchikey14: s.smiles for _, s in pairs}.values())
    whole = channels_of(values)
    if not seen.all():
        guess = Population.of(_means(whole, owner), directions)
        whole = np.stack([guess.filled(v, k) if k.any() else w for v, k, w in zip(values, seen, whole, strict=True)])
    means = _means(whole, owner)
    population = Population.of(means, directions)
    say(1, "comparing structures")
    known = Substructures.of(found := [substructures(one) for one in smiles])
    kernel = known.kernel(found)
    say(2, "learning spectra of structures")
    places = (means - population.mean) @ population.basis
    forward = ridge(kernel, places, _PENALTY)
    residual = places - forward.left_out
    covariance = residual.T @ residual / len(residual)
    if robust:
        covariance += _distortions(values, whole, seen, population, seed)
    say(3, "learning structures of spectra")
    half = values.shape[1]
    back = backward(means[:, half:])
    middle, like = _alike(back)
    points, to_points = _coordinates(kernel, coordinates)
    # Directions at random are nearly orthogonal: few coordinates tell all compounds apart.
    code = np.random.default_rng(seed).normal(size=(len(points), codes))
    code /= np.maximum(np.linalg.norm(code, axis=1, keepdims=True), 1e-12)
    present = has_groups(smiles).astype(np.float64)
    share = present.mean(axis=0)
    found_back = ridge(like, np.concatenate([points, code, present - share], axis=1), PENALTY_BACK)
    say(4, "calibrating functional groups")
    size = points.shape[1]
    wrong = points - found_back.left_out[:, :size]
    white = whitening(wrong, FLOOR)
    gain = along(wrong @ white, points @ white)
    strength = max(float(np.abs(gain).max()), 1e-12)
    group = slice(size + codes, None)
    fitted = scales(found_back.left_out[:, group] + share, present.astype(bool))
    return Learned(
        population,
        known,
        (forward.coefficients, forward.correction),
        (covariance, FLOOR * float(np.trace(covariance)) / len(covariance)),
        (back, middle),
        (found_back.coefficients[:, :size] @ white, to_points @ white, kernel.mean(axis=0)),
        (points, white),
        (found_back.coefficients[:, size : size + codes], code * (gain / strength)[:, None], strength),
        (found_back.coefficients[:, group], share, fitted),
        1 - float((residual**2).sum() / max((places**2).sum(), 1e-12)),
    )


def along(rows: Float[np.ndarray, "n k"], onto: Float[np.ndarray, "n k"]) -> Float[np.ndarray, " n"]:
    """How far each row reaches along the one beside it."""
    return (rows * onto).sum(axis=1) / np.maximum(np.linalg.norm(onto, axis=1), 1e-12)


def backward(root: Float[np.ndarray, "n t"]) -> Float[np.ndarray, "n t"]:
    """Spectra as their kernel takes them, from square roots of the absorbance."""
    out = root.clip(min=0) ** (2 * _POWER)
    return out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-12)


def forward_of(rows: Float[np.ndarray, "n t"]) -> Float[np.ndarray, "n c"]:
    """Channels of spectra as their kernel takes them."""
    return channels_of(rows ** (1 / _POWER))


def likeness(
    rows: Float[np.ndarray, "m t"], known: Float[np.ndarray, "n t"], middle: float
) -> Float[np.ndarray, "m n"]:
    """The kernel of spectra."""
    squares = (rows**2).sum(1)[:, None] + (known**2).sum(1)[None] - 2 * rows @ known.T
    return np.exp(-_WIDTH * squares.clip(min=0) / middle)


def _alike(rows: Float[np.ndarray, "n t"]) -> tuple[float, Float[np.ndarray, "n n"]]:
    squares = (2 - 2 * rows @ rows.T).clip(min=0)
    middle = max(float(np.median(squares)), 1e-6)
    return middle, np.exp(-_WIDTH * squares / middle)


def _means(rows: Float[np.ndarray, "n c"], owner: np.ndarray) -> Float[np.ndarray, "m c"]:
    out = np.zeros((int(owner.max()) + 1, rows.shape[1]))
    np.add.at(out, owner, rows)
    return out / np.bincount(owner)[:, None]


def _coordinates(kernel: Float[np.ndarray, "n n"], most: int) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates of structures along which they vary most, and the map to them from rows of the kernel."""
    mean = kernel.mean(axis=0)
    centred = (kernel - mean - mean[:, None] + kernel.mean()).astype(np.float64)
    count = max(1, min(most, len(kernel) - 1))
    value, vector = linalg.eigh(centred, subset_by_index=[len(kernel) - count, len(kernel) - 1])
    kept = value > 1e-6 * max(value[-1], 1e-12)
    value, vector = value[kept][::-1], vector[:, kept][:, ::-1]
    to_points = upright(vector) / np.sqrt(value)
    return (kernel - mean) @ to_points, to_points


def _distortions(
    values: Float[np.ndarray, "n t"],
    whole: Float[np.ndarray, "n c"],
    seen: Bool[np.ndarray, "n t"],
    population: Population,
    seed: int,
) -> Float[np.ndarray, "k k"]:
    """Covariance of what augmentation changes, along the directions."""
    full = np.flatnonzero(seen.all(axis=1))
    if not len(full):
        return np.zeros((population.basis.shape[1],) * 2)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        changed = augment(torch.from_numpy(values[full]), _STRENGTH).numpy()
    away = (channels_of(changed) - whole[full]) @ population.basis
    return away.T @ away / len(away)
