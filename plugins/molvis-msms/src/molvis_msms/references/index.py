"""Reference spectra in memory, and the exact search of them: those of near precursor one by one, or all by their peaks.

A search of everything adds up, for each reference, what its peaks within the tolerance of the query's could give at
most. That is an upper bound of the similarity, and mostly the similarity itself. References are then compared peak by
peak in the order of their bounds, until no bound is above the worst that would be returned: nothing is missed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float, Int64

from molvis_core import ties
from molvis_core.errors import ConfigError, IndexFileError
from molvis_core.records import Measurement, PeakList, Structure
from molvis_msms.references import kernels
from molvis_msms.references.folder import lists_of, read_table, write
from molvis_msms.references.similarity import Prepared, Similarity, Tolerance

if TYPE_CHECKING:
    import pyarrow as pa

_BLOCK = 1 << 16
"""Spectra whose sums fit a processor's cache, and that one thread adds up."""
_SLACK = 1e-4
"""Rounding of sums of single precision: a bound may lie below what it bounds by this."""
TIE = 1e-9
"""Similarities nearer than this are equal, and their order is that of the index."""


@dataclass(frozen=True, eq=False, slots=True)
class Found:
    """References that are like a query, from the most similar down.

    Attributes:
        rows: in the index.
        scores: similarities, between 0 and 1.
        matched: pairs of peaks.
    """

    rows: Int64[np.ndarray, " k"]
    scores: Float[np.ndarray, " k"]
    matched: Int64[np.ndarray, " k"]


