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
from molvis_ir._regression.learning import Learned, backward, forward_of, learn, likeness
from molvis_ir._regression.population import Population, Seen
from molvis_ir._regression.probabilities import Scale, probabilities
from molvis_ir._regression.ranges import Backward, Lengths, Targets, coarse, misses_much
from molvis_ir._regression.readings import Reading, Readings
from molvis_ir._regression.substructures import Substructures, substructures
from molvis_ir.encoders.frame import TraceBatch
from molvis_ir.preparation import grid, measured, prepare
from molvis_nn.batches import TensorBatch
from molvis_nn.grown import Grown
from molvis_nn.vectors import unit_rows

_RANGES = 6
"""Regressions from a part of the range that are kept, each as large as what was learned."""

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
    coordinates of structures. A vector has four parts. The first two are the spectrum, less the usual one, scaled by
    the errors of predictions for compounds that were left out; `ir-regression-structure` has the prediction there. For
    a compound that was learned from that is once what is predicted with it, and once what would be without it, so that
    neither known nor unknown compounds are preferred. The third part is the structure that the spectrum predicts. A
    compound that was learned from draws predictions for spectra like its own towards itself; the fourth part takes that
    away: codes at random tell such compounds apart, and a spectrum has the codes of those that it was predicted from.

    Points that were not measured do not count. A robust one takes the mean over the ways in which a spectrum may have
    to be read, by their probabilities: with its wavenumber scale off by up to 24 cm^-1, and with bands that total
    reflection made weaker towards high wavenumbers. It takes what other instruments would have measured for errors too.

    In the manner of C. E. Rasmussen and C. K. I. Williams, Gaussian Processes for Machine Learning, 2006, ISBN
    978-0-262-18253-9, for both regressions.

    Args:
        directions: of spectra that are predicted.
        coordinates: of structures that are predicted.
        codes: length of the codes of compounds.
        weights: of the first two parts in the dot product, and of the last two together.
        robust: whether spectra may be read in another way, and other instruments are reckoned with.
        most: compounds that are learned from; more are thinned out, since time grows with their cube.
    """

    accepts = Trace
    spectra = 4
    candidates = 2

    def __init__(
        self,
        directions: int = 400,
        coordinates: int = 600,
        codes: int = 300,
        weights: Sequence[float] = (0.3, 0.22, 0.48),
        robust: bool = True,
        most: int = 12_000,
    ) -> None:
        super().__init__()
        self.dim = _length("ir-regression", directions, coordinates, codes)
        if len(weights) != 3 or min(weights) < 0 or not sum(weights) > 0:
            raise ConfigError(f"ir-regression: weights must be three numbers of at least 0, got {list(weights)}")
        if most < 2:
            raise ConfigError(f"ir-regression: most must be at least 2, got {most}")
        self.directions, self.coordinates, self.codes, self.robust, self.most = (
            directions, coordinates, codes, robust, most,
        )  # fmt: skip
        shares = np.asarray([*weights, weights[2]], dtype=np.float64)
        self.scales = np.sqrt(shares / shares.sum())
        points = len(grid())
        none, flat = np.zeros((0, 0), np.float32), np.zeros(0, np.float32)
        self.hold(
            usual=np.zeros(2 * points, np.float32), basis=none, variance=flat, rest=np.zeros(1, np.float32),
            errors=none, floor=np.ones(1, np.float32), back=none, middle=np.ones(1, np.float32), structures=none,
            pulls=none, targets=none, white=none, own=none, strength=np.ones(1, np.float32), groups=none, share=flat,
            curves=none,
        )  # fmt: skip

        self._ranges: dict[bytes, tuple[Backward, Lengths | None]] = {}
        self._ranges_of: Tensor | None = None
        self._readings: Readings | None = None
        self._readings_from: Tensor | None = None
        self._population: Population | None = None
        self._population_of: Tensor | None = None

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
        if not self.learned:
            out = np.eye(self.dim)[np.full(len(batch), -1)]
        elif rows := _rows(batch):
            readings, owner = self._readings_of(rows)
            out = _means(self._vectors([(one.spectrum, one.known) for one in readings]), readings, owner)
        else:
            out = np.zeros((0, self.dim))
        return torch.nn.functional.normalize(torch.from_numpy(out).float(), dim=-1).to(batch.values.device)

    def _vectors(self, rows: _Rows) -> Float[np.ndarray, "n dim"]:
        """All parts of spectra, read as they are."""
        seen = self._seen(rows)
        out = np.zeros((len(rows), self.dim))
        first, third, codes = self._read(seen)
        last = 2 * self.directions
        places = (0, self.directions, last, last + self.coordinates)
        for start, scale, part in zip(places, self.scales, (first, first, third, _completed(codes, 0)), strict=True):
            out[:, start : start + part.shape[1]] = scale * part
        return out

    def _readings_of(self, rows: _Rows) -> tuple[list[Reading], Int64[np.ndarray, " r"]]:
        """How spectra may have to be read, and the number of the spectrum of each reading."""
        if self.robust:
            held = self.get_buffer("back")
            if self._readings is None or self._readings_from is not held:
                usual = self.array("usual")[len(grid()) :].astype(np.float64) ** 2
                self._readings, self._readings_from = Readings(self.array("back"), usual), held
            found = [self._readings.of(*row) for row in rows]
        else:
            found = [[Reading(*row, 1.0)] for row in rows]
        return [one for each in found for one in each], np.repeat(np.arange(len(rows)), [len(each) for each in found])

    def _people(self) -> Population:
        held = self.get_buffer("usual")
        if self._population is None or self._population_of is not held:
            parts = [self.array(name).astype(np.float64) for name in ("usual", "basis", "variance")]
            self._population = Population(parts[0], parts[1], parts[2], float(self.array("rest")[0]))
            self._population_of = held
        return self._population

    def probabilities(self, records: Sequence[Trace]) -> Float[np.ndarray, "n g"]:
        """Probabilities of the functional groups `molvis_ir.groups.GROUPS` in what was measured.

        Raises:
            TrainingError: it has learned nothing.
            molvis_core.errors.RecordError: a spectrum that is zero on the grid, or covers too little of it.
        """
        if not self.learned:
            raise TrainingError("ir-regression: it knows no functional groups before it has learned")
        readings, owner = self._readings_of(_rows(self.collate(records)))
        whole = np.stack([one.whole for one in self._seen([(one.spectrum, one.known) for one in readings])])
        back = backward(whole[:, whole.shape[1] // 2 :])
        like = likeness(back, self.array("back").astype(np.float64), float(self.array("middle")[0]))
        values = _means(like @ self.array("groups"), readings, owner) + self.array("share")
        return probabilities(values, [Scale(*map(float, row[:2]), int(row[2])) for row in self.array("curves")])

    def _seen(self, rows: _Rows) -> list[_Seen]:
        """Spectra as the regressions take them."""
        people = self._people()
        errors, floor = self.array("errors").astype(np.float64), float(self.array("floor")[0])
        lower = _lower(errors, floor)
        scaled = np.linalg.inv(lower)
        within: dict[bytes, np.ndarray] = {}
        out: list[_Seen] = []
        for spectrum, known in rows:
            whole = people.filled(spectrum, known)
            if known.all():
                out.append(_Seen(scaled @ (people.basis.T @ (whole - people.mean)), whole, known))
                continue
            # What counts is p A m for a prediction p along the directions, A being the inverse of the errors'
            # covariance where the spectrum m is seen; the other side holds p scaled as if all were seen.
            seen = people.within(known)
            if (key := known.tobytes()) not in within:
                share = _share(seen, errors, floor)
                within[key] = lower.T @ (np.eye(len(lower)) - seen.gram @ share) / floor
            out.append(_Seen(within[key] @ (seen.basis.T @ ((whole - people.mean) * seen.known)), whole, known))
        return out

    def _read(
        self, seen: Sequence[_Seen]
    ) -> tuple[Float[np.ndarray, "n d"], Float[np.ndarray, "n k"], Float[np.ndarray, "n c"]]:
        """Spectra, coordinates of structures, and codes of the compounds that they come from."""
        half = len(grid())
        usual = self.array("usual")[half:].astype(np.float64) ** 2
        first = unit_rows(np.stack([one.scaled for one in seen]))
        third, codes = np.zeros((len(seen), self.array("structures").shape[1])), np.zeros((len(seen), self.codes))
        ranges: dict[bytes, list[int]] = {}
        for number, one in enumerate(seen):
            known = coarse(one.known)
            ranges.setdefault(known.tobytes() if misses_much(known, usual) else b"", []).append(number)
        for bits, mine in ranges.items():
            root = np.stack([seen[i].whole[half:] for i in mine])
            known = np.frombuffer(bits, dtype=bool) if bits else np.ones(half, dtype=bool)
            back, lengths = self._solved(known)
            third[mine], codes[mine] = back.read(root * known)
            if lengths:
                first[mine] = lengths.divided(first[mine])
        return first, third, codes

    def _solved(self, known: Bool[np.ndarray, " t"]) -> tuple[Backward, Lengths | None]:
        """The regression to structures from points of the grid, solved anew where some of them were not measured."""
        held = self.get_buffer("back")
        if self._ranges_of is not held:
            names = ("back", "structures", "pulls")
            back, structures, pulls = (self.array(name).astype(np.float64) for name in names)
            whole = np.ones(len(grid()), dtype=bool).tobytes()
            self._ranges = {whole: (Backward(back, float(self.array("middle")[0]), structures, pulls), None)}
            self._ranges_of = held
        if (key := known.tobytes()) not in self._ranges:
            names = ("targets", "white", "own")
            targets = Targets(*(self.array(name) for name in names), float(self.array("strength")[0]))
            if len(self._ranges) > _RANGES:
                self._ranges.pop(list(self._ranges)[1])
            self._ranges[key] = targets.solved(self.array("back"), known), self._lengths(known)
        return self._ranges[key]

    def _lengths(self, known: Bool[np.ndarray, " t"]) -> Lengths:
        """Of the spectra of compounds, in these points of the grid."""
        errors = self.array("errors").astype(np.float64)
        floor, people = float(self.array("floor")[0]), self._people()
        lower, seen = _lower(errors, floor), people.within(known)
        away = forward_of(self.array("back").astype(np.float64)) - people.mean
        examples = unit_rows(np.linalg.solve(lower, people.basis.T @ away.T).T)
        counts = (seen.gram - seen.gram @ _share(seen, errors, floor) @ seen.gram) / floor
        return Lengths.within(examples, lower.T @ counts @ lower)

    def __getstate__(self) -> dict[str, object]:
        emptied = dict.fromkeys(("_ranges_of", "_population", "_population_of", "_readings", "_readings_from"))
        return self.__dict__ | {"_ranges": {}} | emptied

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
                "ir-regression learns with ir-regression-structure of the same directions, coordinates and codes, here "
                f"{self.directions}, {self.coordinates} and {self.codes}; the other side is {type(reference).__name__}"
            )
        pairs = _thinned([(q.record, q.candidates[q.truth]) for q in examples], self.most, seed)
        if len({s.inchikey14 for _, s in pairs}) < 2:
            raise TrainingError("ir-regression: there are fewer than two compounds to learn from")
        found = learn(
            pairs, directions=self.directions, coordinates=self.coordinates, codes=self.codes,
            robust=self.robust, seed=seed,
            say=lambda done, what: progress(done, 5, what) if progress else None,
        )  # fmt: skip
        self._take(found)
        reference.take(found, self.scales)
        predicted = reference.spectrum([q.candidates[q.truth] for q in validation])
        measured_rows = self.collate([q.record for q in validation]).values.numpy()
        cosine = (predicted * measured_rows).sum(axis=1).mean() if len(validation) else float("nan")
        return {"explained": found.explained, "val_cosine": float(cosine)}

    def _take(self, found: Learned) -> None:
        people = found.population
        curves = [(c.slope, c.offset, c.examples) for c in found.groups[2]]
        self._hold(
            usual=people.mean, basis=people.basis, variance=people.variance, rest=np.array([people.rest]),
            errors=found.errors[0], floor=np.array([found.errors[1]]), back=found.back[0],
            middle=np.array([found.back[1]]), structures=found.coordinates[0], pulls=found.own[0] * found.own[2],
            targets=found.targets[0], white=found.targets[1], own=found.own[1],
            strength=np.array([found.own[2]]), groups=found.groups[0],
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
        codes: length of the codes of compounds.
    """

    accepts = Structure

    def __init__(self, directions: int = 400, coordinates: int = 600, codes: int = 300) -> None:
        super().__init__()
        self.dim = _length("ir-regression-structure", directions, coordinates, codes)
        self.directions, self.coordinates, self.codes = directions, coordinates, codes
        none, flat, whole = np.zeros((0, 0), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64)
        self.hold(
            keys=whole, place=whole, start=np.zeros(1, np.int64), usual=np.zeros(2 * len(grid()), np.float32),
            basis=none, errors=none, floor=np.ones(1, np.float32), spectra=none, correction=none, points=none,
            centre=flat, own=none, scales=np.ones(4, np.float32),
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
            start = 2 * self.directions
            own = np.zeros((len(batch), self.codes))
            with_all = kernel @ self.array("spectra")
            without, nearest = with_all.copy(), kernel.argmax(axis=1)
            same = kernel.max(axis=1) >= _SAME
            without[same] += self.array("correction")[nearest[same]]
            own[same] = self.array("own")[nearest[same]]
            parts = [
                (0, unit_rows(np.linalg.solve(lower, with_all.T).T)),
                (self.directions, unit_rows(np.linalg.solve(lower, without.T).T)),
                (start, unit_rows((kernel - self.array("centre")) @ self.array("points"))),
                (start + self.coordinates, _completed(own, 1)),
            ]
            for scale, (place, part) in zip(self.array("scales"), parts, strict=True):
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
        return unit_rows((rows + self.array("usual")[:half]).clip(min=0))

    def _kernel(self, batch: SubstructureBatch) -> Float[np.ndarray, "n m"]:
        keys = self.get_buffer("keys")
        if self._read is None or self._read_from is not keys:
            self._read = Substructures(*(self.array(name) for name in ("keys", "place", "start")))
            self._read_from = keys
        ends = np.cumsum(batch.count.cpu().numpy())
        return self._read.kernel(np.split(batch.key.cpu().numpy(), ends[:-1]))

    def __getstate__(self) -> dict[str, object]:
        return self.__dict__ | {"_read": None, "_read_from": None}

    def take(self, found: Learned, scales: Float[np.ndarray, " 4"]) -> None:
        """Take over what `ir-regression` has learned."""
        self.hold(keys=found.known.keys, place=found.known.place, start=found.known.start)
        values = {
            "usual": found.population.mean, "basis": found.population.basis, "errors": found.errors[0],
            "floor": np.array([found.errors[1]]), "spectra": found.spectra[0], "correction": found.spectra[1],
            "points": found.coordinates[1], "centre": found.coordinates[2], "own": found.own[1], "scales": scales,
        }  # fmt: skip
        self.hold(**{name: np.asarray(value).astype(np.float32) for name, value in values.items()})
        self._read = None


def _lower(errors: Float[np.ndarray, "k k"], floor: float) -> Float[np.ndarray, "k k"]:
    return np.linalg.cholesky(errors + floor * np.eye(len(errors)))


def _share(seen: Seen, errors: Float[np.ndarray, "k k"], floor: float) -> Float[np.ndarray, "k k"]:
    """Of what is seen along the directions, that which the errors of prediction explain."""
    return np.linalg.inv(np.linalg.inv(errors) + seen.gram / floor) / floor


@dataclass(frozen=True)
class _Seen:
    """A spectrum scaled by the errors of prediction, its channels with gaps filled in, and where it was measured."""

    scaled: Float[np.ndarray, " k"]
    whole: Float[np.ndarray, " c"]
    known: Bool[np.ndarray, " t"]


_Rows = list[tuple[Float[np.ndarray, " t"], Bool[np.ndarray, " t"]]]
"""Spectra, and where they were measured."""


def _rows(batch: TraceBatch) -> _Rows:
    values, known = batch.values.cpu().numpy().astype(np.float64), batch.known.cpu().numpy()
    return list(zip(values, known, strict=True))


def _means(
    values: Float[np.ndarray, "r k"], readings: Sequence[Reading], owner: Int64[np.ndarray, " r"]
) -> Float[np.ndarray, "n k"]:
    """Of the readings of each spectrum, by their probabilities."""
    share = np.array([one.share for one in readings])[:, None]
    return np.add.reduceat(share * values, np.flatnonzero(np.diff(owner, prepend=-1)), axis=0)


def _completed(rows: Float[np.ndarray, "n k"], place: int) -> Float[np.ndarray, "n k+2"]:
    """Rows of length 1 at most, made 1 by a coordinate that the other side, with another `place`, has no use for."""
    size = np.linalg.norm(rows, axis=1, keepdims=True)
    rows = rows / np.maximum(size, 1)
    rest = np.zeros((len(rows), 2))
    rest[:, place] = np.sqrt((1 - (rows**2).sum(axis=1)).clip(min=0))
    return np.concatenate([rows, rest], axis=1)


def _length(where: str, directions: int, coordinates: int, codes: int) -> int:
    if min(directions, coordinates, codes) < 1:
        raise ConfigError(
            f"{where}: directions, coordinates and codes must be positive, got {directions}, {coordinates} and {codes}"
        )
    return 2 * directions + coordinates + codes + 2


def _thinned(pairs: list[tuple[Trace, Structure]], most: int, seed: int) -> list[tuple[Trace, Structure]]:
    compounds = sorted({one.inchikey14 for _, one in pairs})
    if len(compounds) <= most:
        return pairs
    kept = {compounds[i] for i in np.random.default_rng(seed).permutation(len(compounds))[:most]}
    return [pair for pair in pairs if pair[1].inchikey14 in kept]
