"""Molecular networks: spectra that are alike are joined, and what some of them are tells of the others.

Two spectra are joined where each is among the most similar of the other, as in M. Wang et al., Nature Biotechnology 34
(2016) 828, doi:10.1038/nbt.3597, and families that grow too large lose their weakest edges, as there.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from molvis_core.errors import ConfigError, MolvisError, ReadError
from molvis_core.progress import Progress
from molvis_core.records import Measurement, PeakList
from molvis_files.opening import lines
from molvis_files.writing import replacing
from molvis_msms.references.index import References
from molvis_msms.references.similarity import Similarity

if TYPE_CHECKING:
    import networkx as nx

__all__ = ["Answer", "Edge", "Linking", "Network", "alike", "link", "read_answers", "write_graphml"]


@dataclass(frozen=True, slots=True)
class Linking:
    """How spectra are joined.

    Attributes:
        similarity: by which they are compared; the modified cosine by default, since relatives differ in mass.
        min_score: similarity of two that are joined.
        matched: pairs of peaks that they have at least.
        top: each of two that are joined is among so many most similar ones of the other.
        largest: spectra of a family at most; 0 for any number.

    Raises:
        ConfigError: a number that makes no sense.
    """

    similarity: Similarity = field(default_factory=lambda: Similarity("hybrid"))
    min_score: float = 0.7
    matched: int = 6
    top: int = 10
    largest: int = 100

    def __post_init__(self) -> None:
        if not 0 <= self.min_score <= 1:
            raise ConfigError(f"the least similarity must be between 0 and 1, got {self.min_score:g}")
        if self.matched < 1 or self.top < 1 or self.largest < 0:
            raise ConfigError(
                f"pairs of peaks and neighbours must be positive, got {self.matched} and {self.top}; the largest "
                f"family must not be negative, got {self.largest}"
            )


@dataclass(frozen=True, slots=True)
class Answer:
    """What a spectrum was identified as.

    Attributes:
        smiles, inchikey, formula, name: of the first candidate.
        probability: that it is the truth; given that the truth is among the candidates where no other is known.
    """

    smiles: str
    inchikey: str = ""
    formula: str = ""
    name: str = ""
    probability: float = math.nan


@dataclass(frozen=True, slots=True)
class Edge:
    """Two spectra that are alike.

    Attributes:
        first, second: places of the spectra, the smaller first.
        similarity: between 0 and 1.
        matched: pairs of peaks.
    """

    first: int
    second: int
    similarity: float
    matched: int


@dataclass(frozen=True, eq=False, slots=True)
class Network:
    """Spectra, the edges between them, and what is known of them.

    Attributes:
        names: of the spectra; no two are equal.
        spectra: one for each name.
        edges: by the places of the spectra.
        family: number of each spectrum's family from 1, the largest family first; 0 of one that is like no other.
        answers: by name.
        problems: why spectra were left out.
    """

    names: tuple[str, ...]
    spectra: tuple[PeakList, ...] = field(repr=False)
    edges: tuple[Edge, ...] = ()
    family: tuple[int, ...] = ()
    answers: Mapping[str, Answer] = field(default_factory=dict)
    problems: tuple[str, ...] = ()

    @property
    def summary(self) -> dict[str, int]:
        """Counts, for people and scripts."""
        known = {n for n in self.names if n in self.answers}
        return {
            "spectra": len(self.names),
            "edges": len(self.edges),
            "families": max(self.family, default=0),
            "alone": self.family.count(0),
            "with_answer": len(known),
            "with_answer_of_a_neighbour": sum(n not in known for n in self.inherited()),
            "left_out": len(self.problems),
        }

    def inherited(self) -> dict[str, tuple[str, Edge]]:
        """Of each spectrum that has neighbours with answers: the neighbour that tells most of it, and their edge.

        That is the one whose similarity times probability is the highest; at equal ones the first.
        """
        out: dict[str, tuple[float, str, Edge]] = {}
        for edge in self.edges:
            for here, there in ((edge.first, edge.second), (edge.second, edge.first)):
                answer = self.answers.get(self.names[there])
                if answer is None:
                    continue
                known = 0.0 if math.isnan(answer.probability) else answer.probability
                found = (edge.similarity * known, self.names[there], edge)
                if self.names[here] not in out or found[0] > out[self.names[here]][0]:
                    out[self.names[here]] = found
        return {name: (other, edge) for name, (_, other, edge) in out.items()}


def link(
    items: Sequence[Measurement | ReadError],
    linking: Linking | None = None,
    *,
    answers: Mapping[str, Answer] | None = None,
    progress: Progress | None = None,
) -> Network:
    """The network of spectra.

    Args:
        items: spectra; an error stands for one that could not be read, and is noted.
        linking: how they are joined.
        answers: what spectra were identified as, by the feature's id or the name.
        progress: called with the spectra done and in all.
    """
    linking = linking or Linking()
    names: dict[str, PeakList] = {}
    problems = [str(item) for item in items if isinstance(item, ReadError)]
    for number, item in enumerate((i for i in items if not isinstance(i, ReadError)), start=1):
        name = item.origin.feature_id or item.name or f"spectrum {number}"
        if not len(item.record.mz) or (not linking.similarity.direct and item.record.precursor_mz is None):
            problems.append(f"{name}: it has no {'precursor' if len(item.record.mz) else 'peaks'}")
            continue
        names[name if name not in names else f"{name} ({number})"] = item.record
    spectra = tuple(names.values())
    edges = _edges(spectra, linking, progress)
    edges, family = _families(len(spectra), edges, linking.largest)
    return Network(tuple(names), spectra, edges, family, dict(answers or {}), tuple(problems))


def alike(spectra: Sequence[PeakList], /) -> tuple[Edge, ...]:
    """Pairs of spectra that are joined as `Linking` joins by default, families of any size: the linker of features."""
    return _edges(spectra, Linking(), None)


def _edges(spectra: Sequence[PeakList], linking: Linking, progress: Progress | None) -> tuple[Edge, ...]:
    """Pairs of which each is among the most similar of the other."""
    if not spectra:
        return ()
    index = _in_memory(spectra)
    near: list[dict[int, tuple[float, int]]] = []
    for place, spectrum in enumerate(spectra):
        # One more, for a spectrum is most like itself.
        found = index.search(
            spectrum, linking.similarity, top=linking.top + 1, min_score=linking.min_score, matched=linking.matched
        )
        values = zip(found.rows.tolist(), found.scores.tolist(), found.matched.tolist(), strict=True)
        others = [(row, score, count) for row, score, count in values if row != place]
        near.append({row: (score, count) for row, score, count in others[: linking.top]})
        if progress:
            progress(place + 1, len(spectra))
    return tuple(
        Edge(here, there, *found[there])
        for here, found in enumerate(near)
        for there in sorted(found)
        if here < there and here in near[there]
    )


def _in_memory(spectra: Sequence[PeakList]) -> References:
    import pyarrow as pa

    nothing = pa.nulls(len(spectra), pa.large_string())
    table = pa.table(
        {
            "precursor_mz": pa.array([s.precursor_mz for s in spectra], pa.float64()),
            "ionmode": pa.array([s.ionmode for s in spectra], pa.large_string()),
            "inchikey": nothing,
        }
    )
    order = [np.argsort(s.mz, kind="stable") for s in spectra]
    offsets = np.concatenate([[0], np.cumsum([len(s.mz) for s in spectra])]).astype(np.int64)
    mz = np.concatenate([s.mz[o] for s, o in zip(spectra, order, strict=True)])
    intensity = np.concatenate([s.intensity[o] for s, o in zip(spectra, order, strict=True)])
    return References(table, offsets, mz, intensity)


def _families(count: int, edges: Sequence[Edge], largest: int) -> tuple[tuple[Edge, ...], tuple[int, ...]]:
    """The edges that stay, and the number of each spectrum's family."""
    import networkx as nx

    graph = nx.Graph()
    graph.add_nodes_from(range(count))
    graph.add_edges_from((e.first, e.second, {"edge": e}) for e in edges)
    open_ = [set(c) for c in nx.connected_components(graph)]
    done: list[set[int]] = []
    while open_:
        family = open_.pop()
        if not largest or len(family) <= largest:
            done.append(family)
            continue
        # The weakest edges go, all of one similarity at once, until the family falls apart.
        weakest = min(e["edge"].similarity for _, _, e in graph.subgraph(family).edges(data=True))
        gone = [(a, b) for a, b, e in graph.subgraph(family).edges(data=True) if e["edge"].similarity <= weakest]
        graph.remove_edges_from(gone)
        open_ += [set(c) for c in nx.connected_components(graph.subgraph(family))]
    number = [0] * count
    together = sorted((f for f in done if len(f) > 1), key=lambda f: (-len(f), min(f)))
    for k, family in enumerate(together, start=1):
        for place in family:
            number[place] = k
    kept = tuple(e for e in edges if graph.has_edge(e.first, e.second))
    return kept, tuple(number)


