"""Programs run by Numba: one operation after the other, each for a handful of flux vectors in the registers."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic, models, register_model

from molvis_flux.labelling.straight_line import Program

ALIGNMENT = 64
BLOCK_BYTES = 256
"""Of one row of a workspace: four registers of AVX-512, eight of AVX2."""

FEW = 4
"""Flux vectors from which on a block of lanes is quicker than one vector after the other."""


def lanes(dtype: Any) -> int:
    """Flux vectors that run side by side."""
    return BLOCK_BYTES // np.dtype(dtype).itemsize


class Lanes(types.Type):
    """A row of a workspace, held in registers."""

    def __init__(self, dtype: types.Float) -> None:
        self.dtype, self.count = dtype, BLOCK_BYTES * 8 // dtype.bitwidth
        super().__init__(name=f"Lanes({dtype}, {self.count})")


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, lanes: Lanes) -> None:
        super().__init__(manager, lanes, ir.VectorType(_float(lanes.dtype), lanes.count))


def _float(dtype: types.Float) -> Any:
    return ir.DoubleType() if dtype.bitwidth == 64 else ir.FloatType()


def _pointer(context: Any, builder: Any, array_type: Any, array: Any, row: Any) -> Any:
    data = context.make_array(array_type)(context, builder, array).data
    vector = ir.VectorType(_float(array_type.dtype), BLOCK_BYTES * 8 // array_type.dtype.bitwidth)
    return builder.gep(builder.bitcast(data, vector.as_pointer()), [row]), vector


def _load(_typing: Any, work: Any, _row: Any) -> Any:
    """Row `row` of a workspace."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer, _ = _pointer(context, builder, signature.args[0], *arguments)
        return builder.load(pointer, align=ALIGNMENT)

    return Lanes(work.dtype)(work, types.intp), code


