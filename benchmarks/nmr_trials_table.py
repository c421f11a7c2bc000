"""The tables of what `nmr_trials.py` measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results" / "nmr_trials.json"

PARTS = (
    ("aside", "set aside"), ("new", "set aside since"), ("later", "set aside after that"), ("last", "set aside last"),
    ("final", "set aside at the end"),
    ("beyond", "set aside beyond that"),
    ("looked", "looked at"),
)  # fmt: skip


def measured() -> dict[str, Any]:
    return json.loads(RESULTS.read_text(encoding="utf-8"))


def crude() -> list[str]:
    lines = [
        "| systems | fits | found | reported beside another | said to be not sure | silent | found, of which doubted |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, label in PARTS:
        if row := measured().get("starts", {}).get(name):
            rows = row["rows"].values()
            doubted = sum(r.get("found_doubted", max(r["doubted"] - r["unsure"], 0)) for r in rows)
            low, high = wilson(row["found"], row["of"])
            lines.append(
                f"| {len(row['rows'])} {label} | {row['of']} | {row['found']} ({low:.0f} to {high:.0f}%) | "
                f"{row['reported']} | {row['unsure']} | {row['silent']} | {doubted} |"
            )
    return lines


def intervals() -> list[str]:
    lines = ["| systems | kind | intervals | that hold the truth |", "| --- | --- | --- | --- |"]
    for name, label in PARTS:
        if row := measured().get("coverage", {}).get(name):
            low, high = wilson(round(row["without_flagged"] * row["unflagged_intervals"]), row["unflagged_intervals"])
            lines.append(
                f"| {row['systems']} {label} | all without a flag | {row['unflagged_intervals']} | "
                f"{100 * row['without_flagged']:.1f}% ({low:.0f} to {high:.0f}) |"
            )
            for kind, (value, count) in row["by_kind"].items():
                lines.append(f"| | {kind} | {count} | {100 * value:.1f}% |")
    return lines


def wilson(hits: int, of: int) -> tuple[float, float]:
    """90% interval of a share in percent (Wilson, doi:10.1080/01621459.1927.10502953)."""
    z, p = 1.645, hits / of
    middle, width = p + z**2 / (2 * of), z * (p * (1 - p) / of + z**2 / (4 * of**2)) ** 0.5
    return 100 * (middle - width) / (1 + z**2 / of), 100 * (middle + width) / (1 + z**2 / of)
