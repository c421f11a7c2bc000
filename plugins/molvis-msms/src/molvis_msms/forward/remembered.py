"""What does not depend on the settings of a spectrum, kept for molecules that are asked for again.

Unknowns of near mass have most candidates in common, and each spectrum of an unknown asks for the same ones. What the
network makes of a molecule's graph and parts is two thirds of the work. A molecule is encoded by itself, so that what
is kept does not depend on what it came with, and results are the same whatever was asked for before.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from molvis_core.records import Structure
from molvis_msms.forward.batches import collate, padded
from molvis_msms.forward.ladder import Ladder, ladder
from molvis_msms.forward.losses import by_peak
from molvis_msms.forward.model import ForwardModel
from molvis_msms.forward.pieces import pieces
from molvis_msms.forward.settings import Setting

__all__ = ["Remembered"]

_MOST = 400
"""Molecules that are kept: up to 200 kB each."""
_TOGETHER = 24


@dataclass(frozen=True, eq=False, slots=True)
class _Molecule:
    """A molecule as the networks have encoded it.

    Attributes:
        exact_mass: in Da.
        atoms: how many heavy ones.
        described, whole: of each network.
        ladders: by adduct and polarity.
    """

    exact_mass: float
    atoms: int
    described: tuple[Float[Tensor, "p w"], ...]
    whole: tuple[Float[Tensor, " w"], ...]
    ladders: dict[tuple[str | None, int], Ladder] = field(default_factory=dict)


class Remembered:
    """Predictions of a forward model, whose molecules are kept for a while.

    Args:
        model: that predicts.
        parts: of a molecule that are looked at, the cheapest.
    """

    def __init__(self, model: ForwardModel, parts: int) -> None:
        self.model, self.parts = model, parts
        self._kept: OrderedDict[str, _Molecule] = OrderedDict()

    def __call__(
        self, structures: Sequence[Structure], setting: Setting
    ) -> Iterator[tuple[Ladder, Float[np.ndarray, " g"]]]:
        """The ladder of each structure, and the predicted shares of root intensity of its peaks.

        Raises:
            molvis_core.errors.StructureError: RDKit refuses a structure.
        """
        for start in range(0, len(structures), _TOGETHER):
            yield from self._some(structures[start : start + _TOGETHER], setting)

    def _some(
        self, structures: Sequence[Structure], setting: Setting
    ) -> Iterator[tuple[Ladder, Float[np.ndarray, " g"]]]:
        made = [self._molecule(one.smiles, setting) for one in structures]
        ladders = [one.ladders[setting.adduct, setting.sign] for one in made]
        wide = max(len(one.described[0]) for one in made)
        possible, group, form = (torch.from_numpy(x) for x in padded(ladders, wide, len(self.model.strays)))
        settings = torch.from_numpy(np.stack([setting.numbers(one.exact_mass, one.atoms) for one in made]))
        with torch.inference_mode():
            every = []
            for number, network in enumerate(self.model.networks):
                parts = [one.described[number] for one in made]
                described = parts[0].new_zeros(len(made), wide, parts[0].shape[1])
                for row, own in zip(described, parts, strict=True):
                    row[: len(own)] = own
                whole = torch.stack([one.whole[number] for one in made])
                every.append(network.decode(described, whole, settings, form, possible))
            shares = by_peak(self.model.mean(every), group, max(len(one.peaks) for one in ladders)).numpy()
        for one, row in zip(ladders, shares, strict=True):
            yield one, row[: len(one.peaks)]

    def _molecule(self, smiles: str, setting: Setting) -> _Molecule:
        """A molecule with its ladder for a setting, made where it is not kept."""
        key = (setting.adduct, setting.sign)
        known = self._kept.get(smiles)
        if known is None:
            made = pieces(smiles, self.parts)
            batch = collate([made], [[setting]], self.model.strays)
            with torch.inference_mode():
                both = [network.encode(batch) for network in self.model.networks]
            known = _Molecule(
                made.exact_mass, len(made.atoms), tuple(d[0] for d, _ in both), tuple(w[0] for _, w in both)
            )
            known.ladders[key] = batch.ladders[0]
            self._kept[smiles] = known
            if len(self._kept) > _MOST:
                self._kept.popitem(last=False)
        else:
            self._kept.move_to_end(smiles)
        if key not in known.ladders:
            known.ladders[key] = ladder(pieces(smiles, self.parts), setting, self.model.strays)
        return known
