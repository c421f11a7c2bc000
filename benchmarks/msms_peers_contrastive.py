"""Encoders of spectra and of structures trained side by side, for benchmarks/msms_peers.py.

The architecture of JESTR at our budget, not its program: a spectrum as bins of m/z through a network of dense layers, a
structure through another, and a contrastive loss that brings those of one compound together and holds those of others
apart. A. Kalia et al., JESTR, Bioinformatics 41 (2025) btaf354, doi:10.1093/bioinformatics/btaf354. What differs:
structures enter as Morgan fingerprints, where JESTR has a graph network; its further term, which pushes the candidates
of a compound away, is left out, for structures that are in a library only are then told from measured ones by their
looks; instead the compounds of every second epoch's batches are near in mass.
"""

from __future__ import annotations

import copy
import functools
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from msms_peers_exchange import Spectra
from msms_peers_task import Question, as_spectra
from rdkit.Chem import rdFingerprintGenerator
from torch import Tensor, nn

from molvis_core.chemistry.structures import parse_smiles
from molvis_core.records import PeakList

LOW, HIGH, WIDTH = 10.0, 1500.0, 0.1
BINS = round((HIGH - LOW) / WIDTH)
BATCH = 256
RATE = 1e-3
DROPPED = 0.3
"""Of the peaks, and of the units, while training."""
PATIENCE = 10
"""Epochs without a lower loss on the compounds that training stops by."""
RADIUS, BITS = 2, 2048


@functools.cache
def _generator() -> object:
    return rdFingerprintGenerator.GetMorganGenerator(radius=RADIUS, fpSize=BITS)


@functools.lru_cache(maxsize=100_000)
def _bits(smiles: str) -> np.ndarray:
    return np.packbits(_generator().GetFingerprintAsNumPy(parse_smiles(smiles)))


def fingerprints(smiles: Sequence[str]) -> np.ndarray:
    """A row of bits for each structure.

    Raises:
        StructureError: RDKit refuses one.
    """
    return np.unpackbits(np.stack([_bits(one) for one in smiles]), axis=1).astype(np.float32)


class Encoders(nn.Module):
    """Both encoders; spectra and structures as vectors of norm 1."""

    def __init__(self, width: int = 512, dim: int = 256) -> None:
        super().__init__()
        self.bins = nn.EmbeddingBag(BINS, width, mode="sum")
        nn.init.normal_(self.bins.weight, std=0.05)
        self.known = nn.Linear(2, width)
        self.spectrum = nn.Sequential(
            nn.ReLU(), nn.Dropout(DROPPED), nn.Linear(width, width), nn.ReLU(), nn.Dropout(DROPPED),
            nn.Linear(width, dim),
        )  # fmt: skip
        self.structure = nn.Sequential(
            nn.Linear(BITS, 2 * width), nn.ReLU(), nn.Dropout(DROPPED), nn.Linear(2 * width, width), nn.ReLU(),
            nn.Dropout(DROPPED), nn.Linear(width, dim),
        )  # fmt: skip
        self.scale = nn.Parameter(torch.tensor(2.5))

    def spectra(self, bins: Tensor, heights: Tensor, offsets: Tensor, known: Tensor) -> Tensor:
        """Vectors of spectra, peaks one after the other."""
        summed = self.bins(bins, offsets, per_sample_weights=heights) + self.known(known)
        return nn.functional.normalize(self.spectrum(summed), dim=1)

    def structures(self, bits: Tensor) -> Tensor:
        """Vectors of structures."""
        return nn.functional.normalize(self.structure(bits), dim=1)


def batch_of(some: Spectra, chosen: np.ndarray, rng: np.random.Generator | None) -> tuple[Tensor, ...]:
    """Spectra as `Encoders.spectra` takes them; with a generator, peaks are dropped."""
    bins, heights, offsets = [], [], [0]
    for number in chosen.tolist():
        mz, intensity = some.peaks(number)
        keep = (mz >= LOW) & (mz < HIGH)
        if rng is not None:
            keep &= rng.random(len(mz)) > DROPPED * rng.random()
        height = np.sqrt(intensity[keep])
        bins.append(np.minimum(((mz[keep] - LOW) / WIDTH).astype(np.int64), BINS - 1))
        heights.append(height / max(float(np.linalg.norm(height)), 1e-9))
        offsets.append(offsets[-1] + len(height))
    known = np.stack([some.precursor_mz[chosen] / 1000, some.polarity[chosen]], axis=1)
    return (
        torch.from_numpy(np.concatenate(bins)),
        torch.from_numpy(np.concatenate(heights).astype(np.float32)),
        torch.tensor(offsets[:-1]),
        torch.from_numpy(known.astype(np.float32)),
    )


