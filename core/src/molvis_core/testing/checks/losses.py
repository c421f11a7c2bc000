"""Contracts of losses."""

from __future__ import annotations

import math
from typing import Any

from molvis_core import interfaces
from molvis_core.testing.checks._contract import contract, require
from molvis_core.testing.checks._models import check_gradients


def _pairs(n: int = 5, m: int = 7, dim: int = 8, seed: int = 0) -> tuple[Any, Any, Any, Any]:
    import torch

    generator = torch.Generator().manual_seed(seed)
    query = torch.nn.functional.normalize(torch.randn(n, dim, generator=generator), dim=1)
    reference = torch.nn.functional.normalize(torch.randn(m, dim, generator=generator), dim=1)
    target = 0.6 * torch.rand(n, m, generator=generator)
    target.fill_diagonal_(1)
    weight = 0.5 + 0.5 * torch.rand(n, m, generator=generator)
    return query, reference, target, weight


def _value(loss: Any, *pairs: Any) -> float:
    import torch

    with torch.no_grad():
        found = loss(*pairs)
    require(tuple(found.shape) == (), f"the loss must be a scalar, got shape {tuple(found.shape)}")
    return float(found)


def _gradients(loss: Any, query: Any, reference: Any, target: Any, weight: Any) -> tuple[float, list[Any]]:
    import torch

    q, r = query.clone().requires_grad_(), reference.clone().requires_grad_()
    learned = [p for p in loss.parameters() if p.requires_grad] if isinstance(loss, torch.nn.Module) else []
    value = loss(q, r, target, weight)
    require(value.requires_grad, "the loss has no gradient: it was detached from the vectors")
    return value.item(), list(torch.autograd.grad(value, [q, r, *learned], allow_unused=True))


@contract("loss-finite")
def loss_has_finite_gradients(loss: Any) -> None:
    """Also for equal and for opposite vectors, and more references than queries."""
    import torch

    query, reference, target, weight = _pairs()
    same = query[:1].expand(5, -1).contiguous()
    cases = {
        "random vectors": (query, reference, target, weight),
        "equal vectors": (same, query[:1].expand(7, -1).contiguous(), target, weight),
        "opposite vectors": (same, -query[:1].expand(7, -1).contiguous(), target, weight),
        "matches on top of each other": (query, torch.cat([query, reference[:2]]), target, weight),
        "one pair": (query[:1], reference[:1], target[:1, :1], weight[:1, :1]),
    }
    for name, pairs in cases.items():
        value, gradients = _gradients(loss, *pairs)
        require(math.isfinite(value), f"for {name} the loss is {value}")
        for gradient in gradients:
            fine = gradient is None or bool(torch.isfinite(gradient).all())
            require(fine, f"for {name} a gradient is not finite")


@contract("loss-permutation")
def loss_ignores_the_order_of_pairs(loss: Any) -> None:
    """Permuting queries, and permuting references, changes nothing."""
    import torch

    query, reference, target, weight = _pairs()
    rows, columns = torch.tensor([3, 0, 4, 1, 2]), torch.tensor([6, 2, 0, 5, 1, 3, 4])
    before = _value(loss, query, reference, target, weight)
    after = _value(loss, query[rows], reference[columns], target[rows][:, columns], weight[rows][:, columns])
    require(
        math.isclose(before, after, rel_tol=1e-4, abs_tol=1e-5), f"{before:.6g} became {after:.6g} in another order"
    )


@contract("loss-weight-zero")
def loss_hides_pairs_of_weight_zero(loss: Any) -> None:
    """A pair of weight 0 does not count, whatever its target; a whole row or column of them is as if not there."""
    query, reference, target, weight = _pairs()
    weight[:, 5:] = 0
    weight[4, :] = 0
    weight[0, 1] = 0
    without = _value(loss, query[:4], reference[:5], target[:4, :5], weight[:4, :5])
    with_hidden = _value(loss, query, reference, target, weight)
    close = math.isclose(without, with_hidden, rel_tol=1e-4, abs_tol=1e-5)
    require(close, f"{without:.6g} became {with_hidden:.6g} when rows and columns of weight 0 were added")
    changed = target.clone()
    changed[0, 1], changed[4, 4], changed[2, 6] = 1.0, 0.0, 1.0
    other = _value(loss, query, reference, changed, weight)
    close = math.isclose(other, with_hidden, rel_tol=1e-5, abs_tol=1e-6)
    require(close, f"{with_hidden:.6g} became {other:.6g} when the target of hidden pairs changed")


@contract("loss-nothing-known")
def loss_of_nothing_is_zero(loss: Any) -> None:
    """All weights 0: the loss is exactly 0, and so are its gradients."""
    import torch

    query, reference, target, weight = _pairs()
    value, gradients = _gradients(loss, query, reference, target, torch.zeros_like(weight))
    require(value == 0, f"with nothing known the loss is {value}, not 0")
    for gradient in gradients:
        require(gradient is None or not bool(gradient.any()), "with nothing known a gradient is not 0")


@contract("loss-direction")
def loss_prefers_matches(loss: Any) -> None:
    """Queries on top of their matches cost less than queries on top of the wrong ones."""
    import torch

    vectors, target, weight = torch.eye(8)[:6], torch.full((6, 6), 0.1).fill_diagonal_(1), torch.ones(6, 6)
    right, wrong = (
        _value(loss, vectors, vectors, target, weight),
        _value(loss, vectors, vectors.roll(1, 0), target, weight),
    )
    require(right < wrong, f"matching vectors cost {right:.4g}, mismatched ones {wrong:.4g}")


@contract("loss-parameters")
def loss_parameters_learn(loss: Any) -> None:
    """Every parameter of the loss gets a finite gradient."""
    check_gradients(loss, lambda trial: trial(*_pairs()))


@contract("loss-declares")
def loss_declares_what_training_asks(loss: Any) -> None:
    """Where it has them, `every_positive` is True or False and `temperature` a positive number, or returns one."""
    if isinstance(loss, interfaces.SeesEveryPositive):
        require(
            isinstance(loss.every_positive, bool), f"every_positive must be True or False, got {loss.every_positive}"
        )
    if interfaces.declares(loss, interfaces.HasTemperature) and loss.temperature is not None:
        import torch

        with torch.no_grad():
            value: Any = loss.temperature
            found = float(value() if callable(value) else value)
        require(math.isfinite(found) and found > 0, f"the temperature must be positive, got {found}")
