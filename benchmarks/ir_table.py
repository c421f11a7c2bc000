"""The table of ir_robustness.py, which benchmarks/tables.py puts into docs/results.md."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FILE = Path(__file__).parent / "results" / "ir_robustness.json"


def robustness() -> list[str]:
    """What each distortion costs a plain and a robust model at hit@5."""
    found: dict[str, Any] = json.loads(FILE.read_text())
    plain, robust = (next(v for k, v in found.items() if k.startswith(f"{name}, none")) for name in ("plain", "robust"))
    rows = [
        "| distortion | plain, hit@1/5/20 | costs at 5 | robust, hit@1/5/20 | costs at 5 | aim |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, one in plain.items():
        if not isinstance(one, dict):
            continue
        cells = [cell for value in (one, robust[name]) for cell in (_hits(value), _cost(value))]
        met = robust[name]["cost_at_5"][0] <= one["aim"]
        aim = f"{one['aim']}{'' if met else ', missed'}" if one["aim"] else ""
        rows.append(f"| {name} | {' | '.join(cells)} | {aim} |")
    return rows


def _hits(value: dict[str, Any]) -> str:
    return " / ".join(f"{hit:.1f}" for hit in value["hits"])


def _cost(value: dict[str, Any]) -> str:
    middle, low, high = value["cost_at_5"]
    return f"{middle:.1f} ({low:.1f} to {high:.1f})" if value["aim"] else ""
