"""Predicted lines of many molecules as one set of arrays: what a measured list is laid along."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from molvis_core.errors import ConfigError
from molvis_core.records import ShiftList
from molvis_nmr_shifts.matching.kernel import align, bound
from molvis_nmr_shifts.prediction.graphs import Graph
from molvis_nmr_shifts.prediction.lessons import ATTACHED

NUCLEI = ("13C", "1H")


@dataclass(frozen=True, eq=False, slots=True)
class Lines:
    """Lines of one nucleus of several molecules, ascending within each.

    Attributes:
        starts: "m+1", where the lines of each molecule begin, and where the last one's end.
        means, widths: in ppm; widths are scales of a Laplace distribution.
        hydrogens: on the atom of each line.
        counts: equivalent nuclei of each line.
        loose: whether it is often missing: hydrogens on other atoms than carbon.
    """

    starts: np.ndarray
    means: np.ndarray
    widths: np.ndarray
    hydrogens: np.ndarray
    counts: np.ndarray
    loose: np.ndarray

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def firm(self) -> np.ndarray:
        """How many lines of each molecule are not loose."""
        before = np.concatenate([np.zeros(1, np.int64), np.cumsum(~self.loose)])
        return np.diff(before[self.starts])

    @classmethod
    def joined(cls, parts: Sequence[Lines]) -> Lines:
        """Those of several sets, one after another."""
        sizes = np.concatenate([np.zeros(1, np.int64), *(np.diff(p.starts) for p in parts)])
        columns = [
            np.concatenate([np.empty(0, kind), *(getattr(p, name) for p in parts)]).astype(kind)
            for name, kind in _KINDS.items()
        ]
        return cls(np.cumsum(sizes), *columns)

    def take(self, rows: np.ndarray) -> Lines:
        """Those of some molecules, in this order."""
        begins, sizes = self.starts[rows], np.diff(self.starts)[rows]
        starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        places = np.repeat(begins - starts[:-1], sizes) + np.arange(starts[-1])
        return Lines(starts, *(getattr(self, name)[places] for name in _KINDS))

    def in_hsqc(self) -> Lines:
        """Those that an HSQC shows: of carbons with hydrogens, and of hydrogens on carbons."""
        shown = (self.hydrogens > 0) & ~self.loose
        before = np.concatenate([np.zeros(1, np.int64), np.cumsum(shown)])
        return Lines(before[self.starts], *(getattr(self, name)[shown] for name in _KINDS))


_KINDS = {"means": np.float32, "widths": np.float32, "hydrogens": np.int8, "counts": np.int8, "loose": np.bool_}


def lines_of(graph: Graph, shifts: np.ndarray, scales: np.ndarray, nucleus: str) -> Lines:
    """The lines of one molecule: one for each kind of equivalent atoms.

    Args:
        graph: of the molecule.
        shifts: "a 3", as the network gives them.
        scales: "a 2".
        nucleus: `13C` or `1H`.
    """
    carbon = nucleus == "13C"
    can = graph.numbers == 6 if carbon else graph.hydrogens > 0
    rows: list[tuple[float, float, int, int, bool]] = []
    for kind in np.unique(graph.classes[can]):
        atoms = np.flatnonzero((graph.classes == kind) & can)
        first = atoms[0]
        held = int(graph.hydrogens[first])
        if carbon:
            rows.append((float(shifts[atoms, 0].mean()), float(scales[atoms, 0].mean()), held, len(atoms), False))
            continue
        middle = float(shifts[atoms, 1:].mean())
        half = float((shifts[atoms, 2] - shifts[atoms, 1]).mean()) / 2
        # Two hydrogens on one carbon may be apart: the line is that much wider.
        width = float(scales[atoms, 1].mean()) + (half if held == 2 else 0.0)
        rows.append((middle, width, held, held * len(atoms), bool(graph.numbers[first] != 6)))
    rows.sort()
    columns = list(zip(*rows, strict=True)) or [()] * len(_KINDS)
    arrays = [np.array(column).astype(kind) for column, kind in zip(columns, _KINDS.values(), strict=True)]
    arrays[3] = np.minimum(np.array(columns[3], dtype=np.int64), 100).astype(np.int8)
    return Lines(np.array([0, len(rows)], dtype=np.int64), *arrays)


@dataclass(frozen=True, slots=True)
class Prices:
    """What a likelihood of alignments costs, of one nucleus.

    Attributes:
        factor: on predicted widths.
        stray: share of signals that lie anywhere.
        span: in ppm, that they lie within.
        missing, loose: logarithm of the chance that a line has no signal; that of an exchanging hydrogen.
        extra: logarithm of the chance of a signal of no line.
        shared: of lines that fall together.
        again: of a further signal of a line.
        wrong: of a stated number of hydrogens that is not the line's.
        bare: of an atom without hydrogens whose line has no signal.
        uneven: of fewer signals than lines, beside what each line without a signal costs: most lists are complete, and
            one that lacks a signal often lacks several.
    """

    factor: float
    stray: float
    span: float
    missing: float
    loose: float
    extra: float
    shared: float
    again: float
    wrong: float
    bare: float
    uneven: float

    def __post_init__(self) -> None:
        if not (self.factor > 0 and 0 < self.stray < 1 and self.span > 0):
            raise ConfigError(f"prices: factor and span must be positive and stray between 0 and 1, got {self}")
        if max(self._chances) > 0:
            raise ConfigError(f"prices: logarithms of chances must not be above 0, got {self}")

    @property
    def array(self) -> np.ndarray:
        """As the kernel takes them."""
        rest = (self.extra, self.shared, self.again, self.wrong)
        return np.array([self.factor, self.stray, 1 / self.span, *rest], dtype=np.float64)

    @property
    def _chances(self) -> tuple[float, ...]:
        lines = (self.missing, self.loose, self.extra, self.shared, self.again, self.wrong)
        return (*lines, self.bare, self.uneven)

    def idle(self, lines: Lines) -> np.ndarray:
        """What it costs that each line has no signal."""
        return np.where(lines.loose, self.loose, np.where(lines.hydrogens == 0, self.bare, self.missing))

    def incomplete(self, signals: int, firm: np.ndarray) -> np.ndarray:
        """What it costs molecules of so many firm lines that there are fewer signals."""
        return np.where(firm > signals, self.uneven, 0.0)


USUAL = {
    "13C": Prices(1.0, 0.001, 200.0, -1.5, -1.5, -9.0, -3.0, -5.0, -4.0, -4.0, -6.0),
    "1H": Prices(1.3, 0.05, 10.0, -2.0, -0.5, -2.5, -1.0, -1.5, 0.0, 0.0, 0.0),
}
"""Where fitting begins, and what counts before it: those of 13C made truths stand out in a whole library."""


def likelihoods(record: ShiftList, lines: Lines, prices: Prices) -> np.ndarray:
    """Logarithm of how likely a list is under the lines of each molecule, by the best alignment; "m"."""
    out = np.empty(len(lines))
    align(
        record.shifts, attached_hydrogens(record), lines.starts, lines.means, lines.widths, lines.hydrogens,
        lines.counts, prices.idle(lines), prices.array, out,
    )  # fmt: skip
    return out + prices.incomplete(len(record), lines.firm)


@dataclass(frozen=True, eq=False, slots=True)
class Peaks:
    """What of lines does not depend on the query, to rank them fast.

    Attributes:
        lines: that they are of.
        sharp: one over each width.
        tall: its logarithm.
        reach: "m 2", the least `sharp` and the largest `tall` of each molecule.
        firm: "m", how many lines of each molecule are not loose.
    """

    lines: Lines
    sharp: np.ndarray
    tall: np.ndarray
    reach: np.ndarray
    firm: np.ndarray

    @classmethod
    def of(cls, lines: Lines) -> Peaks:
        """Those of lines."""
        sharp = (1 / lines.widths).astype(np.float32)
        tall = np.log(sharp)
        reach = np.zeros((len(lines), 2), np.float32)
        some = np.flatnonzero(np.diff(lines.starts))
        reach[some, 0] = np.minimum.reduceat(sharp, lines.starts[some]) if len(some) else 0.0
        reach[some, 1] = np.maximum.reduceat(tall, lines.starts[some]) if len(some) else 0.0
        return cls(lines, sharp, tall, reach, lines.firm)


def likeliest(record: ShiftList, peaks: Peaks, prices: Prices, most: int) -> tuple[np.ndarray, np.ndarray]:
    """The molecules whose lines a list is likeliest under, best first, and `likelihoods` of these.

    All others are at most as likely: a bound of each, which costs a fraction, says which need an alignment.

    Args:
        record: measured.
        peaks: of all molecules; one without lines comes last.
        prices: of an alignment.
        most: how many.

    Returns:
        Places of so many molecules, or of all, and the logarithms of their likelihoods; of equal ones the first.
    """
    lines = peaks.lines
    limit = np.empty(len(lines))
    bound(
        record.shifts, attached_hydrogens(record), lines.starts, lines.means, peaks.sharp, peaks.tall, peaks.reach,
        lines.hydrogens, max(prices.missing, prices.loose, prices.bare, prices.shared), prices.array, limit,
    )  # fmt: skip
    limit += prices.incomplete(len(record), peaks.firm)
    # Rounding of the two differs.
    limit += 1e-6 * (1 + np.abs(limit))
    limit[np.diff(lines.starts) == 0] = -np.inf
    found = np.full(len(lines), -np.inf)
    asked, step, least = np.isneginf(limit), max(4 * most, 256), -np.inf
    while len(left := np.flatnonzero(~asked & (limit >= least))):
        some = left[np.argpartition(-limit[left], step)[:step]] if len(left) > step else left
        some.sort()
        found[some] = likelihoods(record, lines.take(some), prices)
        asked[some], step = True, 4 * step
        least = float(np.partition(found, -most)[-most]) if most <= len(found) else -np.inf
    rows = np.argsort(-found, kind="stable")[:most]
    return rows, found[rows]


def attached_hydrogens(record: ShiftList) -> np.ndarray:
    """Hydrogens on the carbon of each signal, -1 where that is not stated."""
    if record.nucleus != "13C" or not record.multiplicity:
        return np.full(len(record), -1, dtype=np.int64)
    return np.array([ATTACHED.get(text.strip().upper(), -1) for text in record.multiplicity], dtype=np.int64)
