"""Tables of contributors.py, query_kinds.py, classes.py and speed.py, which benchmarks/tables.py puts into the docs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
CUTOFFS = ("hit1", "hit5", "hit20")
METHODS = {
    "all": "all three", "fragments": "`learned-fragments` alone", "predicted": "`predicted-spectrum` alone",
}  # fmt: skip
GROUPS = {
    "all": "all", "new": "nobody else measured them", "new, no twin": "and none of the cluster is in training",
    "others measured it too": "others measured them too",
}  # fmt: skip
KINDS = {
    "crowded": {
        "spectrum, reranked": "more than 100 candidates, reranked",
        "spectrum, embedding": "more than 100 candidates, embedding",
        "decoy, reranked": "more than 100 candidates, reranked, decoy",
    },
    "known": {
        "references": "measured by another contributor, whose spectra are references",
        "none": "the same, without these references",
        "decoy": "the same with them, decoy",
    },
}


def _read(name: str) -> Any:
    return json.loads((RESULTS / name).read_text(encoding="utf-8"))


def _span(one: dict[str, float], unit: str = "%") -> str:
    return f"{100 * one['value']:.1f}{unit} ({100 * one['low']:.1f}-{100 * one['high']:.1f})"


def strangers() -> list[str]:
    """Each contributor left out, all of its compounds, with mean and worst."""
    found = _read("contributors.json")
    lines = [
        "| left out | trained on | asked | candidates | hit@1 | hit@5 | hit@20 | decoy, hit@1 | random | noise costs |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    figures = [*(f"spectrum.{k}" for k in CUTOFFS), "decoy.hit1", "random.hit1"]
    for name, one in found["contributors"].items():
        row = one["figures"]["all"]["all"]
        cells = [*(_span(row[k]) for k in figures), _span(row["noise costs"], "")]
        size = f"{one['trained_on']['compounds']:,} | {row['compounds']} | {row['median_candidates']:g}"
        lines.append(f"| {name} | {size} | {' | '.join(cells)} |")
    mean = found["mean"]["all"]["all"]
    lines.append(f"| mean | | | | {' | '.join(_span(mean[k]) for k in figures)} | {_span(mean['noise costs'], '')} |")
    worst = [
        *(f"{100 * mean[k]['lowest']:.1f}%" for k in figures[:3]),
        f"{100 * mean['decoy.hit1']['highest']:.1f}%",
        "",
    ]
    lines.append(f"| worst | | | | {' | '.join(worst)} | {100 * mean['noise costs']['highest']:.1f} |")
    return lines


def strangers_known() -> list[str]:
    """hit@1 of each contributor by whether its compounds were met in training."""
    found = _read("contributors.json")
    names = list(GROUPS)[1:]
    lines = [
        "| left out, hit@1 | " + " | ".join(f"{GROUPS[name]} | compounds" for name in names) + " |",
        "| --- |" + " --- | --- |" * len(names),
    ]
    for who, one in found["contributors"].items():
        rows = [one["figures"]["all"][name] for name in names]
        cells = [f"{_span(row['spectrum.hit1']) if row['compounds'] else ''} | {row['compounds']}" for row in rows]
        lines.append(f"| {who} | {' | '.join(cells)} |")
    means = [found["mean"]["all"][name]["spectrum.hit1"] for name in names]
    lines.append(f"| mean | {' | | '.join(_span(one) for one in means)} | |")
    worst = [f"{100 * one['lowest']:.1f}%" for one in means]
    lines.append(f"| worst | {' | | '.join(worst)} | |")
    return lines


def strangers_parts() -> list[str]:
    """Means over the contributors by scorer and group."""
    found = _read("contributors.json")["mean"]
    lines = [
        "| compounds | scorers | hit@1 | hit@5 | hit@20 | worst, hit@1 | decoy, hit@1 | random | noise costs |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for group, label in GROUPS.items():
        for method, scorers in METHODS.items():
            row = found[method][group]
            cells = [_span(row[f"spectrum.{k}"]) for k in CUTOFFS]
            cells += [f"{100 * row['spectrum.hit1']['lowest']:.1f}%", _span(row["decoy.hit1"])]
            cells += [f"{100 * row['random.hit1']['value']:.1f}%", _span(row["noise costs"], "")]
            lines.append(f"| {label} | {scorers} | {' | '.join(cells)} |")
    return lines


def query_kinds() -> list[str]:
    """Crowded windows, and compounds that another laboratory measured."""
    found = _read("query_kinds.json")
    lines = [
        "| queries | spectra | compounds | candidates | hit@1 | hit@5 | hit@20 |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for kind, rows in KINDS.items():
        for name, label in rows.items():
            one = found[kind][name]
            size = f"{one['spectra']:,} | {one['compounds']} | {one['median_candidates']:g}"
            lines.append(f"| {label} | {size} | {' | '.join(_span(one['estimates'][k]) for k in CUTOFFS)} |")
        chance = next(iter(found[kind].values()))["chance"]
        lines.append(f"| random order of these | | | | {' | '.join(_span(chance[k]) for k in CUTOFFS)} |")
    return lines


def speed() -> list[str]:
    """What benchmarks/speed.py measured."""
    found = _read("speed.json")
    lines = ["| what | ours | plain PyTorch | ratio |", "| --- | --- | --- | --- |"]
    for label, key, unit in (
        ("training in steps, `peak-sum` and `fingerprint`", "train", "compounds/s"),
        ("embedding spectra", "embed_spectra", "spectra/s"),
        ("embedding structures, features prepared", "embed_structures_cached", "structures/s"),
        ("embedding structures from SMILES, a second of one core", "embed_structures_new", "structures"),
    ):
        row = found[key]
        lines.append(
            f"| {label} | {row['ours_per_s']:.0f} {unit} | {row['peer_per_s']:.0f} {unit} | {row['ratio']:.2f} |"
        )
    one = found["identify"]
    lines += [
        f"| identify a spectrum, mass window, {one['library']:,} structures | {one['mass_window_s']:.3f} s | | |",
        f"| the same, whole library | {one['whole_library_s']:.2f} s | | |",
        f"| the same by a new process: start, load and identify | {one['with_start_and_load_s']:.1f} s | | |",
        f"| peak memory of that process | {one['peak_memory_MiB']:.0f} MiB | | |",
        f"| `molvis --help` | {found['start']['help_s']:.2f} s | | |",
        f"| `molvis plugins` | {found['start']['plugins_s']:.2f} s | | |",
    ]
    if some := found.get("identify_many"):
        minutes = 10000 * some["processor_s"] / some["spectra"] / 60
        lines.append(f"| 10,000 in one call, from {some['spectra']}: processor time | {minutes:.0f} min | | |")
    return lines


def classes() -> list[str]:
    """Classes that are stated, beside how many hold, with the truth in the library and without."""
    found = _read("classes.json")
    test, val = found["test"], found["val"]
    there = "truth there; taken out"
    heads = [
        "stated",
        f"`probability`, test fold ({test['compounds']}): {there}",
        f"`probability_overall`: {there}",
        "both",
        f"both, validation fold ({val['compounds']})",
    ]
    lines = [f"| {' | '.join(heads)} |", "| --- | --- | --- | --- | --- |"]
    columns = [(test["given"], ("present", "absent")), (test["told"], ("present", "absent"))]
    columns += [(one["told"], ("both",)) for one in (test, val)]
    for row in range(len(test["told"]["both"])):
        band = test["told"]["both"][row]
        shares = [[of[name][row] for name in names] for of, names in columns]
        cells = ["; ".join(f"{100 * one['right']:.0f}% of {one['n']:,}" for one in some) for some in shares]
        lines.append(f"| {100 * band['low']:.0f} to {100 * band['high']:.0f}% | {' | '.join(cells)} |")
    return lines


TABLES: dict[str, Callable[[], list[str]]] = {
    "strangers": strangers,
    "strangers-known": strangers_known,
    "strangers-parts": strangers_parts,
    "query-kinds": query_kinds,
    "classes": classes,
    "speed": speed,
}
