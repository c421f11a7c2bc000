"""What is too much, who may ask, and what outlives a service."""

from __future__ import annotations

import gzip
import json
import time
from pathlib import Path
from typing import Any

import pytest
from services import ended, service, until_ready

from molvis_core.errors import ConfigError
from molvis_serve.names import harmless
from molvis_serve.settings import Settings, table


def test_what_is_too_large_is_refused_and_leaves_nothing(toys: None, tmp_path: Path) -> None:
    with service(tmp_path, max_upload=10_000, max_call=10_000, max_files=2) as opened:
        client = until_ready(opened)
        large = [("spectra", ("a.mgf", b"x" * 20_000))]
        assert client.post("/api/v1/echo", files=large).status_code == 413
        assert client.post("/api/v1/jobs", files=large, data={"operation": "echo"}).status_code == 413
        # Without its length being stated, too.
        chunks = (b"x" * 1000 for _ in range(20))
        kind = {"content-type": "application/json"}
        assert client.post("/api/v1/echo", content=chunks, headers=kind).status_code == 413
        many = [("spectra", (f"{n}.mgf", b"")) for n in range(3)]
        assert client.post("/api/v1/echo", files=many).status_code == 422
        assert [p for name in ("jobs", "calls", "incoming") for p in (tmp_path / name).rglob("*")] == []


def test_too_many_jobs_are_refused_with_a_time_to_try_again(toys: None, tmp_path: Path) -> None:
    with service(tmp_path, max_queued=3, max_queued_each=2) as opened:
        client = until_ready(opened)
        slow = {"operation": "toy-count", "options": {"n": 10_000}}
        first = client.post("/api/v1/jobs", json=slow).json()
        while client.get(f"/api/v1/jobs/{first['id']}").json()["state"] == "queued":
            time.sleep(0.01)
        assert [client.post("/api/v1/jobs", json=slow).status_code for _ in range(3)] == [202, 202, 429]
        answer = client.post("/api/v1/jobs", json=slow)
        assert int(answer.headers["retry-after"]) > 0
        assert client.get("/api/v1/jobs", params={"state": "queued"}).json()["jobs"][0]["ahead"] == 1


def test_deadlines_end_what_takes_too_long(toys: None, tmp_path: Path) -> None:
    with service(tmp_path, workers=2, call_seconds=0.3, job_seconds=0.3) as opened:
        client = until_ready(opened)
        answer = client.post("/api/v1/toy/count", json={"n": 10_000})
        assert (answer.status_code, "longer than 0.3 s" in answer.json()["error"]) == (503, True)
        job = client.post("/api/v1/jobs", json={"operation": "toy-count", "options": {"n": 10_000}}).json()
        now = ended(client, job)
        assert (now["state"], "longer than 0.3 s" in now["problem"]) == ("failed", True)


def test_a_key_is_needed_and_sees_its_own_jobs_only(toys: None, tmp_path: Path) -> None:
    with service(tmp_path, api_keys=("first", "second"), rate=600.0) as opened:
        client = until_ready(opened)
        assert client.get("/health").status_code == 200
        assert client.get("/api/v1/info").status_code == 401
        assert client.get("/api/v1/info", headers={"x-api-key": "third"}).status_code == 401
        keys = [{"x-api-key": "first"}, {"authorization": "Bearer second"}]
        job = client.post("/api/v1/jobs", json={"operation": "echo"}, headers=keys[0]).json()
        seen = [client.get(f"/api/v1/jobs/{job['id']}", headers=key).status_code for key in keys]
        assert seen == [200, 404]
        assert [len(client.get("/api/v1/jobs", headers=key).json()["jobs"]) for key in keys] == [1, 0]
        codes = [client.get("/api/v1/info", headers=keys[1]).status_code for _ in range(150)]
        assert codes[:50] == [200] * 50
        assert 429 in codes


def test_pages_of_elsewhere_and_other_names_are_refused(client: Any) -> None:
    elsewhere = {"sec-fetch-site": "cross-site"}
    assert client.post("/api/v1/echo", json={}, headers=elsewhere).status_code == 403
    assert client.post("/api/v1/echo", json={}, headers={"sec-fetch-site": "same-origin"}).status_code == 200
    assert client.get("/api/v1/info", headers={"host": "evil.example:8000"}).status_code == 421
    assert client.request("ODD", "/api/v1/info").status_code == 405
    assert 'method="other"' in client.get("/metrics").text


