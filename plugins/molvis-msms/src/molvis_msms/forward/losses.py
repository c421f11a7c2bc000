"""How well predicted shares agree with measured ones: what is learned from."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from molvis_msms.forward.batches import Batch, Measured

_LEAST = 1e-9


def grouped(log_shares: Float[Tensor, "n e"], batch: Batch) -> Float[Tensor, "n g"]:
    """Shares of the peaks of each spectrum: entries of one m/z together."""
    return by_peak(log_shares, batch.group, max(len(one.peaks) for one in batch.ladders))


def by_peak(log_shares: Float[Tensor, "n e"], group: Int64[Tensor, "n x"], most: int) -> Float[Tensor, "n g"]:
    """The same for entries of which it is known to which peak each adds, of `most` peaks at most."""
    shares = log_shares[:, :-1].exp()
    return shares.new_zeros(len(shares), most + 1).scatter_add(1, group, shares)[:, :most]


def agreement(
    log_shares: Float[Tensor, "n e"], batch: Batch, measured: Measured
) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]]:
    """Cross-entropy and cosine of predicted and measured root intensities, for each spectrum.

    A measured peak that agrees with no peak that there can be counts as elsewhere. The cosine has all measured peaks in
    its norm, and of the predicted ones all but what is elsewhere.
    """
    number = len(batch)
    peaks = grouped(log_shares, batch)
    found = peaks.new_zeros(len(measured.share)).index_add(
        0, measured.peak, peaks[measured.owner[measured.peak], measured.group]
    )
    explained = torch.zeros_like(found).index_fill(0, measured.peak, 1.0) > 0
    elsewhere = log_shares[:, -1][measured.owner]
    surprise = torch.where(explained, -found.clamp_min(_LEAST).log(), -elsewhere)
    entropy = peaks.new_zeros(number).index_add(0, measured.owner, surprise * measured.share)
    both = peaks.new_zeros(number).index_add(0, measured.owner, found * measured.share)
    square = peaks.new_zeros(number).index_add(0, measured.owner, measured.share.square())
    norm = (peaks.square().sum(1) * square).clamp_min(1e-16).sqrt()
    return entropy, both / norm
