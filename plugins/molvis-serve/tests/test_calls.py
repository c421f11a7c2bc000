"""Calls that are waited for, and what the service says of itself."""

from __future__ import annotations

import json
from typing import Any

import pytest


def test_the_service_says_what_it_offers(client: Any) -> None:
    info = client.get("/api/v1/info").json()
    assert info["ready"]
    assert info["shared"] == {"toy": "open", "shelves": [{"name": "upper"}, {"name": "lower"}]}
    named = {operation["name"]: operation for operation in info["operations"]}
    assert {name: one["path"] for name, one in named.items()} == {"echo": "echo", "toy-count": "toy/count"}
    assert named["echo"]["options"]["properties"]["n"] == {
        "type": "integer", "description": "A count.", "minimum": 0, "maximum": 10, "default": 1,
    }  # fmt: skip
    assert named["echo"]["files"][0]["suffixes"] == [".mgf", ".csv"]


def test_a_call_is_answered_with_options_and_defaults(client: Any) -> None:
    answer = client.post("/api/v1/echo", json={"n": 3, "peaks": [[100.5, 1]]})
    assert answer.status_code == 200
    assert answer.json() == {
        "options": {"word": "ion", "n": 3, "level": None, "shelf": None, "peaks": [[100.5, 1.0]], "fault": ""},
        "sizes": {},
        "shared": {"toy": "open", "shelves": [{"name": "upper"}, {"name": "lower"}]},
    }


def test_an_option_may_be_the_name_of_what_is_open(client: Any) -> None:
    (echo,) = [one for one in client.get("/api/v1/info").json()["operations"] if one["name"] == "echo"]
    assert echo["options"]["properties"]["shelf"]["enum"] == ["upper", "lower"]
    assert client.post("/api/v1/echo", json={"shelf": "lower"}).json()["options"]["shelf"] == "lower"
    for answer in (
        client.post("/api/v1/echo", json={"shelf": "uper"}),
        client.post("/api/v1/jobs", json={"operation": "echo", "options": {"shelf": "uper"}}),
        client.post("/api/v1/echo", json={"shelf": "uper"}, headers={"prefer": "respond-async"}),
    ):
        assert answer.status_code == 422
        assert "must be one of upper, lower, got 'uper'. Did you mean 'upper'?" in answer.json()["error"]


def test_a_call_takes_files(client: Any) -> None:
    files = [("spectra", ("a.mgf", b"12345")), ("spectra", ("../../b.CSV.gz", b"1"))]
    answer = client.post("/api/v1/echo", files=files, data={"options": json.dumps({"word": "two"})})
    assert answer.status_code == 200, answer.text
    assert answer.json()["sizes"] == {"a.mgf": 5, "b.CSV.gz": 1}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('{"m": 1}', "no option 'm'"),
        ('{"n": 11}', "at most 10"),
        ('{"n": 1.5}', "a whole number"),
        ('{"n": true}', "a whole number"),
        ('{"n": NaN}', "NaN is no JSON"),
        ('{"level": "hihg"}', "Did you mean"),
        ('{"word": "' + "x" * 21 + '"}', "at most 20 characters"),
        ('{"word": 1}', "a text"),
        ('{"peaks": [[0, 1]]}', "positive m/z"),
        ('{"peaks": [[1e999, 1]]}', "positive m/z"),
        ('{"peaks": 3}', "pairs"),
        ("[1]", "must be a JSON object"),
        ("{", "cannot be read"),
        ("[" * 100_000, "cannot be read"),
        ('{"fault": "\\u0000"}', "zero bytes"),
    ],
)
def test_what_cannot_be_is_refused_and_named(client: Any, body: str, said: str) -> None:
    answer = client.post("/api/v1/echo", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 422
    assert said in answer.json()["error"]
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


def test_files_that_it_does_not_take_are_refused(client: Any) -> None:
    for files in (
        [("other", ("a.mgf", b""))],
        [("spectra", ("a.exe", b""))],
        [("spectra", (f"{n}.mgf", b"")) for n in range(4)],
    ):
        assert client.post("/api/v1/echo", files=files).status_code == 422
    assert client.post("/api/v1/echo", content=b"x", headers={"content-type": "text/plain"}).status_code == 415


def test_an_error_of_a_file_names_its_place_and_not_the_server(client: Any) -> None:
    answer = client.post("/api/v1/echo", files=[("spectra", ("a.mgf", b"x"))], data={"options": '{"fault": "refuse"}'})
    assert answer.status_code == 422
    assert answer.json()["error"] == "a.mgf:3: it is refused, as was asked"


def test_an_answer_names_files_as_the_user_does(client: Any) -> None:
    answer = client.post("/api/v1/echo", files=[("spectra", ("a.mgf", b"x"))], data={"options": '{"fault": "tell"}'})
    assert answer.json() == {"problem": "a.mgf:3: it is odd", "folder": ""}


def test_a_fault_of_an_operation_is_told_without_its_secrets(client: Any) -> None:
    answer = client.post("/api/v1/echo", json={"fault": "crash"})
    assert answer.status_code == 500
    assert "secret" not in answer.text


def test_answers_carry_headers_that_keep_a_browser_safe(client: Any) -> None:
    for path in ("/", "/api/v1/info", "/docs", "/nothing"):
        headers = client.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-request-id"]


def test_the_description_loads_nothing_from_elsewhere(client: Any) -> None:
    page = client.get("/docs").text
    assert "/api/v1/toy/count" in page
    assert "http" not in page.replace("HTTP", "")
    schema = client.get("/openapi.json").json()
    content = schema["paths"]["/api/v1/echo"]["post"]["requestBody"]["content"]
    assert content["application/json"]["schema"]["properties"]["n"]["maximum"] == 10
    assert set(content) == {"application/json", "multipart/form-data"}


def test_prometheus_gets_counts(client: Any) -> None:
    client.get("/api/v1/info")
    text = client.get("/metrics").text
    assert 'molvis_requests_total{method="GET",path="/api/v1/info",status="200"}' in text
    assert 'molvis_memory_bytes{process="worker-0"}' in text


def test_a_form_that_is_cut_off_is_refused(client: Any) -> None:
    whole = b'--x\r\nContent-Disposition: form-data; name="spectra"; filename="a.mgf"\r\n\r\nBEGIN IONS\r\n--x--\r\n'
    kind = {"content-type": "multipart/form-data; boundary=x"}
    for length in (len(whole) - 6, len(whole) - 12, 40):
        answer = client.post("/api/v1/echo", content=whole[:length], headers=kind)
        assert answer.status_code == 422
        assert "the form cannot be read" in answer.text
