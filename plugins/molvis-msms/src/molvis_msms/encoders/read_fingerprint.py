"""`read-fingerprint` and `fingerprint-map`: spectra and structures, by what networks read of a fingerprint from peaks.

Both learn together and apart from other encoders, as the scorer `learned-fingerprint` does: the networks give each bit
of a fingerprint a weight, and what counts in training is by how much a spectrum prefers its compound more than another
spectrum of nearly its mass does. The match is the dot product of two vectors, which are what these encoders give.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor, nn
from torch.nn import functional

from molvis_core.errors import ConfigError
from molvis_core.progress import Progress, StageProgress
from molvis_core.records import PeakList, RankedQuery, Structure
from molvis_msms.encoders.usual import UsualVector
from molvis_msms.fingerprint.bits import LENGTH, packed_fingerprints, prepare, unpacked
from molvis_msms.fingerprint.compression import compressed
from molvis_msms.fingerprint.corpus import Corpus
from molvis_msms.fingerprint.fitting import Fitted, Settings, fit
from molvis_msms.fingerprint.network import Bag
from molvis_msms.fingerprint.token_batch import TokenBatch
from molvis_msms.fingerprint.tokens import DESCRIBED
from molvis_nn.batches import TensorBatch

_UNKNOWN = np.iinfo(np.int64).max
"""Fills the vocabulary up; no token has this key."""
_BLOCK = 512
_SAMPLE = 20_000
"""Structures that tell in which directions structures vary."""


@dataclass(frozen=True, eq=False)
class BitBatch(TensorBatch):
    """Fingerprints packed eight bits to a byte."""

    packed: UInt8[Tensor, "n bytes"]


class ReadFingerprint(nn.Module):
    """Spectra to unit vectors of what networks read from their peaks, less what spectra of their mass have in common.

    A spectrum none of whose peaks is known points along the last axis, where no structure lies: to it all are alike.

    In the manner of K. Duehrkop et al., PNAS 112 (2015) 12580, doi:10.1073/pnas.1509788112 (fingerprints from spectra),
    with a listwise loss over structures of equal mass.

    Args:
        dim: length of the vectors.
        width: of the sum of a spectrum's tokens.
        hidden: width of the layer after it.
        networks: trained with different seeds; the match is a mean over them.
        tokens: known at most, those of most compounds.
        epochs: of training.
        min_compounds: tokens in spectra of fewer training compounds are left out.
        top_peaks: so many of the highest peaks are used.
        dropout: in the networks.
        spectra, candidates: of each compound, to learn from.
    """

    accepts = PeakList

    def __init__(
        self,
        dim: int = 480,
        width: int = 128,
        hidden: int = 384,
        networks: int = 2,
        tokens: int = 22_000,
        epochs: int = 24,
        min_compounds: int = 3,
        top_peaks: int = 60,
        dropout: float = 0.35,
        spectra: int = 16,
        candidates: int = 64,
    ) -> None:
        super().__init__()
        for name, value, least in (
            ("dim", dim, 2), ("width", width, 1), ("tokens", tokens, 1), ("spectra", spectra, 1),
            ("candidates", candidates, 2),
        ):  # fmt: skip
            if value < least:
                raise ConfigError(f"read-fingerprint: {name} must be {least} or more, got {value}")
        self.spectra, self.candidates = spectra, candidates
        self.settings = Settings(
            "read-fingerprint", width, hidden, networks, epochs, min_compounds, top_peaks, dropout, tokens
        )
        self.dim = dim
        self.register_buffer("keys", torch.full((tokens,), _UNKNOWN))
        self.tables = nn.ModuleList([nn.EmbeddingBag(tokens, width, mode="sum") for _ in range(networks)])
        self.described = nn.ModuleList([nn.Linear(DESCRIBED, width) for _ in range(networks)])
        self.norms = nn.ModuleList([nn.LayerNorm(width) for _ in range(networks)])
        self.hidden = nn.ModuleList([nn.Linear(width, hidden) for _ in range(networks)])
        self.project = nn.Linear(networks * hidden, dim - 1, bias=False)
        self.usual = UsualVector(dim - 1)
        self.requires_grad_(False)

    def collate(self, records: Sequence[PeakList]) -> TokenBatch:
        """The tokens of each spectrum's highest peaks."""
        return TokenBatch.of(records, self.settings.top_peaks)

    def forward(self, batch: TokenBatch) -> Float[Tensor, "n dim"]:
        """Unit vectors."""
        keys = self.get_buffer("keys")
        place = torch.searchsorted(keys, batch.key).clamp_max(len(keys) - 1)
        known = keys[place] == batch.key
        owner = torch.repeat_interleave(torch.arange(len(batch), device=keys.device), batch.count)[known]
        count = torch.bincount(owner, minlength=len(batch))
        bag = Bag(place[known], batch.weight[known], count.cumsum(0) - count, batch.described)
        read = self.usual(self._read(bag), batch.precursor, batch.negative)
        silent = ((count == 0) | (read.square().sum(1) == 0))[:, None]
        vectors = torch.cat([read.masked_fill(silent, 0.0), silent.to(read.dtype)], dim=1)
        return functional.normalize(vectors, dim=-1)

    def _read(self, bag: Bag) -> Float[Tensor, "n _"]:
        inner: list[Tensor] = []
        for table, described, norm, hidden in zip(self.tables, self.described, self.norms, self.hidden, strict=True):
            total = table(bag.place, bag.start, per_sample_weights=bag.weight) + described(bag.described)
            inner.append(functional.gelu(hidden(functional.gelu(norm(total)))))
        return self.project(torch.cat(inner, dim=1))

    def learn(
        self,
        reference: object,
        examples: Sequence[RankedQuery],
        validation: Sequence[RankedQuery],
        *,
        seed: int = 0,
        progress: StageProgress | None = None,
        checkpoint: Path | None = None,
    ) -> Mapping[str, float]:
        """Train the networks on spectra among candidates of equal mass; both encoders get what they learned.

        Returns:
            `val_hit1`, the share of the validation compounds whose true structure comes first by the networks
            themselves, and `val_loglik`, the mean logarithm of its probability; `kept`, the share of the structures'
            variance that is left in the vectors.

        Raises:
            ConfigError: the other encoder is not `fingerprint-map`, or of another length.
            TrainingError: there are no examples, none of their fingerprints differ, or a checkpoint is of another run.
        """
        other = map_beside("read-fingerprint", self.dim, reference)
        fitted = fit(self.settings, examples, validation, seed=seed, progress=progress, checkpoint=checkpoint)
        kept = self._take(fitted, other)
        hit, likelihood = fitted.ranking.figures(fitted.networks, fitted.bank())
        return {"val_hit1": hit, "val_loglik": likelihood, "kept": kept}

    @torch.no_grad()
    def _take(self, fitted: Fitted, reference: FingerprintMap) -> float:
        """Take over the networks, and give the other side its matrix."""
        keys = self.get_buffer("keys")
        known = len(fitted.vocabulary.keys)
        keys.fill_(_UNKNOWN)
        keys[:known] = torch.from_numpy(fitted.vocabulary.keys)
        for number, network in enumerate(fitted.networks):
            table = torch.zeros(len(keys), network.table.embedding_dim)
            table[:known] = network.table.weight[:known]
            self.tables[number].load_state_dict({"weight": table})
            for mine, learned in (
                (self.described, network.described),
                (self.norms, network.norm),
                (self.hidden, network.hidden),
            ):
                mine[number].load_state_dict(learned.state_dict())
        sample = _sample(fitted.corpus)
        maps = compressed(fitted.networks, unpacked(sample)[:, fitted.chosen], fitted.frequency, self.dim - 1)
        self.project.weight.copy_(torch.from_numpy(maps.spectra))
        reference.take(fitted.chosen, fitted.frequency, maps.structures)
        self._see(fitted)
        return maps.kept

    def _see(self, fitted: Fitted) -> None:
        """What spectra of each mass have in common, from those that nothing was learned from."""
        corpus, of_bank = fitted.corpus, fitted.of_bank
        blocks = [of_bank[i : i + _BLOCK] for i in range(0, len(of_bank), _BLOCK)]
        read = [self._read(corpus.bag(block)) for block in blocks]
        self.usual.take(
            torch.cat([torch.zeros(0, self.dim - 1), *read]),
            torch.from_numpy(corpus.precursor[of_bank]),
            torch.from_numpy(corpus.negative[of_bank]),
        )


