"""The table of benchmarks/msms_peers.py, which benchmarks/tables.py puts into docs/results.md."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
TRAINED = {"reranked": "33 min", "embedding": "3.3 min"}
"""Of the shipped bundle, as docs/results.md tells."""
CUTOFFS = ("hit1", "hit5", "hit20")
TITLES = {
    "MetFrag-like": "MetFrag-like score",
    "cosine, best analogue": "matchms cosine, best analogue",
    "cosine, vote": "matchms cosine, vote",
    "modified-cosine, best analogue": "matchms modified cosine, best analogue",
    "modified-cosine, vote": "matchms modified cosine, vote",
    "ms2deepscore, best analogue": "MS2DeepScore, best analogue",
    "ms2deepscore, vote": "MS2DeepScore, vote",
    "contrastive encoders": "contrastive encoders (JESTR-like)",
}


def _read(name: str) -> Any:
    return json.loads((RESULTS / name).read_text(encoding="utf-8"))


def _span(values: list[float]) -> str:
    value, low, high = (100 * v for v in values)
    return f"{value:.1f}% ({low:.1f}-{high:.1f})"


def _ours() -> list[str]:
    """Rows of the shipped bundle, from its own evaluation."""
    rows = []
    found = _read("massbank.json")[0]
    for method in ("reranked", "embedding"):
        of = {c["kind"]: c["estimates"] for c in found["controls"] if c["method"] == method}
        cells = [_span([of["spectrum"][k][part] for part in ("value", "low", "high")]) for k in CUTOFFS]
        decoy = _span([of["decoy"]["hit1"][part] for part in ("value", "low", "high")])
        cells += [f"{of['spectrum']['mrr']['value']:.3f}", decoy]
        rows.append(f"| `massbank`, {method} | {TRAINED[method]} | {' | '.join(cells)} | |")
    return rows


def peers() -> list[str]:
    """Rows of all peers on the test fold, with their hit@1 on the validation fold."""
    results = _read("msms-peers.json")
    test, val = results.get("test", {}), results.get("val", {})
    lines = [
        "| ranked by | training, CPU | hit@1 | hit@5 | hit@20 | MRR | decoy, hit@1 | validation, hit@1 |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
        *_ours(),
    ]
    for peer, found in test.get("peers", {}).items():
        seconds = found.get("training", {}).get("cpu_seconds")
        took = f"{seconds / 60:.1f} min" if seconds else "none"
        for name, by in found["methods"].items():
            one = by["spectrum"]
            decoy = _span(by["decoy"]["hit1"]) if "decoy" in by else ""
            cells = [took, *(_span(one[k]) for k in CUTOFFS), f"{one['mrr'][0]:.3f}", decoy]
            before = val.get("peers", {}).get(peer, {}).get("methods", {}).get(name)
            cells.append(f"{100 * before['spectrum']['hit1'][0]:.1f}%" if before else "")
            lines.append(f"| {TITLES[name]} | {' | '.join(cells)} |")
    if "random" in test:
        shares = " | ".join(_span(test["random"][k]) for k in CUTOFFS)
        of_val = f"{100 * val['random']['hit1'][0]:.1f}%" if "random" in val else ""
        lines.append(f"| random order | none | {shares} | | | {of_val} |")
    return lines