def loss_of(model: Encoders, vectors: Tensor, structures: Tensor) -> Tensor:
    """Cross-entropy of the right structure of a spectrum and of the right spectrum of a structure, in equal parts."""
    logits = model.scale.exp() * vectors @ structures.T
    right = torch.arange(len(logits))
    return (nn.functional.cross_entropy(logits, right) + nn.functional.cross_entropy(logits.T, right)) / 2


def batches(some: Spectra, rng: np.random.Generator) -> list[np.ndarray]:
    """A spectrum of each compound, in batches: of any mass, or of near mass, by turns."""
    by = np.argsort(some.compound, kind="stable")
    starts = np.searchsorted(some.compound[by], np.arange(len(some.smiles)))
    counts = np.bincount(some.compound, minlength=len(some.smiles))
    drawn = by[starts + (rng.random(len(counts)) * counts).astype(np.int64)]
    order = rng.permutation(len(drawn))
    if rng.random() < 0.5:
        order = np.argsort(some.precursor_mz[drawn] + rng.normal(0, 5, len(drawn)), kind="stable")
    parts = np.array_split(drawn[order], max(1, round(len(drawn) / BATCH)))
    return [parts[i] for i in rng.permutation(len(parts)).tolist()]


@dataclass(frozen=True, eq=False)
class Contrastive:
    """Trained encoders.

    Attributes:
        model: in evaluation mode.
        budget: what its training took.
    """

    model: Encoders
    budget: dict[str, Any]

    @classmethod
    def trained(cls, work: Path, seconds: float, say: Callable[[int, int], None]) -> Contrastive:
        """Train on `train.npz` of a folder, stop by `check.npz`; what a folder has already is opened."""
        place = work / "contrastive"
        model = Encoders()
        if (place / "budget.json").is_file():
            model.load_state_dict(torch.load(place / "model.pt", weights_only=True))
            return cls(model.eval(), json.loads((place / "budget.json").read_text(encoding="utf-8")))
        references, check = Spectra.load(work / "train.npz"), Spectra.load(work / "check.npz")
        budget = fit(model, references, check, seconds, say)
        place.mkdir(parents=True, exist_ok=True)
        torch.save(model.state_dict(), place / "model.pt")
        (place / "budget.json").write_text(json.dumps(budget, indent=1) + "\n", encoding="utf-8")
        return cls(model.eval(), budget)

    @torch.no_grad()
    def scorer(self, records: dict[str, Sequence[PeakList]]) -> Callable[[Question, str], list[np.ndarray]]:
        """Cosines of spectra and candidates."""
        vectors: dict[str, np.ndarray] = {}
        for kind, some in records.items():
            spectra = as_spectra(some, [str(i) for i in range(len(some))], {})
            parts = np.array_split(np.arange(len(some)), max(1, len(some) // 1000))
            made = [self.model.spectra(*batch_of(spectra, part, None)).numpy() for part in parts]
            vectors[kind] = np.concatenate(made)

        @torch.no_grad()
        def scores(question: Question, kind: str) -> list[np.ndarray]:
            bits = torch.from_numpy(fingerprints([one.smiles for one in question.candidates]))
            structures = self.model.structures(bits).numpy()
            return [structures @ vectors[kind][query] for query in question.queries]

        return scores


def fit(
    model: Encoders, references: Spectra, check: Spectra, seconds: float, say: Callable[[int, int], None]
) -> dict[str, Any]:
    """Train until the loss on other compounds no longer falls, or the CPU seconds are spent; the best is kept."""
    began = time.process_time()
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    bits = torch.from_numpy(fingerprints([str(s) for s in references.smiles]))
    other = torch.from_numpy(fingerprints([str(s) for s in check.smiles]))
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.05)
    firsts = [np.flatnonzero(check.compound == c) for c in range(len(check.smiles))]
    asked = [np.array([some[turn % len(some)] for some in firsts]) for turn in range(4)]
    best, kept, epoch, since = np.inf, copy.deepcopy(model.state_dict()), 0, 0
    while since < PATIENCE and time.process_time() - began < seconds:
        model.train()
        for chosen in batches(references, rng):
            loss = loss_of(
                model,
                model.spectra(*batch_of(references, chosen, rng)),
                model.structures(bits[references.compound[chosen]]),
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            known = model.structures(other)
            now = float(np.mean([loss_of(model, model.spectra(*batch_of(check, a, None)), known) for a in asked]))
        epoch, since = epoch + 1, since + 1
        if now < best:
            best, kept, since = now, copy.deepcopy(model.state_dict()), 0
        say(int(time.process_time() - began), int(seconds))
    model.load_state_dict(kept)
    return {
        "cpu_seconds": round(time.process_time() - began),
        "epochs": epoch,
        "best_epoch": epoch - since,
        "parameters": sum(p.numel() for p in model.parameters()),
    }
