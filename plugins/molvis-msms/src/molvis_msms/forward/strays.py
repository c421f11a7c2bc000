"""Which strays there are: peaks of known compounds that no part of them explains, and that many compounds have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int64

from molvis_core.records import PeakList
from molvis_msms.forward.batches import peaks_of
from molvis_msms.forward.ladder import NO_STRAYS, Strays, Tolerance, ladder, within
from molvis_msms.forward.pieces import Pieces
from molvis_msms.forward.settings import Setting

_BIN = 0.002
_REACH = 1.5 * _BIN
_MOST_SHARE = 0.03
"""Of a compound in what is looked for: many compounds count for more than a few that have little else."""
_HIGHEST = 400.0
"""Da. A stray ion or loss of more is of few compounds."""


@dataclass(frozen=True, eq=False, slots=True)
class Unexplained:
    """Peaks that no part of a compound explains.

    Attributes:
        mz: of each.
        loss: m/z of the precursor less that of the peak.
        share: of the root intensity of its spectrum, divided by the number of spectra of the compound.
    """

    mz: Float[np.ndarray, " p"]
    loss: Float[np.ndarray, " p"]
    share: Float[np.ndarray, " p"]
    sign: Int64[np.ndarray, " p"]


def unexplained(made: Pieces, spectra: Sequence[PeakList], tolerance: Tolerance) -> Unexplained:
    """The peaks of spectra of a molecule that none of its parts explains.

    Args:
        made: the molecule.
        spectra: of it.
        tolerance: of m/z.
    """
    rows: list[np.ndarray] = [np.zeros((0, 4))]
    for spectrum in spectra:
        setting = Setting.of(spectrum)
        one = ladder(made, setting)
        mz, heights = peaks_of(spectrum, one.precursor_mz)
        left = np.setdiff1d(np.arange(len(mz)), within(one.peaks, mz, tolerance)[0])
        left = left[mz[left] < one.precursor_mz - 0.5]
        share = np.sqrt(heights) / max(float(np.sqrt(heights).sum()), 1e-12) / len(spectra)
        sign = np.full(len(left), setting.sign)
        rows.append(np.stack([mz[left], one.precursor_mz - mz[left], share[left], sign], axis=1))
    every = np.concatenate(rows)
    return Unexplained(every[:, 0], every[:, 1], every[:, 2], every[:, 3].astype(np.int64))


def find_strays(found: Sequence[Unexplained], most: int, least: int) -> Strays:
    """The ions and losses that hold most of what is unexplained, one after the other.

    What one of them explains is taken away before the next is looked for, so that an ion that is also a loss is not
    found twice.

    Args:
        found: of each compound.
        most: how many there may be.
        least: compounds that must have one.
    """
    if not any(len(one.mz) for one in found):
        return NO_STRAYS
    owner = np.repeat(np.arange(len(found)), [len(one.mz) for one in found])
    share = np.minimum(np.concatenate([one.share for one in found]), _MOST_SHARE)
    sign = np.concatenate([one.sign for one in found])
    value = np.stack([np.concatenate([one.mz for one in found]), np.concatenate([one.loss for one in found])])
    number = int(_HIGHEST / _BIN) + 3
    place = np.clip((value / _BIN).astype(np.int64) + 1, 0, number - 1)
    place[:, :] += (sign < 0) * number  # the polarities one behind the other
    table = np.stack([np.bincount(p, share, minlength=2 * number) for p in place])
    table[:, [0, number - 1, number, 2 * number - 1]] = 0
    order = np.argsort(place, axis=1, kind="stable")
    ends = np.stack([np.searchsorted(p[o], np.arange(2 * number + 1)) for p, o in zip(place, order, strict=True)])
    left = np.ones(len(share), dtype=bool)
    chosen: list[tuple[float, bool, int]] = []
    smooth = _three(table)
    while len(chosen) < most:
        kind, at = divmod(int(np.argmax(smooth)), 2 * number)
        if smooth[kind, at] <= 1e-9:
            break
        mine = order[kind, ends[kind, at - 1] : ends[kind, at + 2]]
        mine = mine[left[mine]]
        if len(np.unique(owner[mine])) < least:
            smooth[kind, at] = 0
            continue
        centre = float(np.average(value[kind, mine], weights=share[mine]))
        mine = mine[np.abs(value[kind, mine] - centre) <= _REACH]
        chosen.append((centre, kind == 1, 1 if at < number else -1))
        left[mine] = False
        for row in range(2):
            np.subtract.at(table[row], place[row, mine], share[mine])
            for where in np.unique(place[row, mine]).tolist():
                near = slice(max(where - 1, 1), where + 2)
                now = table[row, near.start - 1 : near.stop + 1]
                smooth[row, near] = np.minimum(smooth[row, near], _three(now[None])[0, 1:-1])
    mz, loss, signs = zip(*chosen, strict=True) if chosen else ((), (), ())
    return Strays(np.array(mz, dtype=np.float64), np.array(loss, dtype=bool), np.array(signs, dtype=np.int64))


def _three(table: Float[np.ndarray, "k b"]) -> Float[np.ndarray, "k b"]:
    """Each bin with its two neighbours."""
    out = table.copy()
    out[:, 1:] += table[:, :-1]
    out[:, :-1] += table[:, 1:]
    return out
