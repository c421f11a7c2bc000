"""`fingerprint-regression`: spectra by what a kernel regression predicts of a fingerprint, solved in closed form.

It learns together with `fingerprint-map`, as `read-fingerprint` does, in a tenth of the time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64, UInt8
from scipy import linalg, sparse
from torch import Tensor
from torch.nn import functional

from molvis_core.errors import ConfigError, TrainingError
from molvis_core.progress import StageProgress
from molvis_core.records import PeakList, RankedQuery
from molvis_msms.encoders.read_fingerprint import FingerprintMap, map_beside
from molvis_msms.encoders.usual import UsualVector
from molvis_msms.fingerprint.bits import unpacked
from molvis_msms.fingerprint.corpus import Corpus, corpus_of
from molvis_msms.fingerprint.preference import preferring
from molvis_msms.fingerprint.spectra_kernel import SpectraKernel
from molvis_msms.fingerprint.token_batch import TokenBatch
from molvis_msms.ranks import hit_rate
from molvis_nn.grown import Grown
from molvis_nn.regression import left_out, whitening
from molvis_nn.vectors import unit_rows, upright

_FREQUENT = (0.002, 0.998)
"""Bits are predicted that so many of the compounds have."""
_FLOOR = 0.1


class FingerprintRegression(Grown):
    """Spectra to unit vectors of what is predicted of a fingerprint, less what spectra of their mass have in common.

    Kernel ridge regression from spectra, by the tokens that they share, to the widest directions of the fingerprints of
    their compounds; these are scaled by the errors of predictions for compounds that were left out, and turned by a
    linear map that learns to prefer the truth to structures of its mass. A spectrum none of whose peaks is known points
    along the last axis, where no structure lies.

    In the manner of C. Brouard et al., Bioinformatics 32 (2016) i28, doi:10.1093/bioinformatics/btw246 (input output
    kernel regression).

    Args:
        dim: length of the vectors.
        penalty: on the coefficients, times the number of spectra of a compound.
        epochs: of the map; 0 leaves the predictions as they are.
        min_compounds: tokens in spectra of fewer training compounds are left out.
        top_peaks: so many of the highest peaks are used.
        differences: so many of them are looked at in pairs, what lies between two being what a fragment may have lost.
        most: spectra that are learned from; more are thinned out, since time grows with their cube.
        spectra, candidates: of each compound, to learn from.
    """

    accepts = PeakList

    def __init__(
        self,
        dim: int = 480,
        penalty: float = 0.15,
        epochs: int = 2,
        min_compounds: int = 2,
        top_peaks: int = 60,
        differences: int = 15,
        most: int = 12_000,
        spectra: int = 4,
        candidates: int = 32,
    ) -> None:
        super().__init__()
        for name, value, least in (
            ("dim", dim, 2), ("epochs", epochs, 0), ("min_compounds", min_compounds, 1), ("top_peaks", top_peaks, 1),
            ("differences", differences, 0), ("most", most, 2), ("spectra", spectra, 1), ("candidates", candidates, 2),
        ):  # fmt: skip
            if value < least:
                raise ConfigError(f"fingerprint-regression: {name} must be {least} or more, got {value}")
        if not penalty > 0:
            raise ConfigError(f"fingerprint-regression: penalty must be positive, got {penalty}")
        self.dim, self.penalty, self.epochs, self.most = dim, penalty, epochs, most
        self.min_compounds, self.top_peaks, self.differences = min_compounds, top_peaks, differences
        self.spectra, self.candidates = spectra, candidates
        self.hold(
            keys=np.empty(0, np.int64), rarity=np.empty(0, np.float32), places=np.empty(0, np.int32),
            weights=np.empty(0, np.float16), starts=np.zeros(1, np.int64), negative=np.empty(0, bool),
            coefficients=np.zeros((0, dim - 1), np.float16), preference=np.eye(dim - 1, dtype=np.float32),
        )  # fmt: skip
        self.usual = UsualVector(dim - 1)
        self._made: tuple[Tensor, SpectraKernel, np.ndarray] | None = None

    def collate(self, records: Sequence[PeakList]) -> TokenBatch:
        """The tokens of each spectrum's highest peaks, and of the differences between the highest of these."""
        return TokenBatch.of(records, self.top_peaks, self.differences)

    def forward(self, batch: TokenBatch) -> Float[Tensor, "n dim"]:
        """Unit vectors."""
        kernel, coefficients = self._ready()
        ends = batch.count.cpu().numpy().cumsum()[:-1]
        keys, weights = (np.split(x.cpu().numpy(), ends) for x in (batch.key, batch.weight))
        rows = kernel.prepared(list(zip(keys, weights, strict=True)) if len(batch) else [])
        near = kernel.with_all(rows, batch.negative.cpu().numpy())
        read = torch.from_numpy(near @ coefficients)
        lead = self._lead(read.to(batch.weight.device), batch.precursor, batch.negative)
        read = lead @ self.get_buffer("preference")
        silent = torch.from_numpy(np.diff(rows.indptr) == 0).to(read.device)[:, None]
        return functional.normalize(torch.cat([read.masked_fill(silent, 0.0), silent.to(read.dtype)], dim=1), dim=-1)

    def _lead(self, read: Tensor, precursor: Tensor, negative: Tensor) -> Tensor:
        """By how much more this spectrum predicts something than others of its mass, of unit length."""
        return functional.normalize(self.usual.eval()(read, precursor, negative), dim=-1)

    def _ready(self) -> tuple[SpectraKernel, Float32[np.ndarray, "n d"]]:
        """The kernel and the coefficients as they are multiplied: made once of what is held, which takes 10 ms."""
        held = self.get_buffer("coefficients")
        if self._made is None or self._made[0] is not held:
            start = self.array("starts")
            shape = (len(start) - 1, len(self.array("keys")))
            rows = sparse.csr_matrix((self.array("weights").astype(np.float32), self.array("places"), start), shape)
            kernel = SpectraKernel(self.array("keys"), self.array("rarity"), rows, self.array("negative"))
            self._made = held, kernel, self.array("coefficients").astype(np.float32)
        return self._made[1:]

    def __getstate__(self) -> dict[str, Any]:
        # Another process makes its own: what is held says it all.
        return {**super().__getstate__(), "_made": None}

    def learn(
        self,
        reference: object,
        examples: Sequence[RankedQuery],
        validation: Sequence[RankedQuery],
        *,
        seed: int = 0,
        progress: StageProgress | None = None,
        checkpoint: Path | None = None,  # noqa: ARG002 - it takes a minute
    ) -> Mapping[str, float]:
        """Solve the regression and learn the map; both encoders get what was learned.

        Returns:
            `explained`, the share of the fingerprints' variance that is predicted for compounds that were left out;
            `kept`, the share that is left in the vectors; and `val_hit1`, the share of the validation compounds whose
            true structure comes first.

        Raises:
            ConfigError: the other encoder is not `fingerprint-map`, or of another length.
            TrainingError: there are fewer than two compounds to learn from, or their fingerprints do not differ.
        """
        other = map_beside("fingerprint-regression", self.dim, reference)
        total = 3 + self.epochs
        show = progress or (lambda done, total, what: None)
        show(0, total, "fingerprints of candidates")
        some = _thinned(examples, self.most, seed)
        corpus = corpus_of(some, self.top_peaks, "fingerprint-regression", self.differences)
        outputs = _Outputs.of(corpus.truth, self.dim - 1)
        show(1, total, "comparing spectra")
        kernel = SpectraKernel.of(corpus.spectra, corpus.compound, corpus.negative, self.min_compounds)
        alike = kernel.with_all(kernel.rows, corpus.negative)
        show(2, total, "predicting fingerprints from spectra")
        values = outputs.along(corpus.truth)[corpus.compound]
        penalty = self.penalty * np.bincount(corpus.compound)[corpus.compound]
        found, predicted = left_out(alike, values, penalty, corpus.of_compound)
        white = whitening(values - predicted, _FLOOR)
        explained = 1 - float(np.square(values - predicted).sum() / np.square(values).sum())
        self._take(kernel, found @ white)
        matrix = self._wide(outputs.directions @ white)
        other.take(outputs.chosen, outputs.frequency, matrix)
        show(3, total, "preferring the truth to others of its mass")
        self._prefer(
            self._wide(predicted @ white),
            corpus,
            outputs,
            matrix,
            seed,
            lambda done: show(3 + done, total, "preferring"),
        )
        return {"explained": explained, "kept": outputs.kept, "val_hit1": self._first(other, validation)}

    def _wide(self, rows: Float[np.ndarray, "n k"]) -> Float32[np.ndarray, "n d"]:
        """Filled up with zeros, where there are fewer directions than the vectors have room for."""
        return np.pad(rows, ((0, 0), (0, self.dim - 1 - rows.shape[1]))).astype(np.float32)

    @torch.no_grad()
    def _take(self, kernel: SpectraKernel, coefficients: Float[np.ndarray, "n k"]) -> None:
        """Keep what predicts, in the precision of the file."""
        self.hold(
            keys=kernel.keys, rarity=kernel.rarity, places=kernel.rows.indices.astype(np.int32),
            weights=kernel.rows.data.astype(np.float16), starts=kernel.rows.indptr.astype(np.int64),
            negative=kernel.negative, coefficients=self._wide(coefficients).astype(np.float16),
            preference=np.eye(self.dim - 1, dtype=np.float32),
        )  # fmt: skip

    def _prefer(
        self,
        predicted: Float32[np.ndarray, "n d"],
        corpus: Corpus,
        outputs: _Outputs,
        matrix: Float32[np.ndarray, "bits d"],
        seed: int,
        show: Callable[[int], None],
    ) -> None:
        """What spectra of a mass have in common is taken off, and the map learned from what is left."""
        read = torch.from_numpy(predicted)
        about = torch.from_numpy(corpus.precursor), torch.from_numpy(corpus.negative)
        self.usual.take(read, *about)
        leads = self._lead(read, *about).numpy()
        truth, rivals = (unit_rows(outputs.centred(packed) @ matrix) for packed in (corpus.truth, corpus.rivals))
        learned = preferring(leads, truth, rivals, corpus, epochs=self.epochs, seed=seed, progress=show)
        self.hold(preference=learned)

    def _first(self, reference: FingerprintMap, queries: Sequence[RankedQuery]) -> float:
        """Share of the compounds whose true structure comes first."""
        keys = {key: i for i, key in enumerate(dict.fromkeys(q.compound for q in queries))}
        logits: list[np.ndarray] = []
        with torch.inference_mode():
            for query in queries:
                read = self(self.collate([query.record]))[0]
                logits.append((reference(reference.collate(query.candidates)) @ read).numpy())
        truth, owners = (
            np.array(x, dtype=np.int64) for x in ([q.truth for q in queries], [keys[q.compound] for q in queries])
        )
        return hit_rate(logits, truth, owners, 1)


