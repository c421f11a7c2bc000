"""Hamiltonians of spin systems, in blocks: what depends on the spins there are, not on their shifts and couplings.

H = sum_k v_k Iz(k) + sum_{k<l} J_kl I(k).I(l) in Hz. Spins 1/2 that are magnetically equivalent are added to one of
each total spin they can have; couplings between different nuclei keep only Iz Iz. What is left commutes with the total
Iz of each nucleus, and falls into blocks.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import comb

import numpy as np
from jaxtyping import Bool, Float, Int

from molvis_core.errors import RecordError, did_you_mean

# Frequencies of the spins 1/2 relative to 1H of TMS = 100: doi:10.1351/pac200173111795
RATIOS = {
    "1H": 100.0, "3H": 106.663974, "3He": 76.179437, "13C": 25.145020, "15N": 10.136767, "19F": 94.094011,
    "29Si": 19.867187, "31P": 40.480742, "57Fe": 3.237778, "77Se": 19.071513, "89Y": 4.900198, "103Rh": 3.186447,
    "107Ag": 4.047819, "109Ag": 4.653533, "111Cd": 21.215480, "113Cd": 22.193175, "115Sn": 32.718749,
    "117Sn": 35.632259, "119Sn": 37.290632, "123Te": 26.169742, "125Te": 31.549769, "129Xe": 27.810186,
    "171Yb": 17.499306, "183W": 4.166387, "187Os": 2.282331, "195Pt": 21.496784, "199Hg": 17.910822,
    "203Tl": 57.123200, "205Tl": 57.683838, "207Pb": 20.920599,
}  # fmt: skip


def larmor(nucleus: str, frequency: float) -> float:
    """Frequency of a nucleus in MHz where that of 1H is `frequency` MHz.

    Raises:
        RecordError: not a spin 1/2 that is known, or a frequency that is not positive.
    """
    if nucleus not in RATIOS:
        raise RecordError(
            f"no spin-1/2 nucleus is named {nucleus!r}.{did_you_mean(nucleus, RATIOS)} Known: {', '.join(RATIOS)}"
        )
    if not 0 < frequency < np.inf:
        raise RecordError(f"frequency must be that of 1H in MHz and positive, got {frequency}")
    return frequency * RATIOS[nucleus] / 100


@dataclass(frozen=True, eq=False, slots=True)
class Step:
    """Transitions of the observed nucleus from one block to the next.

    Attributes:
        low, high: the two blocks.
        rows, columns, amplitude: elements of I+ of each observed group, by states of `high` and `low`; filled up with
            zeros.
        ones: whether every amplitude is 1, as among single spins.
    """

    low: int
    high: int
    rows: Int[np.ndarray, "o c"]
    columns: Int[np.ndarray, "o c"]
    amplitude: Float[np.ndarray, "o c"]
    ones: bool


@dataclass(frozen=True, eq=False, slots=True)
class Blocks:
    """The operators of a set of spins in the basis of products, by total Iz.

    Attributes:
        sizes: states in each block.
        starts: of each block among all states.
        pairs: groups k < l, in the order of the couplings.
        seen: groups of the observed nucleus.
        iz: Iz of each group, by state.
        zz: Iz Iz of each pair, by state.
        flip_block, flip_pair, flip_row, flip_column, flip_value: the elements of I.I off the diagonal, below it, sorted
            by block. Rows are the states with k raised and l lowered.
        flip_place: the same among the elements of all blocks, one block after the other.
        diagonal_place: of the diagonal there.
        steps: transitions of the observed nucleus.
    """

    sizes: Int[np.ndarray, " b"]
    starts: Int[np.ndarray, " b"]
    pairs: Int[np.ndarray, "p 2"]
    seen: Int[np.ndarray, " o"]
    iz: Float[np.ndarray, "n g"]
    zz: Float[np.ndarray, "n p"]
    flip_block: Int[np.ndarray, " f"]
    flip_pair: Int[np.ndarray, " f"]
    flip_row: Int[np.ndarray, " f"]
    flip_column: Int[np.ndarray, " f"]
    flip_value: Float[np.ndarray, " f"]
    flip_place: Int[np.ndarray, " f"]
    diagonal_place: Int[np.ndarray, " n"]
    steps: tuple[Step, ...]

    def hamiltonian(
        self,
        frequencies: Float[np.ndarray, " g"],
        couplings: Float[np.ndarray, " p"],
        further: Float[np.ndarray, " n"] | float = 0.0,
        flipping: Float[np.ndarray, " f"] | float = 0.0,
    ) -> list[Float[np.ndarray, "_ _"]]:
        """Blocks of H in Hz. Only the lower triangle is filled.

        Args:
            frequencies: of the groups.
            couplings: of the pairs.
            further: what is added to the diagonal.
            flipping: what is added to the couplings of the elements off it.
        """
        flat = np.zeros(int((self.sizes**2).sum()))
        flat[self.diagonal_place] = self.iz @ frequencies + self.zz @ couplings + further
        flat[self.flip_place] = self.flip_value * (couplings[self.flip_pair] + flipping)
        ends = np.cumsum(self.sizes**2)
        return [
            flat[end - size * size : end].reshape(size, size)
            for end, size in zip(ends.tolist(), self.sizes.tolist(), strict=True)
        ]


def _ladder(double: int) -> Float[np.ndarray, " d"]:
    """<m + 1| I+ |m> of spin `double` / 2, from the lowest m up; 0 for the highest."""
    spin = double / 2
    m = np.arange(double + 1) - spin
    return np.sqrt(np.maximum(spin * (spin + 1) - m * (m + 1), 0))


@lru_cache(maxsize=256)
def blocks(doubles: tuple[int, ...], nuclei: tuple[str, ...], observed: str) -> Blocks:
    """Blocks of spins `doubles` / 2.

    Args:
        doubles: twice the spin of each group.
        nuclei: of each group.
        observed: the nucleus whose transitions are simulated.
    """
    groups = len(doubles)
    dims = np.array(doubles) + 1
    total = int(dims.prod())
    strides = np.append(np.cumprod(dims[::-1])[::-1][1:], 1)
    digits = (np.arange(total)[:, None] // strides) % dims
    up = np.stack([_ladder(d)[digits[:, k]] for k, d in enumerate(doubles)], axis=1)  # amplitude of I+ on a state
    down = np.stack([np.append(0, _ladder(d))[digits[:, k]] for k, d in enumerate(doubles)], axis=1)

    species = sorted(set(nuclei), key=lambda name: (name == observed, name))  # the observed one runs fastest
    quanta = np.stack([digits[:, [n == s for n in nuclei]].sum(axis=1) for s in species], axis=1)
    order = np.lexsort(quanta.T[::-1])
    changes = np.flatnonzero((np.diff(quanta[order], axis=0) != 0).any(axis=1)) + 1
    starts = np.append(0, changes)
    sizes = np.diff(np.append(starts, total))
    place = np.empty(total, dtype=np.int64)  # of a state among those ordered by block
    place[order] = np.arange(total)
    block = np.repeat(np.arange(len(sizes)), sizes)
    local = np.arange(total) - starts[block]
    offset = np.append(0, np.cumsum(sizes**2))[:-1]

    pairs = np.array(list(itertools.combinations(range(groups), 2)), dtype=np.int64).reshape(-1, 2)
    iz = digits[order] - np.array(doubles) / 2
    flips: list[np.ndarray] = []
    for p, (k, m) in enumerate(pairs):
        if nuclei[k] == nuclei[m]:
            value = 0.5 * up[:, k] * down[:, m]
            (source,) = np.nonzero(value)
            ends = np.stack([place[source], place[source + strides[k] - strides[m]]])
            flips.append(np.vstack([np.full(len(source), p), ends.max(axis=0), ends.min(axis=0), value[source]]))
    pair, row, column, value = np.concatenate(flips, axis=1) if flips else np.zeros((4, 0))
    by_block = np.argsort(block[row.astype(np.int64)], kind="stable")
    pair, row, column = (column[by_block].astype(np.int64) for column in (pair, row, column))
    value = value[by_block]

    steps: list[Step] = []
    seen = [k for k in range(groups) if nuclei[k] == observed]
    keys = quanta[order][starts]
    for low in range(len(sizes) - 1):
        expected = keys[low].copy()
        expected[-1] += 1
        if (keys[low + 1] != expected).any():
            continue
        states = order[starts[low] : starts[low] + sizes[low]]
        found = [states[up[states, k] > 0] for k in seen]
        width = max(map(len, found))
        rows, columns = np.zeros((2, len(seen), width), dtype=np.int64)
        amplitude = np.zeros((len(seen), width))
        for i, k in enumerate(seen):
            some = found[i]
            rows[i, : len(some)] = local[place[some + strides[k]]]
            columns[i, : len(some)] = local[place[some]]
            amplitude[i, : len(some)] = up[some, k]
        steps.append(Step(low, low + 1, rows, columns, amplitude, bool((amplitude == 1).all())))
    return Blocks(
        sizes=sizes,
        starts=starts,
        pairs=pairs,
        seen=np.array(seen),
        iz=iz,
        zz=iz[:, pairs[:, 0]] * iz[:, pairs[:, 1]],
        flip_block=block[row],
        flip_pair=pair,
        flip_row=row,
        flip_column=column,
        flip_value=value,
        flip_place=offset[block[row]] + local[row] * sizes[block[row]] + local[column],
        diagonal_place=offset[block] + local * (sizes[block] + 1),
        steps=tuple(steps),
    )


@dataclass(frozen=True, eq=False, slots=True)
class Part:
    """Spins that are diagonalized together.

    Attributes:
        groups: which groups of the system.
        doubles: twice the spin taken for each.
        nuclei: of each.
        factor: what a squared element of I+ counts, so that the lines of a group add up to its number of spins.
    """

    groups: tuple[int, ...]
    doubles: tuple[int, ...]
    nuclei: tuple[str, ...]
    factor: float

    @property
    def states(self) -> int:
        """Dimension of the space."""
        return int(np.prod(np.array(self.doubles) + 1))


def components(linked: Bool[np.ndarray, "g g"]) -> list[tuple[int, ...]]:
    """Groups that are linked with each other, directly or not."""
    left, found = set(range(len(linked))), []
    while left:
        stack = [min(left)]
        left.discard(stack[0])
        members = list(stack)
        while stack:
            for other in np.flatnonzero(linked[stack.pop()]).tolist():
                if other in left:
                    left.discard(other)
                    members.append(other)
                    stack.append(other)
        found.append(tuple(sorted(members)))
    return found


def parts(
    multiplicity: Sequence[int], nuclei: Sequence[str], linked: Bool[np.ndarray, "g g"], observed: str
) -> tuple[Part, ...]:
    """What has to be diagonalized for the lines of one nucleus: each choice of total spins, each of its components.

    A group of total spin 0 takes no part, and may leave the others in pieces; pieces that many choices share come once.
    """
    return _parts(tuple(multiplicity), tuple(nuclei), linked.tobytes(), observed)


def _total_spins(size: int) -> list[tuple[int, int]]:
    """Twice each total spin that `size` spins 1/2 can have, with the number of ways to it."""
    return [(size - 2 * i, comb(size, i) - (comb(size, i - 1) if i else 0)) for i in range(size // 2 + 1)]


def _observed_pieces(
    at: list[int], linked: Bool[np.ndarray, "g g"], nuclei: tuple[str, ...], observed: str
) -> Iterator[tuple[int, ...]]:
    """The components among some of the groups, as far as they have a group of the observed nucleus."""
    for piece in components(linked[np.ix_(at, at)]):
        groups = tuple(at[i] for i in piece)
        if any(nuclei[k] == observed for k in groups):
            yield groups


@lru_cache(maxsize=1024)
def _parts(multiplicity: tuple[int, ...], nuclei: tuple[str, ...], raw: bytes, observed: str) -> tuple[Part, ...]:
    linked = np.frombuffer(raw, dtype=bool).reshape(len(multiplicity), -1)
    factors: dict[tuple[tuple[int, ...], tuple[int, ...]], float] = {}
    for members in components(linked):
        choices = [_total_spins(multiplicity[k]) for k in members]
        everything = 2.0 ** sum(multiplicity[k] for k in members)
        for choice in itertools.product(*choices):
            alive = {k: double for k, (double, _) in zip(members, choice, strict=True) if double}
            weight = np.prod([float(times) for _, times in choice]) * np.prod([d + 1.0 for d in alive.values()])
            for groups in _observed_pieces(list(alive), linked, nuclei, observed):
                doubles = tuple(alive[k] for k in groups)
                share = float(2 * weight / np.prod([d + 1.0 for d in doubles]) / everything)
                factors[groups, doubles] = factors.get((groups, doubles), 0.0) + share
    return tuple(
        Part(groups, doubles, tuple(nuclei[k] for k in groups), factor) for (groups, doubles), factor in factors.items()
    )
