"""The network: matches of a peak to a token, tokens of a candidate to its logit."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from molvis_fragmentation.atoms import SURROUNDINGS
from molvis_fragmentation.molecule import BOND_CLASSES
from molvis_msms.peak_fragments.batches import MATCH_NUMBERS, PEAK_NUMBERS, Batch

_HEADS, _POOLED = 4, 32


class PeakFragmentNetwork(nn.Module):
    """Logits of candidates from how their parts fit the peaks of a spectrum.

    A part that fits a peak is described by the bonds that leave it, the cuts it needs, the hydrogens it gained, its
    error and where it can hold a charge; a softmax over the parts that fit makes them one token. What all candidates
    have in common of a token is taken away. The sum of the tokens, weighed by intensity, and what four heads attend to
    make the logit. Nothing tells how many candidates or parts there are.

    Args:
        width: of the layers.
        dropout: of tokens and of what is pooled.
    """

    def __init__(self, width: int = 128, dropout: float = 0.15) -> None:
        super().__init__()
        inner = 3 * width // 4
        self.bonds = nn.Embedding(BOND_CLASSES, width)
        nn.init.normal_(self.bonds.weight, std=0.1)
        self.kept = nn.Linear(SURROUNDINGS, width)
        self.lost = nn.Linear(SURROUNDINGS, width, bias=False)
        self.break_ = nn.Linear(width, width, bias=False)
        self.match = nn.Linear(MATCH_NUMBERS, width)
        self.peak = nn.Linear(PEAK_NUMBERS, width)
        self.fit = nn.Sequential(nn.SiLU(), nn.Linear(width, inner), nn.SiLU())
        self.weight = nn.Linear(inner, 1)
        self.unexplained = nn.Parameter(torch.zeros(inner))
        self.token = nn.Linear(inner + 2, width)
        self.token_peak = nn.Linear(PEAK_NUMBERS, width)
        self.own = nn.Linear(width, width)
        self.other = nn.Linear(width, width, bias=False)
        self.gain = nn.Linear(width, 1)
        self.attend = nn.Linear(width, _HEADS)
        self.value = nn.Linear(width, _POOLED)
        self.pooled = nn.Sequential(nn.Linear(2 * _POOLED, width), nn.SiLU(), nn.Dropout(dropout), nn.Linear(width, 1))
        self.dropout = nn.Dropout(dropout)

    def forward(self, batch: Batch) -> Float[Tensor, "n c"]:
        """A logit for each candidate; -10,000 where there is none."""
        (n, c), p = batch.candidate.shape, batch.present.shape[1]
        u = self.token(self._tokens(batch, n * c * p)).view(n, c, p, -1) + self.token_peak(batch.peaks)[:, None]
        u = self.dropout(nn.functional.silu(u))
        there = batch.candidate[:, :, None, None].to(u.dtype)
        common = (u * there).sum(1, keepdim=True) / there.sum(1, keepdim=True)
        u = nn.functional.silu(self.own(u) + self.other(u - common))
        mask = (batch.candidate[:, :, None] & batch.present[:, None, :]).to(u.dtype)
        share = batch.share[:, None, :]
        logit = (self.gain(u).squeeze(-1) * mask * (5 * share + 0.2)).sum(2)
        values = self.value(u)
        focus = self.attend(u).masked_fill(mask[..., None] == 0, -1e4).softmax(2) * mask[..., None]
        heads = torch.einsum("ncph,ncphv->nchv", focus, values.view(n, c, p, _HEADS, -1)).reshape(n, c, -1)
        weighed = (values * (share * mask)[..., None]).sum(2)
        logit = logit + self.pooled(torch.cat([heads, weighed], dim=-1)).squeeze(-1)
        return logit.masked_fill(~batch.candidate, -1e4)

    def _broken(self, batch: Batch) -> Float[Tensor, "k w"]:
        """Broken bonds from their classes and from what stands around both ends."""
        if self.training:
            return self._described(batch, batch.bonds, batch.kept, batch.lost)
        # The same bond breaks for many peaks: each is described once, where nothing is dropped out by chance.
        _, which = torch.unique(batch.kept * len(batch.atoms) + batch.lost, return_inverse=True)
        one = torch.zeros(int(which.max()) + 1 if len(which) else 0, dtype=torch.int64)
        one[which] = torch.arange(len(which))
        return self._described(batch, batch.bonds[one], batch.kept[one], batch.lost[one])[which]

    def _described(
        self, batch: Batch, bonds: Int64[Tensor, " k"], kept: Int64[Tensor, " k"], lost: Int64[Tensor, " k"]
    ) -> Float[Tensor, "k w"]:
        known = self.bonds(bonds)
        around = self.kept(batch.atoms)[kept] + self.lost(batch.atoms)[lost]
        return known + self.break_(nn.functional.silu(known + self.dropout(around)))

    def _tokens(self, batch: Batch, count: int) -> Float[Tensor, "t e"]:
        """The parts that fit each token as one vector, with how strongly they fit and whether any does."""
        hidden = self.match(batch.match)
        hidden = hidden.index_add(0, batch.broken, self._broken(batch))
        hidden = self.fit(hidden + self.peak(batch.peaks).flatten(0, 1)[batch.peak])
        strength = self.weight(hidden).squeeze(1).clamp(-15, 15).exp()
        total = torch.zeros(count, dtype=hidden.dtype).index_add(0, batch.token, strength)
        mixed = torch.zeros(count, hidden.shape[1], dtype=hidden.dtype)
        mixed = mixed.index_add(0, batch.token, hidden * strength[:, None])
        explained = total > 0
        mixed = torch.where(explained[:, None], mixed / total.clamp_min(1e-9)[:, None], self.unexplained)
        level = torch.where(explained, total.clamp_min(1e-9).log() / 3, torch.zeros_like(total))
        held = explained.to(hidden.dtype)
        return torch.cat([mixed, level[:, None], held[:, None]], dim=1)
