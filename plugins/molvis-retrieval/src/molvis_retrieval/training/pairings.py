"""Pairings of modalities: which compounds they have, which rows of the dataset, and which harder candidates."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from molvis_core.errors import ConfigError, TrainingError
from molvis_core.records import Structure
from molvis_core.text import in_shell
from molvis_retrieval.config import PairConfig, RunConfig, is_fused, pairs_of, parts_of

if TYPE_CHECKING:
    from molvis_retrieval.dataset import Dataset
    from molvis_retrieval.library import Library

log = logging.getLogger("molvis")


Rows = Mapping[str, Mapping[str, np.ndarray]]
"""Rows of a dataset by modality and compound."""


@dataclass(frozen=True)
class Pairing:
    """The measurements of a pairing of two modalities in one fold.

    Attributes:
        number: its place among the pairings of the run.
        query, reference: keys of the encoders.
        parts: modalities of the query: several where it is fused.
        fused: whether the encoder of the query takes the vectors of other encoders.
        compounds: those that have what the pairing needs.
        rows: of the modalities.
    """

    number: int
    query: str
    reference: str
    parts: tuple[str, ...]
    fused: bool
    compounds: tuple[str, ...]
    rows: Rows

    @property
    def encoders(self) -> set[str]:
        """Keys of all encoders that a batch of this pairing changes."""
        return {self.query, self.reference, *self.parts}

    def measured(self, compound: str) -> list[str]:
        """Modalities of the query that were measured of a compound."""
        return [part for part in self.parts if compound in self.rows[part]]

    def structure(self, dataset: Dataset, compound: str) -> Structure:
        """The structure of one of the compounds."""
        part = self.measured(compound)[0]
        return dataset.structure(part, int(self.rows[part][compound][0]))


def resolve(config: RunConfig, dataset: Dataset) -> tuple[RunConfig, list[Pairing]]:
    """Write out the pairings of a configuration, and find their measurements in the training fold.

    A pairing of `[joint]` that too few compounds have is left out, and so is an encoder that takes part in none.

    Returns:
        The configuration without `[joint]`, and its pairings.

    Raises:
        TrainingError: a pairing of `[[pairs]]` has fewer than 2 compounds, or none of `[joint]` has enough.
    """
    explicit = len(config.pairs)
    rows = _rows(config, dataset, config.data.train, config.pairs)
    kept: list[PairConfig] = []
    pairings: list[Pairing] = []
    for number, pair in enumerate(pairs_of(config)):
        pairing = _pairing(config, len(kept), pair, rows)
        if number < explicit:
            _require(pairing, 2, dataset, config.data.train)
        elif (found := len(pairing.compounds)) < max(2, config.joint.min_compounds):
            log.warning(
                "pairing %s:%s is left out: %d compounds of fold %r have both, [joint] min_compounds = %d",
                pair.query, pair.reference, found, config.data.train, config.joint.min_compounds,
            )  # fmt: skip
            continue
        kept.append(pair)
        pairings.append(pairing)
    if config.joint.pairings == "none":
        return config, pairings
    if not kept:
        raise TrainingError(
            f"{dataset.path}: no pairing of [joint] has {config.joint.min_compounds} compounds to learn from"
        )
    used = {key for pair in kept for key in (pair.query, pair.reference, *parts_of(config, pair.query))}
    for key in config.encoders.keys() - used:
        log.warning("encoder %r is left out: it takes part in no pairing", key)
    for key in sorted(key for key in used if key in rows and not rows[key]):
        log.warning("encoder %r is fused, but has no measurements: its weights keep their initial values", key)
    encoders = {key: spec for key, spec in config.encoders.items() if key in used}
    train = replace(
        config.train,
        freeze=tuple(key for key in config.train.freeze if key in used),
        init_from={key: folder for key, folder in config.train.init_from.items() if key in used},
    )
    joint = replace(config.joint, pairings="none")
    return replace(config, pairs=tuple(kept), joint=joint, encoders=encoders, train=train), pairings


def validation_pairings(config: RunConfig, dataset: Dataset, named: int) -> list[Pairing]:
    """The pairings of a resolved configuration in the validation fold.

    Args:
        config: as `resolve` returns it.
        dataset: the measurements.
        named: how many of the pairings come from `[[pairs]]`; these must have compounds, others are left out.

    Raises:
        TrainingError: a named pairing, or every pairing, has fewer than 2 compounds.
    """
    rows = _rows(config, dataset, config.data.validation, config.pairs[:named])
    found: list[Pairing] = []
    for number, pair in enumerate(config.pairs):
        pairing = _pairing(config, number, pair, rows)
        if number < named:
            _require(pairing, 2, dataset, config.data.validation)
        if len(pairing.compounds) > 1:
            found.append(pairing)
        else:
            log.warning("pairing %s:%s cannot be validated: too few compounds", pair.query, pair.reference)
    if not found:
        raise TrainingError(f"{dataset.path}: no pairing has 2 compounds in fold {config.data.validation!r}")
    return found


def _rows(
    config: RunConfig, dataset: Dataset, fold: str, named: Sequence[PairConfig]
) -> dict[str, dict[str, np.ndarray]]:
    """Measurements of a fold by modality and compound; those of `named` pairings must exist, others may be missing."""
    needed = {key for pair in named for key in (pair.reference, *parts_of(config, pair.query))}
    holding = {m for m, about in dataset.metadata["modalities"].items() if fold in about.get("folds", {})}
    rows: dict[str, dict[str, np.ndarray]] = {}
    for key in config.encoders:
        if key == "structure" or is_fused(config, key):
            continue
        rows[key] = {}
        # A fold that no modality has is a misspelling: the dataset raises the error that names those it has.
        if key in needed or key in holding or not holding:
            kept = dataset.rows(key, fold=fold, adducts=config.data.adducts, min_peaks=config.data.min_peaks)
            rows[key] = by_compound(dataset, key, kept)
    return rows


def _pairing(config: RunConfig, number: int, pair: PairConfig, rows: Rows) -> Pairing:
    if pair.query == "structure":
        raise ConfigError(f"pair {number + 1}: the query is 'structure'; write the measurement as the query")
    parts = parts_of(config, pair.query)
    fused = is_fused(config, pair.query)
    least = pair.measured if fused else 1
    compounds = {key for part in parts for key in rows[part]}
    if pair.reference != "structure":
        compounds &= rows[pair.reference].keys()
    enough = (key for key in compounds if sum(key in rows[part] for part in parts) >= least)
    return Pairing(number, pair.query, pair.reference, parts, fused, tuple(sorted(enough)), rows)


def _require(pairing: Pairing, least: int, dataset: Dataset, fold: str) -> None:
    if len(pairing.compounds) < least:
        raise TrainingError(
            f"pair {pairing.query}:{pairing.reference} has {len(pairing.compounds)} compounds in fold {fold!r} of "
            f"{dataset.path}, and needs at least {least}. Check the folds with: molvis data describe "
            f"{in_shell(dataset.path)}"
        )


def by_compound(dataset: Dataset, modality: str, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Rows of a modality by compound; unknowns are left out."""
    table = dataset.table(modality)
    keys = np.asarray(table.column("inchikey14").take(rows).to_pylist(), dtype=object)
    known = np.array([isinstance(k, str) and bool(k) for k in keys], dtype=bool)
    rows, keys = np.asarray(rows)[known], keys[known].astype(str)
    if not len(rows):
        return {}
    order = np.argsort(keys, kind="stable")
    found, starts = np.unique(keys[order], return_index=True)
    return dict(zip(found.tolist(), np.split(rows[order], starts[1:]), strict=True))


