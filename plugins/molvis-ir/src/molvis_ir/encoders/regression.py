"""`ir-regression` and `ir-regression-structure`: spectra and structures, each predicted from the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from molvis_core.errors import ConfigError, TrainingError
from molvis_core.progress import Progress, StageProgress
from molvis_core.records import RankedQuery, Structure, Trace
from molvis_files.kept import Kept
from molvis_ir._regression.learning import Learned, backward, learn, likeness
from molvis_ir._regression.population import Population, slopes_of
from molvis_ir._regression.probabilities import Scale, probabilities
from molvis_ir._regression.substructures import Substructures, substructures
from molvis_ir.encoders.frame import TraceBatch
from molvis_ir.preparation import grid, measured, prepare
from molvis_nn.batches import TensorBatch
from molvis_nn.grown import Grown

_SAME = 1 - 1e-5
"""A structure whose kernel with a compound is at least this is that compound."""


@dataclass(frozen=True, eq=False)
class SubstructureBatch(TensorBatch):
    """Substructures of all molecules end to end.

    Attributes:
        count: keys of each molecule.
        key: of all of them, as `molvis_ir._regression.substructures` makes them.
    """

    count: Int64[Tensor, " n"]
    key: Int64[Tensor, " k"]


class IrRegression(Grown):
    """Spectra to unit vectors: themselves, measured by how well spectra are predicted, and what they say of structures.

    Two kernel ridge regressions are solved at once: from counted substructures to spectra, and from spectra to
    coordinates of structures. A vector has three parts. The first two are the spectrum, less the usual one, scaled by
    the errors of predictions for compounds that were left out; `ir-regression-structure` has the prediction there. For
    a compound that was learned from that is once what is predicted with it, and once what would be without it, so that
    neither known nor unknown compounds are preferred. The third part is the structure that the spectrum predicts.

    Points that were not measured do not count. A robust one puts the wavenumber scale right by what spectra usually
    look like, and takes what other instruments would have measured for errors too.

    In the manner of C. E. Rasmussen and C. K. I. Williams, Gaussian Processes for Machine Learning, 2006, ISBN
    978-0-262-18253-9, for both regressions.

    Args:
        directions: of spectra that are predicted.
        coordinates: of structures that are predicted.
        weights: of the three parts in the dot product.
        robust: whether the wavenumber scale is put right, and other instruments are reckoned with.
        most: compounds that are learned from; more are thinned out, since time grows with their cube.
    """

    accepts = Trace
    spectra = 4
    candidates = 2

    def __init__(
        self,
        directions: int = 400,
        coordinates: int = 600,
        weights: Sequence[float] = (0.25, 0.5, 0.25),
        robust: bool = True,
        most: int = 12_000,
    ) -> None:
        super().__init__()
        self.dim = _length("ir-regression", directions, coordinates)
        if len(weights) != 3 or min(weights) < 0 or not sum(weights) > 0:
            raise ConfigError(f"ir-regression: weights must be three numbers of at least 0, got {list(weights)}")
        if most < 2:
            raise ConfigError(f"ir-regression: most must be at least 2, got {most}")
        self.directions, self.coordinates, self.robust, self.most = directions, coordinates, robust, most
        self.scales = np.sqrt(np.asarray(weights, dtype=np.float64) / sum(weights))
        points = len(grid())
        none, flat = np.zeros((0, 0), np.float32), np.zeros(0, np.float32)
        self.hold(
            usual=np.zeros(2 * points, np.float32), basis=none, variance=flat, rest=np.zeros(1, np.float32),
            errors=none, floor=np.ones(1, np.float32), back=none, middle=np.ones(1, np.float32), structures=none,
            groups=none, share=flat, curves=none,
        )  # fmt: skip

    @property
    def learned(self) -> bool:
        """Whether it has learned anything."""
        return len(self.get_buffer("back")) > 0

    def collate(self, records: Sequence[Trace]) -> TraceBatch:
        """Spectra on the grid, without their baselines.

        Raises:
            molvis_core.errors.RecordError: a spectrum that is zero on the grid, or covers too little of it.
        """
        return TraceBatch(torch.from_numpy(prepare(records, below="asls")), torch.from_numpy(measured(records)))

    def forward(self, batch: TraceBatch) -> Float[Tensor, "n dim"]:
        """Unit vectors."""
        out = np.zeros((len(batch), self.dim))
        if not self.learned:
            out[:, -1] = 1.0
        elif len(batch):
            seen = self._seen(_rows(batch))
            first = _unit(np.stack([along for along, _ in seen]))
            third = _unit(self._alike(np.stack([whole for _, whole in seen])) @ self.array("structures"))
            starts = (0, self.directions, 2 * self.directions)
            for start, scale, part in zip(starts, self.scales, (first, first, third), strict=True):
                out[:, start : start + part.shape[1]] = scale * part
        return torch.nn.functional.normalize(torch.from_numpy(out).float(), dim=-1).to(batch.values.device)

    def probabilities(self, records: Sequence[Trace]) -> Float[np.ndarray, "n g"]:
        """Probabilities of the functional groups `molvis_ir.groups.GROUPS` in what was measured.

        Raises:
            TrainingError: it has learned nothing.
            molvis_core.errors.RecordError: a spectrum that is zero on the grid, or covers too little of it.
        """
        if not self.learned:
            raise TrainingError("ir-regression: it knows no functional groups before it has learned")
        whole = np.stack([whole for _, whole in self._seen(_rows(self.collate(records)))])
        values = self._alike(whole) @ self.array("groups") + self.array("share")
        return probabilities(values, [Scale(*map(float, row[:2]), int(row[2])) for row in self.array("curves")])

    def _seen(self, rows: _Rows) -> list[tuple[np.ndarray, np.ndarray]]:
        """Spectra scaled by the errors of prediction, and their channels with what was not measured filled in."""
        parts = [self.array(name).astype(np.float64) for name in ("usual", "basis", "variance")]
        people = Population(parts[0], parts[1], parts[2], float(self.array("rest")[0]))
        errors, floor = self.array("errors").astype(np.float64), float(self.array("floor")[0])
        lower = _lower(errors, floor)
        scaled = np.linalg.inv(lower)
        slopes = slopes_of(self.array("back"))
        out: list[tuple[np.ndarray, np.ndarray]] = []
        for given, measured_there in rows:
            spectrum, known = (
                people.put_right(given, measured_there, slopes) if self.robust else (given, measured_there)
            )
            whole = people.filled(spectrum, known)
            if known.all():
                out.append((scaled @ (people.basis.T @ (whole - people.mean)), whole))
                continue
            # What counts is p A m for a prediction p along the directions, A being the inverse of the errors'
            # covariance where the spectrum m is seen; the other side holds p scaled as if all were seen.
            seen = people.within(known)
            turned = seen.basis.T @ ((whole - people.mean) * seen.known)
            within = np.linalg.solve(np.linalg.inv(errors) + seen.gram / floor, turned / floor)
            out.append((lower.T @ (turned - seen.gram @ within) / floor, whole))
        return out

    def _alike(self, whole: Float[np.ndarray, "n c"]) -> Float[np.ndarray, "n m"]:
        back = self.array("back").astype(np.float64)
        return likeness(backward(whole[:, whole.shape[1] // 2 :]), back, float(self.array("middle")[0]))

    def learn(
        self,
        reference: object,
        examples: Sequence[RankedQuery],
        validation: Sequence[RankedQuery],
        *,
        seed: int = 0,
        progress: StageProgress | None = None,
        checkpoint: Path | None = None,  # noqa: ARG002 - it takes a minute
    ) -> Mapping[str, float]:
        """Solve both regressions; both encoders get what was learned.

        Returns:
            `explained`, the share of the spectra's variance that is predicted for compounds that were left out, and
            `val_cosine`, of predicted and measured spectra of the validation compounds.

        Raises:
            ConfigError: the other encoder is not `ir-regression-structure`, or of another length.
            TrainingError: there are fewer than two compounds to learn from.
        """
        if not isinstance(reference, IrRegressionStructure) or reference.dim != self.dim:
            raise ConfigError(
                "ir-regression learns with ir-regression-structure of the same directions and coordinates, here "
                f"{self.directions} and {self.coordinates}; the other side is {type(reference).__name__}"
            )
        pairs = _thinned([(q.record, q.candidates[q.truth]) for q in examples], self.most, seed)
        if len({s.inchikey14 for _, s in pairs}) < 2:
            raise TrainingError("ir-regression: there are fewer than two compounds to learn from")
        found = learn(
            pairs, directions=self.directions, coordinates=self.coordinates, robust=self.robust, seed=seed,
            say=lambda done, what: progress(done, 5, what) if progress else None,
        )  # fmt: skip
        self._take(found)
        reference.take(found, self.scales)
        cosine = [
            float(reference.spectrum([q.candidates[q.truth]])[0] @ self.collate([q.record]).values[0].numpy())
            for q in validation
        ]
        return {"explained": found.explained, "val_cosine": float(np.mean(cosine))}

    def _take(self, found: Learned) -> None:
        people = found.population
        curves = [(c.slope, c.offset, c.examples) for c in found.groups[2]]
        self._hold(
            usual=people.mean, basis=people.basis, variance=people.variance, rest=np.array([people.rest]),
            errors=found.errors[0], floor=np.array([found.errors[1]]), back=found.back[0],
            middle=np.array([found.back[1]]), structures=found.coordinates[0], groups=found.groups[0],
            share=found.groups[1], curves=np.array(curves),
        )  # fmt: skip

    def _hold(self, **values: np.ndarray) -> None:
        self.hold(**{name: value.astype(np.float32) for name, value in values.items()})


class IrRegressionStructure(Grown):
    """Structures to unit vectors: the spectra that are predicted for them, and their coordinates.

    It learns with `ir-regression`, which says what the parts are.

    Args:
        directions: of spectra that are predicted.
        coordinates: of structures.
    """

    accepts = Structure

    def __init__(self, directions: int = 400, coordinates: int = 600) -> None:
        super().__init__()
        self.dim = _length("ir-regression-structure", directions, coordinates)
        self.directions, self.coordinates = directions, coordinates
        none, flat, whole = np.zeros((0, 0), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64)
        self.hold(
            keys=whole, place=whole, start=np.zeros(1, np.int64), usual=np.zeros(2 * len(grid()), np.float32),
            basis=none, errors=none, floor=np.ones(1, np.float32), spectra=none, correction=none, points=none,
            centre=flat, scales=np.ones(3, np.float32),
        )  # fmt: skip
        self._kept = Kept(substructures, 200_000)
        self._read: Substructures | None = None
        self._read_from: Tensor | None = None

    @property
    def learned(self) -> bool:
        """Whether it has learned anything."""
        return len(self.get_buffer("spectra")) > 0

    def collate(self, records: Sequence[Structure]) -> SubstructureBatch:
        """Substructures of molecules.

        Raises:
            molvis_core.errors.StructureError: RDKit refuses a SMILES.
        """
        found = [self._kept(one.smiles) for one in records]
        count = torch.tensor([len(one) for one in found], dtype=torch.int64)
        return SubstructureBatch(count, torch.from_numpy(np.concatenate([np.empty(0, np.int64), *found])))

    def featurise(self, records: Sequence[Structure], *, progress: Progress | None = None) -> None:
        """Find the substructures of many molecules by all processors, for `collate` to look up.

        Raises:
            molvis_core.errors.StructureError: RDKit refuses a SMILES.
        """
        self._kept.prepare((one.smiles for one in records), progress=progress)

    def forward(self, batch: SubstructureBatch) -> Float[Tensor, "n dim"]:
        """Unit vectors."""
        out = np.zeros((len(batch), self.dim))
        if not self.learned:
            out[:, -1] = 1.0
        elif len(batch):
            kernel = self._kernel(batch)
            lower = _lower(self.array("errors").astype(np.float64), float(self.array("floor")[0]))
            scales, start = self.array("scales"), 2 * self.directions
            with_all = kernel @ self.array("spectra")
            without, own = with_all.copy(), kernel.argmax(axis=1)
            same = kernel.max(axis=1) >= _SAME
            without[same] += self.array("correction")[own[same]]
            parts = [
                (0, _unit(np.linalg.solve(lower, with_all.T).T)),
                (self.directions, _unit(np.linalg.solve(lower, without.T).T)),
                (start, _unit((kernel - self.array("centre")) @ self.array("points"))),
            ]
            for scale, (place, part) in zip(scales, parts, strict=True):
                out[:, place : place + part.shape[1]] = scale * part
        return torch.nn.functional.normalize(torch.from_numpy(out).float(), dim=-1).to(batch.key.device)

    def spectrum(self, structures: Sequence[Structure]) -> Float[np.ndarray, "n t"]:
        """Predicted absorbance on the grid of `molvis_ir.preparation`, each row of norm 1.

        Raises:
            TrainingError: it has learned nothing.
            molvis_core.errors.StructureError: RDKit refuses a SMILES.
        """
        if not self.learned:
            raise TrainingError("ir-regression-structure: it predicts nothing before it has learned")
        half = len(grid())
        rows = self._kernel(self.collate(structures)) @ self.array("spectra") @ self.array("basis")[:half].T
        return _unit((rows + self.array("usual")[:half]).clip(min=0))

    def _kernel(self, batch: SubstructureBatch) -> Float[np.ndarray, "n m"]:
        keys = self.get_buffer("keys")
        if self._read is None or self._read_from is not keys:
            self._read = Substructures(*(self.array(name) for name in ("keys", "place", "start")))
            self._read_from = keys
        ends = np.cumsum(batch.count.cpu().numpy())
        return self._read.kernel(np.split(batch.key.cpu().numpy(), ends[:-1]))

    def __getstate__(self) -> dict[str, object]:
        return self.__dict__ | {"_read": None, "_read_from": None}

    def take(self, found: Learned, scales: Float[np.ndarray, " 3"]) -> None:
        """Take over what `ir-regression` has learned."""
        self.hold(keys=found.known.keys, place=found.known.place, start=found.known.start)
        values = {
            "usual": found.population.mean, "basis": found.population.basis, "errors": found.errors[0],
            "floor": np.array([found.errors[1]]), "spectra": found.spectra[0], "correction": found.spectra[1],
            "points": found.coordinates[1], "centre": found.coordinates[2], "scales": scales,
        }  # fmt: skip
        self.hold(**{name: np.asarray(value).astype(np.float32) for name, value in values.items()})
        self._read = None


def _lower(errors: Float[np.ndarray, "k k"], floor: float) -> Float[np.ndarray, "k k"]:
    return np.linalg.cholesky(errors + floor * np.eye(len(errors)))


def _unit(rows: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "n k"]:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


_Rows = list[tuple[Float[np.ndarray, " t"], Bool[np.ndarray, " t"]]]
"""Spectra, and where they were measured."""


def _rows(batch: TraceBatch) -> _Rows:
    values, known = batch.values.cpu().numpy().astype(np.float64), batch.known.cpu().numpy()
    return list(zip(values, known, strict=True))


def _length(where: str, directions: int, coordinates: int) -> int:
    if directions < 1 or coordinates < 1:
        raise ConfigError(f"{where}: directions and coordinates must be positive, got {directions} and {coordinates}")
    return 2 * directions + coordinates


def _thinned(pairs: list[tuple[Trace, Structure]], most: int, seed: int) -> list[tuple[Trace, Structure]]:
    compounds = sorted({one.inchikey14 for _, one in pairs})
    if len(compounds) <= most:
        return pairs
    kept = {compounds[i] for i in np.random.default_rng(seed).permutation(len(compounds))[:most]}
    return [pair for pair in pairs if pair[1].inchikey14 in kept]
