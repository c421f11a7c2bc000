"""Encoders that have collapsed: all records get nearly the same vector, and every ranking by them is chance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from molvis_core.interfaces import Concatenation, declares
from molvis_nn.vectors import unit_rows

MOST_COSINE = 0.99
"""Mean cosine of different records beyond which an encoder no longer distinguishes them."""

LEAST_RANK = 1.5
"""Effective rank below which all vectors lie on one line."""

_LEAST_RECORDS = 8
_HEADS = ("val_mean_cosine/", "val_effective_rank/")


def spread(vectors: Float[np.ndarray, "n dim"]) -> tuple[float, float]:
    """Mean cosine of different rows, and the effective rank of all of them.

    The effective rank is the exponential of the entropy of the singular values' shares: 1 where all rows lie on a line,
    `dim` where they fill the space evenly.

    Reference: O. Roy and M. Vetterli, The effective rank, EUSIPCO 2007, 606.
    """
    rows = np.asarray(vectors, dtype=np.float64)
    count = len(rows)
    if count < 2:
        return 0.0, float(count)
    total = rows.sum(axis=0)
    cosine = float((total @ total - np.einsum("nd,nd->", rows, rows)) / (count * (count - 1)))
    # The squares of the singular values are eigenvalues of the smaller product.
    product = rows.T @ rows if rows.shape[1] < count else rows @ rows.T
    values = np.sqrt(np.clip(np.linalg.eigvalsh(product), 0, None))
    share = values / max(float(values.sum()), 1e-12)
    share = share[share > 0]
    return cosine, float(np.exp(-(share * np.log(share)).sum()))


def spread_metrics(key: str, encoder: Any, vectors: Float[np.ndarray, "n dim"]) -> dict[str, float]:
    """How far apart an encoder puts different compounds, as metrics of a validation; none where there are too few.

    Concatenated encoders are looked at part by part: a fixed part, such as the mass, would hide that a learned one has
    collapsed.
    """
    if len(vectors) < _LEAST_RECORDS:
        return {}
    out: dict[str, float] = {}
    for name, rows in _parts(key, encoder, vectors):
        values = spread(rows)
        out |= {f"{head}{name}": value for head, value in zip(_HEADS, values, strict=True)}
    return out


def _parts(
    key: str, encoder: Any, vectors: Float[np.ndarray, "n dim"]
) -> Iterator[tuple[str, Float[np.ndarray, "n d"]]]:
    """The vectors that were learned, as unit vectors, and what to call them."""
    if not declares(encoder, Concatenation):
        yield key, vectors
        return
    start = 0
    for number, part in enumerate(encoder.parts, start=1):
        rows = vectors[:, start : start + part.dim]
        start += part.dim
        if any(True for _ in part.parameters()):
            yield f"{key}.{number}", unit_rows(rows)


def collapses(metrics: Mapping[str, float]) -> list[str]:
    """Warnings about encoders that have collapsed, from the metrics of a validation."""
    found: list[str] = []
    for name, cosine in metrics.items():
        if not name.startswith(_HEADS[0]):
            continue
        encoder = name.removeprefix(_HEADS[0])
        rank = metrics[_HEADS[1] + encoder]
        if cosine > MOST_COSINE or rank < LEAST_RANK:
            found.append(
                f"the encoder {encoder!r} has collapsed: different compounds have a mean cosine of {cosine:.5f} and an "
                f"effective rank of {rank:.1f}, so that its rankings are chance. Lower learning_rate, make batches "
                "larger, check that its records differ, or choose another loss or temperature"
            )
    return found