def candidate_pools(
    library: Library, truths: Mapping[str, Structure], by: str, ppm: float, size: int, seed: int
) -> dict[str, np.ndarray]:
    """Rows of a library by compound: those of equal mass or formula, without the compound itself.

    Args:
        library: where the candidates come from.
        truths: structures by compound.
        by: `mass` or `formula`; what has the same formula must be near in mass, too.
        ppm: largest difference in mass.
        size: most candidates of a compound; of more, so many are drawn.
        seed: of the draw.
    """
    rng = np.random.default_rng([seed, 2])
    pools: dict[str, np.ndarray] = {}
    for key, truth in sorted(truths.items()):
        rows = np.setdiff1d(library.within_ppm(truth.exact_mass, ppm), library.rows_of(key))
        if by == "formula":
            same = [one.formula == truth.formula for one in library.structures(rows)]
            rows = rows[np.array(same, dtype=bool)]
        pools[key] = np.sort(rng.choice(rows, size, replace=False)) if len(rows) > size else rows
    return pools


def structures_of(dataset: Dataset, pairings: Sequence[Pairing]) -> dict[str, Structure]:
    """The structures of all compounds of the pairings."""
    return {key: p.structure(dataset, key) for p in pairings for key in p.compounds}


def pairing_names(pairs: Sequence[PairConfig]) -> list[str]:
    """What metrics call each pairing; a second one of the same modalities gets a number."""
    names: list[str] = []
    for pair in pairs:
        name = f"{pair.query}:{pair.reference}"
        same = sum(n.split("#")[0] == name for n in names)
        names.append(f"{name}#{same + 1}" if same else name)
    return names
