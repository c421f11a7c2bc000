"""Spectra that PyTorch can derive by shifts, couplings, widths and intensities, in batches.

States of levels that cross turn infinitely fast, and the gradient of `torch.linalg.eigh` is NaN there. Here 1 / dE is
dE / (dE^2 + e^2), e = 1e-3 Hz, as in `molvis_nmr.spins.transitions`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from molvis_core.errors import RecordError
from molvis_nmr.spins.derivatives import NEAR
from molvis_nmr.spins.hamiltonian import blocks, larmor, parts
from molvis_nmr.spins.rendering import REACH, SHARPNESS, SPACING, grid, kernel_transform
from molvis_nn.threads import computing


class StableEigh(torch.autograd.Function):
    """Levels and states of symmetric matrices, with a gradient that stays finite where levels meet."""

    @staticmethod
    def forward(ctx, matrix: Float[Tensor, "*b n n"]) -> tuple[Float[Tensor, "*b n"], Float[Tensor, "*b n n"]]:
        """Levels, ascending, and states as columns."""
        levels, states = torch.linalg.eigh(matrix)
        ctx.save_for_backward(levels, states)
        return levels, states

    @staticmethod
    def backward(ctx, *gradients: Tensor) -> Tensor:
        """The gradient by the matrix, symmetric."""
        by_levels, by_states = gradients
        levels, states = ctx.saved_tensors
        with computing(1):
            gap = levels[..., None, :] - levels[..., :, None]
            inner = (states.mT @ by_states) * gap / (gap * gap + NEAR * NEAR)
            inner = inner + torch.diag_embed(by_levels)
            full = states @ inner @ states.mT
        return (full + full.mT) / 2


def lines_torch(
    shifts: Float[Tensor, "*b g"],
    couplings: Float[Tensor, "*b g g"],
    frequency: float,
    *,
    multiplicity: Sequence[int] | None = None,
    nuclei: Sequence[str] | None = None,
    nucleus: str = "1H",
) -> tuple[Float[Tensor, "*b l"], Float[Tensor, "*b l g"], Float[Tensor, "*b l g"]]:
    """Positions in Hz, weights and shares of all transitions, in double precision: `lines` for PyTorch.

    None are left out, so that all systems of a batch have as many. Only the upper triangle of `couplings` is read.

    Args:
        shifts: in ppm.
        couplings: in Hz. Groups are simulated together that are coupled in any system of the batch.
        frequency: of 1H in the same field, in MHz.
        multiplicity: spins in each group.
        nuclei: of each group.
        nucleus: whose lines.

    Raises:
        RecordError: shapes that do not fit, or a nucleus that is not there.
    """
    size = shifts.shape[-1]
    nuclei = ("1H",) * size if nuclei is None else tuple(nuclei)
    multiplicity = [1] * size if multiplicity is None else list(multiplicity)
    if not len(nuclei) == len(multiplicity) == size or couplings.shape[-2:] != (size, size):
        raise RecordError(
            f"shifts of {size} groups, couplings {tuple(couplings.shape)}, {len(multiplicity)} multiplicities and "
            f"{len(nuclei)} nuclei do not fit together"
        )
    if nucleus not in nuclei:
        raise RecordError(f"no group is {nucleus}; there are {', '.join(sorted(set(nuclei)))}")
    device = shifts.device
    scale = torch.tensor([larmor(n, frequency) for n in nuclei], dtype=torch.float64, device=device)
    batch = torch.broadcast_shapes(shifts.shape[:-1], couplings.shape[:-2])
    hertz = (shifts.double() * scale).expand(*batch, size)
    j = couplings.double().expand(*batch, size, size)
    linked = (j.detach() != 0).reshape(-1, size, size).any(dim=0).triu(1).cpu().numpy()
    found: list[tuple[Tensor, Tensor, Tensor]] = []
    with computing(1):
        for part in parts(multiplicity, nuclei, linked | linked.T, nucleus):
            at = np.array(part.groups)
            operators = blocks(part.doubles, part.nuclei, nucleus)
            index = torch.as_tensor(at[operators.pairs], device=device)
            own, pairs = hertz[..., torch.as_tensor(at, device=device)], j[..., index[:, 0], index[:, 1]]
            solved: list[tuple[Tensor, Tensor]] = []
            for b, (start, length) in enumerate(zip(operators.starts.tolist(), operators.sizes.tolist(), strict=True)):
                rows = slice(start, start + length)
                iz = torch.as_tensor(operators.iz[rows], device=device)
                zz = torch.as_tensor(operators.zz[rows], device=device)
                diagonal = own @ iz.T + pairs @ zz.T
                first, last = np.searchsorted(operators.flip_block, [b, b + 1])
                row = torch.as_tensor(operators.flip_row[first:last] - start, device=device)
                column = torch.as_tensor(operators.flip_column[first:last] - start, device=device)
                value = torch.as_tensor(operators.flip_value[first:last], device=device)
                which = torch.as_tensor(operators.flip_pair[first:last], device=device)
                flat = torch.zeros(*batch, length * length, dtype=torch.float64, device=device)
                flips = value * pairs[..., which]
                flat = flat.index_add(-1, row * length + column, flips).index_add(-1, column * length + row, flips)
                solved.append(StableEigh.apply(flat.unflatten(-1, (length, length)) + torch.diag_embed(diagonal)))
            seen = torch.as_tensor(at[operators.seen], device=device)
            for step in operators.steps:
                (low_levels, low), (high_levels, high) = solved[step.low], solved[step.high]
                amplitude = torch.as_tensor(step.amplitude, device=device)[..., None]
                left = high[..., torch.as_tensor(step.rows, device=device), :] * amplitude
                each = left.mT @ low[..., torch.as_tensor(step.columns, device=device), :]
                each = each.flatten(-2).mT
                position = (high_levels[..., :, None] - low_levels[..., None, :]).flatten(-2)
                square = each * each
                share = square / square.sum(dim=-1, keepdim=True).clamp_min(1e-30)
                weight = part.factor * each.sum(dim=-1, keepdim=True) * each
                empty = torch.zeros(*weight.shape[:-1], size, dtype=torch.float64, device=device)
                found.append((position, empty.index_copy(-1, seen, weight), empty.index_copy(-1, seen, share)))
    position, weight, share = (list(column) for column in zip(*found, strict=True))
    return torch.cat(position, dim=-1), torch.cat(weight, dim=-2), torch.cat(share, dim=-2)


def simulate_torch(
    shifts: Float[Tensor, "*b g"],
    couplings: Float[Tensor, "*b g g"],
    widths: Float[Tensor, "*b g"],
    intensities: Float[Tensor, "*b g"],
    axis: Float[np.ndarray, " t"],
    frequency: float,
    *,
    gaussian: float = 0.0,
    broadening: float = 0.0,
    multiplicity: Sequence[int] | None = None,
    nuclei: Sequence[str] | None = None,
    nucleus: str = "1H",
) -> Float[Tensor, "*b t"]:
    """Spectra, in double precision: `simulate` for PyTorch.

    Args:
        shifts: in ppm.
        couplings: in Hz; only the upper triangle is read.
        widths: w of w / (w^2 + v^2), in Hz.
        intensities: r of each group.
        axis: in ppm, ascending and even.
        frequency: of 1H in the same field, in MHz.
        gaussian: standard deviation in Hz of a Gaussian that lines are broadened by as well.
        broadening: Hz that is added to every width.
        multiplicity: spins in each group.
        nuclei: of each group.
        nucleus: whose spectra.

    Raises:
        RecordError: shapes that do not fit, a nucleus that is not there, an axis that is not even, a width that is not
            positive.
    """
    position, weight, share = lines_torch(
        shifts, couplings, frequency, multiplicity=multiplicity, nuclei=nuclei, nucleus=nucleus
    )
    signal = (weight @ intensities.double()[..., None])[..., 0]
    width = (share @ widths.double()[..., None])[..., 0] + broadening
    # What cannot flip has no width, and no signal.
    width = torch.where(share.detach().sum(dim=-1) > 0.5, width, width.detach().max())
    narrowest, widest = float(width.detach().min()), float(width.detach().max())
    if not 0 < narrowest < np.inf:
        raise RecordError(f"widths must be positive, got {narrowest:g} Hz")
    ground = grid(
        np.asarray(axis, dtype=np.float64) * larmor(nucleus, frequency),
        narrowest,
        float(position.detach().min()),
        float(position.detach().max()),
        widest=widest,
    )
    if ground.first is None:
        raise RecordError("axis must have even steps, not much smaller than the lines are wide")
    batch = position.shape[:-1]
    position, signal, width = (t.reshape(-1, t.shape[-1]) for t in (position, signal, width))
    nodes, first, mixture = _mixture(width, narrowest, widest)
    place = (position - ground.start) / ground.step
    left = torch.ceil(place.detach() - REACH / 2)
    reach = torch.arange(REACH, device=place.device)
    off = (left - place)[..., None] + reach
    spread = torch.exp(SHARPNESS * (torch.sqrt((1 - (2 / REACH * off) ** 2).clamp_min(1e-12)) - 1))
    point = (left.long()[..., None] + reach) % ground.size
    values = signal[..., None, None] * mixture[..., :, None] * spread[..., None, :]
    node = first[..., None] + torch.arange(mixture.shape[-1], device=place.device)
    many = torch.arange(len(position), device=place.device)[:, None, None, None] * len(nodes) + node[..., None]
    flat = torch.zeros(len(position) * len(nodes) * ground.size, dtype=torch.float64, device=place.device)
    flat = flat.index_add(0, (many * ground.size + point[..., None, :]).flatten(), values.flatten())
    waves = torch.fft.rfft(flat.reshape(len(position), len(nodes), ground.size))
    decay = np.stack([ground.decay(w) for w in nodes]) / kernel_transform(ground.size)
    decay = decay * np.exp(-2 * (np.pi * gaussian * ground.time) ** 2)
    total = (waves * torch.as_tensor(decay, device=place.device)).sum(dim=1)
    spectra = torch.fft.irfft(total, n=ground.size) / ground.step
    return spectra[:, ground.first :: ground.stride][:, : len(axis)].reshape(*batch, len(axis))


def _mixture(
    width: Float[Tensor, "b l"], narrowest: float, widest: float
) -> tuple[list[float], Tensor, Float[Tensor, "b l j"]]:
    """Widths as mixtures of few, as in `rendering.shares`; wider than needed at both ends, so that all can move."""
    count = max(int(np.ceil(np.log(widest / narrowest) / SPACING)) + 1, 2)
    nodes = [float(narrowest * np.exp(SPACING * i)) for i in range(-1, count + 1)]
    u = torch.log(width / narrowest) / SPACING
    first = u.detach().long().clamp(0, count - 2)
    x = u - first
    cubic = [
        -x * (x - 1) * (x - 2) / 6,
        (x + 1) * (x - 1) * (x - 2) / 2,
        -(x + 1) * x * (x - 2) / 2,
        (x + 1) * x * (x - 1) / 6,
    ]
    return nodes, first, torch.stack(cubic, dim=-1)
