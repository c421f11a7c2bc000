"""How the network from structures to spectra learns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from molvis_core.errors import TrainingError
from molvis_core.records import RankedQuery
from molvis_ei.derivatives import Form, forms_of, likely_form, readings
from molvis_ei.forward.network import ForwardNetwork, collate
from molvis_ei.preparation import unit_spectrum, weighed
from molvis_nn.loop import decay_groups, descend, on_cpu, seed_step, set_rate, warmup_cosine

_BATCH = 64
_RATE = 2e-3
_LEAST_ENERGY = 50.0
"""eV. Electrons of less break molecules less."""


@dataclass(frozen=True, eq=False)
class Lesson:
    """Spectra with the forms that they are of.

    Attributes:
        forms: what was measured.
        spectra: weighed heights.
        share: weight of each; spectra of a compound together weigh as the square root of their number.
    """

    forms: list[Form]
    spectra: Float[Tensor, "n mass"]
    share: Float[Tensor, " n"]

    @classmethod
    def of(cls, examples: Sequence[RankedQuery]) -> Lesson:
        """Those that are of a form which their structure can have, at the usual energy of the electrons."""
        forms: list[Form] = []
        rows: list[np.ndarray] = []
        owners: list[str] = []
        for one in examples:
            if one.record.energy is not None and one.record.energy < _LEAST_ENERGY:
                continue
            unit = unit_spectrum(one.record)
            found = forms_of(one.candidates[one.truth].smiles, readings(one.record, unit))
            if found and unit.any():
                forms.append(likely_form(found, unit))
                rows.append(weighed(unit))
                owners.append(one.compound)
        if not forms:
            raise TrainingError("ei-forward: there are no spectra to learn from")
        _, place, count = np.unique(owners, return_inverse=True, return_counts=True)
        share = torch.tensor(1 / np.sqrt(count[place]), dtype=torch.float32)
        return cls(forms, torch.from_numpy(np.array(rows, dtype=np.float32)), share)


def similarity(network: ForwardNetwork, lesson: Lesson) -> float:
    """Mean cosine of predicted and measured spectra, weighed by compound."""
    network.eval()
    with torch.no_grad():
        parts = [
            (network(collate(lesson.forms[i : i + 256])) * lesson.spectra[i : i + 256]).sum(dim=1)
            for i in range(0, len(lesson.forms), 256)
        ]
    return float((torch.cat(parts) * lesson.share).sum() / lesson.share.sum())


def learn(
    network: ForwardNetwork,
    lesson: Lesson,
    held_out: Lesson | None,
    *,
    epochs: int,
    seed: int,
    progress: Callable[[int], None],
) -> float:
    """Train a network, and leave it with the weights that predict the held-out spectra best.

    Args:
        network: with fresh weights.
        lesson: what it learns from.
        held_out: of other compounds; without any the last weights stay.
        epochs: passes over the spectra.
        seed: of everything drawn.
        progress: called with the number of epochs done.

    Returns:
        The mean cosine with the held-out spectra, or with those learned from where there are none.

    Raises:
        TrainingError: the loss is not finite.
    """
    optimizer = torch.optim.AdamW(decay_groups((network,), 0.02), lr=_RATE)
    batches = max(1, round(len(lesson.forms) / _BATCH))
    steps, best, kept = epochs * batches, -np.inf, on_cpu(network.state_dict())
    for epoch in range(epochs):
        order = np.array_split(np.random.default_rng([seed, epoch]).permutation(len(lesson.forms)), batches)
        network.train()
        for number, rows in enumerate(order):
            step = epoch * batches + number
            seed_step(seed, step)
            set_rate(optimizer, _RATE * warmup_cosine(step, steps, min(200, steps / 5)))
            descend(_loss(network, lesson, rows), optimizer, where=f"epoch {epoch + 1}, batch {number + 1}")
        if (epoch + 1) % 4 == 0 or epoch + 1 == epochs:
            value = similarity(network, held_out or lesson)
            if value > best or held_out is None:
                best, kept = value, on_cpu(network.state_dict())
        progress(epoch + 1)
    network.load_state_dict(kept)
    network.eval()
    return float(best)


def _loss(network: ForwardNetwork, lesson: Lesson, rows: np.ndarray) -> Tensor:
    """One minus the cosine of what is predicted and what was measured, substructures left out at random."""
    batch = collate([lesson.forms[i] for i in rows.tolist()])
    kept = replace(batch, counts=batch.counts * (torch.rand_like(batch.counts) > 0.1))
    cosine = (network(kept) * lesson.spectra[rows]).sum(dim=1)
    share = lesson.share[rows]
    return ((1 - cosine) * share).sum() / share.sum()
