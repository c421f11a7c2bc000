"""Programs run by torch, on any device and with gradients: operations that do not wait for each other go together."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from molvis_flux.labelling.straight_line import Program


class Compiled(Protocol):
    """What `molvis_flux.labelling.stationary.compile_plan` returns."""

    @property
    def program(self) -> Program:
        """What is run."""
        ...

    @property
    def ways(self) -> Int[np.ndarray, "w 3"]:
        """Of each directed reaction: its reaction, whether it is forward, and whether the reaction is reversible."""
        ...


def simulate(
    plan: Compiled, net: Float[Tensor, "n r"], exchange: Float[Tensor, "n r"] | None = None
) -> Float[Tensor, "n d"]:
    """`Plan.simulate` on the device and in the precision of the fluxes; gradients flow back to them.

    Args:
        plan: a compiled network.
        net: net fluxes.
        exchange: exchange fluxes, if any.
    """
    levels = _levels(plan.program, net.device)
    place, forward, reversible = (torch.as_tensor(column, device=net.device) for column in plan.ways.T)
    given = net.index_select(1, place)
    sign = torch.where(forward > 0, 1, -1).to(given.dtype)
    split = torch.clamp(sign * given, min=0)
    if exchange is not None:
        split = split + exchange.index_select(1, place)
    values = torch.where(reversible > 0, split, given)
    return _Run.apply(values.T, plan.program, levels).T


@dataclass(frozen=True, eq=False, slots=True)
class _Level:
    target: Tensor
    init: Tensor
    inverse: Tensor
    owner: Tensor
    left: Tensor
    right: Tensor


@functools.lru_cache(maxsize=16)
def _levels(program: Program, device: torch.device) -> list[_Level]:
    """Operations in groups: each group needs only what the groups before it made."""
    depth, level = np.zeros(program.rows, np.int64), np.zeros(len(program.target), np.int64)
    for op, target in enumerate(program.target):
        pairs = slice(program.start[op], program.start[op + 1])
        needed = max([depth[program.init[op]], *depth[program.left[pairs]], *depth[program.right[pairs]]])
        depth[target] = level[op] = needed + 1
    owner = np.repeat(np.arange(len(program.target)), np.diff(program.start))
    found: list[_Level] = []
    for number in range(1, int(depth.max()) + 1):
        ops = np.flatnonzero(level == number)
        pairs = np.flatnonzero(level[owner] == number)
        columns = (
            program.target[ops],
            program.init[ops],
            np.flatnonzero(program.inverse[ops]),
            np.searchsorted(ops, owner[pairs]),
            program.left[pairs],
            program.right[pairs],
        )
        found.append(_Level(*(torch.as_tensor(column.astype(np.int64), device=device) for column in columns)))
    return found


class _Run(torch.autograd.Function):
    """A program over columns, with its adjoint written out: what autograd would keep of every group is not needed."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, program: Program, levels: list[_Level]) -> Tensor:
        work = values.new_zeros((program.rows, values.shape[1]))
        work[: len(program.constants)] = torch.as_tensor(program.constants).to(work)[:, None]
        inputs = torch.as_tensor(program.inputs.astype(np.int64), device=work.device)
        work[inputs[inputs >= 0]] = values[inputs >= 0]
        for level in levels:
            total = work[level.init]
            total.index_add_(0, level.owner, work[level.left] * work[level.right])
            given = total[level.inverse]
            total[level.inverse] = torch.where(given == 0, 0, 1 / torch.where(given == 0, 1, given))
            work[level.target] = total
        ctx.save_for_backward(work, inputs)
        ctx.program, ctx.levels = program, levels
        return work[torch.as_tensor(program.outputs.astype(np.int64), device=work.device)]

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None, None]:
        work, inputs = ctx.saved_tensors
        change = torch.zeros_like(work)
        change.index_add_(0, torch.as_tensor(ctx.program.outputs.astype(np.int64), device=work.device), grad_outputs[0])
        for level in reversed(ctx.levels):
            pulled = change[level.target]
            pulled[level.inverse] *= -(work[level.target[level.inverse]] ** 2)
            change.index_add_(0, level.init, pulled)
            each = pulled[level.owner]
            change.index_add_(0, level.left, each * work[level.right])
            change.index_add_(0, level.right, each * work[level.left])
        found = work.new_zeros((len(inputs), work.shape[1]))
        found[inputs >= 0] = change[inputs[inputs >= 0]]
        return found, None, None
