"""`ei-neighbours`: evidence from known spectra, those of a candidate and those that are most like the query."""

from __future__ import annotations

import copy
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from molvis_core import registry
from molvis_core.errors import BundleError, ConfigError, ReadError, TrainingError
from molvis_core.progress import StageProgress
from molvis_core.records import EiSpectrum, Measurement, RankedQuery, Structure
from molvis_ei.features import BITS, substructures
from molvis_ei.preparation import unit_spectrum, weighed
from molvis_nn.fingerprints import bits_at, tanimoto
from molvis_nn.logistic import balanced, logistic_regression

_FILE, _STATE = "spectra.safetensors", "compounds.json"
_SUPPORT = (-4.0, 8.0)
_MOST = 6.0
"""No reference says more than that, however similar: isomers have equal spectra."""


@dataclass(frozen=True, eq=False)
class Library:
    """Known spectra.

    Attributes:
        heights: square roots of the heights at unit masses, of the largest 1.
        weighed: as they are compared.
        compounds: first block of the InChIKey of each.
        smiles: of each.
    """

    heights: Float[np.ndarray, "n mass"]
    weighed: Float[np.ndarray, "n mass"]
    compounds: np.ndarray
    smiles: tuple[str, ...]

    @classmethod
    def of(cls, heights: Float[np.ndarray, "n mass"], compounds: Sequence[str], smiles: Sequence[str]) -> Library:
        """From square roots of heights; kept as 16-bit numbers, as they are saved."""
        roots = heights.astype(np.float16)
        return cls(roots, weighed(roots.astype(np.float32) ** 2), np.array(compounds, dtype=object), tuple(smiles))


class EiNeighbours:
    """Votes of the known spectra that are most like the query's, and spectra of the candidate itself.

    Spectra are compared by the cosine of square roots of heights times masses. `vote` is the mean, over the nearest
    references, of their similarity times the squared Tanimoto similarity of their structure with the candidate's;
    `nearest` is the largest product without the square. `same-compound` is 0 where no spectrum of the candidate is
    known, or none is alike; elsewhere the logarithm of how much more often spectra of one compound are as similar than
    those of two that are near each other, which is learned.

    Args:
        neighbours: references that vote.
    """

    accepts = EiSpectrum
    any_mass = True
    features: tuple[str, ...] = ("vote", "nearest", "same-compound")

    def __init__(self, neighbours: int = 10) -> None:
        if neighbours < 1:
            raise ConfigError(f"ei-neighbours: neighbours must be positive, got {neighbours}")
        self.neighbours = neighbours
        self._learned: Library | None = None
        self._added: tuple[Library, ...] = ()
        self._support: tuple[float, ...] = _SUPPORT
        self._without: frozenset[str] = frozenset()

    def __deepcopy__(self, memo: dict[int, object]) -> EiNeighbours:
        return copy.copy(self)  # libraries are never changed

    @property
    def libraries(self) -> tuple[Library, ...]:
        """The references, what was learned first."""
        return (*((self._learned,) if self._learned is not None else ()), *self._added)

    @property
    def usual_weights(self) -> Mapping[str, float]:
        """Of what is not calibrated, as a query's own compound is left out of it: `same-compound` is a logit."""
        return {"same-compound": 1.0}

    def with_references(self, path: Path | str) -> EiNeighbours:
        """The same scorer with the spectra of a file that a reader of this modality reads.

        Raises:
            ReadError: the file cannot be read, or no spectrum in it has a structure.
            molvis_core.errors.ComponentError: no reader claims it.
        """
        reader = registry.load("reader", registry.for_suffix("reader", path, modality="ei").name)
        if not Path(path).is_file():
            raise ReadError(path, "there is no such file of spectra")
        items = [one for one in reader(Path(path)) if isinstance(one, Measurement) and one.structure is not None]
        if not items:
            raise ReadError(path, "no spectrum in it has a structure")
        out = copy.copy(self)
        out._added = (*self._added, _library([(one.record, one.structure) for one in items if one.structure]))
        return out

    def without(self, compounds: Collection[str]) -> EiNeighbours:
        """The same scorer without references of some compounds, by the first blocks of their InChIKeys."""
        out = copy.copy(self)
        out._without = self._without | frozenset(compounds)
        return out

    def __call__(self, query: EiSpectrum, candidates: Sequence[Structure]) -> Float[np.ndarray, "m f"]:
        """One row for each candidate.

        Raises:
            molvis_core.errors.StructureError: RDKit refuses a candidate.
        """
        out = np.zeros((len(candidates), len(self.features)))
        if not len(candidates):
            return out
        scores = [self._scores(one, query) for one in self.libraries]
        every = [
            (float(values[row]), one.smiles[row])
            for one, values in zip(self.libraries, scores, strict=True)
            for row in _top(values, self.neighbours)
        ]
        near = sorted(every, key=lambda pair: -pair[0])[: self.neighbours]
        if near:
            similar = np.array([score for score, _ in near])
            alike = similarity([smiles for _, smiles in near], [candidate.smiles for candidate in candidates])
            out[:, 0] = (similar[:, None] * alike**2).sum(axis=0) / self.neighbours
            out[:, 1] = (similar[:, None] * alike).max(axis=0)
        for one, values in zip(self.libraries, scores, strict=True):
            best = _best_by_compound(one.compounds, values)
            for row, candidate in zip(out, candidates, strict=True):
                if candidate.inchikey14 in best:
                    row[2] = max(row[2], self._logit(best[candidate.inchikey14]))
        return out

    def reference(self, candidate: Structure, like: EiSpectrum) -> EiSpectrum | None:
        """The known spectrum of a candidate that is most like a query, where it supports the candidate; else None."""
        best: tuple[float, Library, int] | None = None
        for one in self.libraries:
            mine = np.flatnonzero(one.compounds == candidate.inchikey14)
            values = self._scores(one, like)
            for row in mine.tolist():
                if values[row] > 0 and (best is None or values[row] > best[0]):
                    best = float(values[row]), one, row
        if best is None or self._logit(best[0]) <= 0:
            return None
        heights = best[1].heights[best[2]].astype(np.float64) ** 2
        where = np.flatnonzero(heights)
        return EiSpectrum(where.astype(np.float64), heights[where], identifier=str(candidate.name or candidate.smiles))

    def learn(
        self,
        examples: Sequence[RankedQuery],
        validation: Sequence[RankedQuery],  # noqa: ARG002 - nothing is stopped by it
        *,
        seed: int = 0,
        progress: StageProgress | None = None,
        checkpoint: Path | None = None,  # noqa: ARG002 - it takes seconds
    ) -> Mapping[str, float]:
        """Keep the examples' spectra, and learn how similar spectra of one compound are.

        Raises:
            TrainingError: there are no examples.
        """
        if not examples:
            raise TrainingError("ei-neighbours: there are no spectra to learn from")
        self._learned = _library([(one.record, one.candidates[one.truth]) for one in examples])
        count = len(self._learned.smiles)
        drawn = np.random.default_rng([seed, 5]).permutation(count)[:500]
        cases: list[tuple[float, bool]] = []
        for done, row in enumerate(drawn.tolist(), start=1):
            values = self._learned.weighed @ self._learned.weighed[row]
            values[row] = -1.0
            mine = self._learned.compounds == self._learned.compounds[row]
            cases.append((float(values[~mine].max(initial=0.0)), False))
            if mine.sum() > 1:
                cases.append((float(values[mine].max()), True))
            if progress:
                progress(done, len(drawn), "comparing references")
        self._support = fit_support(np.array([c for c, _ in cases]), np.array([t for _, t in cases]))
        return {"references": float(count), "compounds": float(len(set(self._learned.compounds)))}

    def save(self, folder: Path) -> None:
        """Write the spectra, their structures, and what was learned of their similarity.

        Raises:
            TrainingError: nothing was learned.
        """
        if self._learned is None:
            raise TrainingError("ei-neighbours: there is nothing to save before it has learned")
        save_file({"heights": self._learned.heights}, folder / _FILE)
        state = {
            "support": self._support,
            "compounds": self._learned.compounds.tolist(),
            "smiles": self._learned.smiles,
        }
        (folder / _STATE).write_text(json.dumps(state), encoding="utf-8")

    def load(self, folder: Path) -> None:
        """Take over what `save` wrote.

        Raises:
            BundleError: a file is missing or damaged.
        """
        try:
            state = json.loads((folder / _STATE).read_text(encoding="utf-8"))
            base, slope = (float(v) for v in state["support"])
            compounds, smiles = [str(k) for k in state["compounds"]], [str(s) for s in state["smiles"]]
            heights = load_file(folder / _FILE)["heights"]
            if heights.ndim != 2 or not len(heights) == len(compounds) == len(smiles):
                raise ValueError(f"{len(heights)} spectra of {len(compounds)} compounds")
            if not np.isfinite(heights).all() or not np.isfinite([base, slope]).all():
                raise ValueError("numbers that are not finite")
        except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
            raise BundleError(f"{folder}: damaged: {error}") from error
        self._support = (base, slope)
        self._learned = Library.of(heights, compounds, smiles)

    def _scores(self, library: Library, query: EiSpectrum) -> Float[np.ndarray, " n"]:
        """Similarities; below 0 for references that are left out."""
        values = library.weighed @ weighed(unit_spectrum(query, library.weighed.shape[1]))
        if self._without:
            values = np.where(np.isin(library.compounds, list(self._without)), -1.0, values)
        return values

    def _logit(self, score: float) -> float:
        return float(np.clip(self._support[0] + self._support[1] * score, 0.0, _MOST))


