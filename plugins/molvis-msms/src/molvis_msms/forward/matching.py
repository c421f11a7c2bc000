"""How like a predicted spectrum is to a measured one, where a network says what each peak is worth.

The likelihood of the measured peaks counts each by its height. What a peak is worth depends on more: a small one far
below the precursor that was predicted to be high says something else than a high one beside it. Small networks learn
that from spectra of compounds that the forward model has not learned from, among candidates of equal mass. They see
peaks, what was predicted for them, and how much was predicted that is missing; of a structure they see nothing else.

They learn from the validation fold, on which the weights of all evidence are calibrated after them. So compounds are in
five parts, and each part has networks that have not seen it: calibration asks for a compound's score by these alone.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int64
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from molvis_core.errors import BundleError
from molvis_files.writing import replacing
from molvis_msms.forward.ladder import Ladder, Tolerance, within
from molvis_nn.loop import descend, seed_step, set_rate, warmup_cosine

BACKGROUND = 0.002
"""Share of root intensity that any peak has, whatever the candidate: what a peak is worth is measured against it."""
FILE = "matching.safetensors"
PARTS = 5
"""Of the compounds that are learned from."""
LEAST = 50
"""Compounds. From fewer nothing is learned."""
_NETWORKS = 2
"""For each part."""
_HIDDEN, _DROPOUT = 24, 0.1
EPOCHS = 30
_BATCH, _DRAWS = 16, 2
_RATE, _DECAY = 3e-3, 0.02
_SUMS, _OF_PEAK, _OF_MISSING = 3, 7, 6


@dataclass(frozen=True, eq=False, slots=True)
class Compared:
    """A measured spectrum beside those that were predicted for candidates.

    Attributes:
        sums: of each candidate the mean logarithm of how much more probable its peaks are than the background's, the
            cosine of root intensities, and the former times the logarithm of one more than the number of peaks.
        candidate: of each measured peak that was predicted for one, for which.
        known: of each such peak what the networks see.
        worth: of each such peak, its part of the first sum.
        missing: what was predicted and not measured, of each candidate, less the mean of all.
        peaks: how many were measured.
    """

    sums: Float[np.ndarray, "m 3"]
    candidate: Int64[np.ndarray, " k"]
    known: Float[np.ndarray, "k 7"]
    worth: Float[np.ndarray, " k"]
    missing: Float[np.ndarray, "m 6"]
    peaks: int


def beside(
    mz: Float[np.ndarray, " p"],
    share: Float[np.ndarray, " p"],
    precursor_mz: float,
    predicted: Iterable[tuple[Ladder, Float[np.ndarray, " g"]]],
    tolerance: Tolerance,
) -> Compared:
    """Put a measured spectrum beside predicted ones.

    Args:
        mz: of the measured peaks below the precursor, ascending, at least one.
        share: of each in the root intensity.
        precursor_mz: of the measured spectrum.
        predicted: ladder and shares of its peaks, of each candidate.
        tolerance: of m/z.
    """
    pairs = [_one(mz, share, one, shares, tolerance) for one, shares in predicted]
    found = np.array([one for one, _, _ in pairs]).reshape(-1, len(mz))
    missing = np.array([one for _, one, _ in pairs]).reshape(-1, _OF_MISSING)
    logs = np.log1p(found / BACKGROUND)
    likelihood = logs @ share
    norm = np.array([one for _, _, one in pairs])
    cosine = np.divide(found @ share, norm, out=np.zeros(len(norm)), where=norm > 0)
    sums = np.stack([likelihood, cosine, likelihood * math.log1p(len(mz))], axis=1)
    row, peak = np.nonzero(found > 1e-5)
    log, mine, height = logs[row, peak], found[row, peak], share[peak]
    relative = np.log(height + 1e-4)
    known = np.stack(
        [
            log / 4,
            relative / 3,
            height * 3,
            mz[peak] / precursor_mz,
            mz[peak] / 300,
            np.full(len(peak), math.log1p(len(mz)) / 3),
            (np.log(mine + 1e-4) - relative) / 3,
        ],
        axis=1,
    )
    return Compared(sums, row, known, log * height, missing - missing.mean(axis=0), len(mz))


def _one(
    mz: np.ndarray, share: np.ndarray, one: Ladder, shares: np.ndarray, tolerance: Tolerance
) -> tuple[np.ndarray, tuple[float, ...], float]:
    """Shares predicted for each measured peak; what is missing; and the product of both norms."""
    below = one.peaks < one.precursor_mz - 0.5
    peaks, mine = one.peaks[below], shares[below].astype(np.float64)
    peak, group = within(peaks, mz, tolerance)
    found = np.bincount(peak, mine[group], minlength=len(mz))
    absent = np.ones(len(mine), dtype=bool)
    absent[group] = False
    # Below the lowest measured peak nothing may have been looked for.
    seen = absent & (peaks >= mz[0] - 1)
    norm = math.sqrt(float(mine @ mine))
    missing = (
        float(mine.sum()),
        float(mine[absent].sum()),
        float(mine[absent & ~seen].sum()),
        3 * math.sqrt(float((mine[seen] ** 2).sum())),
        3 * norm,
        float(mine[seen & (peaks < one.precursor_mz / 2)].sum()),
    )
    return found, missing, norm * math.sqrt(float(share @ share))


class MatchNetwork(nn.Module):
    """What peaks are worth, added up over those of each candidate; and what is missing."""

    def __init__(self) -> None:
        super().__init__()
        self.peak = nn.Sequential(
            nn.Linear(_OF_PEAK, _HIDDEN), nn.SiLU(), nn.Dropout(_DROPOUT),
            nn.Linear(_HIDDEN, _HIDDEN), nn.SiLU(), nn.Dropout(_DROPOUT),
            worth := nn.Linear(_HIDDEN, 2),
        )  # fmt: skip
        self.missing = nn.Sequential(nn.Linear(_OF_MISSING, 8), nn.SiLU(), missed := nn.Linear(8, 1))
        self.sums = nn.Linear(_SUMS, 1, bias=False)
        with torch.no_grad():  # it begins with what the sums alone say
            for zero in (worth.weight, worth.bias, missed.weight):
                zero.zero_()
            self.sums.weight.copy_(torch.tensor([[0.0, 3.0, 1.0]]))

    def forward(self, batch: MatchBatch) -> Float[Tensor, " m"]:
        """A logit of each candidate."""
        worth = self.peak(batch.known) * batch.worth[:, None]
        total = worth.new_zeros(len(batch.sums), 2).index_add_(0, batch.candidate, worth)
        added = 4 * (total[:, 0] + total[:, 1] * batch.many)
        return self.sums(batch.sums)[:, 0] + added + self.missing(batch.missing)[:, 0]


@dataclass(frozen=True, eq=False, slots=True)
class MatchBatch:
    """Several queries, their candidates end to end.

    Attributes:
        sums, missing: of each candidate.
        many: logarithm of one more than the number of peaks of its query.
        query: of each candidate.
        candidate, known, worth: of each pair of a candidate and a peak that was predicted for it.
    """

    sums: Float[Tensor, "m 3"]
    missing: Float[Tensor, "m 6"]
    many: Float[Tensor, " m"]
    query: Int64[Tensor, " m"]
    candidate: Int64[Tensor, " k"]
    known: Float[Tensor, "k 7"]
    worth: Float[Tensor, " k"]

    @classmethod
    def of(cls, every: Sequence[Compared]) -> MatchBatch:
        """Put queries together."""
        counts = np.array([len(one.sums) for one in every])
        starts = np.cumsum(counts) - counts
        owner = np.repeat(np.arange(len(every)), counts)
        many = np.log1p([one.peaks for one in every])[owner]
        candidate = np.concatenate([one.candidate + start for one, start in zip(every, starts, strict=True)])
        return cls(
            _tensor(np.concatenate([one.sums for one in every])),
            _tensor(np.concatenate([one.missing for one in every])),
            _tensor(many),
            torch.from_numpy(owner),
            torch.from_numpy(candidate),
            _tensor(np.concatenate([one.known for one in every])),
            _tensor(np.concatenate([one.worth for one in every])),
        )


def _tensor(values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.asarray(values, dtype=np.float32))


class Matching:
    """Networks of each part of the compounds, which have learned from the other parts.

    Args:
        networks: those of the first part, then those of the second, and so on; as many for each.
        parts: whose networks are asked; all of them where it is empty.
    """

    def __init__(self, networks: Sequence[MatchNetwork], parts: Collection[int] = ()) -> None:
        self.networks = tuple(network.eval().requires_grad_(False) for network in networks)
        self.parts = frozenset(parts)

    def without(self, compounds: Collection[str]) -> Matching:
        """The same by networks that have not learned from these compounds, named by the first blocks of InChIKeys.

        Where they are in several parts, by those of all of these: no network has learned from none of them.
        """
        return Matching(self.networks, self.parts | {part_of(one) for one in compounds})

    def __call__(self, compared: Compared) -> Float[np.ndarray, " m"]:
        """A logit of each candidate, a mean over the networks."""
        each = len(self.networks) // PARTS
        asked = [one for i, one in enumerate(self.networks) if not self.parts or i // each in self.parts]
        batch = MatchBatch.of([compared])
        with torch.inference_mode():
            return torch.stack([network(batch) for network in asked]).mean(0).double().numpy()

    def save(self, folder: Path) -> None:
        """Write the weights."""
        tensors = {f"{i}.{k}": v for i, one in enumerate(self.networks) for k, v in one.state_dict().items()}
        with replacing(folder / FILE) as fresh:
            save_file(tensors, fresh)

    @classmethod
    def load(cls, folder: Path) -> Matching | None:
        """What `save` wrote; None where nothing was learned. Nothing in it is executed.

        Raises:
            BundleError: it is damaged.
        """
        file = folder / FILE
        if not file.is_file():
            return None
        try:
            tensors = load_file(file)
            count = 1 + max(int(name.partition(".")[0]) for name in tensors)
            if count % PARTS:
                raise ValueError(f"{count} networks for {PARTS} parts")
            networks = [MatchNetwork() for _ in range(count)]
            for number, network in enumerate(networks):
                head = f"{number}."
                network.load_state_dict({k.removeprefix(head): v for k, v in tensors.items() if k.startswith(head)})
            return cls(networks)
        except (OSError, ValueError, RuntimeError, SafetensorError) as error:
            raise BundleError(f"{file}: no networks of a match, or damaged: {error}") from error


def part_of(compound: str) -> int:
    """The part of a compound, by the first block of its InChIKey."""
    return int.from_bytes(hashlib.blake2b(compound.encode(), digest_size=4).digest()) % PARTS


def learn_matching(
    queries: Mapping[str, Sequence[tuple[Compared, int]]],
    *,
    epochs: int = EPOCHS,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Matching | None:
    """Train the networks; None where there are fewer than fifty compounds.

    Args:
        queries: of each compound, with the place of the truth among the candidates, of which there are several.
        epochs: each sees two queries of every compound.
        seed: of everything drawn.
        progress: called with the epochs done, and all of them.

    Raises:
        molvis_core.errors.TrainingError: the loss is not finite.
    """
    if len(queries) < LEAST:
        return None
    total = PARTS * _NETWORKS * epochs
    networks: list[MatchNetwork] = []
    for part in range(PARTS):
        others = [list(some) for key, some in queries.items() if part_of(key) != part]
        for number in range(_NETWORKS):
            if progress:
                progress(len(networks) * epochs, total)
            networks.append(_network(others, [seed, part, number], epochs))
    if progress:
        progress(total, total)
    return Matching(networks)


def _network(compounds: Sequence[Sequence[tuple[Compared, int]]], seeds: Sequence[int], epochs: int) -> MatchNetwork:
    """A network that has learned from some compounds, each of which counts the same."""
    rng = np.random.default_rng(seeds)
    seed = int(rng.integers(1 << 31))
    seed_step(seed, 0)
    network = MatchNetwork().train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=_RATE, weight_decay=_DECAY)
    batches = max(1, len(compounds) * _DRAWS // _BATCH)
    for epoch in range(epochs):
        drawn = [some[int(rng.integers(len(some)))] for some in compounds for _ in range(_DRAWS)]
        for place, order in enumerate(np.array_split(rng.permutation(len(drawn)), batches)):
            step = epoch * batches + place
            seed_step(seed, step)
            set_rate(optimizer, _RATE * warmup_cosine(step, epochs * batches, 0))
            mine = [drawn[i] for i in order.tolist()]
            descend(_loss(network, mine), optimizer, where=f"step {step} of the match")
    return network


def _loss(network: MatchNetwork, some: Sequence[tuple[Compared, int]]) -> Tensor:
    """Cross-entropy of the truths among their candidates, a mean over the queries."""
    batch = MatchBatch.of([one for one, _ in some])
    logits = network(batch)
    count = len(some)
    highest = logits.new_full((count,), -math.inf).scatter_reduce(0, batch.query, logits, "amax").detach()
    total = logits.new_zeros(count).index_add_(0, batch.query, (logits - highest[batch.query]).exp())
    sizes = torch.bincount(batch.query, minlength=count)
    truths = sizes.cumsum(0) - sizes + torch.tensor([truth for _, truth in some])
    return (total.log() + highest - logits[truths]).mean()
