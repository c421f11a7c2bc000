"""What processes that train together share; tests/test_distributed.py compares their losses with those of one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import nn

from molvis_core.errors import ConfigError
from molvis_nn import processes
from molvis_nn.processes import JointBatchNorm, counted, counting, join_norms, joined, joining


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """One process that behaves as if there were others."""
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    monkeypatch.setattr(processes, "_several", lambda: True)
    yield
    dist.destroy_process_group()


def test_without_other_processes_rows_are_as_they_are() -> None:
    rows = torch.rand(3, 2, requires_grad=True)
    with joining():
        assert joined(rows) is rows


def test_nobody_is_waited_for_outside_of_a_step(alone: None) -> None:
    rows = torch.rand(3, 2)
    assert joined(rows) is rows
    with joining():
        assert joined(rows) is not rows
    assert joined(rows) is rows


def test_joined_rows_of_any_kind_keep_values_and_gradients(alone: None) -> None:
    rows = torch.rand(3, 2, requires_grad=True)
    with joining():
        found = joined(rows)
        signs = joined(torch.tensor([True, False]))
        none = joined(torch.empty(0, 2))
    assert torch.equal(found, rows)
    (found * torch.arange(3.0)[:, None]).sum().backward()
    assert rows.grad is not None
    assert rows.grad.tolist() == [[0, 0], [1, 1], [2, 2]]
    assert signs.tolist() == [True, False]
    assert none.shape == (0, 2)


@pytest.mark.parametrize("shape", [(6, 4), (6, 4, 5), (6, 4, 5, 3)])
@pytest.mark.parametrize("options", [{}, {"affine": False}, {"momentum": None}, {"track_running_stats": False}])
def test_a_joint_normalisation_is_pytorchs(alone: None, shape: tuple[int, ...], options: dict) -> None:
    kind = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d}[len(shape)]
    mine, theirs = nn.Sequential(kind(4, **options)), nn.Sequential(kind(4, **options))
    parameters = list(mine.parameters())
    join_norms(mine, "encoders.ir")
    assert isinstance(mine[0], JointBatchNorm)
    assert all(a is b for a, b in zip(mine.parameters(), parameters, strict=True)), "an optimizer has them already"
    for seed in range(3):
        x = 3 * torch.randn(shape, generator=torch.Generator().manual_seed(seed)) + 1
        ends = [x.clone().requires_grad_() for _ in range(2)]
        with joining():
            found = [network(end) for network, end in zip((mine, theirs), ends, strict=True)]
        for one in found:
            (one**3).sum().backward()
        torch.testing.assert_close(found[0], found[1])
        torch.testing.assert_close(ends[0].grad, ends[1].grad, rtol=1e-4, atol=1e-4)
    assert mine.state_dict().keys() == theirs.state_dict().keys()
    torch.testing.assert_close(mine.state_dict(), theirs.state_dict())
    torch.testing.assert_close(mine.eval()(x), theirs.eval()(x))


def test_records_that_pad_a_batch_change_no_statistics(alone: None) -> None:
    x = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    norm, padded = JointBatchNorm(3), JointBatchNorm(3)
    with joining():
        wanted = norm(x)
        with counting(torch.tensor([True] * 5 + [False])):
            found = padded(torch.cat([x, torch.full((1, 3), 9.0)]))
    torch.testing.assert_close(found[:5], wanted)
    torch.testing.assert_close(padded.state_dict(), norm.state_dict())
    before = {name: value.clone() for name, value in padded.state_dict().items()}
    with joining(), counting(torch.zeros(2, dtype=torch.bool)):
        assert padded(x[:2]).isfinite().all()
        assert counted(x[:2]).tolist() == [0, 0]
    torch.testing.assert_close(padded.state_dict(), before)


def test_normalisations_of_others_are_refused_by_name() -> None:
    class Own(nn.BatchNorm1d):
        """Does more than normalise."""

    with pytest.raises(ConfigError, match=r"encoders\.ir: 1\.0 is a Own, which normalises by the batch of one process"):
        join_norms(nn.Sequential(nn.Linear(2, 2), nn.Sequential(Own(2))), "encoders.ir")
