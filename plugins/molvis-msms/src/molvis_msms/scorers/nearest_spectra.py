"""`nearest-spectra`: evidence from known spectra, those of a candidate and those that are most like the query."""

from __future__ import annotations

import copy
import json
import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from molvis_core.errors import BundleError, ConfigError, IndexFileError, MolvisError, TrainingError
from molvis_core.progress import StageProgress
from molvis_core.records import Measurement, PeakList, RankedQuery, Structure
from molvis_msms.references.folder import FOLDER, TABLE
from molvis_msms.references.index import References
from molvis_msms.references.similarity import Prepared, Similarity, Tolerance
from molvis_nn.fingerprints import bits_at, tanimoto
from molvis_nn.logistic import balanced, logistic_regression

_NEAR = Tolerance(20, "ppm")
"""How near in precursor the compounds are that a candidate's own spectra are told from, in learning."""
ENOUGH = 0.2
"""Likeness to references above which more of it is no more evidence for a compound that nobody has measured."""
_STATE = "support.json"


@dataclass(frozen=True, eq=False, slots=True)
class _Best:
    """The reference of a compound that is most like a query."""

    index: References
    row: int
    score: float
    matched: int


class NearestSpectra:
    """Votes of the known spectra that are most like the query's, and spectra of the candidate itself.

    `vote` is the mean, over the nearest references, of their similarity to the query times the squared Tanimoto
    similarity of their structure with the candidate's (ECFP4); `nearest` is the largest product without the square, and
    `nearest-capped` the same up to 0.2: that the candidate is not unlike what gave similar spectra is evidence, but how
    like it is beyond that says nothing of a compound that nobody has measured.
    Spectra are compared by the cosine of peaks and neutral losses, by square roots of intensities. `same-compound` is 0
    where no spectrum of the candidate is known. Elsewhere it is the logarithm of how much more often spectra of one
    compound are as similar as the best of them is to the query than spectra of two compounds of one mass; what that is
    was learned. Where that is below 0 it is 0: a spectrum that is not alike may be of another energy or instrument, and
    counting it against the candidate would favour those of which no spectrum is known.

    Training makes an index of the training fold's spectra; `references` and `with_references` add others.

    Args:
        references: folder of an index that `molvis references build` made; none where it is empty.
        neighbours: references that vote.
        tolerance: of m/z in Da.
    """

    accepts = PeakList
    features: tuple[str, ...] = ("vote", "nearest", "same-compound", "nearest-capped")
    cost = 0

    def __init__(self, references: str = "", neighbours: int = 10, tolerance: float = 0.01) -> None:
        if neighbours < 1:
            raise ConfigError(f"nearest-spectra: neighbours must be positive, got {neighbours}")
        if not tolerance > 0:
            raise ConfigError(f"nearest-spectra: tolerance must be positive, got {tolerance}")
        self.neighbours, self.tolerance = neighbours, tolerance
        self._similarity = Similarity("peaks-and-losses", Tolerance(tolerance))
        self._added: tuple[References, ...] = (References.open(references),) if references else ()
        self._learned: References | None = None
        self._files: dict[str, bytes] = {}
        self._support = SUPPORT
        self._without: frozenset[str] = frozenset()

    def __deepcopy__(self, memo: dict[int, object]) -> NearestSpectra:
        return copy.copy(self)  # indexes are never changed

    @property
    def indexes(self) -> tuple[References, ...]:
        """The references, what was learned first."""
        return (*((self._learned,) if self._learned is not None else ()), *self._added)

    @property
    def usual_weights(self) -> Mapping[str, float]:
        """Of what is not calibrated, as a query's own compound is left out of it: `same-compound` is a logit."""
        return {"same-compound": 1.0}

    def with_references(self, path: Path | str) -> NearestSpectra:
        """The same scorer with the references of a further index.

        Raises:
            IndexFileError: there is no such index, or it is damaged.
        """
        out = copy.copy(self)
        out._added = (*self._added, References.open(path))
        return out

    def without(self, compounds: Collection[str]) -> NearestSpectra:
        """The same scorer without references of some compounds, by the first blocks of their InChIKeys."""
        out = copy.copy(self)
        out._without = self._without | frozenset(compounds)
        return out

    def __call__(self, query: PeakList, candidates: Sequence[Structure]) -> Float[np.ndarray, "m f"]:
        """One row for each candidate.

        Raises:
            molvis_core.errors.StructureError: RDKit refuses a candidate.
        """
        out = np.zeros((len(candidates), len(self.features)))
        if not len(query) or not len(candidates):
            return out
        prepared = self._similarity.prepare(query)
        voters = self._voters(query, prepared)
        if voters:
            scores = np.array([score for score, _ in voters])
            alike = similarity([smiles for _, smiles in voters], [candidate.smiles for candidate in candidates])
            out[:, 0] = (scores[:, None] * alike**2).sum(axis=0) / self.neighbours
            out[:, 1] = (scores[:, None] * alike).max(axis=0)
            out[:, 3] = np.minimum(out[:, 1], ENOUGH)
        compounds = [candidate.inchikey14 for candidate in candidates]
        for row, best in zip(out, self._best(query, prepared, compounds), strict=True):
            if best is not None:
                row[2] = self._logit(best.score, best.matched)
        return out

    def reference(self, candidate: Structure, like: PeakList) -> PeakList | None:
        """The known spectrum of a candidate that is most like a query, where it supports the candidate; else None."""
        (best,) = self._best(like, self._similarity.prepare(like), [candidate.inchikey14])
        if best is None or self._logit(best.score, best.matched) <= 0:
            return None
        return best.index.spectrum(best.row)

    def analogues(self, record: PeakList) -> list[tuple[float, Structure]]:
        """Compounds of the references that vote, with the similarity of each one's spectrum to a query."""
        if not len(record):
            return []
        near = self._nearest(record, self._similarity.prepare(record))
        told = ((min(score, 1.0), index.structure(row)) for score, index, row in near if score > 0)
        return [(score, compound) for score, compound in told if compound is not None]

    def learn(
        self,
        examples: Sequence[RankedQuery],
        validation: Sequence[RankedQuery],  # noqa: ARG002 - nothing is stopped by it
        *,
        seed: int = 0,  # noqa: ARG002 - nothing is drawn
        progress: StageProgress | None = None,
        checkpoint: Path | None = None,  # noqa: ARG002 - it takes seconds
    ) -> Mapping[str, float]:
        """Make an index of the examples' spectra, and learn how similar spectra of one compound are.

        Raises:
            TrainingError: no example has a peak.
        """
        items = [
            Measurement(e.record, known, "msms", name=known.name)
            for e in examples
            for known in (e.candidates[e.truth],)
        ]
        with tempfile.TemporaryDirectory() as folder:
            try:
                self._learned = References.of(items, Path(folder) / "references")
                self._files = _contents(Path(folder) / "references")
            except IndexFileError as error:
                raise TrainingError(f"nearest-spectra: there is nothing to learn from: {error}") from error
        cases = []
        for row in range(len(self._learned)):
            cases += self._cases(self._learned, row)
            if progress:
                progress(row + 1, len(self._learned), "comparing references")
        self._support = fit_support(np.array(cases).reshape(-1, 3)) if cases else SUPPORT
        return {"references": float(len(self._learned)), "compounds": float(len(self._learned.rows_of))}

    def save(self, folder: Path) -> None:
        """Write the index of references and what was learned of their similarity."""
        for name, content in self._files.items():
            (folder / name).write_bytes(content)
        text = json.dumps({"tolerance": self.tolerance, "support": list(self._support)})
        (folder / _STATE).write_text(text, encoding="utf-8")

    def load(self, folder: Path) -> None:
        """Take over what `save` wrote.

        Raises:
            BundleError: a file is missing or damaged, or it is of a scorer with another tolerance.
        """
        try:
            state = json.loads((folder / _STATE).read_text(encoding="utf-8"))
            tolerance, support = float(state["tolerance"]), tuple(float(v) for v in state["support"])
            self._learned, self._files = References.open(folder), _contents(folder)
        except (OSError, ValueError, KeyError, TypeError, MolvisError) as error:
            raise BundleError(f"{folder}: damaged: {error}") from error
        if len(support) != len(SUPPORT) or not np.isfinite(support).all():
            raise BundleError(f"{folder / _STATE}: damaged: {len(support)} numbers of support in place of 3")
        if tolerance != self.tolerance:
            raise BundleError(f"{folder / _STATE}: learned with a tolerance of {tolerance} Da, not {self.tolerance}")
        self._support = support

    def _voters(self, query: PeakList, prepared: Prepared) -> list[tuple[float, str]]:
        """Similarity and SMILES of the nearest references."""
        near = self._nearest(query, prepared)
        return [(score, str(index.table["smiles"][row].as_py())) for score, index, row in near]

    def _nearest(self, query: PeakList, prepared: Prepared) -> list[tuple[float, References, int]]:
        """Similarity, index and row of the nearest references of all indexes whose structure is known."""
        found: list[tuple[float, References, int]] = []
        for index in self.indexes:
            near = index.search(
                query, self._similarity, top=self.neighbours, without=self._without, known=True, prepared=prepared
            )
            found += [(float(v), index, int(row)) for v, row in zip(near.scores, near.rows, strict=True)]
        return sorted(found, key=lambda one: -one[0])[: self.neighbours]

    def _best(self, query: PeakList, prepared: Prepared, compounds: Sequence[str]) -> list[_Best | None]:
        """The most similar reference of each compound; None where there is none of the query's polarity."""
        best: list[_Best | None] = [None] * len(compounds)
        for index in self.indexes:
            allowed = index.allowed(query.ionmode, self._without)
            known = {place: index.rows_of[key] for place, key in enumerate(compounds) if key in index.rows_of}
            held = [(place, fit) for place, rows in known.items() if len(fit := rows[allowed[rows]])]
            if not held:
                continue
            found = index.compare(prepared, self._similarity, np.concatenate([rows for _, rows in held]))
            start = 0
            for place, rows in held:
                top = start + int(found.scores[start : start + len(rows)].argmax())
                start += len(rows)
                old = best[place]
                if old is None or found.scores[top] > old.score:
                    best[place] = _Best(index, int(found.rows[top]), float(found.scores[top]), int(found.matched[top]))
        return best

    def _logit(self, score: float, matched: int) -> float:
        base, slope, peaks = self._support
        return float(np.clip(base + slope * score + peaks * np.log1p(matched), 0.0, _MOST))

    def _cases(self, index: References, row: int) -> list[tuple[float, float, float]]:
        """Similarity, peaks in common, and 1 for the best other spectrum of a row's compound or 0 for another's.

        The other compounds are those of near precursor, each with its best spectrum.
        """
        query = index.spectrum(row)
        own = index.rows_of[index.compounds[row]]
        own = own[own != row]
        near = index.near(query.precursor_mz, _NEAR) if query.precursor_mz is not None else own[:0]
        rows = np.union1d(own, near[near != row])
        rows = rows[index.allowed(query.ionmode)[rows]]
        if not len(rows):
            return []
        found = index.compare(query, self._similarity, rows)
        best: dict[str, int] = {}
        for place in np.argsort(-found.scores, kind="stable").tolist():
            best.setdefault(index.compounds[int(rows[place])], place)
        mine = index.compounds[row]
        return [
            (float(found.scores[place]), float(np.log1p(found.matched[place])), float(compound == mine))
            for compound, place in best.items()
        ]


