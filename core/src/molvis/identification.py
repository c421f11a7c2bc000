"""Rank candidate structures for unknowns, and say how probable each is.

Every piece of evidence is a number for each candidate: the cosine of its embedding with the query's, and what scorers
such as `explained-peaks` add. A calibrated weight turns each into a share of a logit, evidence adds up, and a softmax
over the candidates gives the probability that a candidate is the truth, given that the truth is among them.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from jaxtyping import Float, Int64

from molvis.adducts import neutral_mass, parse_adduct
from molvis.bundle import Bundle, Calibration
from molvis.dataset import Measurement
from molvis.errors import AdductError, ConfigError, DatasetError, MolvisError, ScoreError
from molvis.files import replacing
from molvis.formula import formula_mass, parse_formula
from molvis.records import Record, Structure

if TYPE_CHECKING:
    from molvis.library import Index

Progress = Callable[[int, int], None]
Scope = Literal["mass", "formula", "all"]

START_WEIGHT = 20.0
"""Weight of a cosine in a bundle that was never calibrated: a temperature of 0.05, as training starts with."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One candidate for an unknown.

    Attributes:
        rank: from 1.
        structure: of the candidate.
        score: logit; differences matter, not its height.
        probability: that it is the truth, given that the truth is among the candidates.
        evidence: what each piece adds to the score.
    """

    rank: int
    structure: Structure
    score: float
    probability: float
    evidence: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Identification:
    """What is known of one unknown.

    Attributes:
        query: its name.
        problem: empty when it was searched; else why it could not be.
        precursor_mz, adduct: of its first spectrum.
        mass: neutral mass in Da.
        spectra: how many were used.
        n_candidates: that were ranked.
        candidates: the best, in order.
        margin: probability of the first less that of the second.
        truth: the true structure, where the query came with one.
        truth_rank: where that came, ties half; None where it is no candidate or not known.
        records: the spectra, for reports.
    """

    query: str
    problem: str = ""
    precursor_mz: float | None = None
    adduct: str | None = None
    mass: float | None = None
    spectra: int = 1
    n_candidates: int = 0
    candidates: tuple[Candidate, ...] = ()
    margin: float = 0.0
    truth: Structure | None = None
    truth_rank: float | None = None
    records: tuple[Record, ...] = field(default=(), repr=False)


def identify(
    bundle: Bundle,
    queries: Sequence[Measurement | Record],
    index: Index,
    *,
    candidates: Scope = "mass",
    ppm: float = 10.0,
    formula: str | None = None,
    adduct: str | None = None,
    top: int = 20,
    rerank: bool = True,
    consensus: bool = False,
    modality: str = "msms",
    device: str | None = None,
    progress: Progress | None = None,
) -> list[Identification]:
    """Rank candidate structures for each query.

    A query that cannot be searched gets a `problem`, and the rest goes on.

    Args:
        bundle: whose encoders and weights.
        queries: measurements, or bare records.
        index: of candidates, made by the same bundle.
        candidates: `mass` takes those within `ppm` of the neutral mass, `formula` those of one formula, `all` the
            whole library.
        ppm: half width of the mass window.
        formula: for `formula`; where it is not given, that of the query's own structure.
        adduct: taken for queries that name none.
        top: candidates that come back for each query.
        rerank: use the bundle's scorers. Not with `all`: their weights are calibrated among candidates of equal mass,
            and among others they could lift one of another mass above the truth.
        consensus: spectra of one name are of one unknown: their evidence is averaged.
        modality: of the queries: a key of the bundle's encoders.
        device: where to embed.
        progress: called with the unknowns done and in all.

    Raises:
        molvis.errors.IndexFileError: another bundle made the index.
        molvis.errors.BundleError: the bundle has no encoder for the modality.
        ConfigError: an option that makes no sense.
    """
    if candidates not in ("mass", "formula", "all"):
        raise ConfigError(f"candidates = {candidates!r}; 'mass', 'formula' or 'all' is wanted")
    if not ppm > 0 or top < 1:
        raise ConfigError(f"ppm = {ppm}, top = {top}; positive numbers are wanted")
    if formula is not None:
        try:
            formula_mass(parse_formula(formula))
        except ValueError as error:
            raise ConfigError(str(error)) from error
    index.require(bundle)
    unknowns = _unknowns(queries, adduct, consensus)
    good = [u for u in unknowns if not u.problem]
    vectors = bundle.embed(modality, [r for u in good for r in u.records], device=device) if good else np.empty((0, 0))
    weigh = Weigher(bundle, modality, rerank=rerank and candidates != "all")
    found: dict[int, Identification] = {}
    start = 0
    for together in _batches(good, 32 if candidates == "all" else 1):
        stop = start + sum(len(u.records) for u in together)
        # The whole library is read once for several unknowns: reading it costs more than their products.
        whole = cosines(vectors[start:stop], index, None) if candidates == "all" and len(index.library) else None
        done = 0
        for unknown in together:
            mine = slice(done, done + len(unknown.records))
            done = mine.stop
            try:
                rows = scope_rows(index, unknown, candidates, ppm, formula)
                cosine = cosines(vectors[start:stop][mine], index, rows) if whole is None else whole[mine]
                found[id(unknown)] = _rank(unknown, cosine, index, rows, weigh, top)
            except MolvisError as error:
                found[id(unknown)] = unknown.failed(str(error))
            if progress:
                progress(len(found), len(good))
        start = stop
    return [found.get(id(u)) or u.failed(u.problem) for u in unknowns]


@dataclass(frozen=True, slots=True)
class Unknown:
    """Spectra of one unknown, checked.

    Attributes:
        name: of the query.
        records: its spectra.
        problem: why it cannot be searched; empty where it can.
        mass: neutral mass in Da, where precursor and adduct tell it.
        truth: the true structure, where it is known.
    """

    name: str
    records: tuple[Any, ...]
    problem: str = ""
    mass: float | None = None
    truth: Structure | None = None

    def failed(self, problem: str) -> Identification:
        """An identification that says why there is none."""
        first = self.records[0] if self.records else None
        return Identification(
            self.name,
            problem,
            getattr(first, "precursor_mz", None),
            getattr(first, "adduct", None),
            self.mass,
            len(self.records),
            truth=self.truth,
            records=self.records,
        )


class Weigher:
    """Turns evidence into logits with a bundle's calibrated weights."""

    def __init__(self, bundle: Bundle, modality: str, *, rerank: bool = True) -> None:
        self.modality = modality
        self.calibration = bundle.calibration
        self.scorers = bundle.scorers if rerank and bundle.calibration.weights else {}
        weights = bundle.calibration.weights
        # The embedding's own weight belongs to the company of the scorers; alone it has another.
        alone = f"{modality}.alone"
        self.cosine = (
            weights.get(modality, START_WEIGHT)
            if self.scorers
            else weights.get(alone, weights.get(modality, START_WEIGHT))
        )

    def features(self, record: Any, structures: Sequence[Structure]) -> tuple[list[str], Float[np.ndarray, "m f"]]:
        """Names and columns of all scorers' evidence."""
        names: list[str] = []
        columns: list[np.ndarray] = [np.empty((len(structures), 0))]
        for key, scorer in self.scorers.items():
            if isinstance(record, scorer.accepts):
                values = np.asarray(scorer(record, structures), dtype=np.float64)
                if not np.isfinite(values).all():
                    raise ScoreError(f"scorer {key!r} gave a number that is not finite")
                names += [f"{key}.{feature}" for feature in scorer.features]
                columns.append(values)
        return names, np.concatenate(columns, axis=1)

    def score(
        self, record: Any, cosine: Float[np.ndarray, " m"], structures: Callable[[np.ndarray], Sequence[Structure]]
    ) -> tuple[Float[np.ndarray, " m"], Int64[np.ndarray, " s"], dict[str, Float[np.ndarray, " s"]]]:
        """Logits of all candidates; which were looked at closely, and what each scorer adds for those.

        Scorers look at the shortlist alone: the best by embedding. A candidate outside it gets the least that a scorer
        gave inside, so that it cannot overtake one that was looked at with an equal embedding.
        """
        logits = self.cosine * np.asarray(cosine, dtype=np.float64)
        count = min(self.calibration.shortlist, len(cosine))
        if not self.scorers or not count:
            return logits, np.argsort(-logits, kind="stable")[:count], {}
        if count < len(logits):
            near = np.argpartition(-logits, count - 1)[:count]
            near = near[np.argsort(-logits[near], kind="stable")]
        else:
            near = np.argsort(-logits, kind="stable")
        names, values = self.features(record, structures(near))
        weights = np.array([self.calibration.weights.get(n, 0.0) for n in names])
        weighted = values * weights
        shares: dict[str, np.ndarray] = {}
        for key in self.scorers:
            mine = [i for i, n in enumerate(names) if n.startswith(f"{key}.")]
            shares[key] = weighted[:, mine].sum(axis=1)
        added = weighted.sum(axis=1)
        total = logits + added.min(initial=0.0)
        total[near] = logits[near] + added
        return total, near, shares


