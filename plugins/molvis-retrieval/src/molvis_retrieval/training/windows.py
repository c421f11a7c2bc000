"""What scorers learn from: measurements whose compound is known, each among structures of its mass."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from molvis_core.records import RankedQuery, Structure
from molvis_retrieval.config import DataConfig, WindowsConfig
from molvis_retrieval.parents import parent
from molvis_retrieval.training.pairings import by_compound

if TYPE_CHECKING:
    from molvis_retrieval.dataset import Dataset
    from molvis_retrieval.library import Library

_ENERGY_STEP = 15.0
"""eV. Spectra of one ion whose energies differ by less are alike, and one of them is enough to learn from."""


@dataclass(frozen=True, slots=True)
class Windows:
    """Draws measurements of a fold with their candidates.

    Attributes:
        dataset: the measurements.
        library: where the other candidates come from.
        data: which measurements are used.
        settings: how many, and how near in mass.
        seed: of everything drawn.
    """

    dataset: Dataset
    library: Library
    data: DataConfig
    settings: WindowsConfig
    seed: int = 0

    def training(self, modality: str) -> list[RankedQuery]:
        """Queries of the training fold; too few candidates are filled up with structures that are less near.

        No compound of another fold is a candidate.
        """
        settings, fold = self.settings, self.data.train
        return self._drawn(modality, fold, {fold}, settings.candidates - 1, settings.fill_ppm)

    def validation(self, modality: str) -> list[RankedQuery]:
        """Queries of the validation fold among what a search would find; no compound of a third fold is a candidate."""
        data, settings = self.data, self.settings
        return self._drawn(
            modality, data.validation, {data.train, data.validation}, settings.validation - 1, settings.ppm
        )

    def _drawn(self, modality: str, fold: str, allowed: set[str], count: int, reach: float) -> list[RankedQuery]:
        data, settings = self.data, self.settings
        if fold not in self.dataset.metadata["modalities"][modality].get("folds", {}):
            return []
        rows = self.dataset.rows(modality, fold=fold, adducts=data.adducts, min_peaks=data.min_peaks)
        never = compounds_outside(self.dataset, allowed)
        kinds = _kinds(self.dataset, modality)
        queries: list[RankedQuery] = []
        for number, (key, mine) in enumerate(by_compound(self.dataset, modality, rows).items()):
            rng = np.random.default_rng([self.seed, 7, number])
            chosen = _unlike(rng.permutation(mine), kinds, settings.spectra)
            truth, _ = parent(self.dataset.structure(modality, int(chosen[0])))
            rivals = self._rivals(truth, never | {key, truth.inchikey14}, count, reach, rng)
            if not rivals:
                continue
            place = int(rng.integers(len(rivals) + 1))
            candidates = (*rivals[:place], truth, *rivals[place:])
            queries += [RankedQuery(self.dataset.record(modality, row), candidates, place) for row in chosen]
        return queries

    def _rivals(
        self, truth: Structure, never: Collection[str], count: int, reach: float, rng: np.random.Generator
    ) -> list[Structure]:
        """Other structures of a compound's mass, those within `ppm` first."""
        found: list[Structure] = []
        tried: np.ndarray = np.empty(0, dtype=np.int64)
        for ppm in dict.fromkeys((self.settings.ppm, reach)):
            rows = np.setdiff1d(self.library.within_ppm(truth.exact_mass, ppm), tried)
            tried = np.union1d(tried, rows)
            near = [one for one in self.library.structures(rows) if one.inchikey14 not in never]
            wanted = min(count - len(found), len(near))
            found += [near[i] for i in np.sort(rng.permutation(len(near))[:wanted])]
        return found


def compounds_outside(dataset: Dataset, folds: Collection[str]) -> set[str]:
    """Compounds measured, in whatever modality, in none of these folds: as they are drawn, and their parents."""
    outside: set[str] = set()
    for modality in dataset.modalities:
        table = dataset.table(modality)
        pairs = zip(table["fold"].to_pylist(), table["inchikey14"].to_pylist(), strict=True)
        rows = {key: row for row, (fold, key) in enumerate(pairs) if key and fold not in folds}
        outside |= rows.keys() | {parent(dataset.structure(modality, row))[0].inchikey14 for row in rows.values()}
    return outside


def _kinds(dataset: Dataset, modality: str) -> list[tuple[str | None, float]]:
    """Of each measurement what makes it unlike others: adduct, derivative or nucleus, and a step of energy."""
    table = dataset.table(modality)
    nothing = [None] * len(table)
    named = next((name for name in ("adduct", "derivative", "nucleus") if name in table.column_names), None)
    adducts = table[named].to_pylist() if named else nothing
    energies = table["collision_energy"].to_pylist() if "collision_energy" in table.column_names else nothing
    return [
        (adduct, -1.0 if energy is None else energy // _ENERGY_STEP)
        for adduct, energy in zip(adducts, energies, strict=True)
    ]


def _unlike(rows: np.ndarray, kinds: list[tuple[str | None, float]], count: int) -> list[int]:
    """The first rows of different kinds, `count` at most."""
    first: dict[tuple[str | None, float], int] = {}
    for row in rows.tolist():
        first.setdefault(kinds[row], row)
    return list(first.values())[:count]