@dataclass(frozen=True, eq=False)
class References:
    """Reference spectra in memory. Open a folder of them with `References.open`.

    Attributes:
        table: metadata, a row a spectrum.
        offsets: where the peaks of each spectrum begin, and where the last end.
        mz, intensity: of all peaks.
        path: of the folder; None where they were never written.
    """

    table: pa.Table = field(repr=False)
    offsets: Int64[np.ndarray, " s"] = field(repr=False)
    mz: Float[np.ndarray, " p"] = field(repr=False)
    intensity: Float[np.ndarray, " p"] = field(repr=False)
    path: Path | None = None
    _indexes: dict[Similarity, _Index] = field(default_factory=dict, repr=False)

    @classmethod
    def open(cls, path: Path | str) -> References:
        """Read an index that `molvis references build` made, and compare it with its digests.

        Raises:
            IndexFileError: there is none, it is damaged, or a newer molvis made it.
        """
        table = read_table(path)
        (mz, offsets), (intensity, others) = lists_of(table, "mz"), lists_of(table, "intensity")
        fit = np.array_equal(offsets, others) and (mz > 0).all() and (intensity > 0).all() and np.isfinite(mz).all()
        steps = np.diff(mz) >= 0
        steps[offsets[1:-1][offsets[1:-1] < len(mz)] - 1] = True
        if not (fit and steps.all() and np.isfinite(intensity).all()):
            raise IndexFileError(f"{path}: damaged: peaks that no spectrum has. Build it again.")
        return cls(table.drop_columns(["mz", "intensity"]), offsets, mz, intensity, Path(path))

    @classmethod
    def of(cls, items: Sequence[Measurement], path: Path | str) -> References:
        """References of measurements, by way of a folder that is written.

        Raises:
            IndexFileError: the folder exists, or none of them can be a reference.
            molvis_core.errors.WriteError: the folder cannot be written.
        """
        write(items, path)
        return cls.open(path)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @cached_property
    def precursor(self) -> Float[np.ndarray, " n"]:
        """m/z of each spectrum's ion; NaN where it is not known."""
        return self.table["precursor_mz"].to_numpy(zero_copy_only=False).astype(np.float64)

    @cached_property
    def _by_precursor(self) -> Int64[np.ndarray, " n"]:
        return np.argsort(self.precursor, kind="stable")

    @cached_property
    def _polarity(self) -> Int64[np.ndarray, " n"]:
        """1, -1, or 0 where it is not known."""
        signs = {"positive": 1, "negative": -1}
        return np.array([signs.get(mode, 0) for mode in self.table["ionmode"].to_pylist()], dtype=np.int64)

    @cached_property
    def compounds(self) -> list[str]:
        """First block of each compound's InChIKey; empty where no structure is known."""
        return [(key or "")[:14] for key in self.table["inchikey"].to_pylist()]

    @cached_property
    def rows_of(self) -> dict[str, Int64[np.ndarray, " _"]]:
        """Rows of each compound, by the first block of its InChIKey."""
        found: dict[str, list[int]] = {}
        for row, compound in enumerate(self.compounds):
            if compound:
                found.setdefault(compound, []).append(row)
        return {compound: np.array(rows, dtype=np.int64) for compound, rows in found.items()}

    def spectrum(self, row: int) -> PeakList:
        """The spectrum of a row."""
        part = slice(self.offsets[row], self.offsets[row + 1])
        names = ("precursor_mz", "adduct", "charge", "ionmode", "collision_energy", "instrument_type", "identifier")
        values = {name: self.table[name][row].as_py() for name in names}
        return PeakList(self.mz[part], self.intensity[part], ms_level=2, **values)

    def structure(self, row: int) -> Structure | None:
        """The compound of a row; None where only its name is known."""
        names = ("smiles", "inchikey", "formula", "exact_mass", "structure_charge", "name")
        smiles, key, formula, mass, charge, name = (self.table[n][row].as_py() for n in names)
        if not key or not smiles:
            return None
        return Structure(smiles, key, formula or "", mass or 0.0, charge or 0, name)

    @cached_property
    def _known(self) -> Bool[np.ndarray, " n"]:
        return np.array([bool(compound) for compound in self.compounds])

    def allowed(
        self, ionmode: str | None = None, without: Collection[str] = (), known: bool = False
    ) -> Bool[np.ndarray, " n"]:
        """Which rows may be found.

        Args:
            ionmode: of the query: rows of the other polarity are left out.
            without: compounds that are left out, by first blocks of InChIKeys.
            known: only those whose structure is known.
        """
        sign = {"positive": 1, "negative": -1}.get(ionmode or "", 0)
        out = self._polarity != -sign if sign else np.ones(len(self), dtype=bool)
        for compound in without:
            out[self.rows_of.get(compound, [])] = False
        return out & self._known if known else out

    def near(self, precursor_mz: float, tolerance: Tolerance) -> Int64[np.ndarray, " _"]:
        """Rows whose precursor lies within a tolerance of another; ppm are of the mean of the two."""
        low, high = (bound[0] for bound in tolerance.around(np.array([precursor_mz])))
        known = self.precursor[self._by_precursor]
        rows = np.sort(self._by_precursor[np.searchsorted(known, low) : np.searchsorted(known, high, side="right")])
        gap, mean = np.abs(self.precursor[rows] - precursor_mz), (self.precursor[rows] + precursor_mz) / 2
        return rows[gap <= (tolerance.width * mean if tolerance.relative else tolerance.width) * (1 + 1e-9)]

    def search(
        self,
        query: PeakList,
        similarity: Similarity,
        *,
        precursor: Tolerance | None = None,
        top: int = 10,
        min_score: float = 0.0,
        matched: int = 1,
        without: Collection[str] = (),
        known: bool = False,
        prepared: Prepared | None = None,
    ) -> Found:
        """The references most like a query; exact.

        Args:
            query: a spectrum.
            similarity: by which they are compared.
            precursor: how far the precursors may be apart; None for any.
            top: so many at most.
            min_score: similarity of the last of them.
            matched: pairs of peaks that each has at least.
            without: compounds that are left out, by first blocks of InChIKeys.
            known: only references whose structure is known.
            prepared: the query as `similarity` prepares it, where it is at hand.

        Raises:
            ConfigError: `top` or `matched` is below 1, or `precursor` is given and the query's is not known.
            molvis_core.errors.RecordError: the query has no precursor, and the similarity compares losses alone.
        """
        if top < 1 or matched < 1:
            raise ConfigError(f"top and matched must be positive, got {top} and {matched}")
        prepared = prepared or similarity.prepare(query)
        allowed = self.allowed(query.ionmode, without, known)
        if precursor is not None:
            if query.precursor_mz is None:
                raise ConfigError("the spectrum has no precursor m/z; search without a tolerance of the precursor")
            rows = self.near(query.precursor_mz, precursor)
            rows = rows[allowed[rows]]
            return best(rows, *self._compared(prepared, similarity, rows), top, min_score, matched)
        bound, pairs = self._index(similarity).bounds(prepared)
        open_rows = np.flatnonzero(allowed & (bound > 0) & (bound >= min_score - _SLACK) & (pairs >= matched))
        return self._descend(prepared, similarity, open_rows, bound[open_rows], (top, min_score, matched))

    def compare(self, query: PeakList | Prepared, similarity: Similarity, rows: Int64[np.ndarray, " k"]) -> Found:
        """The similarities of a query with some references, in their order.

        Args:
            query: a spectrum, or what `similarity` prepared of one.
            similarity: by which they are compared.
            rows: of the references.

        Raises:
            molvis_core.errors.RecordError: the query has no precursor, and the similarity compares losses alone.
        """
        prepared = query if isinstance(query, Prepared) else similarity.prepare(query)
        return Found(rows, *self._compared(prepared, similarity, rows))

    def _descend(
        self,
        prepared: Prepared,
        similarity: Similarity,
        rows: Int64[np.ndarray, " k"],
        bound: Float[np.ndarray, " k"],
        wanted: tuple[int, float, int],
    ) -> Found:
        """Compare rows from the highest bound down, until no bound is above the worst that is kept."""
        order = np.argsort(-bound, kind="stable")
        rows, bound = rows[order], bound[order]
        top, min_score, matched = wanted
        found = best(rows[:0], np.empty(0), np.empty(0, dtype=np.int64), *wanted)
        done, size = 0, 4 * top
        while done < len(rows):
            worst = found.scores[-1] if len(found.rows) == top else min_score
            if bound[done] < worst - _SLACK:
                break
            part = rows[done : done + size]
            size *= 2
            scores, counts = self._compared(prepared, similarity, part)
            together = np.concatenate([found.rows, part])
            order = np.argsort(together, kind="stable")
            scores, counts = np.concatenate([found.scores, scores]), np.concatenate([found.matched, counts])
            found = best(together[order], scores[order], counts[order], top, min_score, matched)
            done += len(part)
        return found

    def _compared(
        self, prepared: Prepared, similarity: Similarity, rows: Int64[np.ndarray, " k"]
    ) -> tuple[Float[np.ndarray, " k"], Int64[np.ndarray, " k"]]:
        """Scores and numbers of pairs, for some rows."""
        lengths = np.diff(self.offsets)[rows]
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        places = np.repeat(self.offsets[rows] - offsets[:-1], lengths) + np.arange(offsets[-1])
        mz, precursor = self.mz[places], self.precursor[rows]
        weights = similarity.weights(offsets, mz, self.intensity[places], precursor)
        if similarity.matching == "greedy":
            query = (prepared.mz, prepared.weight, prepared.precursor)
            every = np.arange(len(rows))
            return kernels.compare_rows(every, offsets, mz, weights, precursor, *query, *similarity.settings())
        found = [
            similarity.compare(prepared, Prepared(mz[a:b], weights[a:b], float(p)))
            for a, b, p in zip(offsets[:-1], offsets[1:], precursor, strict=True)
        ]
        return np.array([f.score for f in found]), np.array([len(f.pairs) for f in found], dtype=np.int64)

    def _index(self, similarity: Similarity) -> _Index:
        if similarity not in self._indexes:
            self._indexes[similarity] = _Index.of(self, similarity)
        return self._indexes[similarity]