SUPPORT = (-2.2, 6.0, 0.4)
"""Before anything is learned: base, weight of the similarity, weight of the logarithm of one more than the peaks in
common; of the logit that two spectra are of one compound rather than of two of one mass."""
_MOST = 6.0
"""No reference says more than that, however similar: isomers have equal spectra."""


def _contents(folder: Path) -> dict[str, bytes]:
    """The files of an index of references."""
    return {name: (folder / name).read_bytes() for name in (FOLDER.file, TABLE)}


def fit_support(cases: Float[np.ndarray, "n 3"], penalty: float = 1.0) -> tuple[float, ...]:
    """How similarity and peaks in common tell spectra of one compound from those of two, by logistic regression.

    Both kinds have the same weight in all, so that the logit is the logarithm of a ratio of likelihoods.

    Args:
        cases: similarity, logarithm of one more than the peaks in common, and 1 for one compound or 0 for two.
        penalty: of squared weights.
    """
    truth = cases[:, 2] > 0.5
    if truth.all() or not truth.any():
        return SUPPORT
    x = np.column_stack([np.ones(len(cases)), cases[:, :2]])
    weights = logistic_regression(x, truth, balanced(truth), penalty * np.array([1e-6, 1.0, 1.0]))
    return tuple(np.round(weights, 6).tolist())


def similarity(one: Sequence[str], other: Sequence[str]) -> Float[np.ndarray, "n m"]:
    """Tanimoto similarities of ECFP4 fingerprints, of 2,048 bits.

    Args:
        one: SMILES.
        other: SMILES.

    Raises:
        molvis_core.errors.StructureError: RDKit refuses one of them.
    """
    from molvis_msms.fingerprint.bits import CIRCLES, circles

    return tanimoto(*(bits_at([circles(smiles) for smiles in some], CIRCLES) for some in (one, other)))
