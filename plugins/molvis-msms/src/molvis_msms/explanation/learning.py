"""Learns the model of fragments from spectra of known compounds whose peaks have formulas, and from foreign peaks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from molvis_core.chemistry.formula import parse_formula
from molvis_core.errors import TrainingError
from molvis_core.progress import StageProgress
from molvis_core.records import PeakList, Structure
from molvis_fragmentation.matching import CROSSED, NO_BOND
from molvis_fragmentation.molecule import BOND_CLASSES
from molvis_fragmentation.parts import parts as parts_of
from molvis_msms.explanation.composition import Composition, composition, element_counts, ion_counts, members
from molvis_msms.explanation.features import ENERGY, INSTRUMENT, match_numbers, peak_numbers
from molvis_msms.explanation.matching import PPM, Matches, match_peaks
from molvis_msms.explanation.model import NETWORK, FragmentModel, estimate_errors, without_prediction

FOREIGN, KNOWN, UNKNOWN = range(3)
"""What is known of a peak: it is of another compound; its formula; only that it is of this compound."""


@dataclass(frozen=True, eq=False, slots=True)
class Example:
    """A spectrum of a known compound with foreign peaks among its own.

    Attributes:
        codes: classes of the broken bonds of each match.
        numbers: of each match, and `peaks` of each peak, as `molvis_msms.explanation.features` makes them.
        evidence: of each match's mass error.
        peak: that each match is of.
        right: whether the formula of each match is that of its peak.
        kind: of each peak: `FOREIGN`, `KNOWN` or `UNKNOWN`.
        weight: of each peak in the loss.
    """

    codes: Int64[np.ndarray, "m c"]
    numbers: Float[np.ndarray, "m f"]
    peaks: Float[np.ndarray, "p g"]
    evidence: Float[np.ndarray, " m"]
    peak: Int64[np.ndarray, " m"]
    right: Bool[np.ndarray, " m"]
    kind: Int64[np.ndarray, " p"]
    weight: Float[np.ndarray, " p"]


def with_foreign(
    spectrum: PeakList, others: Sequence[PeakList], count: int, rng: np.random.Generator, *, ppm: float = PPM
) -> tuple[PeakList, Bool[np.ndarray, " p"]]:
    """A spectrum with peaks of other compounds' spectra among its own, and which they are.

    Peaks that coincide with one of its own are left out: they may be the same ion.

    Args:
        spectrum: of a compound.
        others: of other compounds, of the same polarity.
        count: how many peaks are added at most.
        rng: draws them, and their heights.
        ppm: within which peaks coincide; not less than 2 mDa.
    """
    limit = (spectrum.precursor_mz or np.inf) + 1.5
    pool = np.concatenate([np.empty(0), *(one.mz for one in others)])
    pool = rng.permutation(pool[pool < limit])
    reach = np.maximum(0.002, pool * 2 * ppm * 1e-6)
    apart = np.abs(pool[:, None] - spectrum.mz[None]).min(axis=1) > reach if len(spectrum) else np.ones(len(pool), bool)
    mz = pool[apart][:count]
    heights = rng.permutation(spectrum.intensity)[np.arange(len(mz)) % max(len(spectrum), 1)].astype(np.float64)
    heights = heights * np.exp(rng.normal(0, 0.7, len(mz)))
    every = np.concatenate([spectrum.mz, mz])
    order = np.argsort(every, kind="stable")
    both = np.concatenate([spectrum.intensity.astype(np.float64), heights])
    return replace(spectrum, mz=every[order], intensity=both[order]), (np.arange(len(every)) >= len(spectrum))[order]


def make_example(
    spectrum: PeakList,
    structure: Structure,
    formulas: Mapping[float, str],
    foreign: Bool[np.ndarray, " p"],
    *,
    ppm: float = PPM,
    weight: float = 1.0,
) -> Example:
    """A spectrum as arrays.

    Args:
        spectrum: with foreign peaks among its own.
        structure: of its compound.
        formulas: of ions by m/z, as far as they are known.
        foreign: which peaks are.
        ppm: tolerance of m/z.
        weight: of the spectrum in the loss.

    Raises:
        molvis_core.errors.StructureError: RDKit refuses the structure.
    """
    made, of = parts_of(structure.smiles), composition(structure.smiles)
    found = match_peaks(spectrum, structure.exact_mass, made, ppm)
    inside = members(made.sets[found.part], len(of.of))
    wanted = formulas_of_peaks(spectrum, formulas, foreign)
    right = right_matches(found, of, inside, wanted, spectrum.adduct)
    kind = np.where(foreign, FOREIGN, np.where([bool(w) for w in wanted], KNOWN, UNKNOWN)).astype(np.int64)
    matched = np.bincount(found.peak, minlength=len(spectrum))
    codes = found.rows[:, :CROSSED].astype(np.int64)
    return Example(
        codes=np.where(codes == NO_BOND, BOND_CLASSES, codes),
        numbers=match_numbers(found.rows, inside.sum(axis=1).astype(np.float64), len(of.of)),
        peaks=peak_numbers(spectrum, matched.astype(np.float64), len(made.sets), len(of.of)),
        evidence=estimate_errors(found, len(spectrum)).evidence(found.error),
        peak=found.peak,
        right=right,
        kind=kind,
        weight=np.full(len(spectrum), weight),
    )


def formulas_of_peaks(
    spectrum: PeakList, formulas: Mapping[float, str], foreign: Bool[np.ndarray, " p"]
) -> list[dict[str, int] | None]:
    """Elements of the ion that each peak is, where they are known."""
    mz = np.array(sorted(formulas))
    out: list[dict[str, int] | None] = []
    for value, strange in zip(spectrum.mz.tolist(), foreign.tolist(), strict=True):
        near = int(np.abs(mz - value).argmin()) if len(mz) else -1
        if strange or near < 0 or abs(mz[near] - value) > 0.003:
            out.append(None)
            continue
        try:
            out.append(parse_formula(formulas[float(mz[near])]))
        except ValueError:  # an isotope, which no substructure is
            out.append(None)
    return out


def right_matches(
    matches: Matches,
    of: Composition,
    inside: Bool[np.ndarray, "m a"],
    wanted: Sequence[Mapping[str, int] | None],
    adduct: str | None,
) -> Bool[np.ndarray, " m"]:
    """Whether each match has the formula of its peak.

    Args:
        matches: of a spectrum.
        of: elements of the molecule.
        inside: atoms of each match.
        wanted: as `formulas_of_peaks` finds them.
        adduct: of the spectrum.
    """
    counts = element_counts(of, inside)
    right = np.zeros(len(matches), dtype=bool)
    for k in range(len(matches)):
        if target := wanted[int(matches.peak[k])]:
            form = tuple(matches.forms[matches.form[k]].tolist())
            right[k] = ion_counts(of, counts[k], int(matches.gained[k]), form, adduct) == target
    return right


class _Network(nn.Module):
    """What `FragmentModel` computes, for training."""

    def __init__(self, dropout: float) -> None:
        super().__init__()
        for name, shape in NETWORK.items():
            fan = 0 if "bias" in name else next(iter(shape))
            start = torch.randn(shape) / fan**0.5 if fan else torch.zeros(shape)
            self.register_parameter(name, nn.Parameter(0.1 * torch.randn(shape) if name == "bonds" else start))
        self.dropout = nn.Dropout(dropout)

    def forward(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Logits of the matches and of the peaks without any."""
        p = dict(self.named_parameters())
        table = torch.cat([p["bonds"], torch.zeros(1, p["bonds"].shape[1])])
        of_peak = batch["peaks"] @ p["peak"] + p["bias"]
        hidden = nn.functional.silu(
            batch["numbers"] @ p["match"] + table[batch["codes"]].sum(1) + of_peak[batch["peak"]]
        )
        inner = nn.functional.silu(self.dropout(hidden) @ p["inner"] + p["inner_bias"])
        own = self.dropout(inner) @ p["out"] + p["out_bias"]
        none = nn.functional.silu(batch["peaks"] @ p["none"] + p["none_bias"]) @ p["none_out"] + p["none_out_bias"]
        return own + batch["evidence"], none


