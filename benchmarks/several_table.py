"""Tables of several.py, which benchmarks/tables.py puts into docs/results.md."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FILE = Path(__file__).parent / "results" / "several.json"
KINDS = {"msms": "MS/MS", "ccs": "cross section", "ir": "infrared"}


def worth() -> list[str]:
    """Log-loss and hit@1 of several kinds of measurements beside each alone."""
    found: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))["worth"]
    rows = [
        "| compounds with | asked with | compounds | log-loss of the truth | hit@1 | to the better alone |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for together, one in found.items():
        for name, value in one.items():
            if not isinstance(value, dict) or "log-loss" not in value:
                continue
            gain = _span(one["difference to the better alone"], 3) if name == together else ""
            loss, hit = _span(value["log-loss"], 2), _span([100 * v for v in value["hit@1"]], 1)
            rows.append(f"| {_named(together)} | {_named(name)} | {one['compounds']} | {loss} | {hit} | {gain} |")
    return rows


def noticed() -> list[str]:
    """How good probabilities are with and without exchanged pieces."""
    rows = [
        "| exchanged | `--doubt` | calibration error of answers, points | of pieces | stated | right | log-loss |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for one in json.loads(FILE.read_text(encoding="utf-8"))["noticed"]:
        answer = one["answer"]
        error = answer["calibration error"]
        span = _span([100 * error[k] for k in ("value", "low", "high")], 1)
        told = one.get("all pieces", {}).get("calibration error", {})
        pieces = _span([100 * told[k] for k in ("value", "low", "high")], 1) if told else ""
        share = [f"{100 * answer[k]:.1f}%" for k in ("stated", "right")]
        rows.append(
            f"| {100 * one['exchanged']:.0f}% | {one['doubt']:g} | {span} | {pieces} | {' | '.join(share)} "
            f"| {answer['log-loss']:.2f} |"
        )
    return rows


def _named(kinds: str) -> str:
    return " + ".join(KINDS[name] for name in kinds.split(" + "))


def _span(values: list[float], digits: int) -> str:
    middle, low, high = values
    return f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


TABLES = {"several": worth, "noticed": noticed}
