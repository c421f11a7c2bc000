"""matchms for benchmarks/msms_peers.py: cosine and modified cosine, in an environment of its own.

pip install matchms

    python msms_peers_matchms.py FOLDER --fold FOLD --control CONTROL

Searches FOLDER/references.npz for the spectra of FOLDER/FOLD/CONTROL.npz and writes the best reference compounds of
each beside them. `FlashSimilarity` of matchms is used. On 60,000 pairs of such spectra, as square roots of intensities,
it had the scores of `CosineGreedy`, and but for 11 pairs those of `ModifiedCosineGreedy`, in a fiftieth of the time.
"""

from __future__ import annotations

import argparse
import contextlib
import io
from pathlib import Path

import matchms
import numpy as np
from matchms import Spectrum
from matchms.similarity import FlashSimilarity
from msms_peers_exchange import Spectra, searched

TOLERANCE = 0.01
MODES = {"cosine": "fragment", "modified-cosine": "hybrid"}


def converted(some: Spectra) -> list[Spectrum]:
    """Spectra of matchms, with square roots of the intensities."""
    out = []
    for number in range(len(some)):
        mz, intensity = some.peaks(number)
        out.append(Spectrum(mz, np.sqrt(intensity), {"precursor_mz": float(some.precursor_mz[number])}))
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--fold", required=True)
    parser.add_argument("--control", required=True)
    options = parser.parse_args()
    print(f"matchms {matchms.__version__}", flush=True)
    place = options.folder / options.fold
    references = Spectra.load(options.folder / "references.npz")
    queries = Spectra.load(place / f"{options.control}.npz")
    known, asked = converted(references), converted(queries)
    for number, (name, mode) in enumerate(MODES.items()):
        out = place / f"{name}-{options.control}.npz"
        if out.is_file():
            continue
        similarity = FlashSimilarity("cosine", mode, TOLERANCE, noise_cutoff=0.0, normalize_to_half=False)

        def compare(chosen: np.ndarray, compared: np.ndarray, by: FlashSimilarity = similarity) -> np.ndarray:
            with contextlib.redirect_stderr(io.StringIO()):  # its own bar, one for each block
                return by.matrix([asked[i] for i in chosen], [known[i] for i in compared], n_jobs=1)

        def say(done: int, total: int, before: int = number) -> None:
            print(f"PROGRESS {before * total + done} {len(MODES) * total}", flush=True)

        searched(references, queries, compare, say).save(out)


if __name__ == "__main__":
    main()
