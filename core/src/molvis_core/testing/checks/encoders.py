"""Contracts of encoders."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from molvis_core import interfaces, registry
from molvis_core.testing.checks._contract import contract, require
from molvis_core.testing.checks._models import check_batch, check_gradients, evaluating, same_alone


def _encode(encoder: Any, records: Sequence[Any]) -> np.ndarray:
    import torch

    with torch.no_grad():
        return encoder(encoder.collate(list(records))).float().cpu().numpy()


@contract("encoder-rows")
def encoder_gives_unit_rows(encoder: Any, records: Sequence[Any]) -> None:
    """One row of norm 1 for each record, of the length it announces."""
    require(isinstance(encoder, interfaces.Encoder), f"{encoder!r:.80} lacks accepts, dim, collate or __call__")
    for record in records:
        require(isinstance(record, encoder.accepts), f"a {type(record).__name__} is not what the encoder accepts")
    rows = _encode(evaluating(encoder), records)
    wanted = (len(records), encoder.dim)
    require(rows.shape == wanted, f"{len(records)} records must give shape {wanted}, got {rows.shape}")
    require(np.isfinite(rows).all(), "an embedding is not finite")
    norms = np.linalg.norm(rows, axis=1)
    require(np.allclose(norms, 1, atol=1e-4), f"rows have norms from {norms.min():.6f} to {norms.max():.6f}, not 1")


@contract("encoder-alone")
def encoder_ignores_neighbours(encoder: Any, records: Sequence[Any], tolerance: float = 2e-5) -> None:
    """A record encodes the same alone and among longer neighbours. Padding leaks are the commonest bug here."""
    model = evaluating(encoder)
    same_alone(lambda some: _encode(model, some), records, tolerance)


@contract("encoder-order")
def encoder_keeps_order(encoder: Any, records: Sequence[Any], tolerance: float = 2e-5) -> None:
    """Rows come in the order of the records."""
    model = evaluating(encoder)
    forward, backward = _encode(model, records), _encode(model, list(records)[::-1])[::-1]
    require(np.allclose(forward, backward, atol=tolerance), "the rows of reversed records are not the rows reversed")


@contract("encoder-batch")
def encoder_batch_travels(encoder: Any, records: Sequence[Any]) -> None:
    """The batch has a length, pickles, and moves to a device as a new batch."""
    import torch

    model = evaluating(encoder)
    with torch.no_grad():
        check_batch(model, records, lambda batch: model(batch).float().numpy())


@contract("encoder-gradients")
def encoder_parameters_learn(encoder: Any, records: Sequence[Any]) -> None:
    """Every parameter gets a finite gradient."""
    import torch

    def cost(model: Any) -> Any:
        rows = model(model.collate(list(records)))
        # Random directions: the plain sum of a unit vector may have no gradient by symmetry.
        return (rows * torch.randn(rows.shape, generator=torch.Generator().manual_seed(0))).sum()

    check_gradients(encoder, cost)


@contract("encoder-deterministic")
def encoder_is_deterministic(encoder: Any, records: Sequence[Any]) -> None:
    """In evaluation mode the same records give the same rows."""
    model = evaluating(encoder)
    require(np.array_equal(_encode(model, records), _encode(model, records)), "two calls give different rows")


@contract("encoder-round-trip")
def encoder_survives_a_bundle(encoder: Any, records: Sequence[Any], spec: Any = None) -> None:
    """Weights through safetensors, and the spec through TOML, give exactly the same rows.

    With a spec the encoder is built afresh, as a bundle does it: whatever is neither an argument nor in the state dict
    is lost there.
    """
    import tomllib

    import tomli_w
    from safetensors.torch import load_file, save_file

    from molvis_core.registry import fill_spec

    model = evaluating(encoder)
    wanted = _encode(model, records)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "weights.safetensors"
        save_file({name: tensor.detach().clone().contiguous() for name, tensor in model.state_dict().items()}, file)
        state = load_file(file)
    if spec is None:
        fresh = copy.deepcopy(model)
        for parameter in fresh.parameters():
            parameter.data.add_(1)
    else:
        fresh = registry.build("encoder", tomllib.loads(tomli_w.dumps(fill_spec("encoder", spec))))
    fresh.load_state_dict(state)
    found = _encode(evaluating(fresh), records)
    require(np.array_equal(found, wanted), "an encoder stored and loaded again gives other rows")


@contract("encoder-featurise")
def encoder_featurises(encoder: Any, records: Sequence[Any]) -> None:
    """Preparing records ahead changes nothing of their vectors."""
    model = evaluating(encoder)
    if isinstance(model, interfaces.Featurises):
        before = _encode(model, records)
        model.featurise(list(records), progress=lambda done, total: None)
        require(np.array_equal(_encode(model, records), before), "records that were prepared ahead have other rows")


@contract("encoder-parts")
def encoder_parts_add_up(encoder: Any) -> None:
    """Encoders side by side: their lengths add up to that of the whole."""
    length = encoder.dim
    if interfaces.declares(encoder, interfaces.Concatenation):
        sizes = [part.dim for part in encoder.parts]
        require(sum(sizes) == length, f"parts of lengths {sizes} do not add up to dim = {length}")
