"""The queries of an evaluation: which records of a dataset are asked for, with vectors and true structures."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from molvis_core.errors import DatasetError
from molvis_core.progress import StageProgress
from molvis_retrieval.bundle import Bundle
from molvis_retrieval.dataset import Dataset
from molvis_retrieval.parents import parent

if TYPE_CHECKING:
    from molvis_core.records import Structure
    from molvis_retrieval.index import Index


def known_rows(dataset: Dataset, modality: str, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows whose structure is known, a compound's together, and the compound of each: the first block of its parent."""
    keys = np.array([k or "" for k in dataset.table(modality)["inchikey14"].take(rows).to_pylist()])
    rows, keys = parent_keys(dataset, modality, rows[keys != ""], keys[keys != ""])
    order = np.argsort(keys, kind="stable")  # a compound's spectra together: their candidates are broken up once
    return rows[order], keys[order]


def left_out(dataset: Dataset, modality: str, fold: str, adducts: Sequence[str], min_peaks: int) -> dict[str, int]:
    """Measurements of a fold that are no queries, by the reason."""
    every = dataset.rows(modality, fold=fold)
    ionised = dataset.rows(modality, fold=fold, adducts=adducts)
    enough = dataset.rows(modality, fold=fold, adducts=adducts, min_peaks=min_peaks)
    known, _ = known_rows(dataset, modality, enough)
    counts = {
        f"of another adduct than {', '.join(adducts)}": len(every) - len(ionised),
        f"of fewer than {min_peaks} peaks": len(ionised) - len(enough),
        "of an unknown structure": len(enough) - len(known),
    }
    return {reason: count for reason, count in counts.items() if count}


