"""Measurements of known compounds and their candidates, as the fits of a calibration use them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int64

from molvis_core.errors import AdductError
from molvis_core.records import Measurement, PeakList, Structure
from molvis_retrieval.bundle import Bundle
from molvis_retrieval.evidence import Scored, Weigher
from molvis_retrieval.ions import check_ion
from molvis_retrieval.parents import ParentsOfMeasurements

if TYPE_CHECKING:
    from molvis_retrieval.index import Index


def by_compound(measurements: Iterable[Measurement]) -> dict[str, dict[str, list[Measurement]]]:
    """Measurements of known structures, by the first block of the InChIKey of the parent and by modality."""
    compounds: dict[str, dict[str, list[Measurement]]] = {}
    for item in map(ParentsOfMeasurements(), measurements):
        if item.structure is not None:
            compounds.setdefault(item.structure.inchikey14, {}).setdefault(item.modality, []).append(item)
    return compounds


def usable_records(
    weigh: Weigher,
    embedded: Sequence[str],
    found: Mapping[str, Sequence[Measurement]],
    per_compound: int,
    rng: np.random.Generator,
) -> tuple[dict[str, list[Any]], list[float]]:
    """Up to so many records of each modality that an encoder or a scorer takes, drawn; and their neutral masses."""
    records: dict[str, list[Any]] = {}
    masses: list[float] = []
    for modality, items in found.items():
        for place in rng.permutation(len(items))[:per_compound]:
            try:
                record, mass = check_ion(items[place].record)
            except AdductError:
                continue
            if mass is None and isinstance(record, PeakList):
                continue  # an ion whose mass nobody knows has no candidates of equal mass
            records.setdefault(modality, []).append(record)
            masses += [mass] if mass is not None else []
    taken = {
        m: r
        for m, r in records.items()
        if m in embedded or any(weigh.takes(k, m, one) for k in weigh.scorers for one in r)
    }
    return taken, masses


def draw_subsets(counts: Mapping[str, int], most: int, rng: np.random.Generator) -> list[dict[str, int]]:
    """Which record of which modality the cases of a compound hold: every second case all, the others some."""
    names = list(counts)
    if len(names) == 1:
        return [{names[0]: i} for i in range(counts[names[0]])]
    draws: list[dict[str, int]] = []
    for number in range(most):
        size = len(names) if number % 2 == 0 else int(rng.integers(1, len(names)))
        some = rng.permutation(len(names))[:size]
        draws.append({names[i]: int(rng.integers(counts[names[i]])) for i in sorted(some)})
    return draws


@dataclass(frozen=True, slots=True)
class Candidates:
    """The candidates of a compound of known structure.

    Attributes:
        key: first block of its InChIKey.
        structures: of the candidates, the true one among them.
        vectors: of them, as an index holds them.
        rivals: places of those that are other compounds.
        own: place of the true structure.
    """

    key: str
    structures: Sequence[Structure]
    vectors: Float[np.ndarray, "m dim"]
    rivals: Int64[np.ndarray, " n"]
    own: int


def candidates_of(bundle: Bundle, index: Index, structure: Structure, mass: float, ppm: float) -> Candidates:
    """The candidates of a mass, the true structure added where the index lacks it.

    What is added is rounded to 16 bits as the vectors of an index are: unrounded it would differ from its rivals in
    something else than its structure.

    Args:
        bundle: that made the index.
        index: of candidates.
        structure: the true one.
        mass: neutral mass in Da.
        ppm: half width of the window.
    """
    key = structure.inchikey14
    rows = index.library.within_ppm(mass, ppm)
    structures, vectors = list(index.library.structures(rows)), index.take(rows)
    rivals = np.array([i for i, one in enumerate(structures) if one.inchikey14 != key], dtype=np.int64)
    own = [i for i, one in enumerate(structures) if one.inchikey14 == key]
    if not own:
        own = [len(structures)]
        structures.append(structure)
        made = bundle.embed("structure", [structure]).astype(np.float16).astype(np.float32)
        vectors = np.concatenate([vectors, made])
    return Candidates(key, structures, vectors, rivals, own[0])


def score_among(
    bundle: Bundle,
    weigh: Weigher,
    records: Mapping[str, Sequence[Any]],
    structures: Sequence[Structure],
    vectors: Float[np.ndarray, "m dim"],
) -> tuple[dict[str, Float[np.ndarray, "r m"]], Scored]:
    """Cosines of records with candidates, those of fusions among them, and the evidence as identification weighs it.

    Args:
        bundle: whose encoders embed the records.
        weigh: its evidence.
        records: by modality.
        structures: of the candidates.
        vectors: of them.
    """

    def pick(places: np.ndarray) -> list[Structure]:
        return [structures[i] for i in places]

    channels = bundle.channels
    embedded = {m: bundle.embed(m, r) for m, r in records.items() if m in channels.encoders}
    embedded |= {key: bundle.fuse([embedded], key) for key in channels.fused(embedded)}
    cosine = {key: rows @ vectors.T for key, rows in embedded.items()}
    if cosine:
        return cosine, weigh.score(records, cosine, pick)
    return cosine, weigh.score_without(records, len(structures), pick)
