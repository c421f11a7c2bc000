r"""Retention times of structures, learned from a user's own standards on the same column and gradient.

A Gaussian process over molecules. With descriptors $x$ (standardised over the standards, $d$ of them) and sets of
circular fingerprint bits, the covariance of two molecules is

$$k(a, b) = s_1 \frac{x_a \cdot x_b}{d} + s_2 e^{-|x_a - x_b|^2 / 2 d l^2} + s_3 T(a, b), $$

$T$ being the Tanimoto similarity, plus noise of variance $s_0$ on the diagonal. Times are standardised. The five
numbers maximise the marginal likelihood under wide log-normal priors, so that twenty standards give little more than a
line through lipophilicity, and hundreds tell relatives apart; the error bars widen where no standard is near.

C. E. Rasmussen and C. K. I. Williams, Gaussian Processes for Machine Learning, MIT Press 2006, ISBN 026218253X,
chapters 2 and 5. Tanimoto kernel: L. Ralaivola et al., Neural Networks 18 (2005) 1093,
doi:10.1016/j.neunet.2005.07.009
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from molvis_core.chemistry.structures import parse_smiles
from molvis_core.errors import ConfigError, ReadError, StructureError
from molvis_lcms.formats.cells import first, number, table_rows

__all__ = ["Retention", "Standard", "read_standards"]

FEWEST = 10
"""Standards below which nothing can be learned."""
OUTLIERS = 0.05
"""Share of compounds whose time the standards do not tell, such as those that the gradient does not reach."""
_FITTED_ON = 200
"""Standards that the five numbers of the covariance are fitted on; the times of all are used."""
_START = np.array([0.0, -0.5, -1.0, 0.0, -1.5])
"""Logarithms of s1, s2, s3, l and s0, the middle of their priors; the priors' standard deviation is 2."""
_BITS, _DESCRIPTORS = 1024, 18


@dataclass(frozen=True, slots=True)
class Standard:
    """A compound whose retention time was measured.

    Attributes:
        smiles: of the compound.
        minutes: retention time.
        name: for people.
    """

    smiles: str
    minutes: float
    name: str = ""


@dataclass(frozen=True, eq=False, slots=True)
class Retention:
    """Predicts retention times, with standard deviations. Make it of standards with `Retention.of`.

    Attributes:
        standards: that it was learned from.
        logarithms: of the five numbers of the covariance, see the head of this module.
        error: root mean square of the errors, in minutes, each standard predicted from the others.
    """

    standards: tuple[Standard, ...] = field(repr=False)
    logarithms: Float[np.ndarray, " 5"]
    error: float
    _molecules: _Molecules = field(repr=False)
    _weights: Float[np.ndarray, " n"] = field(repr=False)
    _root: Float[np.ndarray, "n n"] = field(repr=False)

    @classmethod
    def of(cls, standards: Sequence[Standard]) -> Retention:
        """Learn from standards. The median counts of those of one structure.

        Raises:
            ConfigError: they are too few, all have one time, or a time is negative or not finite.
            StructureError: RDKit refuses a structure.
        """
        times: dict[str, list[float]] = {}
        for one in standards:
            if not (math.isfinite(one.minutes) and one.minutes >= 0):
                raise ConfigError(f"standard {one.name or one.smiles}: its retention time is {one.minutes} min")
            times.setdefault(one.smiles, []).append(one.minutes)
        if len(times) < FEWEST:
            raise ConfigError(f"retention times of {len(times)} standards say too little; give {FEWEST} or more")
        minutes = np.array([np.median(t) for t in times.values()])
        if np.ptp(minutes) == 0:
            raise ConfigError(f"all {len(times)} standards have the retention time {minutes[0]:g} min")
        molecules = _Molecules.of(list(times), minutes)
        target = (minutes - molecules.middle) / molecules.spread
        logarithms = _fitted(molecules, target)
        root = np.linalg.cholesky(_noisy(molecules.covariance(molecules, logarithms), logarithms))
        inverse = np.linalg.inv(root)
        weights = inverse.T @ (inverse @ target)
        # Each predicted from the others, in closed form (Rasmussen and Williams, equation 5.12).
        left_out = weights / (inverse**2).sum(axis=0)
        error = float(np.sqrt(np.mean(left_out**2)) * molecules.spread)
        return cls(tuple(standards), logarithms, error, molecules, weights, root)

    def predict(self, smiles: Sequence[str]) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, " m"]]:
        """Retention times of structures in minutes, and their standard deviations.

        Raises:
            StructureError: RDKit refuses a structure.
        """
        known = self._molecules
        asked = known.like(smiles)
        between = asked.covariance(known, self.logarithms)
        middle = between @ self._weights
        told = np.linalg.solve(self._root, between.T)
        own = asked.variance(self.logarithms) + math.exp(self.logarithms[4])
        spread = np.sqrt(np.maximum(own - (told**2).sum(axis=0), 1e-9))
        return known.middle + known.spread * middle, known.spread * spread

    def evidence(self, smiles: Sequence[str], minutes: float) -> Float[np.ndarray, " m"]:
        """Logarithm of how much more probable a time is if a structure is the compound than if any compound is.

        Any compound's time is taken to be normally distributed as the standards' are. One structure in twenty is taken
        to elute at a time that the standards do not tell, so that no structure loses more than a factor of twenty.
        """
        middle, spread = self.predict(smiles)
        away, any_away = (minutes - middle) / spread, (minutes - self._molecules.middle) / self._molecules.spread
        ratio = np.exp(0.5 * (any_away**2 - away**2)) * self._molecules.spread / spread
        return np.log((1 - OUTLIERS) * ratio + OUTLIERS)