def parent_keys(dataset: Dataset, modality: str, rows: np.ndarray, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows, and the first blocks of the InChIKeys of their parents: a dataset of an older molvis holds other forms."""
    compounds, first, owner = np.unique(keys, return_index=True, return_inverse=True)
    if not len(compounds):
        return rows, keys
    parents = [parent(dataset.structure(modality, int(row)))[0].inchikey14 for row in rows[first]]
    return rows, np.array(parents)[owner]


def with_precursor_errors(records: list[Any], ppm: float, rng: np.random.Generator) -> list[Any]:
    """Records with an error drawn for each precursor, of this standard deviation in parts per million."""
    return [
        dataclasses.replace(r, precursor_mz=r.precursor_mz * (1 + rng.normal(0, ppm * 1e-6)))
        if getattr(r, "precursor_mz", None) is not None
        else r
        for r in records
    ]


DECOY_APART = 0.02
"""Da that the compound of a decoy's peaks is away at least: one of the same formula would share its sub-formulas."""


def decoys(
    records: Sequence[Any], keys: np.ndarray, masses: Float[np.ndarray, " n"], rng: np.random.Generator
) -> list[Any]:
    """Records with the peaks of the compound that is nearest in mass, but not of the same mass.

    Peaks of any compound would be too easy a control: those of a heavier or a lighter one fit no candidate at all.

    Args:
        records: of compounds whose structures are known.
        keys: compound of each.
        masses: of the compounds, Da.
        rng: draws one of that compound's records of the same ion mode.

    Raises:
        DatasetError: there is no compound to take peaks from.
    """
    out: list[Any] = []
    modes = np.array([str(getattr(r, "ionmode", None)) for r in records])
    for record, key, mode, mass in zip(records, keys, modes, masses.tolist(), strict=True):
        apart = np.abs(masses - mass)
        others = np.flatnonzero((keys != key) & (modes == mode) & (apart > DECOY_APART))
        if not len(others):
            raise DatasetError(
                f"no other compound of ion mode {mode}, more than {DECOY_APART} Da away, to take decoy peaks from"
            )
        nearest = keys[others[np.argmin(apart[others])]]
        other = records[int(rng.choice(others[keys[others] == nearest]))]
        # What was measured comes from the other; what is known of the ion beforehand stays.
        signal = next(names for names in _SIGNALS if all(hasattr(record, n) for n in names))
        out.append(dataclasses.replace(record, **{n: getattr(other, n) for n in signal}))
    return out


_SIGNALS = (("mz", "intensity"), ("x", "y"), ("value", "sd"), ("fractions", "sd"))
"""Fields of each record type that an instrument filled in."""


@dataclass(frozen=True, slots=True)
class Selected:
    """The records of a dataset that are asked for, and the compound of each."""

    dataset: Dataset
    modality: str
    rows: np.ndarray
    keys: np.ndarray
    records: Sequence[Any]


def selected_records(
    dataset: Dataset,
    modality: str,
    rows: np.ndarray,
    keys: np.ndarray,
    rng: np.random.Generator,
    *,
    decoy: bool = False,
    precursor_error: float = 0.0,
) -> Selected:
    """The records of some rows, tampered with where that is asked for.

    Args:
        dataset: where they are from.
        modality: of the records.
        rows: of the dataset.
        keys: compound of each.
        rng: draws what is drawn.
        decoy: as `decoys` does.
        precursor_error: as `with_precursor_errors` does, in parts per million; 0 for none.

    Raises:
        DatasetError: see `decoys`.
    """
    records = [dataset.record(modality, int(r)) for r in rows]
    if precursor_error:
        records = with_precursor_errors(records, precursor_error, rng)
    if decoy:
        records = decoys(records, keys, dataset.table(modality)["exact_mass"].take(rows).to_numpy(), rng)
    return Selected(dataset, modality, rows, keys, records)


@dataclass(frozen=True, slots=True)
class Asked:
    """Embedded queries, and the true structures of their compounds.

    Attributes:
        modality: of the queries.
        keys: the compound of each query.
        records: of the queries.
        vectors: of the queries.
        owner: place of each query's compound among the compounds.
        compounds: first blocks of their InChIKeys.
        truths: structure of each compound.
        truth_vectors: of the structures.
        places: rows of each compound in the library.
        groups: which queries have an adduct, an instrument, a mass range.
    """

    modality: str
    keys: np.ndarray
    records: Sequence[Any]
    vectors: np.ndarray
    owner: np.ndarray
    compounds: np.ndarray
    truths: Sequence[Structure]
    truth_vectors: np.ndarray
    places: Sequence[np.ndarray]
    groups: dict[str, np.ndarray]

    @property
    def missing(self) -> list[int]:
        """Compounds that the library lacks."""
        return [i for i, place in enumerate(self.places) if not len(place)]


def embed_queries(selected: Selected, bundle: Bundle, index: Index, device: str | None, say: StageProgress) -> Asked:
    """Queries and true structures with their vectors."""
    dataset, modality, rows, records = selected.dataset, selected.modality, selected.rows, selected.records
    compounds, first, owner = np.unique(selected.keys, return_index=True, return_inverse=True)
    truths = [parent(dataset.structure(modality, int(rows[i])))[0] for i in first]
    say(0, len(records), "embedding spectra")
    vectors = bundle.embed(modality, records, device=device, progress=lambda d, t: say(d, t, "embedding spectra"))
    places = [index.library.rows_of(k) for k in compounds]
    # The index keeps 16 bits: a truth that is added must not differ from its rivals by having more.
    truth_vectors = bundle.embed("structure", truths, device=device).astype(np.float16).astype(np.float32)
    for i, place in enumerate(places):
        if len(place):
            truth_vectors[i] = index.take(place)[0]
    groups = _groups(dataset.table(modality), rows, truths, owner)
    return Asked(modality, selected.keys, records, vectors, owner, compounds, truths, truth_vectors, places, groups)


def _groups(table: Any, rows: np.ndarray, truths: Sequence[Structure], owner: np.ndarray) -> dict[str, np.ndarray]:
    """Which queries have an adduct, an instrument type or a mass range."""
    groups: dict[str, np.ndarray] = {}
    for name in ("adduct", "instrument_type"):
        if name in table.column_names:
            values = np.array([v or "unknown" for v in table[name].take(rows).to_pylist()])
            for value in np.unique(values):
                groups[f"{name} {value}"] = values == value
    mass = np.array([t.exact_mass for t in truths])[owner]
    for low, high in ((0, 200), (200, 300), (300, 400), (400, 600), (600, np.inf)):
        label = f"mass {low} to {high:g} Da" if np.isfinite(high) else f"mass over {low} Da"
        groups[label] = (mass >= low) & (mass < high)
    return {k: v for k, v in groups.items() if v.any()}
