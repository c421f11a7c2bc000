"""`clerms`: a transformer over peaks, with the metadata attending to them.

H. Guo et al., Contrastive Learning-Based Embedder for the Representation of Tandem Mass Spectra, Anal. Chem. 95 (2023)
7888, doi:10.1021/acs.analchem.3c00260, with the metadata of the reference design: ionization mode, adduct, instrument
type and collision energy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from molvis_core.errors import ConfigError
from molvis_core.records import PeakList
from molvis_msms.encoders.adducts import ADDUCTS
from molvis_msms.encoders.sinusoids import sinusoidal
from molvis_msms.preparation import highest_peaks
from molvis_nn.batches import TensorBatch, pad

INSTRUMENTS = ("QTOF", "QFT", "ITFT", "TOF", "FT", "QQQ", "IT")
"""Looked for in this order in the instrument type, as MassBank spells it: LC-ESI-QTOF, LC-ESI-ITFT, ..."""


@dataclass(frozen=True, eq=False)
class ClermsBatch(TensorBatch):
    """Padded peaks, and metadata as numbers of categories; 0 is unknown.

    Attributes:
        peaks: m/z and intensity, the highest of a spectrum 1.
        mask: where there is a peak.
        precursor: m/z of the ion, 0 where unknown.
        categories: ion mode, adduct, instrument.
        energy: collision energy in eV / 100, and whether it is known.
    """

    peaks: Float[Tensor, "n p 2"]
    mask: Bool[Tensor, "n p"]
    precursor: Float[Tensor, " n"]
    categories: Int64[Tensor, "n 3"]
    energy: Float[Tensor, "n 2"]


class Clerms(nn.Module):
    """Spectra to unit vectors by a transformer of encoder and decoder.

    Args:
        dim: length of the vectors.
        width: of the transformer.
        heads: of attention.
        encoder_layers, decoder_layers: of the transformer.
        top_peaks: so many of the highest peaks are used.
        keep_precursor: keep peaks at and above the precursor's m/z; the report removes them.
        dropout: in the transformer.
    """

    accepts = PeakList

    def __init__(
        self,
        dim: int = 512,
        width: int = 256,
        heads: int = 8,
        encoder_layers: int = 6,
        decoder_layers: int = 6,
        top_peaks: int = 100,
        keep_precursor: bool = False,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        if width % heads or width < 8:
            raise ConfigError(f"clerms: width = {width} is not a multiple of heads = {heads}, or below 8")
        if top_peaks < 1:
            raise ConfigError(f"clerms: top_peaks must be a positive whole number, got {top_peaks}")
        self.dim, self.width = dim, width
        self.top_peaks, self.keep_precursor = top_peaks, keep_precursor
        # Intensity is joined to the embedding, and dense layers mix the two.
        self.dense = nn.Sequential(nn.Linear(width + 1, width), nn.ReLU(), nn.Linear(width, width))
        shape: dict[str, Any] = {
            "d_model": width,
            "nhead": heads,
            "dim_feedforward": 2 * width,
            "dropout": dropout,
            "batch_first": True,
        }
        self.encoder = nn.TransformerEncoder(
            nn.TransformerEncoderLayer(**shape), encoder_layers, enable_nested_tensor=False
        )
        self.decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(**shape), decoder_layers)
        sizes = (3, len(ADDUCTS) + 2, len(INSTRUMENTS) + 2)
        self.categories = nn.ModuleList([nn.Embedding(size, width) for size in sizes])
        self.networks = nn.ModuleList([_feed_forward(width, width) for _ in sizes])
        self.energy = _feed_forward(2, width)
        self.project = nn.Linear(width, 512)
        self.head = nn.Sequential(nn.BatchNorm1d(512), nn.Linear(512, dim), nn.SELU())

    def collate(self, records: Sequence[PeakList]) -> ClermsBatch:
        """The highest peaks of each record, padded, and the metadata."""
        chosen = (highest_peaks(r, self.top_peaks, keep_precursor=self.keep_precursor) for r in records)
        peaks, mask = pad([np.stack([mz, height.astype(np.float64)], axis=1) for mz, height in chosen])
        known = [r.collision_energy is not None for r in records]
        energy = [[(r.collision_energy or 0.0) / 100, float(k)] for r, k in zip(records, known, strict=True)]
        return ClermsBatch(
            peaks.reshape(len(records), -1, 2),
            mask,
            torch.tensor([r.precursor_mz or 0.0 for r in records], dtype=torch.float64),
            torch.tensor([_categories(r) for r in records], dtype=torch.int64).reshape(-1, 3),
            torch.tensor(energy, dtype=torch.float32).reshape(-1, 2),
        )

    def forward(self, batch: ClermsBatch) -> Float[Tensor, "n dim"]:
        """Unit vectors."""
        # The ion stands before its fragments as a peak of intensity 2, so that even an empty spectrum has a token.
        mz = torch.cat([batch.precursor[:, None], batch.peaks[:, :, 0]], dim=1)
        height = torch.cat([torch.full_like(batch.precursor, 2.0)[:, None], batch.peaks[:, :, 1]], dim=1)
        hidden = torch.cat([torch.zeros_like(batch.mask[:, :1]), ~batch.mask], dim=1)
        tokens = self.dense(torch.cat([sinusoidal(mz, self.width), height[:, :, None].float()], dim=-1))
        memory = self.encoder(tokens, src_key_padding_mask=hidden)
        metadata = [
            network(table(batch.categories[:, i]))
            for i, (table, network) in enumerate(zip(self.categories, self.networks, strict=True))
        ]
        metadata.append(self.energy(batch.energy))
        out = self.decoder(torch.stack(metadata, dim=1), memory, memory_key_padding_mask=hidden)
        pooled = self.project(out).amax(dim=1)
        return nn.functional.normalize(self.head(pooled).float(), dim=-1)


def _feed_forward(inputs: int, width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, width), nn.ReLU(), nn.Linear(width, width))


def _categories(record: PeakList) -> tuple[int, int, int]:
    mode = {"positive": 1, "negative": 2}.get(record.ionmode or "", 0)
    adduct = 0 if record.adduct is None else 1 + _place(record.adduct, ADDUCTS)
    kind = (record.instrument_type or "").upper()
    found = next((i for i, name in enumerate(INSTRUMENTS) if name in kind), len(INSTRUMENTS))
    return mode, adduct, 1 + found if kind else 0


def _place(value: str, known: Sequence[str]) -> int:
    return known.index(value) if value in known else len(known)
