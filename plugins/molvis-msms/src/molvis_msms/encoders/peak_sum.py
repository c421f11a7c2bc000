"""`peak-sum`: a spectrum as the sum of what each of its peaks means.

Every peak looks up vectors for its m/z and for its neutral loss, in fine bins through hashing and in unit bins
directly; the weighted sum, with the metadata, goes through a residual network. There is no attention, so that an epoch
over MassBank takes seconds on two CPU cores.

Hashing in the manner of D. Svenstrup, J. Hansen, O. Winther, Hash Embeddings for Efficient Word Representations,
NeurIPS 2017, arXiv:1709.03933: two hash functions look up two rows each, so that two bins share a meaning only where
both agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from molvis_core.chemistry.adducts import neutral_mass
from molvis_core.errors import AdductError, ConfigError
from molvis_core.records import PeakList
from molvis_msms.encoders.adducts import ADDUCTS
from molvis_msms.encoders.usual import UsualVector
from molvis_msms.preparation import highest_peaks
from molvis_nn.batches import TensorBatch
from molvis_nn.layers import residual_blocks, sinusoids, wavelengths

_COARSE = 1500  # unit bins of m/z and of neutral loss, each
_PRIMES = (2_654_435_761, 2_246_822_519)
_MASS_WAVES = 16


@dataclass(frozen=True, eq=False)
class PeakSumBatch(TensorBatch):
    """Peaks of all spectra end to end, with the spectrum each belongs to.

    Attributes:
        precursor: m/z of the precursor, 0 where unknown.
        mass: neutral mass in Da, 0 where unknown.
        metadata: one-hot adduct and ion mode, collision energy, instrument.
        mz, intensity: peaks; the highest of a spectrum is 1.
        owner: which spectrum a peak is of.
    """

    precursor: Float[Tensor, " n"]
    mass: Float[Tensor, " n"]
    metadata: Float[Tensor, "n q"]
    mz: Float[Tensor, " p"]
    intensity: Float[Tensor, " p"]
    owner: Int64[Tensor, " p"]


class PeakSum(nn.Module):
    """Spectra to unit vectors by summing embedded peaks and neutral losses.

    In training, peaks are left out and shifted at random, on the device and for each batch anew.

    Args:
        dim: length of the vectors.
        width: of the sum and of the residual network.
        blocks: residual blocks.
        rows: of each of the two hashed tables, for m/z and for neutral loss.
        bin_width: of the fine bins, in Da.
        top_peaks: so many of the highest peaks are used.
        dropout: in the network.
        peak_dropout: largest share of a spectrum's peaks left out; the share is drawn for each spectrum.
        mz_jitter: standard deviation of the shift of each peak, in ppm.
        precursor_jitter: the same of the precursor, so that a theoretical value teaches nothing that a measured one
            does not hold.
        intensity_jitter: standard deviation of the logarithm of the factor on each height.
        centred: read the peaks and nothing else, and take off the mean vector of other compounds near in mass. A loss
            with negatives from a library then teaches what peaks say, not what compounds of a mass are measured.
    """

    accepts = PeakList

    def __init__(
        self,
        dim: int = 512,
        width: int = 512,
        blocks: int = 3,
        rows: int = 8192,
        bin_width: float = 0.01,
        top_peaks: int = 128,
        dropout: float = 0.3,
        peak_dropout: float = 0.3,
        mz_jitter: float = 5.0,
        precursor_jitter: float = 3.0,
        intensity_jitter: float = 0.3,
        centred: bool = False,
    ) -> None:
        super().__init__()
        for name, value in (("dim", dim), ("width", width), ("rows", rows), ("top_peaks", top_peaks)):
            if value < 1:
                raise ConfigError(f"peak-sum: {name} must be a positive whole number, got {value}")
        if bin_width <= 0:
            raise ConfigError(f"peak-sum: bin_width must be a positive number of Da, got {bin_width}")
        self.dim, self.rows, self.bin_width, self.top_peaks = dim, rows, bin_width, top_peaks
        self.peak_dropout, self.mz_jitter = peak_dropout, mz_jitter
        self.precursor_jitter, self.intensity_jitter = precursor_jitter, intensity_jitter
        self.table = nn.EmbeddingBag(2 * rows + 2 * _COARSE, width, mode="sum", include_last_offset=True)
        nn.init.normal_(self.table.weight, std=0.05)
        self.metadata = None if centred else nn.Linear(_METADATA + 2 * _MASS_WAVES + 3, width)
        self.blocks = residual_blocks(width, blocks, dropout)
        self.norm, self.dropout, self.out = nn.LayerNorm(width), nn.Dropout(dropout), nn.Linear(width, dim)
        self.usual = UsualVector(dim) if centred else None

    def collate(self, records: Sequence[PeakList]) -> PeakSumBatch:
        """The highest peaks of each record, scaled so that the highest is 1; peaks of height 0 are left out."""
        chosen = [highest_peaks(record, self.top_peaks) for record in records]
        mz, intensity = [m for m, _ in chosen], [i for _, i in chosen]
        owner = np.repeat(np.arange(len(records)), [len(m) for m in mz])
        return PeakSumBatch(
            torch.tensor([r.precursor_mz or 0.0 for r in records], dtype=torch.float64),
            torch.tensor([_mass(r) for r in records], dtype=torch.float64),
            torch.from_numpy(np.stack([_describe(r) for r in records]) if records else np.empty((0, _METADATA), "f4")),
            torch.from_numpy(np.concatenate(mz) if mz else np.empty(0)),
            torch.from_numpy(np.concatenate(intensity).astype(np.float32) if mz else np.empty(0, np.float32)),
            torch.from_numpy(owner),
        )

    def forward(self, batch: PeakSumBatch) -> Float[Tensor, "n dim"]:
        """Unit vectors."""
        count = len(batch)
        precursor, mass, mz, intensity, owner = batch.precursor, batch.mass, batch.mz, batch.intensity, batch.owner
        if self.training:
            shift = 1 + torch.randn_like(precursor) * self.precursor_jitter * 1e-6
            precursor, mass = precursor * shift, mass * shift
            mz = mz * (1 + torch.randn_like(mz) * self.mz_jitter * 1e-6)
            intensity = intensity * torch.exp(torch.randn_like(intensity) * self.intensity_jitter)
            share = torch.rand(count, device=mz.device) * self.peak_dropout
            kept = torch.rand(len(mz), device=mz.device) >= share[owner]
            mz, intensity, owner = mz[kept], intensity[kept], owner[kept]
        peaks = torch.zeros(count, device=mz.device).index_add_(0, owner, torch.ones_like(intensity))
        total = torch.zeros(count, device=mz.device).index_add_(0, owner, intensity)
        # Heights span decades; their square roots, scaled to unit length, let small peaks speak.
        weight = (intensity / total.clamp_min(1e-12)[owner]).sqrt()
        loss = precursor[owner] - mz
        fine = [self._rows(mz, p, 0) for p in _PRIMES] + [self._rows(loss, p, self.rows) for p in _PRIMES]
        base = 2 * self.rows
        coarse = [
            base + mz.round().long().clamp(0, _COARSE - 1),
            base + _COARSE + loss.round().long().clamp(0, _COARSE - 1),
        ]
        index = torch.stack(fine + coarse, dim=1)
        known = (precursor > 0)[owner]
        scale = torch.tensor([0.7, 0.7, 0.7, 0.7, 0.5, 0.5], device=mz.device, dtype=weight.dtype)
        weights = weight[:, None] * scale
        # Without a precursor there is no neutral loss to look up.
        weights = weights * torch.where(known[:, None], 1.0, torch.tensor([1, 1, 0, 0, 1, 0], device=mz.device))
        ends = torch.cat([peaks.new_zeros(1), peaks.cumsum(0)]).long() * index.shape[1]
        table = self.table.weight
        summed = nn.functional.embedding_bag(
            index.flatten(), table, ends, mode="sum", per_sample_weights=weights.flatten().to(table.dtype),
            include_last_offset=True,
        )  # fmt: skip
        if self.metadata is not None:
            summed = summed + self.metadata(self._context(batch.metadata, mass, precursor, peaks))
        x = self.out(self.norm(self.blocks(self.dropout(nn.functional.gelu(summed))))).float()
        if self.usual is not None:
            x = self.usual(x, torch.where(mass > 0, mass, precursor), batch.metadata[:, _NEGATIVE] > 0)
        return nn.functional.normalize(x, dim=-1)

    def _rows(self, value: Tensor, prime: int, start: int) -> Tensor:
        hashed = (value / self.bin_width).round().long() * prime % (1 << 32)
        return start + (hashed >> 7) % self.rows

    @staticmethod
    def _context(metadata: Tensor, mass: Tensor, precursor: Tensor, peaks: Tensor) -> Tensor:
        waves = sinusoids(mass, wavelengths(2.0, 1000.0, _MASS_WAVES).to(mass.device))
        numbers = [mass / 500, precursor / 500, torch.log1p(peaks.double()) / 3]
        parts = [metadata.double(), waves, torch.stack(numbers, dim=1)]
        return torch.cat(parts, dim=1).float()


_ANALYSERS = ("TOF", "FT", "QQ")
_METADATA = len(ADDUCTS) + 1 + 2 + 2 + len(_ANALYSERS) + 1
_NEGATIVE = len(ADDUCTS) + 2
"""Place of the negative ion mode among the metadata."""


def _describe(record: PeakList) -> np.ndarray:
    row = np.zeros(_METADATA, dtype=np.float32)
    row[ADDUCTS.index(record.adduct) if record.adduct in ADDUCTS else len(ADDUCTS)] = 1
    place = len(ADDUCTS) + 1
    if record.ionmode:
        row[place + (record.ionmode == "negative")] = 1
    energy = record.collision_energy
    # 30 eV, a usual setting, stands in for an unknown energy, beside a flag that marks it.
    row[place + 2 : place + 4] = (30.0 if energy is None else energy) / 50, energy is not None
    kind = (record.instrument_type or "").upper()
    found = next((i for i, name in enumerate(_ANALYSERS) if name in kind), len(_ANALYSERS))
    row[place + 4 + found] = 1
    return row


def _mass(record: PeakList) -> float:
    if record.precursor_mz is None:
        return 0.0
    try:
        return neutral_mass(record.precursor_mz, record.adduct) if record.adduct else 0.0
    except AdductError:
        return 0.0
