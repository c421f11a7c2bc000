"""The table of ir_robustness.py, which benchmarks/tables.py puts into docs/results.md."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FILE = Path(__file__).parent / "results" / "ir_robustness.json"


def robustness() -> list[str]:
    """What each distortion costs the preset at hit@5, on the test fold."""
    found: dict[str, Any] = json.loads(FILE.read_text())["regression, none, test"]
    rows = ["| distortion | hit@1/5/20 | costs at 5 | aim |", "| --- | --- | --- | --- |"]
    for name, one in found.items():
        if isinstance(one, dict):
            met = one["cost_at_5"][0] <= one["aim"]
            aim = f"{one['aim']}{'' if met else ', missed'}" if one["aim"] else ""
            rows.append(f"| {name} | {_hits(one)} | {_cost(one)} | {aim} |")
    return rows


def _hits(value: dict[str, Any]) -> str:
    return " / ".join(f"{hit:.1f}" for hit in value["hits"])


def _cost(value: dict[str, Any]) -> str:
    middle, low, high = value["cost_at_5"]
    return f"{middle:.1f} ({low:.1f} to {high:.1f})" if value["aim"] else ""