def best(
    rows: Int64[np.ndarray, " k"],
    scores: Float[np.ndarray, " k"],
    counts: Int64[np.ndarray, " k"],
    top: int,
    min_score: float,
    matched: int,
) -> Found:
    """The rows of the highest scores, from the highest down.

    Args:
        rows: ascending.
        scores: of the rows.
        counts: pairs of peaks of the rows.
        top: so many at most.
        min_score: score of the last of them.
        matched: pairs of peaks that each has at least.
    """
    keep = np.flatnonzero((scores > 0) & (scores >= min_score) & (counts >= matched))
    keep = keep[ties.best(scores[keep], top, TIE)] if len(keep) else keep
    return Found(rows[keep], scores[keep], counts[keep])


@dataclass(frozen=True, eq=False, slots=True)
class _Index:
    """The peaks of all references by m/z, by neutral loss, or by both, in blocks of spectra."""

    similarity: Similarity
    blocks: list[tuple[int, int, list[tuple[Any, ...]]]]
    most: float

    @classmethod
    def of(cls, references: References, similarity: Similarity) -> _Index:
        offsets, precursor = references.offsets, references.precursor
        by_loss = [*([False] if similarity.direct else []), *([True] if similarity.shifted else [])]

        def block(start: int) -> tuple[int, int, list[tuple[Any, ...]]]:
            stop = min(start + _BLOCK, len(references))
            ends, part = offsets[start : stop + 1] - offsets[start], slice(offsets[start], offsets[stop])
            mz, ions = references.mz[part], precursor[start:stop]
            weight = similarity.weights(ends, mz, references.intensity[part], ions)
            below = similarity.shifted == 1
            parts = [kernels.into_cells(ends, mz, weight, ions, loss, loss and below) for loss in by_loss]
            return start, stop, parts

        blocks = _on_all_processors(block, range(0, len(references), _BLOCK))
        return cls(similarity, blocks, float(references.mz.max(initial=0.0)))

    def bounds(self, query: Prepared) -> tuple[Float[np.ndarray, " n"], Int64[np.ndarray, " n"]]:
        """For each reference, what its similarity and its pairs of peaks can be at most."""
        similarity, entropy = self.similarity, self.similarity.kind == "entropy"
        windows = []
        if similarity.direct:
            keep = query.weight > 0
            windows.append((*similarity.tolerance.around(query.mz[keep]), query.weight[keep]))
        if similarity.shifted:
            losses = query.precursor - query.mz
            keep = (query.weight > 0) & ~np.isnan(losses) & ((losses > 0) | (similarity.shifted == 2))
            most = self.most + float(query.mz.max(initial=0.0))
            windows.append((*similarity.tolerance.around(losses[keep], most), query.weight[keep]))

        def block(held: tuple[int, int, list[tuple[Any, ...]]]) -> tuple[np.ndarray, np.ndarray]:
            start, stop, parts = held
            bound, pairs = np.zeros(stop - start, np.float32), np.zeros(stop - start, np.int32)
            for (lows, highs, weight), cells in zip(windows, parts, strict=True):
                arguments: tuple[Any, ...] = (lows, highs, weight, *cells, entropy, bound, pairs)
                kernels.add_up(*arguments)
            return bound, pairs

        found = _on_all_processors(block, self.blocks)
        return (
            np.concatenate([bound for bound, _ in found]).astype(np.float64),
            np.concatenate([pairs for _, pairs in found]).astype(np.int64),
        )


def _on_all_processors(work: Callable[[Any], Any], parts: Sequence[Any]) -> list[Any]:
    """What a function that lets go of Python's lock makes of some parts."""
    count = min(len(parts), os.cpu_count() or 1)
    if count < 2:
        return [work(part) for part in parts]
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(work, parts))
