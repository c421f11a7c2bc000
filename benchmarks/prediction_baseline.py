"""A NEIMS-like network for benchmarks/prediction.py: fingerprint and settings to bins of m/z, of losses too.

After J. N. Wei et al., Rapid prediction of electron-ionization mass spectrometry using neural networks, ACS Central
Science 5 (2019) 700, doi:10.1021/acscentsci.9b00085: a residual network over a circular fingerprint gives the intensity
of every bin, forward as an ion and backward as a loss from the precursor. Here bins are 0.01 Da wide and those that
five or more training compounds have, the settings stand beside the fingerprint, and one softmax over ions, losses and
the precursor is trained by cross-entropy and cosine, as the forward model is, so that the two differ in what they know
of a molecule and not in what they are asked.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from rdkit.Chem import rdFingerprintGenerator
from torch import Tensor, nn

from molvis_core.chemistry.structures import parse_smiles
from molvis_core.records import PeakList, Structure
from molvis_msms.forward.batches import peaks_of
from molvis_msms.forward.learning import Example, unlike
from molvis_msms.forward.settings import NUMBERS, Setting
from molvis_nn.loop import decay_groups, descend, seed_step, set_rate, warmup_cosine

BITS = 4096
BIN = 0.01
LEAST = 5
_GENERATOR = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=BITS)


def fingerprint(structure: Structure) -> np.ndarray:
    counts = _GENERATOR.GetCountFingerprintAsNumPy(parse_smiles(structure.smiles))
    return np.log1p(counts).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """Bins of ions of either polarity and of losses, with the mean of what was measured in each."""

    place: dict[tuple[int, int], int]
    mz: np.ndarray
    kind: np.ndarray

    @classmethod
    def of(cls, examples: Sequence[Example]) -> Vocabulary:
        """Bins that five or more compounds have."""
        owners: dict[tuple[int, int], set[int]] = {}
        sums: dict[tuple[int, int], list[float]] = {}
        for number, example in enumerate(examples):
            for spectrum in unlike(example.spectra, 8, np.random.default_rng(number)):
                for kind, value, _ in cls.peaks(example.structure, spectrum):
                    key = kind, round(value / BIN)
                    owners.setdefault(key, set()).add(number)
                    total = sums.setdefault(key, [0.0, 0.0])
                    total[0] += value
                    total[1] += 1
        keys = sorted(key for key, some in owners.items() if len(some) >= LEAST)
        mz = np.array([sums[key][0] / sums[key][1] for key in keys])
        return cls({key: i for i, key in enumerate(keys)}, mz, np.array([kind for kind, _ in keys]))

    @staticmethod
    def peaks(structure: Structure, spectrum: PeakList) -> list[tuple[int, float, float]]:
        """Kind (1 and -1 ions of either polarity, 0 losses), m/z or loss, and root intensity, of every peak."""
        setting = Setting.of(spectrum)
        precursor = setting.precursor_mz(structure.exact_mass)
        mz, heights = peaks_of(spectrum, precursor)
        below = mz < precursor - 0.5
        pairs = zip(mz[below].tolist(), np.sqrt(heights[below]).tolist(), strict=True)
        return [one for m, h in pairs for one in ((setting.sign, m, h), (0, precursor - m, h))]


class BinNetwork(nn.Module):
    """Fingerprint and settings to shares of ions, losses, the precursor and the rest."""

    def __init__(self, bins: int, width: int = 512, dropout: float = 0.3) -> None:
        super().__init__()
        self.first = nn.Linear(BITS + NUMBERS, width)
        self.layers = nn.ModuleList([nn.Linear(width, width) for _ in range(3)])
        self.norms = nn.ModuleList([nn.LayerNorm(width) for _ in range(4)])
        self.dropout, self.out = nn.Dropout(dropout), nn.Linear(width, bins + 2)
        nn.init.normal_(self.out.weight, std=0.02)

    def forward(self, x: Tensor, possible: Tensor) -> Tensor:
        """Logarithms of the shares."""
        h = self.first(x)
        for layer, norm in zip(self.layers, self.norms, strict=False):
            h = h + self.dropout(nn.functional.silu(layer(norm(h))))
        return self.out(nn.functional.silu(self.norms[-1](h))).masked_fill(~possible, -1e4).log_softmax(1)


class Baseline:
    """The trained network."""

    def __init__(self, vocabulary: Vocabulary, network: BinNetwork) -> None:
        self.vocabulary, self.network = vocabulary, network
        self._known: dict[str, np.ndarray] = {}

    def inputs(self, structure: Structure, setting: Setting) -> tuple[np.ndarray, np.ndarray, float]:
        """What the network sees, which bins there can be, and the precursor."""
        if structure.smiles not in self._known:
            self._known[structure.smiles] = fingerprint(structure)
        precursor = setting.precursor_mz(structure.exact_mass)
        numbers = setting.numbers(structure.exact_mass, parse_smiles(structure.smiles).GetNumHeavyAtoms())
        kind, mz = self.vocabulary.kind, self.vocabulary.mz
        can = np.where(kind == 0, mz < precursor - 25, (kind == setting.sign) & (mz < precursor - 0.5))
        return np.concatenate([self._known[structure.smiles], numbers]), np.append(can, [True, True]), precursor

    def predict(self, structure: Structure, setting: Setting) -> PeakList:
        """A spectrum."""
        x, can, precursor = self.inputs(structure, setting)
        with torch.inference_mode():
            shares = self.network(torch.from_numpy(x)[None], torch.from_numpy(can)[None])[0].exp().numpy()
        vocabulary = self.vocabulary
        mz = np.append(np.where(vocabulary.kind == 0, precursor - vocabulary.mz, vocabulary.mz), precursor)
        shares = np.where(can[:-1], shares[:-1], 0)
        kept = np.flatnonzero(shares >= 0.02 * shares.max())
        order = kept[np.argsort(mz[kept])]
        # An ion and a loss of one m/z are one peak.
        start = np.flatnonzero(np.diff(mz[order], prepend=-1.0) > BIN / 2)
        summed = np.add.reduceat(shares[order], start)
        centre = np.add.reduceat(shares[order] * mz[order], start) / summed
        return PeakList(centre, (summed / summed.max()) ** 2, precursor_mz=precursor)


def train(examples: Sequence[Example], *, seconds: float, epochs: int = 12, seed: int = 0) -> Baseline:
    """Train for as many epochs as fit in a budget of CPU seconds, of which the rate falls along a half cosine."""
    vocabulary = Vocabulary.of(examples)
    seed_step(seed, 0)
    baseline = Baseline(vocabulary, BinNetwork(len(vocabulary.mz)))
    network = baseline.network
    optimizer = torch.optim.AdamW(decay_groups([network], 0.01), lr=1e-3)
    steps, began = epochs * (len(examples) // 16), time.process_time()
    print(len(vocabulary.mz), "bins", steps, "steps", flush=True)
    for step in range(steps):
        # The rate falls to nothing at the end of whichever comes first, the epochs or the time.
        done = max(step, steps * (time.process_time() - began) / seconds)
        if done >= steps:
            print("out of time at step", step, "of", steps, flush=True)
            break
        rng = np.random.default_rng([seed, step])
        some = [examples[i] for i in rng.choice(len(examples), 16, replace=False).tolist()]
        drawn = [(one.structure, s) for one in some for s in unlike(one.spectra, 4, rng)]
        set_rate(optimizer, 1e-3 * warmup_cosine(round(done), steps, 0.03 * steps))
        network.train()
        descend(_loss(baseline, drawn), optimizer, clip=2.0, where=f"step {step}")
    network.eval()
    return baseline


def _loss(baseline: Baseline, drawn: Sequence[tuple[Structure, PeakList]]) -> Tensor:
    """Cross-entropy less cosine, as of the forward model: what no bin explains counts as elsewhere."""
    made = [baseline.inputs(structure, Setting.of(spectrum)) for structure, spectrum in drawn]
    log_shares = baseline.network(
        torch.from_numpy(np.stack([x for x, _, _ in made])), torch.from_numpy(np.stack([can for _, can, _ in made]))
    )
    place, last = baseline.vocabulary.place, log_shares.shape[1] - 2
    share: list[float] = []
    owner: list[int] = []
    pairs: list[tuple[int, int]] = []
    for row, ((structure, spectrum), (_, _, precursor)) in enumerate(zip(drawn, made, strict=True)):
        mz, heights = peaks_of(spectrum, precursor)
        total = float(np.sqrt(heights).sum())
        both = Vocabulary.peaks(structure, spectrum)
        for (kind, value, height), (_, loss, _) in zip(both[::2], both[1::2], strict=True):
            bins = {place.get((kind, round(value / BIN))), place.get((0, round(loss / BIN)))} - {None}
            pairs += [(len(share), int(one)) for one in bins if one is not None]
            share.append(height / total)
            owner.append(row)
        pairs.append((len(share), last))
        share.append(float(np.sqrt(heights[mz >= precursor - 0.5]).sum()) / total)
        owner.append(row)
    shares, owners, place_of = log_shares.exp(), torch.tensor(owner), torch.tensor(pairs)
    measured = torch.tensor(share)
    found = torch.zeros(len(share)).index_add(0, place_of[:, 0], shares[owners[place_of[:, 0]], place_of[:, 1]])
    explained = torch.zeros(len(share)).index_fill(0, place_of[:, 0], 1.0) > 0
    surprise = torch.where(explained, -found.clamp_min(1e-9).log(), -log_shares[:, -1][owners])
    nothing = torch.zeros(len(drawn))
    square = nothing.index_add(0, owners, measured.square()) * shares[:, :-1].square().sum(1)
    cosine = nothing.index_add(0, owners, found * measured) / square.clamp_min(1e-16).sqrt()
    return (nothing.index_add(0, owners, surprise * measured) - cosine).mean()
