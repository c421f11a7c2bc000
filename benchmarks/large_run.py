"""Memory and time of `find_features` against the size of a run.

    python benchmarks/large_run.py --gigabytes 0.2 2 --work build/large

Writes made runs of these sizes: a survey scan of 20,000 peaks each second, uncompressed, an ion with an isotope that
elutes every minute, and its MS/MS. Each is read by a process of its own, whose largest memory and processor time are
printed as JSON. The files are deleted afterwards.
"""

from __future__ import annotations

import argparse
import base64
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

PEAKS = 20_000
EVERY = 60
"""Seconds between two molecules."""
WIDTH = 4.0


def array(values: np.ndarray, accession: str) -> str:
    """One array of a scan."""
    text = base64.b64encode(np.asarray(values, dtype="<f8").tobytes()).decode()
    terms = "".join(f'<cvParam accession="{a}" value=""/>' for a in ("MS:1000523", "MS:1000576", accession))
    return f'<binaryDataArray encodedLength="{len(text)}">{terms}<binary>{text}</binary></binaryDataArray>'


def scan(number: int, level: int, time_s: float, mz: np.ndarray, height: np.ndarray, precursor: float = 0.0) -> str:
    """One element `spectrum`."""
    ion = ""
    if level == 2:
        ion = (
            '<precursorList count="1"><precursor><selectedIonList count="1"><selectedIon><cvParam accession='
            f'"MS:1000744" value="{precursor}"/></selectedIon></selectedIonList></precursor></precursorList>'
        )
    return (
        f'<spectrum index="{number}" id="scan={number + 1}" defaultArrayLength="{len(mz)}">'
        f'<cvParam accession="MS:1000511" value="{level}"/><cvParam accession="MS:1000130" value=""/>'
        f'<scanList count="1"><scan><cvParam accession="MS:1000016" value="{time_s}" unitAccession="UO:0000010"/>'
        f'</scan></scanList>{ion}<binaryDataArrayList count="2">{array(mz, "MS:1000514")}'
        f"{array(height, 'MS:1000515')}</binaryDataArrayList></spectrum>\n"
    )


def write(path: Path, size: float) -> int:
    """A run of so many bytes; returns how many molecules are in it."""
    rng = np.random.default_rng(0)
    background = np.sort(rng.uniform(100, 1000, PEAKS))
    number = second = 0
    fragments = np.array([81.07, 95.086, 121.101])
    with path.open("w", encoding="utf-8") as file:
        file.write('<?xml version="1.0" encoding="utf-8"?>\n<mzML xmlns="http://psi.hupo.org/ms/mzml" version="1.1.0">')
        file.write('<run id="r"><spectrumList count="1">\n')
        while file.tell() < size:
            ion = 200.1 + 0.37 * (second // EVERY % 1000)
            height = 1e6 * np.exp(-0.5 * ((second % EVERY - EVERY / 2) / WIDTH) ** 2)
            mz = np.sort(np.append(background, [ion, ion + 1.00335]))
            heights = rng.uniform(1, 100, len(mz))
            heights[np.searchsorted(mz, [ion, ion + 1.00335])] += [height, 0.15 * height]
            file.write(scan(number, 1, second, mz, heights))
            number += 1
            if second % EVERY == EVERY // 2:
                file.write(scan(number, 2, second + 0.5, fragments, np.array([10.0, 30.0, 5.0]), ion))
                number += 1
            second += 1
        file.write("</spectrumList></run></mzML>\n")
    return second // EVERY


def measure(path: Path) -> None:
    """Find the features of a run, and print what that took."""
    from molvis_lcms.finding import find_features

    before, begun = resource.getrusage(resource.RUSAGE_SELF), time.process_time()
    found = find_features(path)
    used = resource.getrusage(resource.RUSAGE_SELF)
    told = {
        "features": len(found),
        "before_mib": round(before.ru_maxrss / 1024),
        "peak_mib": round(used.ru_maxrss / 1024),
        "cpu_s": round(time.process_time() - begun, 1),
    }
    print(json.dumps(told))


def main() -> None:
    """Write, measure, delete."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, nargs="+", default=[0.2, 2.0])
    parser.add_argument("--work", type=Path, default=Path("build/large"))
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.measure:
        measure(asked.measure)
        return
    asked.work.mkdir(parents=True, exist_ok=True)
    for size in asked.gigabytes:
        path = asked.work / f"run-{size:g}.mzML"
        try:
            molecules = write(path, size * 1e9)
            done = subprocess.run(
                [sys.executable, __file__, "--measure", str(path)], capture_output=True, text=True, check=True
            )
            print(json.dumps({"gigabytes": size, "molecules": molecules} | json.loads(done.stdout)), flush=True)
        finally:
            path.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
