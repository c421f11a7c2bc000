"""`ccs`: a cross section and its ion to a unit vector, through sines and cosines of what distinguishes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from molvis_ccs.trend import TRENDS, usual_ccs
from molvis_core.chemistry.adducts import parse_adduct
from molvis_core.errors import AdductError, ConfigError
from molvis_core.records import Value
from molvis_nn.batches import TensorBatch
from molvis_nn.layers import residual_blocks, sinusoids, wavelengths

ADDUCTS = (*TRENDS, "[M+2H]2+", "[M-2H]2-", "[2M+Na]+", "[2M-H]-", "[M]-", "[M+Br]-")
INSTRUMENTS = ("DT", "TIMS", "TW")
GASES = ("N2", "He", "CO2")
_METADATA = len(ADDUCTS) + 1 + 2 + len(INSTRUMENTS) + 1 + len(GASES) + 1


@dataclass(frozen=True, eq=False)
class CcsBatch(TensorBatch):
    """Cross sections with their ions.

    Attributes:
        ccs: in A^2.
        mz: of the ion, 0 where unknown.
        usual: cross section in A^2 that such ions have, 0 where the ion's mass is unknown.
        charge: size of the charge; 1 where unknown.
        metadata: one-hot adduct, sign of the charge, instrument type and gas.
    """

    ccs: Float[Tensor, " n"]
    mz: Float[Tensor, " n"]
    usual: Float[Tensor, " n"]
    charge: Float[Tensor, " n"]
    metadata: Float[Tensor, "n q"]


class CcsEncoder(nn.Module):
    """Cross sections to unit vectors.

    What distinguishes isomers is how far the value lies from what ions of that mass and adduct usually have: that
    deviation gets waves of its own, beside those of the value and of m/z. In training both are shifted at random,
    within what laboratories differ by.

    Args:
        dim: length of the vectors.
        width: of the residual network.
        blocks: residual blocks.
        waves: sines and cosines for each number.
        dropout: in the network.
        ccs_jitter: standard deviation of the relative shift of each value, in percent.
        precursor_jitter: the same of m/z, in ppm.
    """

    accepts = Value

    def __init__(
        self,
        dim: int = 512,
        width: int = 256,
        blocks: int = 2,
        waves: int = 16,
        dropout: float = 0.1,
        ccs_jitter: float = 0.5,
        precursor_jitter: float = 3.0,
    ) -> None:
        super().__init__()
        for name, value in (("dim", dim), ("width", width), ("waves", waves)):
            if value < 2:
                raise ConfigError(f"ccs: {name} must be a whole number of at least 2, got {value}")
        if blocks < 0 or not 0 <= dropout < 1:
            raise ConfigError(
                f"ccs: blocks must be at least 0 and dropout from 0 to below 1, got {blocks} and {dropout}"
            )
        self.dim, self.ccs_jitter, self.precursor_jitter = dim, ccs_jitter, precursor_jitter
        # Longest to shortest: laboratories differ by 0.3% of the value, instruments by some ppm of m/z.
        self.register_buffer("ccs_waves", wavelengths(1000.0, 2.0, waves), persistent=False)
        self.register_buffer("mz_waves", wavelengths(2000.0, 0.02, waves), persistent=False)
        self.register_buffer("deviation_waves", wavelengths(1.0, 0.01, waves), persistent=False)
        self.enter = nn.Linear(6 * waves + 4 + _METADATA, width)
        self.blocks = residual_blocks(width, blocks, dropout)
        self.norm, self.out = nn.LayerNorm(width), nn.Linear(width, dim)

    def collate(self, records: Sequence[Value]) -> CcsBatch:
        """The numbers of each record; an adduct that cannot be read is an unknown one."""
        rows = [_describe(record) for record in records]
        numbers = torch.tensor([row[:4] for row in rows], dtype=torch.float64).reshape(-1, 4)
        metadata = torch.tensor([row[4:] for row in rows], dtype=torch.float32).reshape(-1, _METADATA)
        return CcsBatch(numbers[:, 0], numbers[:, 1], numbers[:, 2], numbers[:, 3], metadata)

    def forward(self, batch: CcsBatch) -> Float[Tensor, "n dim"]:
        """Unit vectors."""
        ccs, mz = batch.ccs, batch.mz
        if self.training:
            ccs = ccs * (1 + torch.randn_like(ccs) * self.ccs_jitter * 1e-2)
            mz = mz * (1 + torch.randn_like(mz) * self.precursor_jitter * 1e-6)
        known = (batch.usual > 0).double()
        deviation = known * torch.log(ccs / torch.where(batch.usual > 0, batch.usual, ccs))
        waves = [
            sinusoids(ccs, self.get_buffer("ccs_waves")),
            sinusoids(mz, self.get_buffer("mz_waves")) * (mz > 0)[:, None],
            sinusoids(deviation, self.get_buffer("deviation_waves")) * known[:, None],
        ]
        numbers = torch.stack([ccs / 200 - 1, mz / 500, 10 * deviation, batch.charge - 1], dim=1)
        x = self.enter(torch.cat([*waves, numbers, batch.metadata.double()], dim=1).to(self.enter.weight.dtype))
        return nn.functional.normalize(self.out(self.norm(self.blocks(x))).float(), dim=-1)


def _describe(record: Value) -> list[float]:
    adduct, charge = record.adduct, record.charge
    try:
        ion = parse_adduct(adduct) if adduct else None
    except AdductError:
        ion = None
    if ion is not None:
        adduct, charge = ion.name, ion.charge
    size = abs(charge or 1)
    mz = record.precursor_mz or 0.0
    usual = usual_ccs(mz * size, adduct) if mz else 0.0
    row = [record.value, mz, usual, float(size)]
    row += _one_hot(adduct, ADDUCTS)
    row += [float((charge or 0) > 0), float((charge or 0) < 0)]
    return row + _one_hot(record.instrument_type, INSTRUMENTS) + _one_hot(record.gas, GASES)


def _one_hot(name: str | None, known: Sequence[str]) -> list[float]:
    found = known.index(name) if name in known else len(known)
    return [float(i == found) for i in range(len(known) + 1)]