def test_a_job_that_kills_its_worker_is_given_up(toys: None, tmp_path: Path) -> None:
    with service(tmp_path, attempts=2) as opened:
        client = until_ready(opened)
        assert client.post("/api/v1/echo", json={"fault": "die"}).status_code == 503
        until_ready(client)
        job = client.post("/api/v1/jobs", json={"operation": "echo", "options": {"fault": "die"}}).json()
        now = ended(client, job)
        assert (now["state"], now["attempts"]) == ("failed", 2)
        assert now["problem"] == "given up after 2 attempts: the process that worked on it died"
        assert until_ready(client).post("/api/v1/echo", json={}).status_code == 200


def test_work_that_eats_the_memory_is_ended(toys: None, tmp_path: Path) -> None:
    with service(tmp_path, worker_memory=350_000_000) as opened:
        client = until_ready(opened)
        answer = client.post("/api/v1/echo", json={"fault": "eat"})
        assert (answer.status_code, answer.json()["error"]) == (422, "it took more memory than a worker may")


def test_numbers_that_json_has_no_word_for_become_null(client: Any) -> None:
    answer = client.post("/api/v1/echo", json={"fault": "odd"})
    assert answer.json() == {"open": None, "half": "?", "pair": [1, None]}


def test_a_full_disk_takes_no_more_jobs(toys: None, tmp_path: Path) -> None:
    with service(tmp_path, least_free=1 << 60) as opened:
        client = until_ready(opened)
        assert client.post("/api/v1/jobs", json={"operation": "echo"}).status_code == 503
        assert client.post("/api/v1/echo", json={}).status_code == 200


@pytest.mark.full
def test_what_a_service_left_is_taken_up_by_the_next(toys: None, tmp_path: Path) -> None:
    with service(tmp_path) as opened:
        client = until_ready(opened)
        slow = {"operation": "toy-count", "options": {"n": 100, "pause": 0.02}}
        jobs = [client.post("/api/v1/jobs", json=slow).json() for _ in range(2)]
        while not client.get(f"/api/v1/jobs/{jobs[0]['id']}").json()["progress"]["done"]:
            time.sleep(0.02)
    with service(tmp_path) as opened:
        client = until_ready(opened)
        assert [ended(client, job)["state"] for job in jobs] == ["done", "done"]
        # Stopped on purpose, it counts as no attempt that the job did not survive.
        assert client.get(f"/api/v1/jobs/{jobs[0]['id']}").json()["attempts"] == 1
        assert client.get(f"/api/v1/jobs/{jobs[0]['id']}/result").json() == {"counted": 100, "begun": 2}


def test_a_bundle_that_cannot_be_opened_is_told(toys: None, tmp_path: Path) -> None:
    with service(tmp_path, bundle="broken") as client:
        until = time.monotonic() + 30
        while "broken, as was asked" not in client.get("/ready").json().get("why", ""):
            assert time.monotonic() < until
            time.sleep(0.05)
        assert client.get("/ready").status_code == 503
        assert client.post("/api/v1/echo", json={}).status_code == 503


def test_settings_come_from_the_environment_and_are_checked() -> None:
    found = Settings.read({"MOLVIS_SERVE_LIBRARY": "a.csv, b", "MOLVIS_SERVE_WORKERS": "3", "HOME": "x"}, port=1)
    assert (found.library, found.workers, found.port) == (("a.csv", "b"), 3, 1)
    for name, value, said in (
        ("WORKRES", "3", "Did you mean"), ("WORKERS", "x", "a whole number"), ("WORKERS", "0", "at least 1"),
        ("DOCS", "x", "true or false"),
    ):  # fmt: skip
        with pytest.raises(ConfigError, match=said):
            Settings.read({f"MOLVIS_SERVE_{name}": value})
    assert all(what for _, _, what in table())


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("a.mgf", "a.mgf"),
        ("../../etc/passwd", "passwd"),
        ("..\\x.csv", "x.csv"),
        ("<b>.mgf", "_b_.mgf"),
        ("\x00\x1b[2Ja.mgf", "[2Ja.mgf"),
        (".hidden", "hidden"),
        ("con.mgf", "_con.mgf"),
        ("", "_"),
        ("..", "_"),
        ("a/", "_"),
    ],
)
def test_names_are_made_harmless(given: str, found: str) -> None:
    assert harmless(given) == found


def test_a_long_name_keeps_its_ending() -> None:
    name = harmless("ä" * 300 + ".mzML.gz")
    assert name.endswith(".mzML.gz")
    assert len(name.encode()) <= 120


def test_bytes_that_unfold_are_a_file_of_the_size_that_was_sent(client: Any) -> None:
    bomb = gzip.compress(b"\0" * 5_000_000)
    answer = client.post("/api/v1/echo", files=[("spectra", ("a.mgf.gz", bomb))], data={"options": json.dumps({})})
    assert answer.json()["sizes"] == {"a.mgf.gz": len(bomb)}
