"""The tables of benchmarks/formula.py, which benchmarks/tables.py puts into docs/formula.md."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

RESULT = Path(__file__).parent / "results" / "formula.json"
TITLES = {
    "fragments": "fragments, adduct known",
    "isotopes": "fragments and simulated isotope pattern",
    "known": "fragments, and known formulas made likelier",
    "noise": "fragments with peaks of other compounds among them",
    "adduct unknown": "fragments, adduct unknown: formula and adduct right",
    "isotopes alone": "simulated isotope pattern, no fragments",
    "mass alone": "mass and composition, no fragments",
    "decoy": "control: another compound's peaks",
}


def span(share: dict[str, float]) -> str:
    return f"{100 * share['value']:.1f}% ({100 * share['low']:.1f}-{100 * share['high']:.1f})"


def _read() -> dict[str, Any]:
    return json.loads(RESULT.read_text(encoding="utf-8"))["conditions"]


def formula() -> list[str]:
    """A row for each condition."""
    lines = [
        "| what was given | compounds | first | in the first three | mean probability | calibration error |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    found = _read()
    for name, title in TITLES.items():
        if one := found.get(name):
            cells = [str(one["first"]["n"]), span(one["first"]), span(one["three"])]
            cells += [f"{100 * one[key]:.1f}%" for key in ("mean_probability", "calibration_error")]
            lines.append(f"| {title} | {' | '.join(cells)} |")
    return lines


def formula_groups() -> list[str]:
    """First, by mass and by adduct."""
    found = _read()
    names = [name for name in ("fragments", "isotopes") if name in found]
    lines = [
        f"| compounds | how many | {' | '.join(TITLES[name] for name in names)} |",
        "| --- | --- |" + " --- |" * len(names),
    ]
    for kind, label in (("mass", "{} Da"), ("adduct", "`{}`")):
        for group, first in found[names[0]][kind].items():
            if first["n"]:
                cells = [span(found[name][kind][group]) for name in names]
                lines.append(f"| {label.format(group)} | {first['n']} | {' | '.join(cells)} |")
    return lines


def formula_peer() -> list[str]:
    """molvis and TidyMS on the same isotope patterns."""
    found = json.loads(RESULT.read_text(encoding="utf-8"))["peer"]
    lines = ["| isotope pattern alone, by | compounds | first | in the first three |", "| --- | --- | --- | --- |"]
    for name, one in found.items():
        lines.append(f"| {name} | {one['first']['n']} | {span(one['first'])} | {span(one['three'])} |")
    return lines
