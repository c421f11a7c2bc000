"""Shifts that were seen in an atom's surroundings are combined with a network's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from molvis_core.errors import BundleError
from molvis_core.records import ShiftList
from molvis_nmr_shifts.library import digest_of
from molvis_nmr_shifts.prediction.combining import Combination
from molvis_nmr_shifts.prediction.graphs import graph_of
from molvis_nmr_shifts.prediction.lessons import Lesson, lessons_of
from molvis_nmr_shifts.prediction.model import ShiftModel
from molvis_nmr_shifts.prediction.network import USUAL, ShiftNetwork
from molvis_nmr_shifts.prediction.surroundings import REACHES, SeenShifts, surroundings

ALCOHOLS = [f"{'C' * n}{end}" for n in range(2, 9) for end in ("O", "N", "F", "C(C)O", "C(C)N", "S")]


def lessons(smiles: list[str], seed: int = 0) -> list[Lesson]:
    """13C of each carbon by the number of heavy neighbors and the end of the chain, with a little noise."""
    rng = np.random.default_rng(seed)
    out = []
    for text in smiles:
        graph = graph_of(text)
        carbons = np.flatnonzero(graph.numbers == 6)
        ends = {int(b) for a, b in graph.edges.T if graph.numbers[a] not in (1, 6)}
        shifts = [15 + 12 * int((graph.edges[1] == c).sum()) + (30 if int(c) in ends else 0) for c in carbons]
        noisy = np.array(shifts) + rng.normal(0, 0.1, len(shifts))
        order = np.argsort(noisy)
        out.append((ShiftList(noisy[order], atoms=tuple(str(c) for c in carbons[order])), text))
    return lessons_of(out)


def test_surroundings_are_equal_where_the_atoms_within_reach_are() -> None:
    first, second = graph_of("OCCCCCCC"), graph_of("CCCCCCCCO")
    codes = surroundings([first, second])
    one, other = codes[1], codes[8 + 7]  # the carbon beside oxygen
    assert (one == other)[: REACHES.index(4)].all()
    assert len(np.unique(codes[:8, -1])) == 8
    np.testing.assert_array_equal(surroundings([second]), codes[8:])
    # Z and E are one, an element more is not.
    (z, e, other) = (surroundings([graph_of(s)]) for s in (r"C/C=C\C", "C/C=C/C", "C/C=C/Cl"))
    np.testing.assert_array_equal(z, e)
    assert not (z[:4] == other[:4]).all()


def test_what_was_seen_is_told_by_reach_with_its_spread_and_number() -> None:
    some = lessons(["CCO", "CCO", "CCN"])
    (told,) = SeenShifts.of(some).given([graph_of("CCO")])
    mean, spread, weight = told.reshape(3, 2, len(REACHES), 3)[1, 0, -1]
    middle, unit = USUAL["13C"]
    values = [s.shift for one in some[:1] for s in one.signals if s.atoms == (1,)]
    assert middle + unit * mean == pytest.approx(np.mean(values), abs=1e-3)
    assert weight == pytest.approx(np.log1p(len(values)), abs=1e-5)
    assert spread * unit < 0.3
    assert not told.reshape(3, 2, len(REACHES), 3)[:, 1].any()
    (nothing,) = SeenShifts.of([]).given([graph_of("CCO")])
    assert not nothing.any()
    assert SeenShifts.of(some).given([]) == []


def test_a_poor_network_leans_on_what_was_seen_and_says_how_sure_it_is(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = ShiftNetwork(8, 1, 0.0)
    known, held_out, fresh = lessons(ALCOHOLS[::2]), lessons(ALCOHOLS[1::4], 1), lessons(ALCOHOLS[3::4], 2)
    model = ShiftModel.learned(network, {"width": 8, "layers": 1}, known, held_out)
    assert model.combination is not None
    assert set(model.combination.gates) == {"13C"}

    def off(one: ShiftModel) -> float:
        found = one.predict([lesson.graph for lesson in fresh])
        return float(
            np.mean([
                abs(shifts[s.atoms[0], 0] - s.shift)
                for lesson, (shifts, _) in zip(fresh, found, strict=True)
                for s in lesson.signals
            ])
        )  # fmt: skip

    bare = ShiftModel(network, model.spread, model.settings)
    assert off(model) < 0.3 * off(bare)
    assert digest_of(model) != digest_of(bare)
    model.save(tmp_path)
    again = ShiftModel.load(tmp_path)
    assert digest_of(again) == digest_of(model)
    for one, other in zip(again.predict([fresh[0].graph]), model.predict([fresh[0].graph]), strict=True):
        np.testing.assert_allclose(one[0], other[0], rtol=1e-6)
    hydrogens = model.predict([fresh[0].graph])[0][0][:, 1:] - bare.predict([fresh[0].graph])[0][0][:, 1:]
    assert not hydrogens.any()  # no shift of 1H was fitted


def test_without_compounds_that_were_held_out_the_network_stands_alone(tmp_path: Path) -> None:
    model = ShiftModel.learned(ShiftNetwork(8, 1, 0.0), {"width": 8, "layers": 1}, lessons(ALCOHOLS), [])
    assert model.combination is None
    model.save(tmp_path)
    assert ShiftModel.load(tmp_path).seen is None


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    some = lessons(ALCOHOLS)
    ShiftModel.learned(ShiftNetwork(8, 1, 0.0), {"width": 8, "layers": 1}, some, some).save(tmp_path)
    text = (tmp_path / "network.json").read_text()
    (tmp_path / "network.json").write_text(text.replace('"gates": [', '"gates": [1.0,'))
    with pytest.raises(BundleError, match="another form"):
        ShiftModel.load(tmp_path)
    (tmp_path / "network.json").write_text(text)
    (tmp_path / "seen.safetensors").unlink()
    with pytest.raises(BundleError, match="missing or damaged"):
        ShiftModel.load(tmp_path)
    with pytest.raises(ValueError, match="add up"):
        SeenShifts.of_arrays({"keys": np.array([2, 1], np.uint64), "sums": np.zeros((2, 3))})
    assert Combination({}, {}).as_dict() == {}
