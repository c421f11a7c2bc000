"""Library search across settings: a query is compared with each reference as it would look at that one's settings.

Two spectra of one compound at 10 and 60 eV have little in common. So a query is translated to the energies and
instruments of the references of its mass, each of which is compared with the query as it was measured and with its
translation; the greater similarity counts.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int64

from molvis_core.errors import ConfigError
from molvis_core.records import PeakList
from molvis_msms.references.index import Found, References, best
from molvis_msms.references.search import Find
from molvis_msms.references.search import Settings as SearchSettings
from molvis_msms.translation.settings import Settings, instrument_class
from molvis_msms.translation.translator import Request, Translator

_STEP = 0.15
"""Of the logarithm of the energy: references nearer than this share a translation."""
_ALIKE = 0.1
"""Of the logarithm of the energy: within this a query needs no translation to the same class of instruments."""


def translating(translator: Translator) -> Find:
    """Finds references that are like a query as it was measured or as it would be at their settings.

    The references must be near the query in precursor m/z: translations of a query to the settings of all spectra of a
    library would take long, and say little.
    """

    def find(references: References, spectrum: PeakList, settings: SearchSettings) -> Found:
        if settings.precursor is None:
            raise ConfigError("a search with translation needs a tolerance of the precursor, such as 10ppm")
        if spectrum.precursor_mz is None:
            raise ConfigError("the spectrum has no precursor m/z, which translation needs")
        rows = references.near(spectrum.precursor_mz, settings.precursor)
        rows = rows[references.allowed(spectrum.ionmode)[rows]]
        plain = references.compare(spectrum, settings.similarity, rows)
        scores, matched = plain.scores.copy(), plain.matched.copy()
        groups = _groups(references, rows, Settings.of(spectrum))
        if groups and int((spectrum.intensity > 0).sum()) > 1:
            requests = [Request(spectrum, target) for target in groups]
            for made, places in zip(translator.translate(requests), groups.values(), strict=True):
                found = references.compare(made, settings.similarity, rows[places])
                better = found.scores > scores[places]
                scores[places[better]], matched[places[better]] = found.scores[better], found.matched[better]
        return best(rows, scores, matched, settings.top, settings.min_score, settings.matched)

    return find


def _groups(
    references: References, rows: Int64[np.ndarray, " k"], own: Settings
) -> dict[Settings, Int64[np.ndarray, " _"]]:
    """Places of the references by the settings that a query is translated to for them."""
    energies: Sequence[float | None] = references.table["collision_energy"].take(rows).to_pylist()
    types: Sequence[str | None] = references.table["instrument_type"].take(rows).to_pylist()
    found: dict[tuple[int, str], list[int]] = defaultdict(list)
    for place, (energy, kind) in enumerate(zip(energies, types, strict=True)):
        if energy is None or energy <= 0:
            continue
        instrument = instrument_class(kind)
        near = own.energy is not None and abs(math.log(energy / own.energy)) < _ALIKE
        if not (near and instrument == own.instrument):
            found[round(math.log(energy) / _STEP), instrument].append(place)
    return {
        Settings(float(np.median([energies[i] or 0.0 for i in places])), instrument): np.array(places)
        for (_, instrument), places in found.items()
    }
