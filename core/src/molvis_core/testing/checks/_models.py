"""What holds for everything that collates records and is called with the batch."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from molvis_core.testing.checks._contract import ContractError, require


def evaluating(model: Any) -> Any:
    return model.eval() if hasattr(model, "eval") else model


def same_alone(apply: Callable[[Sequence[Any]], np.ndarray], records: Sequence[Any], tolerance: float) -> None:
    together = apply(records)
    for number, record in enumerate(records):
        off = float(np.abs(apply([record])[0] - together[number]).max())
        require(
            off <= tolerance,
            f"record {number} comes out different alone and among {len(records) - 1} others, by {off:.2g}: padding or "
            "neighbours leak into it. Mask before every normalisation, pooling and attention",
        )


def check_batch(model: Any, records: Sequence[Any], run: Callable[[Any], np.ndarray]) -> None:
    batch = model.collate(list(records))
    require(len(batch) == len(records), f"a batch of {len(records)} records has length {len(batch)}")
    wanted = run(batch)
    moved = batch.to("cpu")
    require(moved is not batch, "batch.to(device) must return a new batch, got the batch itself")
    require(len(moved) == len(records), f"batch.to(device) has length {len(moved)}, not {len(records)}")
    require(np.array_equal(run(moved), wanted), "batch.to(device) gives other results")
    try:
        copied = pickle.loads(pickle.dumps(batch))  # noqa: S301 - what was pickled the moment before
    except Exception as error:
        raise ContractError(f"the batch does not pickle, so that workers cannot send it: {error}") from error
    require(np.array_equal(run(copied), wanted), "a pickled batch gives other results")


def check_gradients(model: Any, cost: Callable[[Any], Any]) -> None:
    import torch

    if not isinstance(model, torch.nn.Module):
        return
    trial = copy.deepcopy(model).train()
    wanted = {name: p for name, p in trial.named_parameters() if p.requires_grad}
    trial.zero_grad(set_to_none=True)
    if not wanted:
        return
    torch.manual_seed(0)
    cost(trial).backward()
    silent = [name for name, p in wanted.items() if p.grad is None]
    require(not silent, f"no gradient reaches {', '.join(silent)}: unused, or detached on the way")
    wild = [name for name, p in wanted.items() if p.grad is not None and not bool(torch.isfinite(p.grad).all())]
    require(not wild, f"the gradient of {', '.join(wild)} is not finite")