class FingerprintMap(nn.Module):
    """Structures to unit vectors by a linear map of their fingerprints: circles of atoms, and paths of bonds.

    Args:
        dim: length of the vectors; the last entry is 0 (`read-fingerprint` says why).
    """

    accepts = Structure

    def __init__(self, dim: int = 480) -> None:
        super().__init__()
        if dim < 2:
            raise ConfigError(f"fingerprint-map: dim must be 2 or more, got {dim}")
        self.dim = dim
        self.matrix = nn.Parameter(torch.empty(LENGTH, dim - 1), requires_grad=False)
        nn.init.normal_(self.matrix, std=LENGTH**-0.5)
        self.usual = nn.Parameter(torch.zeros(dim - 1), requires_grad=False)

    def collate(self, records: Sequence[Structure]) -> BitBatch:
        """Fingerprints.

        Raises:
            molvis_core.errors.StructureError: RDKit refuses a SMILES.
        """
        return BitBatch(torch.from_numpy(packed_fingerprints(records).copy()))

    def featurise(self, records: Sequence[Structure], *, progress: Progress | None = None) -> None:
        """Make the fingerprints of many structures by all processors, for `collate` to look up.

        Raises:
            molvis_core.errors.StructureError: RDKit refuses a SMILES.
        """
        prepare(records, progress=progress)

    def forward(self, batch: BitBatch) -> Float[Tensor, "n dim"]:
        """Unit vectors."""
        shifts = torch.arange(7, -1, -1, device=batch.packed.device, dtype=torch.uint8)  # NumPy: first bit highest
        bits = ((batch.packed[:, :, None] >> shifts) & 1).flatten(1)
        mapped = bits.to(self.matrix.dtype) @ self.matrix - self.usual
        return functional.normalize(torch.cat([mapped, mapped.new_zeros(len(mapped), 1)], dim=1), dim=-1)

    @torch.no_grad()
    def take(
        self,
        chosen: Int64[np.ndarray, " bits"],
        frequency: Float[np.ndarray, " bits"],
        matrix: Float[np.ndarray, "bits _"],
    ) -> None:
        """Use a map of some bits, less their frequency; other bits do not count."""
        self.matrix.zero_()
        self.matrix[torch.from_numpy(chosen)] = torch.from_numpy(matrix)
        self.usual.copy_(torch.from_numpy((frequency @ matrix).astype(np.float32)))


def map_beside(name: str, dim: int, reference: object) -> FingerprintMap:
    """The encoder of structures that an encoder of spectra learns with.

    Args:
        name: of the encoder of spectra.
        dim: length of its vectors.
        reference: the encoder on the other side.

    Raises:
        ConfigError: it is not `fingerprint-map`, or of another length.
    """
    if not isinstance(reference, FingerprintMap) or reference.dim != dim:
        raise ConfigError(
            f"{name} learns with fingerprint-map of the same length, here dim = {dim}; the other side is "
            f"{type(reference).__name__} with dim = {getattr(reference, 'dim', 'none')}"
        )
    return reference


def _sample(corpus: Corpus) -> UInt8[np.ndarray, "m bytes"]:
    """Fingerprints of structures that were learned from, evenly drawn."""
    every = np.concatenate([corpus.truth, corpus.rivals])
    return every[:: max(1, len(every) // _SAMPLE)]
