from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed, which these derivatives need")
from torch import Tensor  # noqa: E402 - not before the skip

from molvis_core.errors import RecordError  # noqa: E402
from molvis_nmr.spins.autograd import StableEigh, lines_torch, simulate_torch  # noqa: E402
from molvis_nmr.spins.simulation import simulate  # noqa: E402
from molvis_nmr.spins.system import SpinSystem  # noqa: E402

AXIS = np.linspace(0.5, 2.5, 1500)


def system(size: int, multiplicity: list[int] | None = None, seed: int = 0) -> SpinSystem:
    draw = np.random.default_rng(seed)
    couplings = np.zeros((size, size))
    for k, m in combinations(range(size), 2):
        couplings[k, m] = couplings[m, k] = draw.uniform(2, 12)
    return SpinSystem(
        tuple(f"H{k}" for k in range(size)), draw.uniform(1, 2, size), couplings,
        multiplicity=np.array(multiplicity or [1] * size), widths=draw.uniform(0.6, 2, size),
        intensities=draw.uniform(0.7, 1, size),
    )  # fmt: skip


def tensors(of: SpinSystem) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    shifts, couplings, widths, intensities = (
        torch.tensor(a, requires_grad=True) for a in (of.shifts, of.couplings, of.widths, of.intensities)
    )
    return shifts, couplings, widths, intensities


@pytest.mark.parametrize("multiplicity", [[1, 1, 1, 1], [1, 2, 3, 1]])
def test_spectra_are_those_of_simulate(multiplicity):
    given = system(4, multiplicity)
    wanted = simulate(given, 100.0, axis=AXIS, gaussian=0.2, broadening=0.1).y
    found = simulate_torch(*tensors(given), AXIS, 100.0, gaussian=0.2, broadening=0.1, multiplicity=multiplicity)
    np.testing.assert_allclose(found.detach().numpy(), wanted, atol=1e-5 * wanted.max())


def test_another_nucleus_is_simulated_at_its_own_frequency():
    given = SpinSystem(("H", "F"), np.array([1.0, -80.0]), np.array([[0, 45.0], [45, 0]]), nuclei=("1H", "19F"))
    axis = np.linspace(-80.5, -79.5, 2000)
    wanted = simulate(given, 300.0, axis=axis, nucleus="19F").y
    found = simulate_torch(*tensors(given), axis, 300.0, nuclei=("1H", "19F"), nucleus="19F")
    np.testing.assert_allclose(found.detach().numpy(), wanted, atol=1e-5 * wanted.max())


@pytest.mark.parametrize("multiplicity", [[1, 1, 1], [1, 2, 3]])
def test_gradients_agree_with_finite_differences(multiplicity):
    values = [t.detach() for t in tensors(system(3, multiplicity))]
    draw = np.random.default_rng(0)
    probe = torch.tensor(draw.normal(size=len(AXIS)))

    def loss(arguments: list[Tensor]) -> Tensor:
        shifts, couplings, widths, intensities = arguments
        return simulate_torch(shifts, couplings, widths, intensities, AXIS, 100.0, multiplicity=multiplicity) @ probe

    free = [v.clone().requires_grad_() for v in values]
    gradients = torch.autograd.grad(loss(free), free)
    for i, (value, gradient) in enumerate(zip(values, gradients, strict=True)):
        direction = torch.tensor(draw.normal(size=value.shape))
        direction = direction.triu(1) if i == 1 else direction
        ends = []
        for step in (1e-5, -1e-5):
            moved = list(values)
            moved[i] = value + step * direction
            ends.append(loss(moved))
        wanted = float(ends[0] - ends[1]) / 2e-5
        # What the grid leaves of a line, 1e-6 of it, jumps from point to point.
        assert float((gradient * direction).sum()) == pytest.approx(wanted, rel=2e-3, abs=2e-3)


def test_gradcheck_of_positions_and_weights():
    given = system(3)

    def moments(shifts, couplings):
        # Sums over all lines do not depend on their order, nor on the signs of states.
        position, weight, _ = lines_torch(shifts, couplings, 100.0)
        scaled = position / 100
        return torch.stack([(weight.sum(-1) * scaled**2).sum(), (weight[:, 0] * torch.cos(scaled)).sum()])

    shifts, couplings = (t.detach().requires_grad_() for t in tensors(given)[:2])
    upper = torch.triu_indices(3, 3, 1)

    def of(shifts, j):
        return moments(shifts, torch.zeros(3, 3, dtype=torch.float64).index_put((upper[0], upper[1]), j))

    j = couplings.detach()[upper[0], upper[1]].clone().requires_grad_()
    assert torch.autograd.gradcheck(of, (shifts, j), eps=1e-6, atol=1e-6, rtol=1e-4)


def test_gradcheck_of_the_decomposition():
    draw = np.random.default_rng(0)
    matrix = torch.tensor(draw.normal(size=(2, 4, 4)), requires_grad=True)
    probe = torch.tensor(draw.normal(size=(4,)))

    def function(matrix):
        levels, states = StableEigh.apply(matrix + matrix.mT)
        return levels, (states * levels[..., None, :].sin()) @ states.mT @ probe

    assert torch.autograd.gradcheck(function, (matrix,), eps=1e-6, atol=1e-4)


def test_gradients_are_finite_where_levels_meet():
    shifts = torch.tensor([1.0, 1.0, 1.0], dtype=torch.float64, requires_grad=True)
    couplings = torch.full((3, 3), 7.0, dtype=torch.float64, requires_grad=True)
    ones = torch.ones(3, dtype=torch.float64)
    found = simulate_torch(shifts, couplings, ones, ones, AXIS, 100.0)
    for gradient in torch.autograd.grad((found**2).sum(), (shifts, couplings)):
        assert torch.isfinite(gradient).all()


def test_a_batch_is_its_members():
    several = [tensors(system(3, seed=seed)) for seed in range(3)]
    shifts, couplings, widths, intensities = (torch.stack(column) for column in zip(*several, strict=True))
    together = simulate_torch(shifts, couplings, widths, intensities, AXIS, 100.0)
    for row, one in zip(together, several, strict=True):
        alone = simulate_torch(*one, AXIS, 100.0).detach()
        np.testing.assert_allclose(row.detach(), alone, atol=1e-5 * float(alone.max()))


@pytest.mark.usefixtures("unchecked_shapes")
def test_what_does_not_fit_is_refused():
    one = tensors(system(3))
    with pytest.raises(RecordError, match="do not fit together"):
        lines_torch(one[0], one[1][:2, :2], 100.0)
    with pytest.raises(RecordError, match="no group is 13C"):
        lines_torch(one[0], one[1], 100.0, nucleus="13C")
    with pytest.raises(RecordError, match="even steps"):
        simulate_torch(*one, np.array([0.0, 1.0, 1.5, 3.0]), 100.0)
    with pytest.raises(RecordError, match="widths must be positive"):
        simulate_torch(one[0], one[1], -one[2], one[3], AXIS, 100.0)
