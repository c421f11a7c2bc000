"""Batches of queries for the network, as they are or disturbed as spectra of other laboratories are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from molvis_fragmentation.atoms import REACH, SURROUNDINGS
from molvis_fragmentation.matching import COLUMNS, CROSSED, NO_BOND
from molvis_msms.peak_fragments.cases import ABSOLUTE, ADDUCTS, INSTRUMENTS, PEAKS, UNKNOWN, Cases

_PLACE = {name: number for number, name in enumerate(COLUMNS)}
_SITES = slice(_PLACE["basic"], len(COLUMNS))
_CUTS, _SHIFTS, _FORMS = 4, 9, 4
MATCH_NUMBERS = _CUTS + _SHIFTS + _FORMS + 7 + 2 * (len(COLUMNS) - _PLACE["basic"])
PEAK_NUMBERS = 12 + 4 + len(ADDUCTS) + len(INSTRUMENTS) - 1 + 2
_SCALE = np.repeat(1 / np.arange(1, REACH + 2, dtype=np.float32), SURROUNDINGS // (REACH + 1))
_ERROR = _CUTS + _SHIFTS + _FORMS


@dataclass(frozen=True, slots=True)
class Disturbance:
    """How training spectra are made to look like those of others. Every share is of the queries of a batch.

    Attributes:
        peaks: each query loses up to this share of its peaks.
        noise: share that get peaks of other spectra.
        cut: share that lose their lowest peaks.
        offset: share whose m/z are off, by 3 ppm and 1.5 ppm a peak (standard deviations).
        settings: share whose energy, and share whose instrument, is taken away.
        rivals: share that lose some of their false candidates.
    """

    peaks: float = 0.5
    noise: float = 0.3
    cut: float = 0.25
    offset: float = 0.3
    settings: float = 0.15
    rivals: float = 0.3


@dataclass(frozen=True, eq=False, slots=True)
class Batch:
    """Queries of up to C candidates and P peaks; a token is a candidate's relation to a peak.

    Attributes:
        bonds: classes of the broken bonds of all matches, one match after the other.
        broken: which match each of them is of.
        kept, lost: the atoms at its ends.
        atoms: what stands around each atom of the candidates, as numbers near 1.
        match: numbers of each match.
        token: which token each match is of: its query, candidate and peak as one number.
        peak: which peak of the batch each match is of.
        peaks: numbers of each peak and of its spectrum.
        share: of the root intensity of a spectrum.
        present, candidate: which peaks and which candidates there are.
        truth: place of the true candidate.
    """

    bonds: Int64[Tensor, " k"]
    broken: Int64[Tensor, " k"]
    kept: Int64[Tensor, " k"]
    lost: Int64[Tensor, " k"]
    atoms: Float[Tensor, "a s"]
    match: Float[Tensor, "m f"]
    token: Int64[Tensor, " m"]
    peak: Int64[Tensor, " m"]
    peaks: Float[Tensor, "n p g"]
    share: Float[Tensor, "n p"]
    present: Bool[Tensor, "n p"]
    candidate: Bool[Tensor, "n c"]
    truth: Int64[Tensor, " n"]

    def double(self) -> Batch:
        """The same in double precision."""
        floats = ("match", "peaks", "share", "atoms")
        return replace(self, **{name: getattr(self, name).double() for name in floats})


def collate(
    cases: Cases,
    queries: Sequence[int],
    rng: np.random.Generator | None = None,
    disturbance: Disturbance | None = None,
) -> Batch:
    """Queries as one batch.

    Args:
        cases: where they are from.
        queries: their numbers.
        rng: draws the disturbance; without it the spectra are taken as they are, and without foreign peaks.
        disturbance: how much of it.
    """
    views = [_view(cases, query, rng, disturbance or Disturbance()) for query in queries]
    wide = max(len(v.candidates) for v in views)
    long = max(1, *(len(v.mz) for v in views))
    peaks = np.zeros((len(views), long, PEAK_NUMBERS), dtype=np.float32)
    share = np.zeros((len(views), long), dtype=np.float32)
    present = np.zeros((len(views), long), dtype=bool)
    candidate = np.zeros((len(views), wide), dtype=bool)
    for n, v in enumerate(views):
        peaks[n, : len(v.mz)] = _peak_numbers(v)
        share[n, : len(v.mz)] = v.share
        present[n, : len(v.mz)] = True
        candidate[n, : len(v.candidates)] = True
    rows = np.concatenate([v.rows for v in views])
    codes = rows[:, :CROSSED]
    there = codes != NO_BOND
    ends = np.concatenate([v.ends + first for v, first in zip(views, _firsts(views), strict=True)])
    return Batch(
        bonds=torch.from_numpy(codes[there].astype(np.int64)),
        broken=torch.from_numpy(np.nonzero(there)[0]),
        kept=torch.from_numpy(ends[:, :CROSSED][there]),
        lost=torch.from_numpy(ends[:, CROSSED:][there]),
        atoms=torch.from_numpy(np.concatenate([v.atoms for v in views]).astype(np.float32) * _SCALE),
        match=torch.from_numpy(_match_numbers(rows, np.concatenate([v.error for v in views]))),
        token=torch.from_numpy(
            np.concatenate([(n * wide + v.owner) * long + v.peak for n, v in enumerate(views)]).astype(np.int64)
        ),
        peak=torch.from_numpy(np.concatenate([n * long + v.peak for n, v in enumerate(views)]).astype(np.int64)),
        peaks=torch.from_numpy(peaks),
        share=torch.from_numpy(share),
        present=torch.from_numpy(present),
        candidate=torch.from_numpy(candidate),
        truth=torch.tensor([v.truth for v in views]),
    )


def _firsts(views: Sequence[_View]) -> list[int]:
    """The first atom of each view, counted within the batch."""
    return np.cumsum([0, *(len(v.atoms) for v in views[:-1])]).tolist()


@dataclass(frozen=True, eq=False, slots=True)
class _View:
    """A query as it is seen this time."""

    mz: np.ndarray
    intensity: np.ndarray
    settings: np.ndarray
    candidates: np.ndarray
    truth: int
    rows: np.ndarray
    error: np.ndarray
    owner: np.ndarray
    peak: np.ndarray
    ends: np.ndarray
    atoms: np.ndarray

    @property
    def share(self) -> np.ndarray:
        roots = np.sqrt(self.intensity)
        return roots / max(roots.sum(), 1e-12)


def _view(cases: Cases, query: int, rng: np.random.Generator | None, how: Disturbance) -> _View:
    peaks, matches = cases.peaks_of(query), cases.matches_of(query)
    mz, intensity = cases.mz[peaks], cases.intensity[peaks]
    rows, owner, place = cases.rows[matches], cases.candidate[matches], cases.peak[matches]
    ends = cases.ends[matches].astype(np.int64) + cases.first_atoms(query)[owner][:, None]
    settings, truth = cases.settings[query], int(cases.truth[query])
    kept = ~cases.noise[peaks]
    candidates = np.arange(cases.candidates[query])
    error = (rows[:, _PLACE["error"]].astype(np.float32) - 127.5) / 127.0
    fitting = np.ones(len(rows), dtype=bool)
    if rng is not None:
        kept = _drawn_peaks(kept, intensity, rng, how)
        settings = _drawn_settings(settings, rng, how)
        if rng.random() < how.offset:
            off = rng.normal(0, 3.0) + rng.normal(0, 1.5, len(mz))
            tolerance = np.maximum(10.0, ABSOLUTE / mz * 1e6)
            error = error + (off / tolerance)[place].astype(np.float32)
            fitting = np.abs(error) <= 1
        if len(candidates) > 3 and rng.random() < how.rivals:
            others = rng.permutation(np.delete(candidates, truth))[: int(rng.integers(2, len(candidates)))]
            candidates = np.sort(np.append(others, truth))
    seat = np.full(int(cases.candidates[query]), -1)
    seat[candidates] = np.arange(len(candidates))
    stand = np.cumsum(kept) - 1
    use = fitting & kept[place] & (seat[owner] >= 0)
    return _View(
        mz[kept], intensity[kept], settings, candidates, int(seat[truth]), rows[use], error[use], seat[owner[use]],
        stand[place[use]], ends[use], cases.atoms[cases.atoms_of(query)],
    )  # fmt: skip


def _drawn_peaks(own: np.ndarray, intensity: np.ndarray, rng: np.random.Generator, how: Disturbance) -> np.ndarray:
    """Which peaks are seen this time; at least one, if there is any."""
    kept = own & (rng.random(len(own)) > how.peaks * rng.random())
    if rng.random() < how.noise:
        kept |= ~own & (rng.random(len(own)) < rng.random())
    if rng.random() < how.cut:
        kept &= intensity >= 10 ** rng.uniform(-3, -1.3)
    return kept if kept.any() else own


def _drawn_settings(settings: np.ndarray, rng: np.random.Generator, how: Disturbance) -> np.ndarray:
    """Settings, with energy or instrument taken away now and then."""
    energy, instrument = rng.random(2) < how.settings
    out = settings.copy()
    if energy:
        out[2] = UNKNOWN
    if instrument:
        out[4] = 0
    return out


def _match_numbers(rows: np.ndarray, error: np.ndarray) -> Float[np.ndarray, "m f"]:
    """Columns of matches as numbers near 1."""
    out = np.zeros((len(rows), MATCH_NUMBERS), dtype=np.float32)
    every = np.arange(len(rows))
    start = 0
    for name, wide in (("cuts", _CUTS), ("shift", _SHIFTS), ("form", _FORMS)):
        out[every, start + np.minimum(rows[:, _PLACE[name]], wide - 1)] = 1
        start += wide
    out[:, start] = error
    out[:, start + 1] = np.abs(error)
    for k, (name, scale) in enumerate((("cost", 75), ("bonds", 3), ("odd", 1), ("overfull", 1), ("rank", 3))):
        out[:, start + 2 + k] = rows[:, _PLACE[name]] / scale
    sites = rows[:, _SITES]
    out[:, start + 7 :: 2] = np.minimum(sites, 3) / 3
    out[:, start + 8 :: 2] = sites > 0
    return out


def _peak_numbers(v: _View) -> Float[np.ndarray, "p g"]:
    """What is known of each peak and of the spectrum, as numbers near 1."""
    precursor, sign, energy, adduct, instrument = v.settings.tolist()
    mz, roots = v.mz, np.sqrt(v.intensity / v.intensity.max(initial=1e-30))
    loss = np.abs(precursor - mz)
    partner = precursor + sign * 1.00728 - mz
    beside = np.abs(mz[None, :] - partner[:, None]) < np.maximum(0.004, np.abs(partner)[:, None] * 2e-5)
    out = np.zeros((len(mz), PEAK_NUMBERS), dtype=np.float32)
    out[:, :12] = np.stack(
        [
            roots,
            np.log10(np.maximum(v.intensity, 1e-6)) / 3 + 1,
            roots * mz / precursor,
            mz / precursor,
            np.log(mz) / 6,
            np.minimum(loss, 200) / 200,
            np.minimum(loss, 50) / 50,
            v.share * 5,
            np.argsort(np.argsort(-v.intensity, kind="stable"), kind="stable") / PEAKS,
            (beside * roots).max(axis=1, initial=0.0),
            np.sin(2 * np.pi * mz),
            np.cos(2 * np.pi * mz),
        ],
        axis=1,
    )
    known = energy >= 0
    out[:, 12:16] = known, min(energy, 120) / 60 if known else 0, np.log1p(energy) / 4 if known else 0, sign > 0
    out[:, 16 + int(adduct)] = 1
    if instrument:
        out[:, 16 + len(ADDUCTS) + int(instrument) - 1] = 1
    out[:, -2:] = np.log(len(mz) + 1) / 4, precursor / 500
    return out