def scope_rows(
    index: Index, unknown: Unknown, scope: Scope, ppm: float, formula: str | None
) -> Int64[np.ndarray, " m"] | None:
    """Rows of the candidates; None for all.

    Raises:
        DatasetError: there is no candidate, and what to do about it.
    """
    library = index.library
    if scope == "all":
        if not len(library):
            raise DatasetError("the library is empty")
        return None
    if scope == "formula":
        wanted = formula or (unknown.truth.formula if unknown.truth else None)
        if wanted is None:
            raise DatasetError("no formula is known for this query; give one with --formula")
        rows = library.of_formula(wanted)
        if not len(rows):
            raise DatasetError(f"no candidate of formula {wanted} in the library")
        return rows
    if unknown.mass is None:
        raise DatasetError(
            "no neutral mass without precursor m/z and adduct; name the adduct with --adduct, or search all"
        )
    rows = library.within_ppm(unknown.mass, ppm)
    if not len(rows):
        raise DatasetError(
            f"no candidate within {ppm:g} ppm of {unknown.mass:.4f} Da; widen --ppm, or "
            f"check the adduct {_adduct(unknown)}"
        )
    return rows


def _adduct(unknown: Unknown) -> str:
    return str(getattr(unknown.records[0], "adduct", None))


def _rank(
    unknown: Unknown, cosine: np.ndarray, index: Index, rows: np.ndarray | None, weigh: Weigher, top: int
) -> Identification:
    places = np.arange(len(index.library)) if rows is None else rows
    total = np.zeros(len(places))
    near_all: list[np.ndarray] = []
    shares_all: list[dict[str, np.ndarray]] = []
    for record, own in zip(unknown.records, cosine, strict=True):
        logits, near, shares = weigh.score(record, own, lambda chosen: index.library.structures(places[chosen]))
        total += logits / len(unknown.records)
        near_all.append(near)
        shares_all.append(shares)
    if not np.isfinite(total).all():
        raise ScoreError(f"query {unknown.name!r} has scores that are not finite")
    peak = total.max()
    norm = peak + math.log(np.exp(total - peak).sum())
    count = min(top, len(total))
    best = np.argpartition(-total, count - 1)[:count]
    best = best[np.lexsort((places[best], -total[best]))]
    structures = index.library.structures(places[best])
    mean_cosine = cosine.mean(axis=0)
    found: list[Candidate] = []
    for rank, (place, structure) in enumerate(zip(best, structures, strict=True), start=1):
        evidence = {weigh.modality: float(weigh.cosine * mean_cosine[place])}
        for near, shares in zip(near_all, shares_all, strict=True):
            where = np.flatnonzero(near == place)
            for key, values in shares.items():
                added = float(values[where[0]]) if len(where) else float(values.min(initial=0.0))
                evidence[key] = evidence.get(key, 0.0) + added / len(near_all)
        score = float(total[place])
        found.append(Candidate(rank, structure, score, math.exp(score - norm), evidence))
    truth_rank = None
    if unknown.truth is not None:
        own_row = index.library.rows_of(unknown.truth.inchikey14)
        where = np.flatnonzero(np.isin(places, own_row))
        if len(where):
            score = total[where[0]]
            truth_rank = float(1 + (total > score).sum() + ((total == score).sum() - 1) / 2)
    first = unknown.records[0]
    margin = found[0].probability - (found[1].probability if len(found) > 1 else 0.0)
    return Identification(
        unknown.name,
        "",
        getattr(first, "precursor_mz", None),
        getattr(first, "adduct", None),
        unknown.mass,
        len(unknown.records),
        len(total),
        tuple(found),
        margin,
        unknown.truth,
        truth_rank,
        unknown.records,
    )