def _loss(own: Tensor, none: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
    """Minus the logarithm of the probability of what is known of each peak, weighed."""
    count, peak, kind = len(none), batch["peak"], batch["kind"]
    every = torch.logaddexp(none, log_sum(own, peak, count))
    right = log_sum(torch.where(batch["right"], own, torch.full_like(own, -30.0)), peak, count)
    some = torch.zeros(count, dtype=torch.bool).index_put((peak[batch["right"]],), torch.tensor(True))
    matched = torch.zeros(count, dtype=torch.bool).index_put((peak,), torch.tensor(True))
    fitting = log_sum(own, peak, count)
    target = torch.where((kind == KNOWN) & some, right, torch.where((kind == UNKNOWN) & matched, fitting, none))
    weight = batch["weight"] * torch.where(kind == UNKNOWN, 0.3, 1.0)
    return (weight * (every - target)).sum() / weight.sum()


def log_sum(values: Float[Tensor, " m"], group: Int64[Tensor, " m"], count: int) -> Float[Tensor, " p"]:
    """Logarithm of the sum of exponentials by group; -30 where a group has none.

    Args:
        values: of which the sums are.
        group: of each value.
        count: how many groups there are.
    """
    low = torch.full((count,), -30.0)
    top = low.scatter_reduce(0, group, values.detach(), "amax")
    total = torch.zeros(count).index_add(0, group, (values - top[group]).exp())
    return torch.where(total > 0, total.clamp_min(1e-30).log() + top, low)


_FORGOTTEN = 0.3
"""Share of the training spectra whose energy, and share whose instrument, is taken away."""


def _batch(examples: Sequence[Example], rng: np.random.Generator | None = None) -> dict[str, Tensor]:
    start = np.cumsum([0, *(len(e.kind) for e in examples[:-1])])
    peak = np.concatenate([e.peak + s for e, s in zip(examples, start.tolist(), strict=True)])
    made = {
        name: np.concatenate([getattr(e, name) for e in examples])
        for name in ("codes", "numbers", "peaks", "evidence", "right", "kind", "weight")
    }
    if rng is not None:
        for group in (ENERGY, INSTRUMENT):
            forgotten = np.repeat(rng.random(len(examples)) < _FORGOTTEN, [len(e.kind) for e in examples])
            made["peaks"][forgotten, group] = 0
    kinds = {"codes": torch.int64, "kind": torch.int64, "right": torch.bool}
    return {n: torch.from_numpy(a).to(kinds.get(n, torch.float32)) for n, a in made.items()} | {
        "peak": torch.from_numpy(peak)
    }


def learn(
    examples: Sequence[Example],
    validation: Sequence[Example],
    *,
    epochs: int = 8,
    batch: int = 32,
    learning_rate: float = 3e-3,
    dropout: float = 0.1,
    seed: int = 0,
    progress: StageProgress | None = None,
) -> tuple[FragmentModel, list[float]]:
    """The model of the epoch under which what is known of the validation peaks is likeliest, and the loss of each.

    Args:
        examples: of training compounds.
        validation: of other compounds.
        epochs: passes over the examples.
        batch: spectra in a step.
        learning_rate: of AdamW at its highest; it falls along a half cosine.
        dropout: of units.
        seed: of everything drawn.
        progress: called with the steps done, in all, and of what.

    Raises:
        TrainingError: there is nothing to learn from or to validate with.
    """
    if not examples or not validation:
        raise TrainingError(f"{len(examples)} spectra to learn from and {len(validation)} to validate with")
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    net = _Network(dropout)
    optimizer = torch.optim.AdamW(net.parameters(), lr=learning_rate, weight_decay=0.01)
    steps = epochs * -(-len(examples) // batch)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    held_out = [_batch(validation[s : s + 4 * batch]) for s in range(0, len(validation), 4 * batch)]
    best, kept, losses, done = np.inf, {}, [], 0
    for _ in range(epochs):
        net.train()
        order = rng.permutation(len(examples)).tolist()
        for start in range(0, len(order), batch):
            made = _batch([examples[i] for i in order[start : start + batch]], rng)
            optimizer.zero_grad()
            own, none = net(made)
            cost = _loss(own, none, made)
            cost.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 2.0)
            optimizer.step()
            schedule.step()
            done += 1
            if progress:
                progress(done, steps, "learning which substructures peaks are")
        net.eval()
        with torch.no_grad():
            weights = [float(one["weight"].sum()) for one in held_out]
            parts = [(*net(one), one) for one in held_out]
            costs = [float(_loss(own, none, one)) for own, none, one in parts]
            losses.append(float(np.average(costs, weights=weights)))
        if losses[-1] < best:
            best = losses[-1]
            kept = {name: p.detach().double().numpy().copy() for name, p in net.named_parameters()}
    return FragmentModel(kept | without_prediction()), losses
