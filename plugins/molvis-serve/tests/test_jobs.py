"""Jobs: their way from the queue to the end."""

from __future__ import annotations

import json
import time
from typing import Any

import psutil
import pytest
from services import ended


def test_a_job_runs_to_its_end_and_leaves_files(client: Any) -> None:
    answer = client.post("/api/v1/jobs", json={"operation": "toy-count", "options": {"n": 2}, "title": "two"})
    assert answer.status_code == 202
    job = ended(client, answer.json())
    assert (job["state"], job["title"], job["attempts"]) == ("done", "two", 1)
    assert client.get(f"/api/v1/jobs/{job['id']}/result").json() == {"counted": 2, "begun": 1}
    assert [one["name"] for one in job["results"]] == ["kept.txt", "sub/page.html"]
    page = client.get(job["results"][1]["url"])
    assert page.headers["content-disposition"].startswith("attachment")
    assert "sandbox" in page.headers["content-security-policy"]
    assert client.delete(f"/api/v1/jobs/{job['id']}").json() is None
    assert client.get(f"/api/v1/jobs/{job['id']}").status_code == 404


def test_events_tell_a_job_to_its_end(client: Any) -> None:
    job = client.post("/api/v1/jobs", json={"operation": "toy-count", "options": {"n": 60}}).json()
    lines = client.get(f"/api/v1/jobs/{job['id']}/events").text.split("\n")
    told = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]
    assert told[-1]["state"] == "done"
    counts = [one["progress"]["done"] for one in told]
    assert counts == sorted(counts)
    assert any(one["progress"]["what"].startswith("counting in ") for one in told)


@pytest.mark.full
def test_a_running_job_is_cancelled_also_where_it_does_not_heed(client: Any) -> None:
    for heed in (True, False):
        options = {"n": 100, "pause": 0.2, "heed": heed}
        job = client.post("/api/v1/jobs", json={"operation": "toy-count", "options": options}).json()
        while client.get(f"/api/v1/jobs/{job['id']}").json()["state"] == "queued":
            time.sleep(0.02)
        client.delete(f"/api/v1/jobs/{job['id']}")
        assert ended(client, job)["state"] == "cancelled"


def test_a_result_that_is_not_there_yet_is_a_conflict(client: Any) -> None:
    job = client.post("/api/v1/jobs", json={"operation": "toy-count", "options": {"n": 50}}).json()
    assert client.get(f"/api/v1/jobs/{job['id']}/result").status_code == 409
    client.delete(f"/api/v1/jobs/{job['id']}")


def test_a_job_whose_worker_is_killed_is_begun_again(client: Any) -> None:
    job = client.post("/api/v1/jobs", json={"operation": "toy-count", "options": {"n": 40, "pause": 0.02}}).json()
    while not client.get(f"/api/v1/jobs/{job['id']}").json()["progress"]["done"]:
        time.sleep(0.02)
    # That process alone: where all are killed, the job may begin in one that is about to be, and once more after it.
    at_work = client.get(f"/api/v1/jobs/{job['id']}").json()["progress"]["what"].rpartition(" ")[2]
    psutil.Process(int(at_work)).kill()
    now = ended(client, job)
    assert (now["state"], now["attempts"]) == ("done", 2)
    # It goes on in the folder where it was.
    assert client.get(f"/api/v1/jobs/{job['id']}/result").json()["begun"] == 2


def test_a_job_that_cannot_be_is_refused(client: Any) -> None:
    for body in ({}, {"operation": "nothing"}, {"operation": "echo", "x": 1}, {"operation": "echo", "title": 3}):
        assert client.post("/api/v1/jobs", json=body).status_code == 422
    assert client.get("/api/v1/jobs/nothing/result").status_code == 404
    assert client.get("/api/v1/jobs", params={"state": "odd"}).status_code == 422