def cosines(vectors: np.ndarray, index: Index, rows: np.ndarray | None) -> np.ndarray:
    """Dot products of queries with rows of an index, or with all of it."""
    if rows is not None:
        return vectors @ index.take(rows).T
    import torch

    queries = torch.from_numpy(np.ascontiguousarray(vectors, dtype=np.float32))
    out = np.empty((len(vectors), len(index.library)), dtype=np.float32)
    for start, block in index.blocks():
        # By torch, as the widening: NumPy's threads and torch's, taking turns, wait for each other ten times as long.
        out[:, start : start + len(block)] = (queries @ torch.from_numpy(block).T).numpy()
    return out


def _batches(unknowns: Sequence[Unknown], most: int) -> Iterator[list[Unknown]]:
    """Unknowns in groups of at most so many spectra, or of one unknown."""
    group: list[Unknown] = []
    for unknown in unknowns:
        if group and sum(len(u.records) for u in group) + len(unknown.records) > most:
            yield group
            group = []
        group.append(unknown)
    if group:
        yield group


def _unknowns(queries: Sequence[Any], adduct: str | None, consensus: bool) -> list[Unknown]:
    groups: dict[Any, list[tuple[str, Any, Structure | None]]] = {}
    for number, query in enumerate(queries, start=1):
        record = query.record if isinstance(query, Measurement) else query
        truth = query.structure if isinstance(query, Measurement) else None
        label = (query.name if isinstance(query, Measurement) else None) or getattr(record, "identifier", None)
        name = str(label or f"query {number}")
        groups.setdefault(name if consensus and label else number, []).append((name, record, truth))
    return [_unknown(group, adduct) for group in groups.values()]