def _store(_typing: Any, work: Any, _row: Any, values: Any) -> Any:
    """Write row `row` of a workspace."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer, _ = _pointer(context, builder, signature.args[0], *arguments[:2])
        builder.store(arguments[2], pointer, align=ALIGNMENT)
        return context.get_dummy_value()

    return types.void(work, types.intp, values), code


def _add_product(_typing: Any, total: Any, left: Any, right: Any) -> Any:
    """`total + left * right`, fused."""

    def code(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        total, left, right = arguments
        fuse = ("contract",)
        return builder.fadd(total, builder.fmul(left, right, flags=fuse), flags=fuse)

    return total(total, left, right), code


def _spread(_typing: Any, work: Any, _value: Any) -> Any:
    """One number in every lane of a row of `work`'s kind."""

    def code(_context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = signature.return_type
        return _splat(builder, arguments[1], ir.VectorType(_float(kind.dtype), kind.count), kind.count)

    return Lanes(work.dtype)(work, work.dtype), code


def _splat(builder: Any, value: Any, vector: Any, count: int) -> Any:
    one = builder.insert_element(ir.Constant(vector, ir.Undefined), value, ir.IntType(32)(0))
    mask = ir.Constant(ir.VectorType(ir.IntType(32), count), [0] * count)
    return builder.shuffle_vector(one, ir.Constant(vector, ir.Undefined), mask)


def _invert(_typing: Any, values: Any) -> Any:
    """One over each; 0 for 0, where nothing flows."""

    def code(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        vector = ir.VectorType(_float(values.dtype), values.count)
        zero, one = (ir.Constant(vector, [number] * values.count) for number in (0.0, 1.0))
        none = builder.fcmp_ordered("==", arguments[0], zero)
        return builder.select(none, zero, builder.fdiv(one, builder.select(none, one, arguments[0])))

    return values(values), code


def _furthest(_typing: Any, least: Any, values: Any) -> Any:
    """The larger of `least` and the size of `values`."""

    def code(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        least, given = arguments
        zero = ir.Constant(ir.VectorType(_float(values.dtype), values.count), [0.0] * values.count)
        negative = builder.fcmp_ordered("<", given, zero)
        size = builder.select(negative, builder.fsub(zero, given), given)
        return builder.select(builder.fcmp_ordered(">", size, least), size, least)

    return values(least, values), code


load: Any = intrinsic(_load)
store: Any = intrinsic(_store)
add_product: Any = intrinsic(_add_product)
spread: Any = intrinsic(_spread)
invert: Any = intrinsic(_invert)
furthest: Any = intrinsic(_furthest)


def workspace(rows: int, dtype: Any) -> Any:
    """An aligned array of rows."""
    size = rows * BLOCK_BYTES
    raw = np.zeros(size + ALIGNMENT, dtype=np.uint8)
    shift = -raw.ctypes.data % ALIGNMENT
    return raw[shift : shift + size].view(dtype).reshape(rows, -1)


@numba.njit(nogil=True, cache=True)
def set_constants(work: Any, program: Any) -> None:
    """The rows that are the same for all."""
    constants = program[0]
    for row in range(len(constants)):
        store(work, row, spread(work, constants[row]))


@numba.njit(nogil=True, cache=True)
def run(work: Any, program: Any, first: int, last: int) -> None:
    """Operations of a program from `first` up to `last`, over one block of lanes; inputs are in place already."""
    _, target, init, inverse, start, left, right, _, _ = program
    for op in range(first, last):
        total = load(work, init[op])
        for q in range(start[op], start[op + 1]):
            total = add_product(total, load(work, left[q]), load(work, right[q]))
        if inverse[op]:
            total = invert(total)
        store(work, target[op], total)


@numba.njit(nogil=True, cache=True)
def one_way(net: Any, exchange: Any, way: Any) -> Any:
    """The flux of one direction of a reaction; `way`: its reaction, and whether it is forward and reversible."""
    if not way[2]:
        return net[way[0]]
    return max(net[way[0]] if way[1] else -net[way[0]], 0) + exchange[way[0]]


@numba.njit(nogil=True, cache=True)
def fill(work: Any, net: Any, exchange: Any, first: int, here: int, ways: Any, inputs: Any) -> None:
    """Fluxes of the directed reactions into the lanes."""
    for i in range(len(ways)):
        if inputs[i] >= 0:
            for lane in range(work.shape[1]):
                # The last block repeats its last vector, so that all lanes hold possible numbers.
                n = first + min(lane, here - 1)
                work[inputs[i], lane] = one_way(net[n], exchange[n], ways[i])


@numba.njit(nogil=True, cache=True)
def simulate(
    work: Any,
    net: Any,
    exchange: Any,
    out: Any,
    ways: Any,
    program: Any,
) -> None:
    """Run a program for every row of `net "n r"` and `exchange "n r"`, into `out "n d"`."""
    _, target, _, _, _, _, _, inputs, outputs = program
    count, block = len(net), work.shape[1]
    set_constants(work, program)
    for first in range(0, count, block):
        here = min(block, count - first)
        fill(work, net, exchange, first, here, ways, inputs)
        run(work, program, 0, len(target))
        for lane in range(here):
            for d in range(len(outputs)):
                out[first + lane, d] = work[outputs[d], lane]


@numba.njit(nogil=True, cache=True, fastmath={"contract"})
def simulate_few(
    work: Any,
    net: Any,
    exchange: Any,
    out: Any,
    ways: Any,
    program: Any,
) -> None:
    """As `simulate`, one vector after the other in a `work` of single numbers: quicker for fewer than `FEW` vectors.

    A block of lanes takes as long for one vector as for all that it has room for.
    """
    constants, target, init, inverse, start, left, right, inputs, outputs = program
    work[: len(constants)] = constants
    for n in range(len(net)):
        for i in range(len(ways)):
            if inputs[i] >= 0:
                work[inputs[i]] = one_way(net[n], exchange[n], ways[i])
        for op in range(len(target)):
            total = work[init[op]]
            for q in range(start[op], start[op + 1]):
                total += work[left[q]] * work[right[q]]
            if inverse[op] and total != 0:
                total = 1 / total
            work[target[op]] = total
        for d in range(len(outputs)):
            out[n, d] = work[outputs[d]]


@numba.njit(nogil=True, cache=True, fastmath={"contract"})
def push(
    work: Any,
    change: Any,
    net: Any,
    exchange: Any,
    moved_net: Any,
    moved_exchange: Any,
    out: Any,
    slopes: Any,
    ways: Any,
    program: Any,
) -> None:
    """Forward derivatives: `simulate`, and how its results change, into `slopes "n d k"`, where net and exchange fluxes
    move by `moved_net "r k"` and `moved_exchange "r k"`. Lanes of `change` are directions; `work` has single numbers.

    A number and its change are made together, so that a program may use its rows again and the changes stay in cache.
    """
    constants, target, init, inverse, start, left, right, inputs, outputs = program
    block, directions, fixed = change.shape[1], moved_net.shape[1], len(constants)
    work[:fixed] = constants
    nothing = spread(change, change.dtype.type(0))
    for n in range(len(net)):
        # Once without directions, too: the results are wanted all the same.
        for k in range(0, max(directions, 1), block):
            width = min(block, directions - k)
            for i in range(len(inputs)):
                if inputs[i] >= 0:
                    work[inputs[i]] = one_way(net[n], exchange[n], ways[i])
                    fill_moves(change[inputs[i]], net[n], moved_net, moved_exchange, ways[i], k, width)
            for op in range(len(target)):
                value, total = work[init[op]], load(change, init[op])
                for q in range(start[op], start[op + 1]):
                    a, b = left[q], right[q]
                    value += work[a] * work[b]
                    # A constant, which stands in one of the first rows, does not change.
                    if a >= fixed:
                        total = add_product(total, spread(change, work[b]), load(change, a))
                    if b >= fixed:
                        total = add_product(total, spread(change, work[a]), load(change, b))
                if inverse[op]:
                    value = 1 / value if value != 0 else value
                    total = add_product(nothing, spread(change, -value * value), total)
                work[target[op]] = value
                store(change, target[op], total)
            for d in range(len(outputs)):
                for j in range(width):
                    slopes[n, d, k + j] = change[outputs[d], j]
        for d in range(len(outputs)):
            out[n, d] = work[outputs[d]]


@numba.njit(nogil=True, cache=True)
def fill_moves(row: Any, net: Any, moved_net: Any, moved_exchange: Any, way: Any, first: int, width: int) -> None:
    """How the flux of one direction moves, along `width` directions from the first on."""
    place, slope = way[0], slope_of(net, way)
    for j in range(width):
        both = moved_exchange[place, first + j] if way[2] else 0
        row[j] = slope * moved_net[place, first + j] + both


@numba.njit(nogil=True, cache=True)
def slope_of(net: Any, way: Any) -> int:
    """Derivative of the flux of one direction with respect to the net flux; at 0 that towards positive ones."""
    if not way[2]:
        return 1
    if way[1]:
        return 1 if net[way[0]] >= 0 else 0
    return -1 if net[way[0]] < 0 else 0


@numba.njit(nogil=True, cache=True)
def pull(
    work: Any,
    change: Any,
    net: Any,
    exchange: Any,
    weights: Any,
    out: Any,
    by_net: Any,
    by_exchange: Any,
    ways: Any,
    program: Any,
) -> None:
    """Backward derivatives: `simulate`, and of the sum of `weights "n d"` times its results with respect to each flux,
    added to `by_net "n r"` and `by_exchange "n r"`.
    """
    _, target, init, inverse, start, left, right, inputs, outputs = program
    count, block = len(net), work.shape[1]
    set_constants(work, program)
    nothing = spread(work, work.dtype.type(0))
    one, minus = spread(work, work.dtype.type(1)), spread(work, work.dtype.type(-1))
    for first in range(0, count, block):
        here = min(block, count - first)
        fill(work, net, exchange, first, here, ways, inputs)
        run(work, program, 0, len(target))
        change[:] = 0
        for lane in range(here):
            for d in range(len(outputs)):
                out[first + lane, d] = work[outputs[d], lane]
                change[outputs[d], lane] += weights[first + lane, d]
        for op in range(len(target) - 1, -1, -1):
            pulled = load(change, target[op])
            if inverse[op]:
                value = load(work, target[op])
                pulled = add_product(nothing, add_product(nothing, value, value), pulled)
                pulled = add_product(nothing, minus, pulled)
            store(change, init[op], add_product(load(change, init[op]), pulled, one))
            for q in range(start[op], start[op + 1]):
                a, b = left[q], right[q]
                store(change, a, add_product(load(change, a), load(work, b), pulled))
                store(change, b, add_product(load(change, b), load(work, a), pulled))
        for i in range(len(inputs)):
            if inputs[i] >= 0:
                for lane in range(here):
                    n, here_pulled = first + lane, change[inputs[i], lane]
                    by_net[n, ways[i, 0]] += here_pulled * slope_of(net[n], ways[i])
                    if ways[i, 2]:
                        by_exchange[n, ways[i, 0]] += here_pulled


def arguments(program: Program, dtype: Any) -> tuple[Any, ...]:
    """A program as the kernels take it."""
    return (
        program.constants.astype(dtype),
        program.target,
        program.init,
        program.inverse,
        program.start,
        program.left,
        program.right,
        program.inputs,
        program.outputs,
    )
