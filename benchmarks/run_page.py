"""How a page over a run of ten thousand features opens: its size, the time to its table and to a feature, memory.

    python benchmarks/run_page.py --out FOLDER [--features 10000] [--library library.parquet]

A page that is there already is measured as it is. The features are made up: structures of the demo's library with the
nine of nearest mass as rivals, spectra of forty peaks at random of which a third is explained, isotopes, chromatograms,
neighbours. Chromium is driven by its debugging port, with the standard library alone, at 1280, 768 and 390 pixels.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import socket
import struct
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from molvis_core.chemistry.adducts import ion_mz
from molvis_core.records import PeakList
from molvis_files.sketch import sketch
from molvis_lcms.records import AdductHypothesis, Feature
from molvis_retrieval.run_details import DRAWN, Detailed, isotopes
from molvis_retrieval.run_page import RunFacts, write_run_page

CANDIDATES = 10
LEVELS = (("2b", 0.1), ("3", 0.4), ("4", 0.1), ("5", 0.4))


def made_features(count: int, library: Path, seed: int = 0) -> Iterator[Detailed]:
    """Features with candidates as `molvis annotate` keeps them."""
    rng = np.random.default_rng(seed)
    table = pq.read_table(library, columns=["smiles", "inchikey14", "formula", "exact_mass", "name"])
    table = [row | {"inchikey": row["inchikey14"]} for row in table.sort_by("exact_mass").to_pylist()]
    for number, first in enumerate(rng.integers(0, len(table) - CANDIDATES, count).tolist(), start=1):
        rivals = table[first : first + CANDIDATES]
        among = float(rng.beta(2, 2))
        shares = np.sort(rng.dirichlet(np.full(CANDIDATES, 0.4)))[::-1]
        yield _feature(number, rivals[0], rng), _found(number, rivals, among, shares, rng), _worked_out(rivals, rng)


def _feature(number: int, best: dict[str, Any], rng: np.random.Generator) -> Feature:
    mz = ion_mz(best["exact_mass"], "[M+H]+")
    spectra = [
        PeakList(np.sort(rng.uniform(50, mz, 40)), rng.exponential(1, 40), mz, collision_energy=e) for e in (20.0, 40.0)
    ]
    time_ = float(rng.uniform(60, 1200))
    trace = time_ + np.linspace(-8, 8, 33)
    return Feature(
        str(number), mz, time_, time_ - 8, time_ + 8, "positive", 1, 1e6,
        {f"sample_{k}.mzML": float(a) for k, a in enumerate(rng.lognormal(14, 1, 6))},
        mz + 1.00335 * np.arange(3), np.array([1.0, 0.3, 0.05]), tuple(spectra), spectra[0],
        tuple(str(s) for s in rng.integers(1, 20000, 4)),
        (AdductHypothesis("[M+H]+", 2.0, 0.9, ("[M+Na]+ at 217.0696, r 0.97",)), AdductHypothesis("[M+K]+", -1.0, 0.1)),
        int(rng.integers(1, 4000)), trace_time=trace, trace_intensity=np.exp(-((trace - time_) ** 2) / 8),
    )  # fmt: skip


def _found(
    number: int, rivals: list[dict[str, Any]], among: float, shares: np.ndarray, rng: np.random.Generator
) -> dict[str, Any]:
    level = str(rng.choice([name for name, _ in LEVELS], p=[share for _, share in LEVELS]))
    candidates = [
        c | {
            "rank": rank, "adduct": "[M+H]+", "mass_error_ppm": float(rng.normal(0, 2)), "probability": float(p),
            "probability_joint": float(p) * among, "identifiers": [f"hmdb:HMDB{int(rng.integers(1, 10**7)):07d}"],
            "evidence": {"msms": 1.2, "learned-fragments": 2.3, "adduct": -0.3}, "sources": ["a library"],
        }
        for rank, (c, p) in enumerate(zip(rivals, shares, strict=True), start=1)
    ]  # fmt: skip
    return {
        "level": level, "level_evidence": f"10 candidates, the truth among them with probability {among:.2f}",
        "probability_among": among, "n_candidates": CANDIDATES, "problem": "", "candidates": candidates,
        "unknown": str(number), "ions": {str(number): None}, "q_value": 1 - among * float(shares[0]),
        "adducts": {"[M+H]+": 0.95, "[M+Na]+": 0.05}, "formulas": {rivals[0]["formula"]: 0.9},
    }  # fmt: skip


def _worked_out(rivals: list[dict[str, Any]], rng: np.random.Generator) -> dict[str, Any]:
    peaks = [
        {
            "n": int(n), "formula": "C8H7O2+", "ppm": 0.4, "smiles": "C=Cc1ccc(O)c(O)c1", "p": 0.97,
            "atoms": format(int(rng.integers(1, 2**20)), "x"), "mzpaf": "f{C8H7O2}/0.4ppm*0.97",
        }
        for n in np.sort(rng.choice(40, 13, replace=False))
    ]  # fmt: skip
    below = [
        [round(float(m), 4), round(float(h), 3)] for m, h in zip(rng.uniform(50, 300, 20), rng.random(20), strict=True)
    ]
    return {
        "sketches": {c["smiles"]: sketch(c["smiles"]) for c in rivals[:DRAWN]}, "peaks": peaks,
        "isotopes": isotopes(rivals[0]["formula"], "[M+H]+"), "below": {"label": "predicted", "peaks": below},
    }  # fmt: skip


class Browser:
    """Chromium by its debugging port."""

    def __init__(self, url: str, width: int) -> None:
        self.home = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        program = os.environ.get("CHROMIUM", "chromium")
        self.process = subprocess.Popen(
            [program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
             f"--remote-debugging-port={port}", f"--user-data-dir={self.home.name}", f"--window-size={width},900",
             "about:blank"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self.port, self.url, self.number = port, url, 0
        self.connection = self._connect()

    def _connect(self) -> socket.socket:
        for _ in range(200):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/json") as found:
                    pages = [one for one in json.load(found) if one["type"] == "page"]
            except OSError:
                pages = []
            if pages:
                break
            time.sleep(0.1)
        path = pages[0]["webSocketDebuggerUrl"].split(str(self.port), 1)[1]
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=120)
        key = base64.b64encode(os.urandom(16)).decode()
        connection.sendall(
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += connection.recv(1)
        return connection

    def call(self, method: str, **values: Any) -> dict[str, Any]:
        """A command of the DevTools protocol, and its answer."""
        self.number += 1
        data = json.dumps({"id": self.number, "method": method, "params": values}).encode()
        mask = os.urandom(4)
        size = (
            struct.pack("!BBH", 0x81, 0x80 | 126, len(data))
            if len(data) < 65536
            else struct.pack("!BBQ", 0x81, 0xFF, len(data))
        )
        self.connection.sendall(size + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(data)))
        while True:
            answer = json.loads(self._frame())
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]

    def _frame(self) -> bytes:
        out = b""
        while True:
            first, second = self._read(2)
            size = second & 127
            if size > 125:
                size = int.from_bytes(self._read(2 if size == 126 else 8), "big")
            out += self._read(size)
            if first & 128:
                return out

    def _read(self, size: int) -> bytes:
        out = b""
        while len(out) < size:
            out += self.connection.recv(size - len(out))
        return out

    def run(self, script: str) -> Any:
        """What a script gives, once its promise is kept."""
        found = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in found:
            raise RuntimeError(str(found["exceptionDetails"]))
        return found["result"].get("value")

    def close(self) -> None:
        """End it."""
        self.connection.close()
        self.process.terminate()
        self.process.wait()
        self.home.cleanup()


WAIT = """new Promise(done => {{
  const look = () => {{ const found = {what}; if (found) done(found); else setTimeout(look, 20); }};
  look();
}})"""
READY = WAIT.format(what="Number(document.documentElement?.dataset.ready)")
LOADED = WAIT.format(what="document.readyState === 'complete' && performance.now()")
SORT = """(() => {
  const begin = performance.now();
  sortBy("p");
  const took = performance.now() - begin;
  sortBy(null);
  return took;
})()"""
JUMP = """(async () => {
  const list = document.getElementById("list"), begin = performance.now();
  list.scrollTop = list.scrollHeight / 2;
  await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
  return performance.now() - begin;
})()"""
# A frame after the key is what the eye sees.
KEY = """(async () => {{
  const field = document.getElementById("text"), begin = performance.now();
  field.value = {text!r}; field.dispatchEvent(new Event("input", {{bubbles: true}}));
  const script = performance.now() - begin;
  await new Promise(d => requestAnimationFrame(() => setTimeout(d)));
  return [script, performance.now() - begin, document.getElementById("count").innerText];
}})()"""
LOOK = """(async () => {{
  const begin = performance.now();
  await look({place}, false);
  document.getElementById("panel").getBoundingClientRect();
  return performance.now() - begin;
}})()"""


def measured(page: Path, width: int, features: int) -> dict[str, Any]:
    """Milliseconds and megabytes of one opening."""
    browser = Browser(page.resolve().as_uri(), width)
    try:
        browser.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 500
        )
        browser.call("Page.navigate", url=browser.url)
        first = browser.run(READY)
        whole = browser.run(LOADED)
        keys = [browser.run(KEY.format(text=text)) for text in ("c", "ca", "caf", "195.0", "nothing", "")]
        sorts = browser.run(SORT)
        looks = [browser.run(LOOK.format(place=place)) for place in range(7, features, max(1, features // 20))]
        jump = browser.run(JUMP)
        rows = browser.run("document.querySelectorAll('#body tr').length")
        heap = browser.call("Runtime.getHeapUsage")["usedSize"]
        resident = _resident(browser.process.pid)
    finally:
        browser.close()
    return {
        "width": width, "table_ms": first, "loaded_ms": round(whole),
        "key_script_ms": round(max(k[0] for k in keys), 1), "key_frame_ms": round(max(k[1] for k in keys), 1),
        "sort_ms": round(sorts, 1),
        "feature_ms_median": round(float(np.median(looks)), 1), "feature_ms_most": round(max(looks), 1),
        "jump_ms": round(jump, 1), "rows_in_document": rows, "heap_mb": round(heap / 1e6, 1), "renderer_mb": resident,
    }  # fmt: skip


def _resident(parent: int) -> float:
    """Resident memory of the largest renderer that a process started, in MB."""
    most = 0.0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if b"--type=renderer" in (folder / "cmdline").read_bytes() and parent in _ancestors(folder):
                status = (folder / "status").read_text()
                most = max(most, int(status.split("VmRSS:")[1].split()[0]) / 1000)
        except (OSError, IndexError):  # it has just ended
            continue
    return round(most, 1)


def _ancestors(folder: Path) -> Iterator[int]:
    while folder.name not in ("0", "1"):
        parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
        yield int(parent)
        folder = folder.parent / parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--features", type=int, default=10_000)
    parser.add_argument(
        "--library", type=Path, default=Path("plugins/molvis-models/src/molvis_models/demo/library.parquet")
    )
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    page = given.out / "report.html"
    near = {str(k): [(str(k % given.features + 1), 0.9)] for k in range(1, given.features)}
    begin = time.perf_counter()
    if not page.is_file():
        made = made_features(given.features, given.library)
        write_run_page(page, made, RunFacts(("sample_0.mzML",), (), {"library": "made up"}), near)
    told = {
        "features": given.features,
        "page_mb": round(page.stat().st_size / 1e6, 2),
        "written_s": round(time.perf_counter() - begin, 1),
    }
    print(json.dumps(told))
    for width in (1280, 768, 390):
        print(json.dumps(measured(page, width, given.features)))


if __name__ == "__main__":
    main()
