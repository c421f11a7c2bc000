"""The network: a molecule's graph and its parts to the probability of every entry of its ladder."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from molvis_fragmentation.molecule import BOND_CLASSES
from molvis_msms.forward.batches import Batch
from molvis_msms.forward.ladder import FORMS, SHIFTS
from molvis_msms.forward.pieces import ATOM_NUMBERS, BOND_NUMBERS, COUNTS, PART_NUMBERS
from molvis_msms.forward.settings import NUMBERS

_IMPOSSIBLE = -1e4


class _Messages(nn.Module):
    """Atoms hear from their neighbours and from the whole molecule."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.sender, self.receiver = nn.Linear(width, width), nn.Linear(width, width)
        self.bond = nn.Linear(BOND_NUMBERS, width)
        self.norm = nn.LayerNorm(width)
        self.update = nn.Sequential(
            nn.Linear(3 * width, width), nn.SiLU(), nn.Dropout(dropout), nn.Linear(width, width)
        )

    def forward(self, h: Float[Tensor, "a w"], batch: Batch) -> Float[Tensor, "a w"]:
        x = self.norm(h)
        here, there = batch.ends[:, 0], batch.ends[:, 1]
        sent = nn.functional.silu(self.sender(x)[there] + self.receiver(x)[here] + self.bond(batch.bonds))
        heard = torch.zeros_like(x).index_add(0, here, sent)
        return h + self.update(torch.cat([x, heard, _mean(x, batch)[batch.owner]], dim=1))


def _mean(h: Tensor, batch: Batch) -> Float[Tensor, "m w"]:
    """Mean over the atoms of each molecule."""
    total = h.new_zeros(len(batch.counts), h.shape[1]).index_add(0, batch.owner, h)
    sizes = torch.bincount(batch.owner, minlength=len(batch.counts)).to(h.dtype)
    return total / sizes[:, None]


