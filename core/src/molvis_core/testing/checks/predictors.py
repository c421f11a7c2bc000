"""Contracts of predictors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from molvis_core import interfaces, registry
from molvis_core.testing.checks._contract import contract, require
from molvis_core.testing.checks._models import check_batch, check_gradients, evaluating, same_alone


def _predict(predictor: Any, batch: Any) -> np.ndarray:
    import torch

    with torch.no_grad():
        mean, sd = predictor(batch)
    return torch.stack([mean, sd], dim=-1).float().cpu().numpy()


@contract("predictor-values")
def predictor_gives_mean_and_sd(predictor: Any, records: Sequence[Any]) -> None:
    """Finite means and positive standard deviations, one row for each record; a modality's name in `predicts`."""
    require(isinstance(predictor, interfaces.Predictor), f"{predictor!r:.80} lacks accepts, predicts or collate")
    out = _predict(predictor, evaluating(predictor).collate(list(records)))
    require(out.ndim == 3 and len(out) == len(records), f"{len(records)} records gave means of shape {out.shape[:-1]}")
    require(np.isfinite(out).all(), "a mean or a standard deviation is not finite")
    require((out[..., 1] > 0).all(), "a standard deviation is not positive")
    names = [c.name for c in registry.components("modality")]
    require(
        predictor.predicts in names, f"predicts = {predictor.predicts!r} is no installed modality: {', '.join(names)}"
    )


@contract("predictor-records")
def predictor_gives_records(predictor: Any, structures: Sequence[Any]) -> None:
    """Records of the modality, as many for each structure, the same for one that is predicted for alone."""
    require(isinstance(predictor, interfaces.PredictsRecords), f"{predictor!r:.80} lacks accepts, predicts or records")
    record = registry.load("modality", predictor.predicts).record
    found = predictor.records(list(structures))
    require(len(found) == len(structures), f"{len(structures)} structures gave records for {len(found)}")
    for one, some in zip(structures, found, strict=True):
        require(
            some and len(some) == len(found[0]), f"{len(some)} records for one structure, {len(found[0])} for another"
        )
        for given, alone in zip(some, predictor.records([one])[0], strict=True):
            require(isinstance(given, record), f"modality {predictor.predicts!r} is carried by {record.__name__}")
            require(_like(given, alone), "a structure is predicted for differently alone and among others")


def _like(one: Any, other: Any) -> bool:
    """Whether two records of one type hold the same, arrays up to rounding."""
    for name in (field.name for field in fields(one)):
        a, b = getattr(one, name), getattr(other, name)
        if isinstance(a, np.ndarray):
            if a.shape != b.shape or not np.allclose(a, b, rtol=1e-3, atol=1e-3):
                return False
        elif a != b:
            return False
    return True


@contract("predictor-alone")
def predictor_ignores_neighbours(predictor: Any, records: Sequence[Any], tolerance: float = 1e-4) -> None:
    """A record is predicted the same alone and among longer neighbours, relative to the prediction's size."""
    model = evaluating(predictor)

    def relative(some: Sequence[Any]) -> np.ndarray:
        out = _predict(model, model.collate(list(some)))
        return np.stack([out[..., 0] / (np.abs(out[..., 0]) + 1), np.log(out[..., 1])], axis=-1)

    same_alone(relative, records, tolerance)


@contract("predictor-batch")
def predictor_batch_travels(predictor: Any, records: Sequence[Any]) -> None:
    """The batch has a length, pickles, and moves to a device as a new batch."""
    model = evaluating(predictor)
    check_batch(model, records, lambda batch: _predict(model, batch))


@contract("predictor-gradients")
def predictor_parameters_learn(predictor: Any, records: Sequence[Any]) -> None:
    """Every parameter gets a finite gradient from a Gaussian likelihood."""

    def cost(model: Any) -> Any:
        mean, sd = model(model.collate(list(records)))
        return (((mean - 1) / sd).square() / 2 + sd.log()).mean()

    check_gradients(predictor, cost)