def _library(items: Sequence[tuple[EiSpectrum, Structure]]) -> Library:
    rows = np.sqrt(np.array([unit_spectrum(record) for record, _ in items], dtype=np.float32))
    return Library.of(rows, [known.inchikey14 for _, known in items], [known.smiles for _, known in items])


def _top(values: Float[np.ndarray, " n"], count: int) -> list[int]:
    order = np.argsort(-values, kind="stable")[:count]
    return [int(row) for row in order if values[row] > 0]


def _best_by_compound(compounds: np.ndarray, values: Float[np.ndarray, " n"]) -> dict[str, float]:
    best: dict[str, float] = {}
    for key, value in zip(compounds.tolist(), values.tolist(), strict=True):
        if value > best.get(key, 0.0):
            best[key] = value
    return best


def fit_support(scores: Float[np.ndarray, " n"], same: Any) -> tuple[float, float]:
    """Logistic regression of whether two spectra are of one compound on their similarity; both kinds weigh the same."""
    if same.all() or not same.any():
        return _SUPPORT[0], _SUPPORT[1]
    x = np.column_stack([np.ones(len(scores)), scores])
    weights = logistic_regression(x, same, balanced(same), np.array([1e-6, 1.0]))
    return round(float(weights[0]), 6), round(float(weights[1]), 6)


def similarity(one: Sequence[str], other: Sequence[str]) -> Float[np.ndarray, "n m"]:
    """Tanimoto similarities of circular substructures (ECFP4), present or not.

    Raises:
        molvis_core.errors.StructureError: RDKit refuses one of them.
    """
    return tanimoto(*(bits_at([substructures(smiles)[0] for smiles in some], BITS) for some in (one, other)))