def _unknown(group: Sequence[tuple[str, Any, Structure | None]], adduct: str | None) -> Unknown:
    name, _, truth = group[0]
    records: list[Any] = []
    masses: list[float] = []
    problem = ""
    for _, record, _ in group:
        try:
            checked, mass = check_ion(record, adduct)
        except AdductError as error:
            problem = problem or str(error)
            continue
        records.append(checked)
        if mass is not None:
            masses.append(mass)
    if records:  # one good spectrum of an unknown is enough
        problem = ""
    elif not problem:
        problem = "no spectrum"
    mass = float(np.median(masses)) if masses else None
    return Unknown(name, tuple(records or [r for _, r, _ in group]), problem, mass, truth)


def check_ion(record: Any, adduct: str | None = None) -> tuple[Any, float | None]:
    """A record with its adduct filled in, and the neutral mass in Da where it can be told.

    Raises:
        AdductError: the adduct cannot be read, contradicts the ion mode, or leaves no mass.
    """
    import dataclasses

    if not hasattr(record, "adduct"):
        return record, None
    named = record.adduct or adduct
    if hasattr(record, "mz") and not (len(record.mz) and (record.intensity > 0).any()):
        raise AdductError("the spectrum has no peaks")
    if named is None:
        return record, None
    ion = parse_adduct(named)
    mode = getattr(record, "ionmode", None)
    if mode is not None and mode != ion.ionmode:
        raise AdductError(f"adduct {ion.name} is {ion.ionmode}, but the ion mode is {mode}; correct one of them")
    if record.adduct != ion.name:
        record = dataclasses.replace(record, adduct=ion.name)
    if record.precursor_mz is None:
        return record, None
    return record, neutral_mass(record.precursor_mz, ion)


