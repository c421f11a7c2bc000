"""Straight-line programs: sums of products of rows, where a row holds one number for every flux vector of a batch.

A labelling simulation is nothing else, once the order of elimination is settled: no branch, no loop, no pivot. What
runs a program is in `backends.numba_kernels` and `backends.torch`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from jaxtyping import Bool, Float, Int

Pair: TypeAlias = tuple[int, int]
ZERO, ONE = 0, 1


@dataclass(frozen=True, eq=False, slots=True)
class Program:
    """Operations in an order in which each finds its operands.

    Row `target` becomes row `init` plus the sum over its pairs of row `left` times row `right`; or, where `inverse` is
    set, one over that, and 0 for 0.

    Attributes:
        rows: how many the workspace needs.
        constants: of the first rows; row 0 is 0 and row 1 is 1.
        inputs: row that the number of each input goes to; -1 where it is not needed.
        target, init, inverse: of each operation.
        start: its first pair; one more at the end.
        left, right: rows of the pairs.
        outputs: rows that are the result.
        early: how many of the first operations do not depend on the inputs that are called late, and need not run again
            when only those change.
    """

    rows: int
    constants: Float[np.ndarray, " c"]
    inputs: Int[np.ndarray, " i"]
    target: Int[np.ndarray, " o"]
    init: Int[np.ndarray, " o"]
    inverse: Bool[np.ndarray, " o"]
    start: Int[np.ndarray, " o1"]
    left: Int[np.ndarray, " q"]
    right: Int[np.ndarray, " q"]
    outputs: Int[np.ndarray, " d"]
    early: int = 0

    def reusing_rows(self) -> Program:
        """The same program in as few rows as it goes, so that they stay in cache; not for backward derivatives."""
        last = np.full(self.rows, -1)
        for op in range(len(self.target)):
            last[self.init[op]] = op
            for q in range(self.start[op], self.start[op + 1]):
                last[self.left[q]] = last[self.right[q]] = op
        kept = np.zeros(self.rows, dtype=bool)
        kept[: len(self.constants)] = kept[self.outputs] = kept[self.inputs[self.inputs >= 0]] = True
        place = np.full(self.rows, -1)
        made = np.zeros(self.rows, dtype=bool)
        made[self.target] = True
        fixed = np.flatnonzero(kept & ~made)
        # What the early operations leave for the late ones has to outlive those.
        first = self.start[self.early]
        lasting = np.zeros(self.rows, dtype=bool)
        lasting[self.init[self.early :]] = lasting[self.left[first:]] = lasting[self.right[first:]] = True
        lasting[self.target[self.early :]] = False
        kept |= lasting & bool(self.early)
        place[fixed] = np.arange(len(fixed))
        used, free = len(fixed), []
        for op in range(len(self.target)):
            dying = {int(self.init[op])}
            for q in range(self.start[op], self.start[op + 1]):
                dying |= {int(self.left[q]), int(self.right[q])}
            # A row is written after all its operands are read, so the target may lie where one of them dies.
            free += [place[row] for row in dying if last[row] == op and not kept[row]]
            if free:
                place[self.target[op]] = free.pop()
            else:
                place[self.target[op]], used = used, used + 1
        return Program(
            used,
            self.constants,
            np.where(self.inputs >= 0, place[self.inputs], -1).astype(np.int32),
            place[self.target].astype(np.int32),
            place[self.init].astype(np.int32),
            self.inverse,
            self.start,
            place[self.left].astype(np.int32),
            place[self.right].astype(np.int32),
            place[self.outputs].astype(np.int32),
            self.early,
        )


class Builder:
    """Writes a program, leaving out what is zero, computed before, or not needed by the outputs.

    Args:
        inputs: how many numbers a flux vector brings.
    """

    def __init__(self, inputs: int) -> None:
        self._constants: dict[float, int] = {}
        self._value: dict[int, float] = {}
        self._made: dict[tuple[bool, int, tuple[Pair, ...]], int] = {}
        self._nodes: dict[int, tuple[bool, int, tuple[Pair, ...]]] = {}
        self._count = 0
        for value in (0.0, 1.0):
            self.constant(value)
        self.inputs = tuple(range(self._count, self._count + inputs))
        self._count += inputs

    def constant(self, value: float) -> int:
        """The row of a number that is the same for all."""
        row = self._constants.get(value)
        if row is None:
            row = self._constants[value] = self._count
            self._value[row] = value
            self._count += 1
        return row

    def total(self, pairs: Iterable[Pair]) -> int:
        """The row of a sum of products."""
        value, constant = self._value, 0.0
        alone: list[int] = []
        kept: list[Pair] = []
        for left, right in pairs:
            if left == ZERO or right == ZERO:
                continue
            if left in value and right in value:
                constant += value[left] * value[right]
            elif left == ONE:
                alone.append(right)
            elif right == ONE:
                alone.append(left)
            else:
                kept.append((left, right) if left < right else (right, left))
        if constant:
            alone.append(self.constant(constant))
        if not kept and len(alone) < 2:
            return alone[0] if alone else ZERO
        alone.sort()
        init = alone[0] if alone else ZERO
        kept += [(ONE, row) for row in alone[1:]]
        return self._node(False, init, kept)

    def inverse(self, rows: Iterable[int]) -> int:
        """The row of one over a sum."""
        first, *others = sorted(rows)
        if first in self._value and not others:
            return self.constant(1 / self._value[first]) if self._value[first] else ZERO
        return self._node(True, first, [(ONE, row) for row in others])

    def times(self, left: int, right: int) -> int:
        """The row of a product."""
        return self.total(((left, right),))

    def _node(self, inverse: bool, init: int, pairs: list[Pair]) -> int:
        key = (inverse, init, tuple(sorted(pairs)))
        row = self._made.get(key)
        if row is None:
            row = self._made[key] = self._count
            self._nodes[row] = key
            self._count += 1
        return row

    def _needed(self, outputs: Sequence[int]) -> Bool[np.ndarray, " r"]:
        """Which rows the outputs depend on; those of 0 and 1 always count."""
        needed = np.zeros(self._count, dtype=bool)
        needed[list(outputs)] = needed[[ZERO, ONE]] = True
        for row in reversed(self._nodes):
            if needed[row]:
                _, init, pairs = self._nodes[row]
                needed[init] = True
                for left, right in pairs:
                    needed[left] = needed[right] = True
        return needed

    def _moved(self, late: Collection[int]) -> Bool[np.ndarray, " r"]:
        """Which rows depend on late inputs."""
        moved = np.zeros(self._count, dtype=bool)
        moved[list(late)] = True
        for row, (_, init, pairs) in self._nodes.items():
            moved[row] = moved[init] or any(moved[left] or moved[right] for left, right in pairs)
        return moved

    def finish(self, outputs: Sequence[int], late: Collection[int] = ()) -> Program:
        """The program that yields these rows; what depends on the rows of `late` inputs comes last."""
        needed, moved = self._needed(outputs), self._moved(late)
        constants = [row for row in self._value if needed[row]]
        inputs = [row for row in self.inputs if needed[row]]
        nodes = [row for row in self._nodes if needed[row]]
        early = [row for row in nodes if not moved[row]]
        nodes = early + [row for row in nodes if moved[row]]
        place = np.full(self._count, -1, dtype=np.int32)
        order = constants + inputs + nodes
        place[order] = np.arange(len(order))
        pairs = [pair for row in nodes for pair in self._nodes[row][2]]
        flat = np.array(pairs, dtype=np.int64).reshape(-1, 2)
        return Program(
            len(order),
            np.array([self._value[row] for row in constants]),
            place[list(self.inputs)],
            place[nodes],
            place[[self._nodes[row][1] for row in nodes]],
            np.array([self._nodes[row][0] for row in nodes], dtype=bool),
            np.cumsum([0, *(len(self._nodes[row][2]) for row in nodes)], dtype=np.int32),
            place[flat[:, 0]],
            place[flat[:, 1]],
            place[list(outputs)],
            len(early) if late else 0,
        )
