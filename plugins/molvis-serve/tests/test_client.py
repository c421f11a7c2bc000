"""The client for Python, against a service in this process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from molvis_serve.client import Client, ServiceError


@pytest.fixture
def remote(client: Any) -> Client:
    return Client("http://testserver", session=client, patience=10)


def test_it_calls_submits_waits_and_fetches(remote: Client, tmp_path: Path) -> None:
    assert [one.name for one in remote.info().operations] == ["echo", "toy-count"]
    file = tmp_path / "a.mgf"
    file.write_text("12345", encoding="utf-8")
    assert remote.call("echo", {"n": 2}, {"spectra": [file]})["sizes"] == {"a.mgf": 5}
    assert remote.call("toy-count", {"n": 1})["counted"] == 1
    told: list[str] = []
    job = remote.submit("toy-count", {"n": 3}, title="three")
    done = remote.wait(job.id, lambda now: told.append(now.state))
    assert (done.state, done.title, told[-1]) == ("done", "three", "done")
    assert remote.result(job.id) == {"counted": 3, "begun": 1}
    assert remote.download(job.id, tmp_path / "out") == [
        (tmp_path / "out" / name).resolve() for name in ("kept.txt", "sub/page.html")
    ]
    assert job.id in {one.id for one in remote.jobs("done")}
    assert remote.cancel(job.id) is None
    with pytest.raises(ServiceError, match="no such job"):
        remote.job(job.id)


def test_a_job_with_files_is_told_apart_from_a_call(remote: Client, tmp_path: Path) -> None:
    file = tmp_path / "a.mgf"
    file.write_text("1", encoding="utf-8")
    job = remote.submit("echo", {"fault": "refuse"}, {"spectra": [file]})
    done = remote.wait(job.id)
    assert (done.state, done.problem) == ("failed", "a.mgf:3: it is refused, as was asked")
    assert done.files == {"spectra": ["a.mgf"]}
    with pytest.raises(ServiceError, match="failed"):
        remote.result(job.id)


def test_a_refusal_names_its_reason_status_and_request(remote: Client) -> None:
    with pytest.raises(ServiceError, match="no option 'm'") as caught:
        remote.call("echo", {"m": 1})
    assert caught.value.status == 422
    assert caught.value.request_id


def test_what_does_not_answer_is_an_error() -> None:
    with Client("http://127.0.0.1:9", patience=0) as nobody, pytest.raises(ServiceError, match="cannot be reached"):
        nobody.info()