def calibrate(
    bundle: Bundle,
    measurements: Sequence[Measurement],
    index: Index,
    *,
    ppm: float = 10.0,
    per_compound: int = 4,
    penalty: float = 0.002,
    modality: str = "msms",
    seed: int = 0,
    progress: Progress | None = None,
    fitted_on: str = "",
) -> Calibration:
    """Weights of the evidence by maximum likelihood: a conditional logit of the truth among candidates of equal mass.

    Each compound counts once, however many spectra it has. A true structure that the index lacks is embedded and added.

    Args:
        bundle: to calibrate; its present weights are not used.
        measurements: with structures that the bundle was not trained on.
        index: of candidates.
        ppm: half width of the mass window.
        per_compound: spectra of a compound that are used, drawn by `seed`.
        penalty: of squared weights of standardised evidence, so that columns that say the same share their weight.
        modality: of the measurements.
        seed: of the draw.
        progress: called with the compounds done and in all.
        fitted_on: what to say of the data.

    Raises:
        DatasetError: fewer than ten compounds can be used.
    """
    index.require(bundle)
    rng = np.random.default_rng(seed)
    groups: dict[str, list[Measurement]] = {}
    for item in measurements:
        if item.structure is not None:
            groups.setdefault(item.structure.inchikey14, []).append(item)
    weigh = Weigher(bundle.with_calibration(Calibration({modality: START_WEIGHT})), modality)
    names: list[str] = []
    cases: list[tuple[np.ndarray, int, float]] = []
    for done, (key, items) in enumerate(groups.items(), start=1):
        chosen = [items[i] for i in rng.permutation(len(items))[:per_compound]]
        usable: list[tuple[Any, float]] = []
        for item in chosen:
            try:
                record, mass = check_ion(item.record)
            except AdductError:
                continue
            if mass is not None:
                usable.append((record, mass))
        for record, mass in usable:
            rows = index.library.within_ppm(mass, ppm)
            structures, vectors = index.library.structures(rows), index.take(rows)
            place = [i for i, s in enumerate(structures) if s.inchikey14 == key]
            truth = place[0] if place else len(structures)
            if not place:
                assert chosen[0].structure is not None
                structures.append(chosen[0].structure)
                vectors = np.concatenate([vectors, bundle.embed("structure", [chosen[0].structure])])
            if len(structures) < 2:
                continue
            cosine = bundle.embed(modality, [record]) @ vectors.T
            near = np.argsort(-cosine[0], kind="stable")[: Calibration().shortlist]
            if truth not in near:
                near = np.r_[near[:-1], truth]
            names, values = weigh.features(record, [structures[i] for i in near])
            columns = np.concatenate([cosine[0, near, None], values], axis=1)
            cases.append((columns, int(np.flatnonzero(near == truth)[0]), 1.0 / len(usable)))
        if progress:
            progress(done, len(groups))
    compounds = sum(c[2] for c in cases)
    if compounds < 10:
        raise DatasetError(f"{compounds:.0f} compounds can be used for calibration; at least 10 are wanted")
    weights = _conditional_logit(cases, penalty)
    alone = _conditional_logit([(c[0][:, :1], c[1], c[2]) for c in cases], penalty)
    found = dict(zip([modality, *names], weights.tolist(), strict=True)) | {f"{modality}.alone": float(alone[0])}
    return Calibration({k: round(v, 6) for k, v in found.items()}, Calibration().shortlist, fitted_on)


def _conditional_logit(cases: Sequence[tuple[np.ndarray, int, float]], penalty: float) -> np.ndarray:
    """Weights that make the truth most likely among its candidates, by Newton's method: the likelihood is concave."""
    spread = np.concatenate([c[0] - c[0].mean(axis=0) for c in cases]).std(axis=0)
    scale = np.where(spread > 1e-9, spread, np.inf)  # a column that never varies says nothing: weight 0
    widest = max(len(c[0]) for c in cases)
    x = np.zeros((len(cases), widest, len(scale)))
    real = np.zeros((len(cases), widest), dtype=bool)
    for i, (values, truth, _) in enumerate(cases):
        x[i, : len(values)] = (values - values[truth]) / scale  # against the truth, whose logit is then 0
        real[i, : len(values)] = True
    share = np.array([c[2] for c in cases])
    share /= share.sum()
    flat = x.reshape(-1, len(scale))

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        logits = np.where(real, x @ weights, -np.inf)
        top = logits.max(axis=1)
        odds = np.exp(logits - top[:, None])
        total = odds.sum(axis=1)
        value = float(share @ (top + np.log(total)) + penalty * weights @ weights)
        return value, odds / total[:, None]

    weights = np.zeros(len(scale))
    value, chosen = loss(weights)
    for _ in range(100):
        mean = np.einsum("nmf,nm->nf", x, chosen)
        gradient = share @ mean + 2 * penalty * weights
        curvature = (flat * (chosen * share[:, None]).reshape(-1, 1)).T @ flat - (mean * share[:, None]).T @ mean
        # Columns that say the same leave directions without curvature.
        step = np.linalg.solve(curvature + (2 * penalty + 1e-9) * np.eye(len(scale)), gradient)
        length = 1.0
        while (tried := loss(weights - length * step))[0] > value and length > 1e-6:
            length /= 2
        gained, weights = value - tried[0], weights - length * step
        value, chosen = tried
        if gained < 1e-12:
            break
    return weights / scale


