"""Molecules and settings as one batch, with the measured spectra to learn from where there are some."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from molvis_core.records import PeakList
from molvis_msms.forward.ladder import FORMS, NO_STRAYS, SHIFTS, Ladder, Strays, Tolerance, ladder, within
from molvis_msms.forward.pieces import ATOM_NUMBERS, BOND_NUMBERS, COUNTS, PART_NUMBERS, Pieces
from molvis_msms.forward.settings import NUMBERS, Setting

PEAKS = 128
"""Of a measured spectrum that are learned from: the highest."""


@dataclass(frozen=True, eq=False, slots=True)
class Batch:
    """Molecules of up to A atoms and F parts, and n spectra of them. An atom, a bond or a part more is none.

    Attributes:
        atoms: numbers of the atoms of all molecules, one after the other.
        owner: which molecule each atom is of.
        ends: bonds in both directions as places among all atoms: the kept one, the lost one.
        bonds: numbers of each.
        classes: of each.
        counts: of the molecules.
        members: which atoms of its molecule are in a part.
        crossing: which bonds of its molecule leave it.
        atom_place, bond_place: of each atom and bond in its molecule.
        bond_owner: which molecule each bond is of.
        parts: numbers of the parts.
        molecule: of each spectrum.
        settings: of each spectrum.
        forms: how many of the forms are looked at.
        form: which code the forms of each spectrum have, in their order.
        ladders: of each spectrum.
        possible: which entries there can be.
        group: which peak each entry adds to.
    """

    atoms: Float[Tensor, "a f"]
    owner: Int64[Tensor, " a"]
    ends: Int64[Tensor, "d 2"]
    bonds: Float[Tensor, "d g"]
    classes: Int64[Tensor, " d"]
    counts: Float[Tensor, "m c"]
    members: Float[Tensor, "m p w"]
    crossing: Float[Tensor, "m p x"]
    atom_place: Int64[Tensor, " a"]
    bond_place: Int64[Tensor, " d"]
    bond_owner: Int64[Tensor, " d"]
    parts: Float[Tensor, "m p k"]
    molecule: Int64[Tensor, " n"]
    settings: Float[Tensor, "n s"]
    form: Int64[Tensor, "n v"]
    ladders: tuple[Ladder, ...]
    possible: Bool[Tensor, "n e"]
    group: Int64[Tensor, "n e"]

    def __len__(self) -> int:
        return len(self.molecule)


@dataclass(frozen=True, eq=False, slots=True)
class Measured:
    """Peaks of the spectra of a batch, and which groups of their ladders each agrees with.

    Attributes:
        share: of the root intensity of its spectrum, for each peak of all spectra.
        owner: spectrum of each peak.
        peak, group: pairs of a peak and a group of its spectrum that agree.
    """

    share: Float[Tensor, " p"]
    owner: Int64[Tensor, " p"]
    peak: Int64[Tensor, " k"]
    group: Int64[Tensor, " k"]


def collate(molecules: Sequence[Pieces], settings: Sequence[Sequence[Setting]], strays: Strays = NO_STRAYS) -> Batch:
    """Molecules, each with the settings that it is wanted at.

    Args:
        molecules: at least one.
        settings: of each molecule; the spectra come in their order.
        strays: fragments beside the parts.
    """
    sizes = [len(m.atoms) for m in molecules]
    number, wide = len(molecules), max(len(m.parts.mass) for m in molecules)
    members = np.zeros((number, wide, max(sizes)), dtype=np.float32)
    crossing = np.zeros((number, wide, max(1, *(len(m.ends) for m in molecules))), dtype=np.float32)
    numbers = np.zeros((number, wide, PART_NUMBERS), dtype=np.float32)
    for place, made in enumerate(molecules):
        inside = made.members()
        leaving = made.crossing(inside)
        members[place, : len(inside), : inside.shape[1]] = inside
        crossing[place, : len(inside), : leaving.shape[1]] = leaving
        numbers[place, : len(inside)] = made.numbers(inside, leaving)
    starts = np.cumsum([0, *sizes[:-1]]).tolist()
    ladders = [_ladders(made, some, strays) for made, some in zip(molecules, settings, strict=True)]
    flat = tuple(one for some in ladders for one in some)
    possible, group, form = padded(flat, wide, len(strays))
    return Batch(
        atoms=_tensor([m.atoms for m in molecules], ATOM_NUMBERS),
        owner=torch.repeat_interleave(torch.tensor(sizes)),
        ends=torch.from_numpy(np.concatenate([m.ends + s for m, s in zip(molecules, starts, strict=True)])),
        bonds=_tensor([m.bonds for m in molecules], BOND_NUMBERS),
        classes=torch.from_numpy(np.concatenate([m.classes for m in molecules])),
        counts=_tensor([m.counts[None] for m in molecules], COUNTS),
        members=torch.from_numpy(members),
        crossing=torch.from_numpy(crossing),
        atom_place=torch.cat([torch.arange(s) for s in sizes]),
        bond_place=torch.cat([torch.arange(len(m.ends)) for m in molecules]),
        bond_owner=torch.repeat_interleave(torch.tensor([len(m.ends) for m in molecules])),
        parts=torch.from_numpy(numbers),
        molecule=torch.repeat_interleave(torch.tensor([len(some) for some in settings])),
        settings=_tensor(
            [
                s.numbers(m.exact_mass, len(m.atoms))[None]
                for m, some in zip(molecules, settings, strict=True)
                for s in some
            ],
            NUMBERS,
        ),
        form=torch.from_numpy(form),
        ladders=flat,
        possible=torch.from_numpy(possible),
        group=torch.from_numpy(group),
    )


def _tensor(some: Sequence[np.ndarray], wide: int) -> Tensor:
    return torch.from_numpy(np.concatenate([one.reshape(-1, wide) for one in some]).astype(np.float32))


def _ladders(made: Pieces, settings: Sequence[Setting], strays: Strays) -> list[Ladder]:
    """A ladder for each setting; those of one adduct share theirs."""
    known: dict[tuple[str | None, int], Ladder] = {}
    for one in settings:
        if (key := (one.adduct, one.sign)) not in known:
            known[key] = ladder(made, one, strays)
    return [known[one.adduct, one.sign] for one in settings]


def padded(
    flat: Sequence[Ladder], wide: int, strays: int
) -> tuple[Bool[np.ndarray, "n e"], Int64[np.ndarray, "n e"], Int64[np.ndarray, "n v"]]:
    """Entries of all ladders in places that they share: parts by forms by shifts, strays, the precursor.

    Args:
        flat: the ladders.
        wide: parts that each is given room for.
        strays: how many there are.

    Returns:
        Which entries there can be, which peak each adds to, and the codes of each ladder's forms.
    """
    deep = max(one.shape[1] for one in flat)
    inner = wide * deep * SHIFTS
    possible = np.zeros((len(flat), inner + strays + 1), dtype=bool)
    group = np.zeros(possible.shape, dtype=np.int64)
    form = np.zeros((len(flat), deep), dtype=np.int64)
    most = max(len(one.peaks) for one in flat)
    for n, one in enumerate(flat):
        count, forms, _ = one.shape
        form[n, :forms] = np.minimum(one.forms[:, 3].astype(np.int64), FORMS - 1)
        can = np.zeros((wide, deep, SHIFTS), dtype=bool)
        to = np.full((wide, deep, SHIFTS), most, dtype=np.int64)
        own = count * forms * SHIFTS
        can[:count, :forms] = one.possible[:own].reshape(one.shape)
        to[:count, :forms] = one.group[:own].reshape(one.shape)
        possible[n] = np.concatenate([can.ravel(), one.possible[own:]])
        group[n] = np.concatenate([to.ravel(), one.group[own:]])
    return possible, np.where(possible, group, most), form


def measure(batch: Batch, spectra: Sequence[PeakList], tolerance: Tolerance) -> Measured:
    """Peaks of the spectra of a batch.

    Args:
        batch: of the same spectra.
        spectra: what was measured.
        tolerance: of m/z.
    """
    share: list[np.ndarray] = []
    owner: list[np.ndarray] = []
    pairs: list[tuple[np.ndarray, np.ndarray]] = []
    before = 0
    for n, (spectrum, rungs) in enumerate(zip(spectra, batch.ladders, strict=True)):
        mz, heights = peaks_of(spectrum, rungs.precursor_mz)
        peak, group = within(rungs.peaks, mz, tolerance)
        roots = np.sqrt(heights)
        share.append(roots / max(float(roots.sum()), 1e-12))
        owner.append(np.full(len(mz), n))
        pairs.append((peak + before, group))
        before += len(mz)
    return Measured(
        share=torch.from_numpy(np.concatenate(share).astype(np.float32)),
        owner=torch.from_numpy(np.concatenate(owner)),
        peak=torch.from_numpy(np.concatenate([one for one, _ in pairs])),
        group=torch.from_numpy(np.concatenate([one for _, one in pairs])),
    )


def peaks_of(spectrum: PeakList, precursor_mz: float) -> tuple[Float[np.ndarray, " p"], Float[np.ndarray, " p"]]:
    """The highest peaks of a spectrum, ascending; one within 5 mDa of the precursor is taken to be at its m/z.

    The precursor is the largest peak of many spectra, and its error is that of the whole spectrum.
    """
    places = np.flatnonzero(spectrum.intensity > 0)
    if len(places) > PEAKS:
        places = np.sort(places[np.argsort(-spectrum.intensity[places], kind="stable")[:PEAKS]])
    mz, heights = spectrum.mz[places].copy(), spectrum.intensity[places].astype(np.float64)
    mz[np.abs(mz - precursor_mz) < max(0.005, precursor_mz * 1e-5)] = precursor_mz
    return mz, heights
