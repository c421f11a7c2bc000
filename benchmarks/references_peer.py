"""The peers of benchmarks/references.py: matchms and MSEntropy, in an environment of their own.

pip install matchms ms_entropy
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import ms_entropy
import numpy as np
from matchms import Spectrum
from matchms.similarity import CosineGreedy, ModifiedCosineGreedy, NeutralLossesCosine


def main(folder: Path) -> None:
    content = json.loads((folder / "spectra.json").read_text())
    spectra = {
        name: [
            Spectrum(np.array(one["mz"]), np.array(one["intensity"]), {"precursor_mz": one["precursor"]})
            for one in some
        ]
        for name, some in content.items()
    }
    found = {}
    for kind, scorer in (
        ("cosine", CosineGreedy),
        ("hybrid", ModifiedCosineGreedy),
        ("neutral-loss", NeutralLossesCosine),
    ):
        compare = scorer(tolerance=0.01, intensity_power=0.5)
        compare.pair(spectra["references"][0], spectra["queries"][0])
        began = time.process_time()
        scores = [[float(compare.pair(r, q)["score"]) for r in spectra["references"]] for q in spectra["queries"]]
        seconds = time.process_time() - began
        found[kind] = {"name": f"matchms {scorer.__name__}", "power": 0.5, "seconds": seconds, "scores": scores}
    peaks = {
        name: [np.array([one["mz"], one["intensity"]], dtype=np.float32).T.copy() for one in some]
        for name, some in content.items()
    }
    options = {"ms2_tolerance_in_da": 0.01, "clean_spectra": False}

    def prepared(some: list[np.ndarray]) -> list[np.ndarray]:
        weighed = []
        for one in some:
            copy = one.astype(np.float64)
            copy[:, 1] /= copy[:, 1].sum()
            weighed.append(copy.astype(np.float32))
        return weighed

    queries, references = prepared(peaks["queries"]), prepared(peaks["references"])
    ms_entropy.calculate_entropy_similarity(queries[0], references[0], **options)
    began = time.process_time()
    scores = [[float(ms_entropy.calculate_entropy_similarity(q, r, **options)) for r in references] for q in queries]
    seconds = time.process_time() - began
    found["entropy"] = {"name": "ms_entropy", "power": 0.5, "seconds": seconds, "scores": scores}
    (folder / "found.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