def to_rows(found: Sequence[Identification]) -> list[dict[str, Any]]:
    """One flat row for each candidate, and one for each query that has none: ready for `pandas.DataFrame`."""
    rows: list[dict[str, Any]] = []
    for one in found:
        head = {"query": one.query, "precursor_mz": one.precursor_mz, "adduct": one.adduct, "mass": one.mass}
        tail = {"n_candidates": one.n_candidates, "margin": one.margin, "problem": one.problem}
        for c in one.candidates:
            error = (c.structure.exact_mass - one.mass) / one.mass * 1e6 if one.mass else None
            rows.append(
                head
                | {
                    "rank": c.rank,
                    "inchikey": c.structure.inchikey,
                    "smiles": c.structure.smiles,
                    "name": c.structure.name,
                    "formula": c.structure.formula,
                    "mass_error_ppm": error,
                    "score": c.score,
                    "probability": c.probability,
                    **{f"evidence_{k}": v for k, v in c.evidence.items()},
                }
                | tail
            )
        if not one.candidates:
            rows.append(head | tail)
    return rows


def to_json(found: Sequence[Identification]) -> list[dict[str, Any]]:
    """Nested plain values, ready for `json.dumps`."""
    out: list[dict[str, Any]] = []
    for one in found:
        candidates = [
            {
                "rank": c.rank,
                "inchikey": c.structure.inchikey,
                "smiles": c.structure.smiles,
                "name": c.structure.name,
                "formula": c.structure.formula,
                "exact_mass": c.structure.exact_mass,
                "score": c.score,
                "probability": c.probability,
                "evidence": c.evidence,
            }
            for c in one.candidates
        ]
        out.append(
            {
                "query": one.query,
                "problem": one.problem,
                "precursor_mz": one.precursor_mz,
                "adduct": one.adduct,
                "mass": one.mass,
                "spectra": one.spectra,
                "n_candidates": one.n_candidates,
                "margin": one.margin,
                "truth": one.truth.smiles if one.truth else None,
                "truth_rank": one.truth_rank,
                "candidates": candidates,
            }
        )
    return out


def write_csv(path: Path | str, found: Sequence[Identification]) -> None:
    """`to_rows` as a CSV file, whole or not at all.

    Raises:
        DatasetError: the file cannot be written; the old one is kept.
    """
    rows = to_rows(found)
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(dict.fromkeys(k for r in rows for k in r)))
    writer.writeheader()
    writer.writerows(rows)
    write_file(path, text.getvalue())


def write_json(path: Path | str, found: Sequence[Identification]) -> None:
    """`to_json` as a JSON file, whole or not at all.

    Raises:
        DatasetError: the file cannot be written; the old one is kept.
    """
    write_file(path, json.dumps(to_json(found), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_file(path: Path | str, text: str) -> None:
    """Write a text file by way of a temporary one.

    Raises:
        DatasetError: it cannot be written; the old one is kept.
    """
    path = Path(path)
    try:
        with replacing(path) as fresh:
            fresh.write_text(text, encoding="utf-8")
    except OSError as error:
        raise DatasetError(f"{path}: cannot be written: {error}. What was there before is kept.") from error


def summary(found: Sequence[Identification]) -> Mapping[str, int]:
    """Counts: queries, searched, problems, and where truths are known how many came first."""
    known = [f for f in found if f.truth_rank is not None]
    return {
        "queries": len(found),
        "searched": sum(not f.problem for f in found),
        "problems": sum(bool(f.problem) for f in found),
        "known": len(known),
        "first": sum(f.truth_rank == 1 for f in known),
    }