@dataclass(frozen=True, eq=False)
class _Outputs:
    """What is predicted of structures: their bits along the directions in which the training compounds vary most.

    Attributes:
        chosen: bits in use, ascending.
        frequency: of each among the compounds.
        directions: of unit length, one to a column.
        kept: share of the compounds' variance along them.
    """

    chosen: Int64[np.ndarray, " bits"]
    frequency: Float[np.ndarray, " bits"]
    directions: Float32[np.ndarray, "bits k"]
    kept: float

    @classmethod
    def of(cls, packed: UInt8[np.ndarray, "c bytes"], most: int) -> _Outputs:
        """Of these compounds.

        Raises:
            TrainingError: their fingerprints do not differ.
        """
        share = unpacked(packed).mean(axis=0)
        chosen = np.flatnonzero((share > _FREQUENT[0]) & (share < _FREQUENT[1]))
        if not len(chosen):
            raise TrainingError("fingerprint-regression: the fingerprints of the compounds to learn from do not differ")
        centred = _centred(packed, chosen, share[chosen])
        value, vector = linalg.eigh((centred.T @ centred).astype(np.float64))
        count = min(most, len(packed) - 1, len(chosen))
        vector = upright(vector[:, ::-1][:, :count])
        kept = float(value[::-1][:count].sum() / value.sum())
        return cls(chosen, share[chosen], vector.astype(np.float32), kept)

    def centred(self, packed: UInt8[np.ndarray, "m bytes"]) -> Float32[np.ndarray, "m bits"]:
        """The bits in use, less their frequency."""
        return _centred(packed, self.chosen, self.frequency)

    def along(self, packed: UInt8[np.ndarray, "m bytes"]) -> Float32[np.ndarray, "m k"]:
        """Coordinates of structures."""
        return self.centred(packed) @ self.directions


def _centred(
    packed: UInt8[np.ndarray, "m bytes"], chosen: Int64[np.ndarray, " bits"], frequency: Float[np.ndarray, " bits"]
) -> Float32[np.ndarray, "m bits"]:
    return unpacked(packed)[:, chosen].astype(np.float32) - frequency.astype(np.float32)


def _thinned(examples: Sequence[RankedQuery], most: int, seed: int) -> Sequence[RankedQuery]:
    """So many examples at most, in their order."""
    if len(examples) <= most:
        return examples
    kept = np.sort(np.random.default_rng([seed, 19]).permutation(len(examples))[:most])
    return [examples[i] for i in kept]