@dataclass(frozen=True, eq=False, slots=True)
class _Molecules:
    """Descriptors and fingerprints of molecules, and how those of the standards are scaled."""

    descriptors: Float[np.ndarray, "n d"]
    bits: Float[np.ndarray, "n b"]
    shift: Float[np.ndarray, " d"]
    scale: Float[np.ndarray, " d"]
    middle: float
    spread: float

    @classmethod
    def of(cls, smiles: Sequence[str], minutes: Float[np.ndarray, " n"]) -> _Molecules:
        descriptors, bits = _described(smiles)
        # What hardly varies among the standards must not decide among candidates.
        shift, scale = descriptors.mean(axis=0), descriptors.std(axis=0) + 0.3
        return cls((descriptors - shift) / scale, bits, shift, scale, float(minutes.mean()), float(minutes.std()))

    def like(self, smiles: Sequence[str]) -> _Molecules:
        """Other molecules, scaled as these are."""
        descriptors, bits = _described(smiles)
        return _Molecules(
            (descriptors - self.shift) / self.scale, bits, self.shift, self.scale, self.middle, self.spread
        )

    def covariance(self, other: _Molecules, logarithms: Float[np.ndarray, " 5"]) -> Float[np.ndarray, "n m"]:
        straight, smooth, alike, length = np.exp(logarithms[:4])
        size = self.descriptors.shape[1]
        product = self.descriptors @ other.descriptors.T
        own, others = (self.descriptors**2).sum(axis=1), (other.descriptors**2).sum(axis=1)
        squares = np.maximum(own[:, None] + others[None] - 2 * product, 0.0)
        shared = self.bits @ other.bits.T
        either = self.bits.sum(axis=1)[:, None] + other.bits.sum(axis=1)[None] - shared
        return (
            straight * product / size
            + smooth * np.exp(-squares / (2 * size * length**2))
            + alike * shared / np.maximum(either, 1)
        )

    def variance(self, logarithms: Float[np.ndarray, " 5"]) -> Float[np.ndarray, " n"]:
        """The diagonal of the covariance with themselves."""
        straight, smooth, alike, _ = np.exp(logarithms[:4])
        return straight * (self.descriptors**2).mean(axis=1) + smooth + alike


def _noisy(covariance: Float[np.ndarray, "n n"], logarithms: Float[np.ndarray, " 5"]) -> Float[np.ndarray, "n n"]:
    return covariance + math.exp(logarithms[4]) * np.eye(len(covariance))


def _fitted(molecules: _Molecules, target: Float[np.ndarray, " n"]) -> Float[np.ndarray, " 5"]:
    from scipy.optimize import minimize

    # Evenly over the list, which people often sort by time or name.
    some = np.unique(np.linspace(0, len(target) - 1, min(len(target), _FITTED_ON)).astype(int))
    part = _Molecules(
        molecules.descriptors[some], molecules.bits[some], molecules.shift, molecules.scale, molecules.middle,
        molecules.spread,
    )  # fmt: skip
    wanted = target[some]

    def loss(logarithms: np.ndarray) -> float:
        try:
            root = np.linalg.cholesky(_noisy(part.covariance(part, logarithms), logarithms))
        except np.linalg.LinAlgError:
            return 1e12
        inner = np.linalg.solve(root, wanted)
        prior = ((logarithms - _START) ** 2).sum() / 8
        return float(0.5 * inner @ inner + np.log(np.diag(root)).sum() + prior)

    return np.asarray(minimize(loss, _START, method="Nelder-Mead", options={"maxiter": 200, "xatol": 1e-3}).x)


