"""Requests that mean harm: every answer is an answer, soon, and nothing is written elsewhere."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from benchmarks.serve_hostile import requests
from services import service, until_ready

from molvis_core import Component
from molvis_core.testing import offer

CORPUS = Path(__file__).resolve().parents[3] / "tests" / "corpus"
pytestmark = pytest.mark.full


@pytest.fixture(scope="module")
def reading() -> Iterator[None]:
    """The routes that read files, without what needs a bundle."""
    from molvis_serve.operations import routes

    pytest.importorskip("molvis_msms", reason="its route is asked")
    pytest.importorskip("molvis_retrieval", reason="its readers are asked")
    some = [
        Component("route", "identify", "toy_routes:READ", "For tests."),
        Component("route", "explain", "molvis_msms.routes:EXPLAIN", "For tests."),
        Component("route", "depict", "molvis_serve.depiction:ROUTE", "For tests."),
    ]
    with offer(*some, hide=("*",)):
        routes.cache_clear()
        yield
    routes.cache_clear()


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the files to damage are in the repository")
def test_requests_that_mean_harm_do_none(reading: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state, home = tmp_path / "state", tmp_path / "home"
    home.mkdir()
    monkeypatch.chdir(home)
    codes: Counter[int] = Counter()
    slow: list[tuple[float, str]] = []
    with service(state, max_call=4_000_000) as opened:
        client = until_ready(opened)
        client.post("/api/v1/explain", json={"structures": ["CCO"], "peaks": [[50, 1]], "precursor_mz": 60.0})
        for one in requests(CORPUS, 120, operations=("identify", "explain")):
            begun = time.monotonic()
            answer = client.post(one.path, content=one.body, headers={"content-type": one.kind} if one.kind else {})
            slow.append((time.monotonic() - begun, one.what))
            codes[answer.status_code] += 1
            assert answer.status_code < 500, (one.what, answer.text)
            assert answer.headers["content-type"].partition(";")[0] == "application/json"
        # Which file takes how long is a matter of the machine; that none hangs until its deadline is not.
        assert max(slow)[0] < 60, max(slow)
        assert client.get("/metrics").text.count("molvis_worker_deaths 0.0") == 1
        assert list((state / "calls").iterdir()) == []
    assert codes[200] > 5
    assert codes[422] > 25
    assert list(home.iterdir()) == []
    assert sorted(p.name for p in tmp_path.rglob("*escaped*")) == []


def test_a_structure_that_takes_forever_is_ended(reading: None, tmp_path: Path) -> None:
    with service(tmp_path, call_seconds=1.0) as opened:
        client: Any = until_ready(opened)
        nested = "C1" * 40 + "C" + "1" * 40
        assert client.get("/api/v1/depict", params={"smiles": nested}).status_code in (422, 503)
        assert client.get("/api/v1/depict", params={"smiles": "x" * 1001}).status_code == 422
