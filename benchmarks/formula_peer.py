"""Formulas by TidyMS, from isotope patterns: run by benchmarks/formula.py in an environment of TidyMS's own.

    python benchmarks/formula_peer.py QUERIES.json ANSWERS.json

TidyMS 0.7 (doi:10.3390/metabo10100416) lists the formulas of C, H, N, O, P and S that a neutral mass may have, within
the bounds of the Human Metabolome Database, and scores each by the likelihood of the isotope pattern. It looks at no
fragments.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
from tidyms.chem import EnvelopeScorer, get_chnops_bounds


def main() -> None:
    source, out = (Path(name) for name in sys.argv[1:3])
    began, answers = time.process_time(), []
    scorers = {}
    for query in json.loads(source.read_text(encoding="utf-8")):
        most = 500 if query["mass"][0] < 500 else 1000
        size = len(query["mass"])
        if (most, size) not in scorers:
            scorers[most, size] = EnvelopeScorer(get_chnops_bounds(most), max_length=size)
        scorer = scorers[most, size]
        mass = np.array(query["mass"])
        scorer.score(mass, np.array(query["share"]), mass[0] * query["ppm"] * 1e-6)
        counts, elements, _ = scorer.get_top_results(None)
        names = [str(e).lstrip("0123456789") for e in elements]
        ranked = [dict(zip(names, row, strict=True)) for row in counts[::-1].tolist()]
        answers.append({"formulas": ranked[:20], "listed": len(counts)})
    out.write_text(json.dumps({"seconds": time.process_time() - began, "answers": answers}), encoding="utf-8")


if __name__ == "__main__":
    main()
