"""Made-up spectra from which a fingerprint can be read."""

from __future__ import annotations

import numpy as np

from molvis_core.chemistry.structures import structure
from molvis_core.records import PeakList, RankedQuery

HEADS = {"c1ccccc1": 77.039, "c1ccncc1": 78.034, "C1CCCCC1": 83.086, "c1ccoc1": 67.018, "c1ccsc1": 82.995}
TAILS = {"C(=O)O": 45.0, "N": 17.027, "C#N": 27.011, "OC": 31.018, "S(=O)(=O)N": 79.98, "Cl": 35.977}
CHAINS = ("", "C", "CC", "CCC")


def spectrum(mz: list[float], precursor: float | None = 300.0, **about: object) -> PeakList:
    """Peaks of falling heights."""
    about = {"ionmode": "positive", "adduct": "[M+H]+", **about}
    heights = np.linspace(1, 0.5, len(mz))
    return PeakList(np.array(mz), heights, precursor_mz=precursor, **about)


def queries(*, held_out: bool) -> list[RankedQuery]:
    """Made-up spectra: a ring gives a peak, an end group a neutral loss. Rivals have another ring or another end.

    Args:
        held_out: every fourth compound, or the others.
    """
    rng = np.random.default_rng(int(held_out))
    built = {(h, t, c): structure(f"{c}{h}{t}") for h in HEADS for t in TAILS for c in CHAINS}
    found: list[RankedQuery] = []
    for number, ((head, tail, chain), truth) in enumerate(built.items()):
        if ((number + number // 4) % 4 == 0) != held_out:
            continue
        others = [s for (h, t, c), s in built.items() if c == chain and (h == head) != (t == tail)]
        chosen = [others[i] for i in rng.permutation(len(others))[:6]]
        place = int(rng.integers(len(chosen) + 1))
        precursor = truth.exact_mass + 1.00728
        for _ in range(2):
            mz = np.sort(np.r_[HEADS[head], precursor - TAILS[tail], rng.uniform(40, precursor - 5, 3)])
            record = PeakList(mz, rng.uniform(0.3, 1, len(mz)), precursor, "[M+H]+", 1, "positive", 20.0)
            found.append(RankedQuery(record, (*chosen[:place], truth, *chosen[place:]), place))
    return found
