"""Structures ranked by a measured 1H spectrum: each is predicted, simulated, and compared with it.

Predicted shifts are off by more than lines are wide, so that no two lines meet and a difference of intensities says
nothing. Three numbers that stand that are compared: how far signal would have to be moved along the axis to turn one
spectrum into the other (the first Wasserstein distance), how much of it overlaps once both are blurred by what
predictions are off, and what distances between lines there are up to 25 Hz, the splittings, wherever they are.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float
from rdkit import Chem
from scipy.signal import fftconvolve

from molvis_core.chemistry.structures import parse_mol
from molvis_core.errors import MolvisError, RecordError
from molvis_core.progress import Progress
from molvis_core.records import Trace
from molvis_nmr.prediction.structure import from_smiles
from molvis_nmr.spins.simulation import simulate
from molvis_nmr.spins.system import SpinSystem
from molvis_nmr.windows import outside

STEP, SPLITTINGS, BLUR = 0.3, 25.0, 0.12
"""Hz between points, Hz up to which distances between lines count, and ppm by which predictions are off."""
NOISE = 5.0
"""Standard deviations of the noise below which a point has no signal."""
WEIGHTS = (7.1, 5.1, 2.3)
"""What the three numbers weigh in the logarithm of a likelihood: of moved signal, splittings and overlap. Fitted to 30
simulated spectra of compounds that the predictor had not seen, among 3 to 19 others of their mass."""
STATES = 1024
"""Of a coupled part that is simulated exactly: large molecules are approximated sooner than elsewhere, for their shifts
are off by more."""
LEAST = 0.05
"""Share of a candidate's signal that must be in what is compared: feet of lines reach beyond windows."""
LEFT_OUT = ((-20.0, 0.3), (4.6, 5.0))
"""In ppm: the reference, and water."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """A candidate.

    Attributes:
        smiles: as given.
        probability: among the candidates that could be compared.
        prior: the same before the spectrum was looked at.
        moved: ppm by which signal would have to be moved, on average.
        splittings: distance of the patterns of splittings: 0 where they are alike, at most 2 ** 0.5.
        overlap: of the blurred spectra: 1 where they are alike.
        problem: why it could not be compared: its spectrum is not predicted, or lies in what is left out; else empty.
    """

    smiles: str
    probability: float = 0.0
    prior: float = 0.0
    moved: float = math.nan
    splittings: float = math.nan
    overlap: float = math.nan
    problem: str = ""


@dataclass(frozen=True, eq=False, slots=True)
class _Ground:
    """What spectra are compared on: an even axis in ppm, where it counts, and MHz."""

    axis: Float[np.ndarray, " t"]
    keep: Bool[np.ndarray, " t"]
    mhz: float


@dataclass(frozen=True, eq=False, slots=True)
class _Seen:
    """What is compared of a spectrum."""

    total: Float[np.ndarray, " t"]
    splittings: Float[np.ndarray, " _s"]
    blurred: Float[np.ndarray, " t"]


def rank(
    spectrum: Trace,
    candidates: Sequence[str],
    *,
    prior: Sequence[float] | None = None,
    exclude: Iterable[tuple[float, float]] = LEFT_OUT,
    width: float = 0.7,
    exchangeable: bool = False,
    progress: Progress | None = None,
) -> tuple[Ranked, ...]:
    """Candidates by how well their simulated 1H spectra agree with a measured one, the best first.

    Args:
        spectrum: measured, of one compound.
        candidates: SMILES.
        prior: how probable each candidate is without this spectrum, such as by other measurements; all alike without.
            What is not positive counts as a thousandth of the least that is.
        exclude: windows in ppm that do not count; those of the solvent and of the reference.
        width: of simulated lines, half at half height, in Hz: about that of the measured ones.
        exchangeable: also the hydrogen on O, N and S, which water replaces.
        progress: called with the candidates done and in all.

    Returns:
        Every candidate; those that could not be compared are last, with a probability of 0.

    Raises:
        RecordError: there are no candidates, as many priors as candidates are not given, the spectrum has no
            frequency, or nothing above its noise is left.
    """
    if not candidates:
        raise RecordError("there are no candidates to rank; give some SMILES")
    ground, measured = _measured(spectrum, exclude)
    before = _prior(prior, len(candidates))
    found: list[Ranked] = []
    for smiles, share in zip(candidates, before.tolist(), strict=True):
        found.append(replace(_compared(smiles, measured, ground, width, exchangeable), prior=share))
        if progress:
            progress(len(found), len(candidates))
    usable = np.array([not one.problem for one in found])
    fits = np.array([[-one.moved, -one.splittings, one.overlap] for one in found]) @ np.array(WEIGHTS)
    score = np.where(usable, np.log(before) + fits, -np.inf)
    share = np.exp(score - score.max()) if usable.any() else np.zeros(len(found))
    share /= max(float(share.sum()), 1e-300)
    made = [replace(one, probability=float(p)) for one, p in zip(found, share, strict=True)]
    return tuple(sorted(made, key=lambda one: (bool(one.problem), -one.probability, one.smiles)))


def predicted(
    smiles: str, axis: Float[np.ndarray, " t"], mhz: float, *, width: float = 0.7, exchangeable: bool = False
) -> Float[np.ndarray, " t"]:
    """The 1H spectrum that a structure is expected to have, on an axis in ppm; a proton's area is pi, over Hz.

    Raises:
        StructureError: RDKit refuses it, or it has no such hydrogen.
    """
    return _drawn(_system(smiles, width, exchangeable), axis, mhz)


def _system(smiles: str, width: float, exchangeable: bool) -> SpinSystem:
    # Conformers, and couplings by them, depend on the order of atoms: one structure has one spectrum.
    system = from_smiles(Chem.MolToSmiles(parse_mol(smiles)), exchangeable=exchangeable)
    return replace(system, widths=np.full(len(system), width))


def _drawn(system: SpinSystem, axis: Float[np.ndarray, " t"], mhz: float) -> Float[np.ndarray, " t"]:
    return np.maximum(simulate(system, mhz, axis=axis, states=STATES).y, 0.0)


def _measured(spectrum: Trace, exclude: Iterable[tuple[float, float]]) -> tuple[_Ground, _Seen]:
    if not spectrum.frequency:
        raise RecordError("the spectrum does not state its frequency; give it in MHz")
    mhz = float(spectrum.frequency)
    axis = np.arange(float(spectrum.x[0]), float(spectrum.x[-1]), STEP / mhz)
    keep = outside(axis, exclude)
    seen = _seen(_signal(np.interp(axis, spectrum.x, spectrum.y), keep), mhz) if keep.any() else None
    if seen is None:
        raise RecordError(
            f"nothing stands above the noise from {spectrum.x[0]:.2f} to {spectrum.x[-1]:.2f} ppm in what is not "
            "excluded; exclude less"
        )
    return _Ground(axis, keep, mhz), seen


def _prior(given: Sequence[float] | None, count: int) -> Float[np.ndarray, " n"]:
    """Shares that sum to one, none of them 0: what other measurements exclude may be excluded wrongly."""
    if given is None:
        return np.full(count, 1 / count)
    if len(given) != count:
        raise RecordError(f"there are {len(given)} priors for {count} candidates; give one for each")
    shares = np.nan_to_num(np.asarray(given, dtype=float), nan=0.0, posinf=0.0, neginf=0.0)
    if not (shares > 0).any():
        return np.full(count, 1 / count)
    shares = np.where(shares > 0, shares, shares[shares > 0].min() / 1000)
    return shares / shares.sum()


def _signal(y: Float[np.ndarray, " t"], keep: Bool[np.ndarray, " t"]) -> Float[np.ndarray, " t"]:
    """What stands above the noise."""
    level = float(np.median(y[keep]))
    noise = 1.4826 * float(np.median(np.abs(y[keep] - level)))
    return np.where(keep & (y - level > NOISE * noise), y - level, 0.0)


def _seen(y: Float[np.ndarray, " t"], mhz: float) -> _Seen | None:
    """What is compared of a spectrum; None where it has no signal."""
    area = float(y.sum())
    if area <= 0:
        return None
    y = y / area
    reach = round(4 * BLUR * mhz / STEP)
    bell = np.exp(-0.5 * (np.arange(-reach, reach + 1) * STEP / (BLUR * mhz)) ** 2)
    pattern = np.fft.irfft(np.abs(np.fft.rfft(y, 2 * len(y))) ** 2)[: round(SPLITTINGS / STEP)]
    return _Seen(np.cumsum(y), pattern / np.linalg.norm(pattern), fftconvolve(y, bell / bell.sum(), "same"))


def _compared(smiles: str, measured: _Seen, ground: _Ground, width: float, exchangeable: bool) -> Ranked:
    try:
        system = _system(smiles, width, exchangeable)
        y = np.where(ground.keep, _drawn(system, ground.axis, ground.mhz), 0.0)
    except MolvisError as error:
        return Ranked(smiles, problem=str(error))
    whole = np.pi * float(system.multiplicity.sum()) / STEP
    own = _seen(y, ground.mhz) if y.sum() > LEAST * whole else None
    if own is None:
        return Ranked(smiles, problem="its signal is outside of the spectrum or in windows that are left out")
    least, most = np.minimum(own.blurred, measured.blurred).sum(), np.maximum(own.blurred, measured.blurred).sum()
    return Ranked(
        smiles,
        moved=float(np.abs(own.total - measured.total).sum() * STEP / ground.mhz),
        splittings=float(np.linalg.norm(own.splittings - measured.splittings)),
        overlap=float(least / most),
    )
