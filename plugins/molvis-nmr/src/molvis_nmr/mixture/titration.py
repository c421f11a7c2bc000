"""Windows of compounds whose shifts move with pH and with metal ions further than those of others.

Which compounds of urine move most, and between which limits, is in G. D. Tredwell et al., Metabolomics 12 (2016) 152,
doi:10.1007/s11306-016-1101-y. The windows here are ours: wide enough for samples between pH 6.5 and 8.
"""

from __future__ import annotations

from collections.abc import Sequence

from molvis_nmr.mixture.results import Entry
from molvis_nmr.spins.system import SpinSystem

WINDOWS = {
    "C6H8O7/c7-3(8)1-6(13,5(11)12)2-4(9)10": 0.06,  # citrate
    "C6H9N3O2/c7-5(6(10)11)1-4-2-8-3-9-4": 0.08,  # histidine
    "C5H9N3/c6-2-1-5-3-7-4-8-5": 0.08,  # histamine
    "C9H14N4O3/c10-2-1-8(14)13-7(9(15)16)3-6-4-11-5-12-6": 0.08,  # carnosine
    "C10H16N4O3/c1-14-6-12-5-7(14)4-8(10(16)17)13-9(15)2-3-11": 0.08,  # anserine
    "C7H11N3O2/c1-10-3-5(9-4-10)2-6(8)7(11)12": 0.08,  # N-tau-methylhistidine
    "C6H6N2O2/c9-6(10)2-1-5-3-7-4-8-5": 0.08,  # urocanate
    "C4H6O5/c5-2(4(8)9)1-3(6)7": 0.05,  # malate
    "C4H7N3O/c1-7-2-3(8)6-4(7)5": 0.04,  # creatinine
}
"""In ppm, by formula and connectivity of the InChI."""


def windows_of(library: Sequence[Entry], window: float) -> dict[str, float]:
    """Windows by the names of a library's compounds; none that is narrower than `window`."""
    found: dict[str, float] = {}
    for entry in library:
        if isinstance(entry, SpinSystem) and entry.name:
            key = "/".join(entry.inchi.split("/")[1:3])
            if WINDOWS.get(key, 0.0) > window:
                found[entry.name] = WINDOWS[key]
    return found
