"""The service under load, under attack, and killed.

    python benchmarks/serve.py --library demo --seconds 600 --out benchmarks/results/serve.json

A `molvis serve` of its own is started in an empty folder, with two workers. Parts, all by default:

load: so many clients at once identify spectra of the demo. Every answer is compared with that of an idle service: it
is right, or a 429 or 503 that says when to try again. Given are percentiles of the time to an answer, answers a second,
and the resident memory of all processes over time.

requests: so many requests by four clients, a tenth identifications and the others what a page reads besides,
for the memory. With --structures so many of the library, evenly.

hostile: requests that mean harm (benchmarks/serve_hostile.py). Counted are statuses, answers that took longer than two
seconds, and files that were written outside the service's folder of jobs.

kill: jobs are queued, and while they are worked on a worker and then the server are killed with SIGKILL, several times.
Each job has to end as an undisturbed one.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import psutil

from molvis_core import registry

sys.path.insert(0, str(Path(__file__).resolve().parent))
from serve_hostile import requests as hostile_requests

ROOT = Path(__file__).resolve().parents[1]
CORPUS = ROOT / "tests" / "corpus"
PARTS = ("load", "requests", "hostile", "kill")


@dataclass
class Running:
    """A service in a process of its own."""

    folder: Path
    library: Path
    workers: int
    port: int = 0
    process: Any = None
    started: list[float] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, and wait until it is ready."""
        import socket

        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        command = [sys.executable, "-m", "molvis_cli", "serve", "--library", self.library, "--port", self.port]
        command += ["--workers", self.workers, "--state", self.folder / "state"]
        settings = {"HOME": str(home), "TMPDIR": str(home), "OMP_NUM_THREADS": "1", "MOLVIS_SERVE_LOG_LEVEL": "warning"}
        settings["NUMBA_CACHE_DIR"] = os.environ.get("NUMBA_CACHE_DIR", str(self.folder / "compiled"))
        log = (self.folder / "log").open("ab")
        begun = time.monotonic()
        self.process = subprocess.Popen(
            [str(part) for part in command], cwd=home, env=os.environ | settings, stdout=log, stderr=log
        )
        while True:
            try:
                if httpx2.get(f"{self.url}/ready").status_code == 200:
                    break
            except httpx2.TransportError:
                pass
            if self.process.poll() is not None:
                raise SystemExit((self.folder / "log").read_text())
            time.sleep(0.1)
        self.started.append(time.monotonic() - begun)

    def processes(self) -> list[psutil.Process]:
        """The server, and its workers."""
        server = psutil.Process(self.process.pid)
        return [server, *(p for p in server.children() if "spawn_main" in " ".join(p.cmdline()))]

    def memory(self) -> float:
        """Resident memory of all processes in MB; what they share counts in each."""
        return sum(p.memory_info().rss for p in self.processes()) / 1e6

    def stop(self) -> float:
        """Seconds that it took to stop when it was told to."""
        begun = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        return time.monotonic() - begun


def queries() -> list[dict[str, Any]]:
    """The demo's spectra as options of `identify`."""
    spectra = registry.load("reader", "mgf")(registry.load("example", "demo-spectra"))
    return [
        {
            "peaks": [list(pair) for pair in zip(m.record.mz.tolist(), m.record.intensity.tolist(), strict=True)],
            "precursor_mz": m.record.precursor_mz, "adduct": m.record.adduct, "top": 5,
        }
        for m in spectra
    ]  # fmt: skip


def gist(answer: dict[str, Any]) -> list[Any]:
    """What an answer is compared by: the candidates in order with their probabilities."""
    return [[c["inchikey"], round(c["probability"], 6)] for c in answer["unknowns"][0]["candidates"]]


def reading(asked: list[dict[str, Any]], which: int, rng: random.Random) -> dict[str, Any]:
    """Something that a page reads beside an identification."""
    smiles = "Cn1c(=O)c2c(ncn2C)n(C)c1=O"
    known = {key: asked[which][key] for key in ("peaks", "precursor_mz", "adduct")}
    return rng.choice(
        [
            {"method": "GET", "url": "/api/v1/info"}, {"method": "GET", "url": "/api/v1/jobs"},
            {"method": "GET", "url": "/"}, {"method": "GET", "url": "/metrics"}, {"method": "GET", "url": "/ready"},
            {"method": "POST", "url": "/api/v1/sketch", "json": {"structures": [smiles]}},
            {"method": "POST", "url": "/api/v1/compare", "json": {"smiles": smiles} | known},
        ]
    )  # fmt: skip


