"""Contracts of scorers."""

from __future__ import annotations

import copy
import math
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from molvis_core import interfaces
from molvis_core.records import RankedQuery, Structure
from molvis_core.testing.checks._contract import contract, require


@contract("scorer-features")
def scorer_gives_features(scorer: Any, query: Any, candidates: Sequence[Structure]) -> None:
    """A finite row of features for each candidate, none for none."""
    require(isinstance(scorer, interfaces.Scorer), f"{scorer!r:.80} lacks accepts, features or __call__")
    require(isinstance(query, scorer.accepts), f"a {type(query).__name__} is not what the scorer accepts")
    for some in (list(candidates), []):
        found, wanted = np.asarray(scorer(query, some)), (len(some), len(scorer.features))
        require(found.shape == wanted, f"{len(some)} candidates must give shape {wanted}, got {found.shape}")
        require(np.isfinite(found).all(), "a feature is not finite")


@contract("scorer-order")
def scorer_ignores_the_order_of_candidates(scorer: Any, query: Any, candidates: Sequence[Structure]) -> None:
    """The features of a candidate depend neither on the order of the candidates nor on chance.

    They may depend on which others there are: how far a candidate stands above them is evidence too.
    """
    forward = np.asarray(scorer(query, list(candidates)))
    backward = np.asarray(scorer(query, list(candidates)[::-1]))[::-1]
    off = np.abs(forward - backward).max(axis=1)
    worst = int(off.argmax())
    require(off[worst] <= 1e-6, f"candidate {worst} scores differently in another order, by {off[worst]:.2g}")


@contract("scorer-explains")
def scorer_explains_peaks(scorer: Any, query: Any, candidates: Sequence[Structure]) -> None:
    """Where it explains, it names peaks that the query has, with formula, substructure and error."""
    for candidate in candidates if isinstance(scorer, interfaces.Explains) else ():
        for one in scorer.explain(query, candidate):
            require(isinstance(one, interfaces.PeakExplanation), f"{one!r:.80} lacks peak, formula, smiles or ppm")
            require(0 <= one.peak < len(query), f"it explains peak {one.peak} of {len(query)}")


@contract("scorer-learns")
def scorer_keeps_what_it_learned(scorer: Any, examples: Sequence[RankedQuery]) -> None:
    """Where it learns: finite figures, the same for the same seed; and features that survive a folder exactly."""
    if not isinstance(scorer, interfaces.Learns):
        return
    fresh, learned, again = (copy.deepcopy(scorer) for _ in range(3))
    examples = list(examples)
    found = learned.learn(examples, examples, seed=1)
    wild = [name for name, value in found.items() if not math.isfinite(value)]
    require(not wild, f"learn gave figures that are not finite: {', '.join(wild)}")
    with tempfile.TemporaryDirectory() as folder:
        kept = Path(folder) / "checkpoint"
        kept.mkdir()
        again.learn(examples, examples, seed=1, checkpoint=kept)
        wanted = _columns(learned, examples)
        require(_equal(_columns(again, examples), wanted), "the same examples and seed give other features")
        again.learn(examples, examples, seed=1, checkpoint=kept)
        require(_equal(_columns(again, examples), wanted), "going on from a checkpoint gives other features")
        written = Path(folder) / "written"
        written.mkdir()
        learned.save(written)
        odd = [f.name for f in written.iterdir() if not f.is_file() or f.suffix not in STATE_SUFFIXES]
        require(not odd, f"save must write files ending in {', '.join(STATE_SUFFIXES)}, got {', '.join(odd)}")
        fresh.load(written)
        require(_equal(_columns(fresh, examples), wanted), "what save wrote gives other features when it is loaded")


@contract("scorer-adapts")
def scorer_adapts_to_a_run(scorer: Any, query: Any, candidates: Sequence[Structure]) -> None:
    """Where it adapts: a new scorer with the same features comes back, also for no queries, and it stays as it was."""
    if not isinstance(scorer, interfaces.AdaptsToRun):
        return
    original: Any = scorer
    before = np.asarray(original(query, list(candidates)))
    masses = np.array([one.exact_mass for one in candidates])
    for number in (0, 1, 30):
        made: Any = scorer.adapted([query] * number, [masses] * number, 10.0)
        require(isinstance(made, interfaces.Scorer), "adapted gave no scorer")
        require(tuple(made.features) == tuple(original.features), f"adapted changed the features to {made.features}")
        scorer_gives_features(made, query, candidates)
        require(isinstance(made.note(query), str), "note gave no text")
    after = np.asarray(original(query, list(candidates)))
    require(np.array_equal(after, before), "adapted changed the scorer itself")


