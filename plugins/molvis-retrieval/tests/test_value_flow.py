"""From a measurement to ranked candidates no value visits a room twice."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import barcode
import pytest
import test_several
from barcode import STRUCTURES, make_index, measurement
from test_several import make_several, trace

from molvis_core import registry
from molvis_retrieval.bundle import Calibration
from molvis_retrieval.identification import identify

pytestmark = pytest.mark.usefixtures("toys")
toys = test_several.toys
BUTANOL = STRUCTURES[0]


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each encoder prepared a record, and how often the registry was asked for a scorer."""
    found: Counter[str] = Counter()

    def counting(kind: type[Any], name: str) -> None:
        collate = kind.collate

        def once(self: Any, records: Any) -> Any:
            found.update(f"{name}:{id(r)}" for r in records)
            return collate(self, records)

        monkeypatch.setattr(kind, "collate", once)

    counting(barcode.Spelled, "msms")
    counting(test_several.Sung, "ir")

    def asked(name: str) -> None:
        own: Callable[..., Any] = getattr(registry, name)

        def counted(kind: str, *args: Any, **options: Any) -> Any:
            found[f"{name}:{kind}"] += 1
            return own(kind, *args, **options)

        monkeypatch.setattr(registry, name, counted)

    asked("build")
    asked("component")
    return found


def unknowns() -> list[list[Any]]:
    """Of each of five compounds two spectra, a trace and a number."""
    return [[measurement(s), measurement(s, noise=0.2), trace(s), test_several.number(s)] for s in STRUCTURES[:5]]


def prepared(counted: Counter[str], modality: str) -> list[int]:
    return [count for key, count in counted.items() if key.startswith(f"{modality}:")]


def test_each_encoder_prepares_each_record_once_with_and_without_a_fusion(
    tmp_path: Path, counted: Counter[str]
) -> None:
    for fused in (False, True):
        bundle = make_several(tmp_path / f"bundle-{fused}", fused=fused)
        index = make_index(bundle, tmp_path / f"index-{fused}")
        counted.clear()
        queries = unknowns()
        found = identify(bundle, queries, index)
        assert [one.truth_rank for one in found] == [1] * 5
        assert ("pooled" in found[0].candidates[0].evidence) == fused
        assert prepared(counted, "msms") == [1] * 10
        assert prepared(counted, "ir") == [1] * 5


def test_a_record_is_prepared_once_however_many_adducts_its_unknown_is_tried_as(
    tmp_path: Path, counted: Counter[str]
) -> None:
    bundle = make_several(tmp_path / "bundle")
    index = make_index(bundle, tmp_path / "index")
    spectrum = measurement(BUTANOL)
    nameless = dataclasses.replace(spectrum, record=dataclasses.replace(spectrum.record, adduct=None))
    counted.clear()
    (found,) = identify(bundle, [[nameless, trace(BUTANOL)]], index)
    assert found.searched is not None
    assert len(found.searched.adducts) > 3
    assert prepared(counted, "ir") == [1]
    assert len(prepared(counted, "msms")) == len(found.searched.adducts)  # as each adduct it is another record
    assert set(prepared(counted, "msms")) == {1}


def test_only_records_of_a_batch_that_fails_are_prepared_again(tmp_path: Path, counted: Counter[str]) -> None:
    bundle = make_several(tmp_path / "bundle")
    index = make_index(bundle, tmp_path / "index")
    silent = dataclasses.replace(trace(BUTANOL).record, y=trace(BUTANOL).record.y * 0)
    queries = unknowns()
    queries[2][2] = dataclasses.replace(trace(BUTANOL), record=silent)
    counted.clear()
    found = identify(bundle, queries, index)
    assert [one.notes for one in found] == [(), (), ("ir: the trace is zero",), (), ()]
    assert prepared(counted, "msms") == [1] * 10
    assert max(prepared(counted, "ir")) == 3


def test_the_registry_is_asked_once_for_each_scorer_of_a_bundle(tmp_path: Path, counted: Counter[str]) -> None:
    bundle = make_several(tmp_path / "bundle")
    index = make_index(bundle, tmp_path / "index")
    counted.clear()
    identify(bundle, unknowns(), index)
    first = {key: count for key, count in counted.items() if key.endswith(":scorer")}
    assert first["build:scorer"] == 1
    identify(bundle, unknowns(), index)
    again = bundle.with_calibration(Calibration({"msms": 1.0, "ccs.likelihood": 2.0}))
    identify(again, unknowns(), index)
    assert again.channels is bundle.channels
    assert {key: count for key, count in counted.items() if key.endswith(":scorer")} == first