async def asking(
    running: Running, clients: int, until: Any, right: list[Any], *, reads: bool = False
) -> dict[str, Any]:
    """Clients that ask one question after another; nine of ten are what a page reads besides where `reads`."""
    asked, times, codes = queries(), [], Counter()
    wrong = 0
    memory: list[list[float]] = []
    begun = time.monotonic()

    async def client(number: int) -> None:
        nonlocal wrong
        rng = random.Random(number)
        async with httpx2.AsyncClient(base_url=running.url, timeout=120) as session:
            while not until(len(times), time.monotonic() - begun):
                which = rng.randrange(len(asked))
                other = reads and rng.random() < 0.9
                one = {"method": "POST", "url": "/api/v1/identify", "json": asked[which]}
                at = time.monotonic()
                answer = await session.request(**(reading(asked, which, rng) if other else one))
                codes[answer.status_code] += 1
                if answer.status_code == 200:
                    times.append(time.monotonic() - at)
                    wrong += not other and gist(answer.json()) != right[which]
                elif answer.status_code in (429, 503):
                    await asyncio.sleep(float(answer.headers["retry-after"]))
                else:
                    wrong += 1

    async def watch() -> None:
        while True:
            memory.append([round(time.monotonic() - begun, 1), round(running.memory(), 1)])
            await asyncio.sleep(2)

    watching = asyncio.create_task(watch())
    await asyncio.gather(*(client(number) for number in range(clients)))
    watching.cancel()
    seconds = time.monotonic() - begun
    third = max(1, len(memory) // 3)
    return {
        "clients": clients,
        "seconds": round(seconds, 1),
        "answers": len(times),
        "a second": round(len(times) / seconds, 2),
        "p50 s": round(float(np.percentile(times, 50)), 4),
        "p99 s": round(float(np.percentile(times, 99)), 4),
        "longest s": round(max(times), 4),
        "statuses": dict(codes),
        "wrong": wrong,
        "memory MB": {
            "first third": round(float(np.mean([m for _, m in memory[:third]])), 1),
            "last third": round(float(np.mean([m for _, m in memory[-third:]])), 1),
            "highest": max(m for _, m in memory),
        },
        "memory over time": memory[:: max(1, len(memory) // 60)],
    }


def attack(running: Running, count: int) -> dict[str, Any]:
    """Requests that mean harm, one after another."""
    codes, slow, faults = Counter(), [], []
    times: list[float] = []
    workers = {p.pid for p in running.processes()[1:]}
    with httpx2.Client(base_url=running.url, timeout=120) as session:
        for one in hostile_requests(CORPUS, count):
            headers = {"content-type": one.kind} if one.kind else {}
            at = time.monotonic()
            answer = session.post(one.path, content=one.body, headers=headers)
            times.append(time.monotonic() - at)
            codes[answer.status_code] += 1
            if times[-1] > 2:
                slow.append([round(times[-1], 2), one.path, one.what, answer.status_code])
            if answer.status_code >= 500:
                faults.append([answer.status_code, one.path, one.what, answer.text[:300]])
        jobs = session.get("/api/v1/jobs", params={"limit": 1000}).json()["jobs"]
        while any(job["state"] in ("queued", "running") for job in jobs):
            time.sleep(0.5)
            jobs = session.get("/api/v1/jobs", params={"limit": 1000}).json()["jobs"]
        unclear = [
            [job["operation"], job["problem"]] for job in jobs if "in a way that it should not" in job["problem"]
        ]
    state = running.folder / "state"
    known = {"jobs", "calls", "incoming", "jobs.sqlite", "jobs.sqlite-wal", "jobs.sqlite-shm"}
    own = {job["id"] for job in jobs}
    outside = [str(p) for p in state.iterdir() if p.name not in known]
    outside += [str(p) for p in (state / "jobs").iterdir() if p.name not in own]
    outside += [str(p) for p in (*(state / "calls").iterdir(), *(state / "incoming").iterdir())]
    outside += [str(p) for p in (running.folder / "home").rglob("*") if "escaped" in p.name]
    outside += [str(p) for p in (Path("/tmp"), Path("/etc")) for p in p.glob("*escaped*")]
    return {
        "requests": count, "statuses": dict(codes), "longer than 2 s": slow, "500 and above": faults,
        "jobs": dict(Counter(job["state"] for job in jobs)), "jobs that failed without a reason": unclear,
        "files elsewhere": outside, "p99 s": round(float(np.percentile(times, 99)), 3),
        "workers replaced": len({p.pid for p in running.processes()[1:]} - workers),
    }  # fmt: skip


def killed(running: Running, jobs: int, kills: int) -> dict[str, Any]:
    """Jobs whose workers and whose server are killed while they run."""
    spectra = Path(registry.load("example", "demo-spectra")).read_bytes()
    form = {"operation": "identify", "options": json.dumps({"top": 5})}

    def all_jobs() -> list[dict[str, Any]]:
        return httpx2.get(f"{running.url}/api/v1/jobs", params={"limit": 1000}, timeout=60).json()["jobs"]

    # A file says more of a spectrum than options do: what is right is what the same file gives at once.
    asked = {"data": {"options": form["options"]}, "files": {"spectra": ("spectra.mgf", spectra)}}
    undisturbed = httpx2.post(f"{running.url}/api/v1/identify", **asked, timeout=120)
    right = [gist({"unknowns": [one]}) for one in undisturbed.json()["unknowns"]]
    sent = []
    for _ in range(jobs):
        files = {"spectra": ("spectra.mgf", spectra)}
        answer = httpx2.post(f"{running.url}/api/v1/jobs", data=form, files=files, timeout=60)
        sent.append(answer.json()["id"])
    rng = random.Random(0)
    for number in range(kills):
        time.sleep(rng.uniform(0.2, 1.0))
        processes = running.processes()
        if number % 2 == 0 and len(processes) > 1:
            rng.choice(processes[1:]).kill()
            continue
        running.process.kill()
        running.process.wait()
        psutil.wait_procs(processes[1:], timeout=10)
        left = [p for p in processes[1:] if p.is_running()]
        assert not left, "workers outlive their server"
        running.start()
    while any(job["state"] in ("queued", "running") for job in all_jobs()):
        time.sleep(0.2)
    found = {job["id"]: job for job in all_jobs()}
    wrong = 0
    for identifier in sent:
        if found.get(identifier, {}).get("state") == "done":
            answer = httpx2.get(f"{running.url}/api/v1/jobs/{identifier}/result", timeout=60).json()["unknowns"]
            wrong += [gist({"unknowns": [one]}) for one in answer] != right
    return {
        "jobs": jobs,
        "kills": kills,
        "lost": sum(identifier not in found for identifier in sent),
        "states": dict(Counter(found[i]["state"] for i in sent if i in found)),
        "begun more than once": sum(found[i]["attempts"] > 1 for i in sent if i in found),
        "wrong": wrong,
        "seconds to start": [round(s, 1) for s in running.started],
    }


def part_of(library: Path, count: int) -> Path:
    """So many rows of a Parquet file of structures, evenly."""
    import pyarrow.parquet as pq

    table = pq.read_table(library)
    part = Path(tempfile.mkdtemp(prefix="molvis-part-")) / f"{count}-of-{library.name}"
    pq.write_table(table.take(np.linspace(0, len(table) - 1, count).astype(int)), part)
    return part


@contextmanager
def service(library: Path, workers: int) -> Iterator[Running]:
    """A service in an empty folder."""
    with tempfile.TemporaryDirectory(prefix="molvis-serve-") as name:
        folder = Path(name)
        copy = folder / library.name
        copy.write_bytes(library.read_bytes())
        running = Running(folder, copy, workers)
        running.start()
        try:
            yield running
        finally:
            if running.process.poll() is None:
                running.process.kill()
                running.process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--library", default="demo", help="File of structures; demo and massbank are what ships.")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=600.0, help="Of the load.")
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--structures", type=int, default=0, help="So many of the library, evenly; 0: all.")
    parser.add_argument("--hostile", type=int, default=1000)
    parser.add_argument("--jobs", type=int, default=30)
    parser.add_argument("--kills", type=int, default=6)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    shipped = {"demo": "demo-library", "massbank": "massbank-structures"}
    library = Path(registry.load("example", shipped[given.library]) if given.library in shipped else given.library)
    if given.structures:
        library = part_of(library, given.structures)
    found: dict[str, Any] = {"library": library.name, "workers": given.workers, "load of the machine": os.getloadavg()}
    with service(library, given.workers) as running:
        models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line]
        found["processor"], found["cores"] = models[0].partition(":")[2].strip() if models else "", os.cpu_count()
        found["seconds to start"] = round(running.started[0], 1)
        with httpx2.Client(base_url=running.url, timeout=120) as session:
            found["shared"] = session.get("/api/v1/info").json()["shared"]["libraries"]
            right = [gist(session.post("/api/v1/identify", json=one).json()) for one in queries()]
            at = time.monotonic()
            for one in queries() * 3:
                session.post("/api/v1/identify", json=one)
            found["alone s"] = round((time.monotonic() - at) / (3 * len(right)), 4)
        parts = {
            "load": lambda: asyncio.run(asking(running, given.clients, lambda _, s: s > given.seconds, right)),
            "requests": lambda: asyncio.run(asking(running, 4, lambda n, _: n >= given.requests, right, reads=True)),
            "hostile": lambda: attack(running, given.hostile),
            "kill": lambda: killed(running, given.jobs, given.kills),
        }
        for name in given.parts:
            found[name] = parts[name]()
            told = {key: value for key, value in found[name].items() if key != "memory over time"}
            sys.stderr.write(f"{name}: {json.dumps(told)}\n")
            if given.out:  # a part is minutes: what is done is kept
                given.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        found["load of the machine, after"] = os.getloadavg()
        found["seconds to stop"] = round(running.stop(), 2)
    text = json.dumps(found, indent=1) + "\n"
    if given.out:
        given.out.write_text(text, encoding="utf-8")
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
