"""A service whose library lies in an object store: it answers as with the same library on a disk."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

pytestmark = [pytest.mark.full, pytest.mark.filterwarnings("ignore::DeprecationWarning")]
ROOT = Path(__file__).resolve().parents[1]
COMPOSE = yaml.safe_load((ROOT / "packaging" / "docker" / "compose.yaml").read_text(encoding="utf-8"))
CAFFEINE, THEOPHYLLINE = "Cn1c(=O)c2c(ncn2C)n(C)c1=O", "Cn1c(=O)c2[nH]cnc2n(C)c1=O"
SMILES = (CAFFEINE, "Cn1cnc2c1n(C)c(=O)n(C)c2=O", THEOPHYLLINE, "OC(=O)C1CCCN1", "CCO")
ASKED = {
    "peaks": [[110.0713, 30], [123.0427, 10], [138.0662, 100]], "precursor_mz": 195.0877, "adduct": "[M+H]+",
}  # fmt: skip


def defaults(variable: str) -> str:
    """What compose.yaml sets where the environment sets nothing."""
    service = COMPOSE["services"]["serve"]["environment"][variable]
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", service)


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a bucket, in an environment with the variables that compose.yaml gives to the service."""
    server = pytest.importorskip("moto.server", reason="moto plays the object store")
    boto3 = pytest.importorskip("boto3", reason="the bucket is made with it")
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    given = {name for name in COMPOSE["services"]["serve"]["environment"] if name.startswith("AWS_")}
    assert given == {"AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_EC2_METADATA_DISABLED"}
    for name in given:
        monkeypatch.setenv(name, defaults(name))
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    boto3.client("s3", region_name="us-east-1").create_bucket(Bucket="library")
    yield "s3://library/structures"
    running.stop()


def answered(library: str, state: Path) -> Any:
    """What a service with this library answers, and what it tells of it."""
    from starlette.testclient import TestClient

    from molvis_serve import Settings, create_app

    settings = Settings.read({}, library=(library,), workers=1, state=state, grace_seconds=0.2, hosts=("testserver",))
    with TestClient(create_app(settings)) as client:
        end = time.monotonic() + 240
        while (now := client.get("/ready")).status_code != 200:
            assert time.monotonic() < end, now.text
            assert "Error" not in now.text, now.text
            time.sleep(0.1)
        answer = client.post("/api/v1/identify", json=ASKED)
        assert answer.status_code == 200, answer.text
        return answer.json()["unknowns"][0], client.get("/api/v1/info").json()["shared"]["libraries"]


def test_a_service_searches_a_library_in_an_object_store(store: str, tmp_path: Path) -> None:
    from molvis_core import structure
    from molvis_retrieval import load_bundle
    from molvis_retrieval.parents import ParentCounts
    from molvis_retrieval.partition_building import build_partitioned
    from molvis_retrieval.partition_sorting import tables_of

    bundle = load_bundle("massbank")
    for place in (store, tmp_path / "structures"):
        tables = tables_of([structure(smiles) for smiles in SMILES], ParentCounts())
        build_partitioned(bundle, place, tables, source={"typed": "by hand"}, size=2, engine="local")
    there, told = answered(store, tmp_path / "there")
    here, _ = answered(str(tmp_path / "structures"), tmp_path / "here")
    assert told == [{"name": "structures", "structures": len(SMILES)}]
    assert len(there["candidates"]) == 2
    assert there["candidates"] == here["candidates"]