_IDS = ("feature_id", "query")


def read_answers(path: Path | str) -> dict[str, Answer]:
    """What spectra were identified as: the first candidates of a table that `molvis identify --csv` wrote.

    Args:
        path: a table with `smiles` and with `feature_id` or `query`; of several rows of one spectrum the first with
            rank 1 counts, or the first where there are no ranks.

    Raises:
        ReadError: it cannot be read, or lacks a column.
    """
    path = Path(path)
    rows = csv.DictReader(line for _, line in lines(path, keep_ends=True))
    found = list(rows.fieldnames or ())
    if "smiles" not in found or not any(c in found for c in _IDS):
        raise ReadError(
            path, f"a table of answers has the columns smiles and feature_id or query; found {', '.join(found)}", line=1
        )
    out: dict[str, Answer] = {}
    for row in rows:
        name = next((row[c] for c in _IDS if row.get(c)), "")
        if name and row.get("smiles") and row.get("rank") in (None, "", "1"):
            out.setdefault(name, _answer(row))
    return out


def _answer(row: Mapping[str, str | None]) -> Answer:
    told = {name: row.get(name) or "" for name in ("smiles", "inchikey", "formula", "name")}
    return Answer(**told, probability=_number(row.get("probability_joint") or row.get("probability")))


def _number(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        return math.nan


def write_graphml(path: Path | str, network: Network) -> None:
    """Write a network as GraphML, which Cytoscape, Gephi and igraph read; whole or not at all.

    Nodes have the precursor, the family, the answer where there is one, and beside it (`neighbour_...`) that of the
    neighbour which tells most of it. Edges have similarity, pairs of peaks and the difference of the precursors.

    Raises:
        MolvisError: it cannot be written; what was there before is kept.
    """
    import networkx as nx

    path = Path(path)
    try:
        with replacing(path) as fresh:
            nx.write_graphml(_graph(network), fresh, encoding="utf-8", prettyprint=True)
    except OSError as error:
        raise MolvisError(f"{path}: cannot be written: {error}. What was there before is kept.") from error


def _graph(network: Network) -> nx.Graph:
    """Nodes by name, with values that are known alone: GraphML has no empty ones."""
    import networkx as nx

    graph = nx.Graph()
    inherited = network.inherited()
    for name, spectrum, family in zip(network.names, network.spectra, network.family, strict=True):
        values: dict[str, Any] = {
            "label": name, "precursor_mz": spectrum.precursor_mz, "ionmode": spectrum.ionmode,
            "adduct": spectrum.adduct, "family": family,
        }  # fmt: skip
        if (own := network.answers.get(name)) is not None:
            values |= _told(own, "answer")
        if name in inherited:
            other, edge = inherited[name]
            values |= _told(network.answers[other], "neighbour")
            values |= {"neighbour": other, "neighbour_similarity": edge.similarity}
        graph.add_node(name, **_known(values))
    for edge in network.edges:
        first, second = network.spectra[edge.first], network.spectra[edge.second]
        ions = (first.precursor_mz, second.precursor_mz)
        apart = None if None in ions else abs(float(ions[0] or 0) - float(ions[1] or 0))
        values = {"similarity": edge.similarity, "matched_peaks": edge.matched, "mz_difference": apart}
        graph.add_edge(network.names[edge.first], network.names[edge.second], **_known(values))
    return graph


def _told(answer: Answer, prefix: str) -> dict[str, Any]:
    return {
        f"{prefix}_name": answer.name, f"{prefix}_smiles": answer.smiles, f"{prefix}_inchikey": answer.inchikey,
        f"{prefix}_formula": answer.formula, f"{prefix}_probability": answer.probability,
    }  # fmt: skip


def _known(values: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in values.items() if v not in (None, "") and not (isinstance(v, float) and math.isnan(v))}