@contract("scorer-tells-apart")
def scorer_tells_records_apart(scorer: Any, query: Any) -> None:
    """Where it tells records apart: the kind is a text, the same each time."""
    if isinstance(scorer, interfaces.TellsApart):
        kinds: list[Any] = [scorer.kind(copy.deepcopy(query)) for _ in range(2)]
        require(isinstance(kinds[0], str), f"kind must be a text, got {kinds[0]!r:.80}")
        require(kinds[0] == kinds[1], "the same record has two kinds")


@contract("scorer-leaves-out")
def scorer_leaves_out(scorer: Any, query: Any, candidates: Sequence[Structure]) -> None:
    """Where it leaves compounds out: that gives a scorer of the same features, and this one stays as it was."""
    if not isinstance(scorer, interfaces.LeavesOut):
        return
    original: Any = scorer
    before = np.asarray(original(query, list(candidates)))
    fewer: Any = original.without([candidates[0].inchikey14])
    require(tuple(fewer.features) == tuple(original.features), f"without changed the features to {fewer.features}")
    scorer_gives_features(fewer, query, candidates)
    require(np.array_equal(np.asarray(original(query, list(candidates))), before), "without changed the scorer itself")


@contract("scorer-references")
def scorer_uses_references(scorer: Any, query: Any, candidates: Sequence[Structure]) -> None:
    """Where it uses references: without those of a candidate nothing is left of what only measured compounds have."""
    if not isinstance(scorer, interfaces.UsesReferences):
        return
    original: Any = scorer
    before = np.asarray(original(query, list(candidates)))
    weights = dict(original.usual_weights)
    unknown = sorted(set(weights) - set(original.features))
    require(not unknown, f"usual_weights names no feature of it: {', '.join(unknown)}")
    require(all(math.isfinite(weight) for weight in weights.values()), "a usual weight is not finite")
    fewer: Any = scorer.without([one.inchikey14 for one in candidates])
    scorer_gives_features(fewer, query, candidates)
    own = [place for place, name in enumerate(original.features) if name in weights]
    left = np.asarray(fewer(query, list(candidates)))[:, own]
    require(not left.any(), f"without references of the candidates, {', '.join(sorted(weights))} must be 0")
    known = [fewer.reference(one, query) for one in candidates]
    require(all(one is None for one in known), "without references of a candidate, reference gave one")
    require(np.array_equal(np.asarray(original(query, list(candidates))), before), "without changed the scorer itself")


@contract("scorer-analogues")
def scorer_names_analogues(scorer: Any, query: Any, candidates: Sequence[Structure]) -> None:
    """Where it names analogues: similarities above 0 and at most 1 fall, and what it forgets is none of them."""
    if not isinstance(scorer, interfaces.NamesAnalogues):
        return
    found = list(scorer.analogues(query))
    values = [float(value) for value, _ in found]
    require(all(0 < v <= 1 for v in values), f"a similarity is not above 0 and at most 1: {values}")
    require(values == sorted(values, reverse=True), f"similarities do not fall: {values}")
    require(all(isinstance(one, Structure) for _, one in found), "analogues gave something else than structures")
    if isinstance(scorer, interfaces.LeavesOut):
        gone = {one.inchikey14 for one in candidates}
        fewer: Any = scorer.without(gone)
        left = {one.inchikey14 for _, one in fewer.analogues(query)}
        require(not left & gone, f"analogues names what was left out: {', '.join(sorted(left & gone))}")


STATE_SUFFIXES = (".safetensors", ".arrow", ".parquet", ".toml", ".json")
"""Endings of the files in which a scorer keeps what it learned: formats that hold data and no code."""


def _columns(scorer: Any, examples: Sequence[RankedQuery]) -> list[np.ndarray]:
    return [np.asarray(scorer(one.record, list(one.candidates))) for one in examples]


def _equal(a: Sequence[np.ndarray], b: Sequence[np.ndarray]) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))
