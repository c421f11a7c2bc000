"""What translation is learned from: ions that were measured at several settings, and the formulas of their peaks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int16

from molvis_core.errors import TrainingError
from molvis_core.records import Measurement, PeakList
from molvis_msms.translation.formulas import ELEMENTS, ion_atoms, sub_formulas
from molvis_msms.translation.vocabulary import Vocabulary

MIN_PEAKS = 2
"""Of a spectrum; one peak, mostly the precursor's, has nothing to translate."""


@dataclass(frozen=True, eq=False, slots=True)
class Ion:
    """Spectra of one ion of a compound.

    Attributes:
        compound: first block of its InChIKey.
        atoms: of the ion; None where it has no sub-formulas that we can list.
        spectra: of the ion.
        run: number of the laboratory and instrument type of each spectrum.
    """

    compound: str
    atoms: Int16[np.ndarray, " e"] | None
    spectra: Sequence[PeakList]
    run: Sequence[int]


def ions_of(measurements: Iterable[Measurement]) -> list[Ion]:
    """The ions of known compounds, with all their spectra that translation can use.

    Left out are spectra without precursor, adduct, energy, structure, or with fewer than two peaks.
    """
    found: dict[tuple[str, str, str], list[Measurement]] = defaultdict(list)
    for item in measurements:
        spectrum, known = item.record, item.structure
        if not isinstance(spectrum, PeakList) or known is None or spectrum.adduct is None:
            continue
        energy = spectrum.collision_energy
        if energy is None or energy <= 0 or spectrum.precursor_mz is None:
            continue
        if int((spectrum.intensity > 0).sum()) >= MIN_PEAKS:
            found[known.inchikey14, spectrum.adduct, known.formula].append(item)
    return [
        Ion(compound, ion_atoms(formula, adduct), [item.record for item in items], _runs(items))
        for (compound, adduct, formula), items in sorted(found.items())
    ]


def _runs(items: Sequence[Measurement]) -> list[int]:
    names = [f"{item.contributor}\n{item.record.instrument_type}" for item in items]
    number = {name: place for place, name in enumerate(dict.fromkeys(names))}
    return [number[name] for name in names]


def by_compound(ions: Iterable[Ion]) -> list[list[Ion]]:
    """The ions of each compound that were measured more than once."""
    found: dict[str, list[Ion]] = defaultdict(list)
    for ion in ions:
        if len(ion.spectra) > 1:
            found[ion.compound].append(ion)
    return list(found.values())


def vocabulary_of(
    ions: Sequence[Ion], min_compounds: int, progress: Callable[[int, int], None] | None = None
) -> Vocabulary:
    """The fragments and losses that so many compounds share.

    Args:
        ions: whose peaks get sub-formulas.
        min_compounds: so many.
        progress: called with the ions done and in all.

    Raises:
        TrainingError: no compounds share any.
    """
    fragments: list[np.ndarray] = []
    losses: list[np.ndarray] = []
    negative: list[np.ndarray] = []
    compound: list[np.ndarray] = []
    numbers = {name: place for place, name in enumerate(dict.fromkeys(ion.compound for ion in ions))}
    for done, ion in enumerate(ions, start=1):
        if progress and done % 50 == 0:
            progress(done, len(ions))
        if ion.atoms is None:
            continue
        minus = ion.spectra[0].ionmode == "negative"
        # A compound's spectra share most of their peaks.
        mz = np.unique(np.round(np.concatenate([s.mz[s.intensity > 0] for s in ion.spectra]), 5))
        parts = np.unique(sub_formulas(mz, ion.atoms, -1 if minus else 1), axis=0)
        parts = parts[parts[:, 0] >= 0]
        fragments.append(parts)
        losses.append(ion.atoms - parts)
        negative.append(np.full(len(parts), minus))
        compound.append(np.full(len(parts), numbers[ion.compound]))
    none = np.empty((0, len(ELEMENTS)), dtype=np.int16)
    found = Vocabulary.of(
        np.concatenate([none, *fragments]), np.concatenate([none, *losses]),
        np.concatenate([np.empty(0, dtype=bool), *negative]), np.concatenate([np.empty(0, dtype=np.int64), *compound]),
        min_compounds,
    )  # fmt: skip
    if not len(found):
        raise TrainingError(
            f"no fragment or loss is shared by {min_compounds} compounds of the {len(numbers)} to learn from; "
            "translation is learned from spectra of known compounds with adduct and collision energy"
        )
    return found