@functools.cache
def _patterns() -> tuple[Any, ...]:
    from rdkit import Chem

    acid = "[CX3](=O)[OX2H1]"
    base = "[NX3;H2,H1,H0;!$(N-C=[O,S,N]);!$(N-S=O);!$(N-c);!$(N=*)]"
    strong = "[$(S(=O)(=O)[OH]),$(P(=O)[OH])]"
    return tuple(Chem.MolFromSmarts(s) for s in (acid, base, strong))


def _described(smiles: Sequence[str]) -> tuple[Float[np.ndarray, "n d"], Float[np.ndarray, "n b"]]:
    rows = [_describe(one) for one in smiles]
    bits = np.zeros((len(rows), _BITS))
    for row, (_, on) in zip(bits, rows, strict=True):
        row[list(on)] = 1.0
    return np.array([values for values, _ in rows]).reshape(len(rows), _DESCRIPTORS), bits


@functools.lru_cache(maxsize=100_000)
def _describe(smiles: str) -> tuple[tuple[float, ...], tuple[int, ...]]:
    """Eighteen descriptors of what holds a molecule on a column, and the bits of its circular fingerprint, radius 2."""
    from rdkit import Chem
    from rdkit.Chem import Crippen, rdFingerprintGenerator, rdMolDescriptors

    mol = parse_smiles(smiles)
    lipophilicity = Crippen.MolLogP(mol)  # ty: ignore[missing-attribute]
    acid, base, strong = (len(mol.GetSubstructMatches(p)) for p in _patterns())
    halogens = sum(a.GetSymbol() in ("F", "Cl", "Br", "I") for a in mol.GetAtoms())
    values = (
        lipophilicity,
        min(lipophilicity, 2.0),  # gradients end: what is more lipophilic elutes hardly later
        min(lipophilicity, 5.0),
        rdMolDescriptors.CalcTPSA(mol) / 50,
        rdMolDescriptors.CalcNumHBD(mol),
        rdMolDescriptors.CalcNumHBA(mol),
        mol.GetNumHeavyAtoms() / 10,
        rdMolDescriptors.CalcNumRotatableBonds(mol) / 5,
        rdMolDescriptors.CalcNumAromaticRings(mol),
        rdMolDescriptors.CalcNumRings(mol),
        rdMolDescriptors.CalcFractionCSP3(mol),
        rdMolDescriptors.CalcNumHeteroatoms(mol) / 5,
        Crippen.MolMR(mol) / 30,  # ty: ignore[missing-attribute]
        Chem.GetFormalCharge(mol),
        acid,
        base,
        strong,
        halogens,
    )
    on = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=_BITS).GetFingerprint(mol).GetOnBits()
    return tuple(map(float, values)), tuple(on)


def read_standards(path: Path) -> list[Standard]:
    """Standards of a table (CSV, or tab-separated where it ends in `.tsv` or `.txt`).

    Its first column is `name`, others are `smiles` and `rt_min` or `rt_s`, the retention time.

    Raises:
        ReadError: it cannot be read, or a row has no structure, one that RDKit refuses, or no retention time.
    """
    separator = "\t" if path.name.lower().endswith((".tsv", ".txt")) else ","
    out: list[Standard] = []
    for line, cells, _ in table_rows(path, "name", separator):
        name, smiles, time = cells.get("name") or "", first(cells, "smiles"), number(cells.get("rt_s"))
        minutes = number(cells.get("rt_min")) if time is None else time / 60
        if smiles is None or minutes is None:
            missing = "rt_min or rt_s" if smiles else "smiles"
            raise ReadError(path, f"a standard has no {missing}", line=line, record=name or None)
        try:
            parse_smiles(smiles)
        except StructureError as error:
            raise ReadError(path, str(error), line=line, record=name or None) from error
        out.append(Standard(smiles, minutes, name))
    return out
