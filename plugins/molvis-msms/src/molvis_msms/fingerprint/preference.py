"""A linear map of what a regression predicts, learned so that the truth is preferred to other structures of its mass.

A regression makes its errors small. What is asked of it is to tell structures of one mass apart, which few of its
directions do. Its predictions for spectra that it did not learn from are known (`left_out`), so that the map learns
from the same compounds. As in `molvis_msms.fingerprint.learning`, what is compared is by how much more a spectrum
prefers a structure than another compound's spectrum of nearly its mass does.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor
from torch.nn import functional

from molvis_msms.fingerprint.corpus import Corpus
from molvis_nn.loop import seed_step

_RATE, _TEMPERATURE_RATE = 5e-4, 1e-2
_PULL = 0.003
"""Towards the map that changes nothing."""
_LOG_SHARPNESS = 3.0
"""To start from: cosines are multiplied by its exponential."""
_NEAR = 20
"""How many spectra up and down in mass the one to compare with is drawn from."""
_APART = 0.02
"""Da. Compounds nearer in mass may be isomers, whose spectra are alike for good reason."""
_BATCH = 128
_TRIES = 20


def preferring(
    predicted: Float[np.ndarray, "n k"],
    truth: Float[np.ndarray, "c k"],
    rivals: Float[np.ndarray, "r k"],
    corpus: Corpus,
    *,
    epochs: int,
    seed: int,
    progress: Callable[[int], None],
) -> Float32[np.ndarray, "k k"]:
    """The map, to be applied from the right to predictions of unit length.

    Args:
        predicted: for each spectrum by what was learned from other compounds; of unit length.
        truth: where the compounds lie; of unit length.
        rivals: where other structures do.
        corpus: whose spectra, compounds and rivals they are.
        epochs: of training.
        seed: of everything drawn.
        progress: called with the epochs that are done.
    """
    size = predicted.shape[1]
    spectra, true, others = (torch.from_numpy(x.astype(np.float32)) for x in (predicted, truth, rivals))
    windows = _windows(corpus)
    matrix = torch.eye(size).requires_grad_()
    log_sharpness = torch.tensor(_LOG_SHARPNESS, requires_grad=True)
    optimizer = torch.optim.Adam(
        [{"params": [matrix], "lr": _RATE}, {"params": [log_sharpness], "lr": _TEMPERATURE_RATE}]
    )
    draw = _Strangers(corpus)
    for epoch in range(epochs):
        seed_step(seed, epoch)
        rng = np.random.default_rng([seed, 17, epoch])
        for rows in np.array_split(order := rng.permutation(len(spectra)), max(1, len(order) // _BATCH)):
            compounds = corpus.compound[rows]
            window = windows[compounds]
            lead = (spectra[rows] - spectra[draw(rows, rng)]) @ matrix
            candidates = torch.cat([true[compounds][:, None], others[window.clamp_min(0)]], dim=1)
            logits = (candidates @ lead[:, :, None]).squeeze(-1) * log_sharpness.exp()
            absent = functional.pad(window < 0, (1, 0), value=False)
            away = _PULL * (matrix - torch.eye(size)).square().sum()
            loss = functional.cross_entropy(logits.masked_fill(absent, -torch.inf), _firsts(rows)) + away
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        progress(epoch + 1)
    return matrix.detach().numpy()


def _firsts(rows: np.ndarray) -> Tensor:
    return torch.zeros(len(rows), dtype=torch.int64)


def _windows(corpus: Corpus) -> Tensor:
    """Rivals of each compound, one compound to a row, filled up with -1."""
    out = np.full((len(corpus.windows), max(1, max(map(len, corpus.windows), default=0))), -1)
    for row, window in zip(out, corpus.windows, strict=True):
        row[: len(window)] = window
    return torch.from_numpy(out)


class _Strangers:
    """Draws for each spectrum one of another compound of nearly its mass and the same ion mode."""

    def __init__(self, corpus: Corpus) -> None:
        self.corpus = corpus
        self.order = np.lexsort((corpus.precursor, corpus.negative))
        self.place = np.empty(len(self.order), dtype=np.int64)
        self.place[self.order] = np.arange(len(self.order))

    def __call__(self, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Itself, which prefers nothing to itself, where there is none."""
        corpus, found = self.corpus, rows.copy()
        left = np.arange(len(rows))
        for _ in range(_TRIES):
            step = rng.integers(-_NEAR, _NEAR + 1, size=len(left))
            other = self.order[np.clip(self.place[rows[left]] + step, 0, len(self.order) - 1)]
            mine = rows[left]
            good = (
                (corpus.negative[other] == corpus.negative[mine])
                & (corpus.compound[other] != corpus.compound[mine])
                & (np.abs(corpus.precursor[other] - corpus.precursor[mine]) > _APART)
            )
            found[left[good]] = other[good]
            left = left[~good]
        return found