class ForwardNetwork(nn.Module):
    """Probabilities of fragments from a molecule and its settings.

    A graph network describes the atoms. A part is described by the atoms it keeps and those it loses, by the bonds that
    leave it with the atom that is kept and that which is lost, and by what is known of it as a whole. The settings
    scale and shift this description, which gives a logit for every form and number of hydrogens. One softmax over all
    parts, over strays, the precursor and what is elsewhere makes them shares of the root intensity.

    Args:
        width: of the layers.
        layers: of the graph network.
        strays: how many there are.
        dropout: of the layers, in training.
    """

    def __init__(self, width: int = 96, layers: int = 4, strays: int = 0, dropout: float = 0.1) -> None:
        super().__init__()
        self.atom = nn.Linear(ATOM_NUMBERS, width)
        self.layers = nn.ModuleList([_Messages(width, dropout) for _ in range(layers)])
        self.last = nn.LayerNorm(width)
        self.whole = nn.Sequential(nn.Linear(width + COUNTS, width), nn.SiLU())
        self.kept, self.lost = nn.Linear(width, width), nn.Linear(width, width)
        self.bond = nn.Linear(BOND_NUMBERS, width)
        self.kind = nn.Embedding(BOND_CLASSES, width)
        nn.init.normal_(self.kind.weight, std=0.1)
        self.left = nn.Linear(width, width, bias=False)
        self.inside, self.outside = nn.Linear(width, width, bias=False), nn.Linear(width, width, bias=False)
        self.part = nn.Linear(PART_NUMBERS, width)
        self.of_whole = nn.Linear(width, width, bias=False)
        self.describe = nn.Sequential(
            nn.LayerNorm(width), nn.SiLU(), nn.Dropout(dropout), nn.Linear(width, width), nn.SiLU(),
            nn.Linear(width, width),
        )  # fmt: skip
        self.setting = nn.Sequential(
            nn.Linear(NUMBERS + width, width), nn.SiLU(), nn.Dropout(dropout), nn.Linear(width, width), nn.SiLU()
        )
        self.scale, self.shift = nn.Linear(width, width), nn.Linear(width, width)
        self.hidden = nn.Linear(width, width)
        self.out = nn.Linear(width, FORMS * SHIFTS)
        nn.init.normal_(self.out.weight, std=0.02)
        self.other = nn.Sequential(
            nn.Linear(2 * width, width), nn.SiLU(), nn.Dropout(dropout), nn.Linear(width, strays + 2)
        )
        self.strays = strays

    def forward(self, batch: Batch) -> Float[Tensor, "n e"]:
        """Logarithms of the probabilities of the entries of each spectrum; last comes what is elsewhere."""
        described, whole = self.encode(batch)
        of = batch.molecule
        return self.decode(described[of], whole[of], batch.settings, batch.form, batch.possible)

    def encode(self, batch: Batch) -> tuple[Float[Tensor, "m p w"], Float[Tensor, "m w"]]:
        """What does not depend on the settings: a vector for each part, and one for each molecule."""
        h = self.atom(batch.atoms)
        for layer in self.layers:
            h = layer(h, batch)
        h = self.last(h)
        whole = self.whole(torch.cat([_mean(h, batch), batch.counts], dim=1))
        return self._parts(h, whole, batch), whole

    def decode(
        self,
        described: Float[Tensor, "n p w"],
        whole: Float[Tensor, "n w"],
        settings: Float[Tensor, "n s"],
        form: Int64[Tensor, "n v"],
        possible: Bool[Tensor, "n x"],
    ) -> Float[Tensor, "n e"]:
        """The same as `forward` from what `encode` gave for the molecule of each spectrum.

        Args:
            described: parts of each molecule.
            whole: each molecule.
            settings: of each spectrum, as `Batch` has them, like the next two.
            form: codes of its forms.
            possible: which entries there can be.
        """
        setting = self.setting(torch.cat([settings, whole], dim=1))
        u = described * (1 + self.scale(setting))[:, None] + self.shift(setting)[:, None]
        u = nn.functional.silu(self.hidden(nn.functional.silu(u)))
        logits = self._forms(u, form).flatten(1)
        # Parts are many and most of them are never seen: what is elsewhere and the precursor start far above them.
        other = self.other(torch.cat([setting, whole], dim=1))
        other = other + other.new_tensor([0.0] * self.strays + [4.0, 4.0])
        every = torch.cat([logits, other[:, :-1]], dim=1).masked_fill(~possible, _IMPOSSIBLE)
        return torch.cat([every, other[:, -1:]], dim=1).log_softmax(dim=1)

    def _parts(self, h: Tensor, whole: Tensor, batch: Batch) -> Float[Tensor, "m p w"]:
        """A vector for each part, whatever the settings."""
        ends = self.kept(h)[batch.ends[:, 0]] + self.lost(h)[batch.ends[:, 1]]
        broken = nn.functional.silu(ends + self.bond(batch.bonds) + self.kind(batch.classes))
        number, width = len(batch.counts), h.shape[1]
        atoms = h.new_zeros(number, batch.members.shape[2], width)
        atoms[batch.owner, batch.atom_place] = h
        bonds = h.new_zeros(number, batch.crossing.shape[2], width)
        bonds[batch.bond_owner, batch.bond_place] = broken
        # Sums over atoms and bonds come after the layers: molecules have far fewer of them than parts.
        inside, outside = batch.members @ self.inside(atoms), self.outside(atoms)
        gone = outside.sum(1, keepdim=True) - batch.members @ outside
        count = batch.members.sum(2, keepdim=True)
        rest = (batch.members.new_tensor(torch.bincount(batch.owner).tolist())[:, None, None] - count).clamp_min(1)
        x = self.part(batch.parts) + batch.crossing @ self.left(bonds)
        x = x + inside / count.clamp_min(1) + gone / rest + self.of_whole(whole)[:, None]
        return x + self.describe(x)

    def _forms(self, u: Float[Tensor, "n p w"], form: Int64[Tensor, "n v"]) -> Float[Tensor, "n p v k"]:
        """A logit for each form and number of hydrogens."""
        if form.shape[1] == 1:  # nearly all spectra: their only form is the plain one
            return nn.functional.linear(u, self.out.weight[:SHIFTS], self.out.bias[:SHIFTS])[:, :, None]
        every = self.out(u).unflatten(2, (FORMS, SHIFTS))
        place = form[:, None, :, None].expand(-1, u.shape[1], -1, SHIFTS)
        return every.gather(2, place)
