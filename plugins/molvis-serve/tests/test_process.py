"""`molvis serve` in a process of its own: killed, stopped and started again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import httpx2
import psutil
import pytest

from molvis_core import Component
from molvis_core.testing import offer
from molvis_serve.client import Client

pytestmark = pytest.mark.full
HERE = Path(__file__).resolve().parent


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    pytest.importorskip("molvis_models", reason="it has the bundle that is opened")
    pytest.importorskip("molvis_cli", reason="it is the program that is started")
    (tmp_path / "library.csv").write_text("name,smiles\nethanol,CCO\nproline,OC(=O)C1CCCN1\n", encoding="utf-8")
    with offer(Component("route", "slow-count", "toy_routes:COUNT", "For tests.")):
        monkeypatch.setenv("PYTHONPATH", f"{os.environ['PYTHONPATH']}{os.pathsep}{HERE}")
        yield tmp_path
    for one in Process.all:
        one.process.kill()
        one.process.wait()
    Process.all.clear()


class Process:
    """A service."""

    all: ClassVar[list[Process]] = []

    def __init__(self, place: Path) -> None:
        given = {"LIBRARY": place / "library.csv", "PORT": 0, "WORKERS": 1, "GRACE_SECONDS": 0.5}
        settings = {f"MOLVIS_SERVE_{name}": str(value) for name, value in given.items()}
        self.log = place / "log"
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", "molvis_cli", "serve", "--json"]
            self.process = subprocess.Popen(
                command, cwd=place, env=os.environ | settings, stdout=subprocess.PIPE, stderr=log, text=True
            )
        self.all.append(self)
        assert self.process.stdout is not None
        with self.process.stdout as said:
            self.url = json.JSONDecoder().raw_decode("".join(iter(said.readline, "}\n")) + "}")[0]["url"]
        until = time.monotonic() + 120
        while not self.ready():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < until, self.log.read_text()
            time.sleep(0.1)

    def ready(self) -> bool:
        try:
            return httpx2.get(f"{self.url}/ready").status_code == 200
        except httpx2.TransportError:
            return False

    def end(self, number: int) -> list[psutil.Process]:
        """Send a signal and wait for the end; the workers that are left then."""
        children = psutil.Process(self.process.pid).children()
        self.process.send_signal(number)
        self.process.wait(30)
        return psutil.wait_procs(children, timeout=20)[1]


def begun(client: Client, options: dict[str, Any]) -> str:
    job = client.submit("slow-count", options)
    for now in client.events(job.id):
        if now.progress.done:
            break
    return job.id


def test_jobs_outlive_a_service_that_is_killed_and_one_that_is_stopped(place: Path) -> None:
    slow = {"n": 100, "pause": 0.05}
    first = Process(place)
    with Client(first.url) as client:
        assert client.call("identify", {"peaks": [[30, 1]], "precursor_mz": 47.0491, "adduct": "[M+H]+"})["unknowns"]
        job = begun(client, slow)
        waiting = client.submit("slow-count", {"n": 1}).id
    assert first.end(signal.SIGKILL) == []
    second = Process(place)
    with Client(second.url) as client:
        assert client.wait(job).attempts == 2
        assert client.result(job) == {"counted": 100, "begun": 2}
        assert client.wait(waiting).state == "done"
        job = begun(client, slow)
    assert second.end(signal.SIGTERM) == []
    assert second.process.returncode == 0
    lines = [json.loads(line) for line in second.log.read_text().splitlines()]
    assert {"time", "level", "message"} <= set(lines[-1])
    third = Process(place)
    with Client(third.url) as client:
        assert client.wait(job).attempts == 1
        assert client.result(job)["begun"] == 2
