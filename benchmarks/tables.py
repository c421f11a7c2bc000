"""Write the tables of docs/results.md, docs/losses.md and docs/choosing.md from benchmarks/results.

    python benchmarks/tables.py

A table stands between `<!-- table NAME -->` and `<!-- end -->`; everything else on the pages is written by hand.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
NAMES = {"mass": "within 10 ppm", "formula": "same formula", "all": "whole library"}


def share(value: float) -> str:
    return f"{100 * value:.1f}%"


def estimate(e: dict[str, float]) -> str:
    return f"{share(e['value'])} ({100 * e['low']:.1f}-{100 * e['high']:.1f})"


def figures(name: str) -> list[dict[str, Any]]:
    return json.loads((RESULTS / name).read_text(encoding="utf-8"))[0]["figures"]


def retrieval() -> list[str]:
    lines = [
        "| candidates | method | averaged over | hit@1 | hit@5 | hit@20 | MRR |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for f in figures("massbank.json"):
        if f["group"]:
            continue
        cells = [estimate(f["estimates"][k]) for k in ("hit1", "hit5", "hit20")]
        row = [NAMES[f["candidates"]], f["method"], f["by"], *cells, f"{f['estimates']['mrr']['value']:.3f}"]
        lines.append("| " + " | ".join(row) + " |")
        if f["method"] == "embedding" and f["by"] == "compound":
            chance = [f"{100 * f['chance'][k]:.3g}%" for k in ("hit1", "hit5", "hit20")]
            lines.append(f"| {NAMES[f['candidates']]} | random | compound | {' | '.join(chance)} | |")
    return lines


def encoders() -> list[str]:
    lines = [
        "| infrared | structure | hit@1 among all | hit@5 | hit@20 | hit@1, 10 ppm | CPU time |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    done = json.loads((RESULTS / "encoders.json").read_text(encoding="utf-8"))
    for name, row in done.items():
        cells = [f"{share(row[k][0])} ({100 * row[k][1]:.0f}-{100 * row[k][2]:.0f})" for k in ENCODER_FIGURES]
        lines.append(f"| {name} | {' | '.join(cells)} | {row['seconds']} s |")
    return lines


ENCODER_FIGURES = ("all_hit1", "all_hit5", "all_hit20", "mass_hit1")


def infrared() -> list[str]:
    lines = ["| candidates | hit@1 | hit@5 | hit@20 | MRR |", "| --- | --- | --- | --- | --- |"]
    for label, name, scope in (
        ("all compounds with a gas-phase spectrum", "ir.json", "all"),
        ("of these within 10 ppm", "ir.json", "mass"),
        ("all of the large library", "ir-library.json", "all"),
        ("of these within 10 ppm", "ir-library.json", "mass"),
        ("decoy: another compound's spectrum, within 10 ppm", "ir-decoy.json", "mass"),
    ):
        if not (RESULTS / name).is_file():
            continue
        evaluation = json.loads((RESULTS / name).read_text(encoding="utf-8"))[0]
        for f in evaluation["figures"]:
            if (f["candidates"], f["by"], f["group"]) == (scope, "compound", ""):
                cells = [estimate(f["estimates"][k]) for k in ("hit1", "hit5", "hit20")]
                size = f"{evaluation['library'] + evaluation['added']:,}" if scope == "all" else "median "
                size += "" if scope == "all" else f"{f['median_candidates']:g}"
                lines.append(f"| {label} ({size}) | {' | '.join(cells)} | {f['estimates']['mrr']['value']:.3f} |")
                chance = [f"{100 * f['chance'][k]:.3g}%" for k in ("hit1", "hit5", "hit20")]
                lines.append(f"| random | {' | '.join(chance)} | |")
    return lines


def together() -> list[str]:
    lines = [
        "| bundle | measured | compounds | candidates | hit@1 | hit@5 | hit@20 | error taken away |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for label, name in TOGETHER:
        if not (RESULTS / name).is_file():
            continue
        one = json.loads((RESULTS / name).read_text(encoding="utf-8"))[0]
        for subset in one["subsets"]:
            cells = [estimate(subset["estimates"][k]) for k in ("hit1", "hit5", "hit20")]
            whole = len(subset["modalities"]) == len(one["modalities"])
            lines.append(
                f"| {label} | {' + '.join(subset['modalities'])} | {one['compounds']} | {one['median_candidates']:g} | "
                f"{' | '.join(cells)} | {estimate(one['error_reduction']) if whole else ''} |"
            )
    return lines


TOGETHER = (
    ("massbank, one spectrum", "massbank-ccs.json"),
    ("joint, one spectrum of each", "joint-ir.json"),
    ("joint, all spectra", "joint-ir-all.json"),
)


def why() -> list[str]:
    lines = [
        "| what changes | pairwise accuracy | hit@1 | hit@5 | IR, 10 ppm | MS/MS, 10 ppm | both, 10 ppm |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    done = json.loads((RESULTS / "why.json").read_text(encoding="utf-8"))
    for name, row in done.items():
        pair = row.get("together", {})
        last = [share(pair[k]) if k in pair else "" for k in ("ir", "msms", "ir + msms")]
        cells = [share(row["accuracy"]), share(row["hit1"][0]), share(row["hit5"][0]), *last]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def checks() -> list[str]:
    lines = ["| queries | method | hit@1 | hit@5 | hit@20 |", "| --- | --- | --- | --- | --- |"]
    for label, name in (
        ("as measured", "massbank.json"),
        ("precursor off by N(0, 3 ppm)", "massbank-precursor-error.json"),
        ("decoy: another compound's peaks", "massbank-decoy.json"),
    ):
        for f in figures(name):
            if f["candidates"] == "mass" and f["by"] == "compound" and not f["group"]:
                cells = [estimate(f["estimates"][k]) for k in ("hit1", "hit5", "hit20")]
                lines.append(f"| {label} | {f['method']} | {' | '.join(cells)} |")
    return lines


def groups() -> list[str]:
    lines = [
        "| spectra | compounds | median candidates | hit@1 | hit@5 | hit@20 |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for f in figures("massbank.json"):
        if f["group"] and f["method"] == "reranked":
            cells = [estimate(f["estimates"][k]) for k in ("hit1", "hit5", "hit20")]
            lines.append(f"| {f['group']} | {f['compounds']} | {f['median_candidates']:g} | {' | '.join(cells)} |")
    return lines


def losses() -> list[str]:
    found = json.loads((RESULTS / "losses.json").read_text(encoding="utf-8"))
    lines = [
        "| spectrum | structure | loss | pairwise accuracy | hit@1, 10 ppm | hit@5 | hit@20 | top-5 of all | time |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for label, row in found.items():
        hits = [f"{share(row[f'mass_{k}'][0])}" for k in ("hit1", "hit5", "hit20")]
        cells = [*label.split(" | "), share(row["accuracy"]), *hits, f"{100 * row['all_hit5'][0]:.2f}%"]
        lines.append("| " + " | ".join([*cells, f"{row['seconds']} s"]) + " |")
    first = next(iter(found.values()))
    chance = [share(first["mass_chance"][k]) for k in ("hit1", "hit5", "hit20")]
    lines.append(f"| | | random | 50% | {' | '.join(chance)} | {100 * first['all_chance']['hit5']:.2f}% | |")
    return lines


def speed() -> list[str]:
    found = json.loads((RESULTS / "speed.json").read_text(encoding="utf-8"))
    lines = ["| what | ours | plain PyTorch | ratio |", "| --- | --- | --- | --- |"]
    for label, key, unit in (
        ("training, preset `default`", "train", "compounds/s"),
        ("embedding spectra", "embed_spectra", "spectra/s"),
        ("embedding structures, features prepared", "embed_structures_cached", "structures/s"),
    ):
        row = found[key]
        lines.append(
            f"| {label} | {row['ours_per_s']:.0f} {unit} | {row['peer_per_s']:.0f} {unit} | {row['ratio']:.2f} |"
        )
    one = found["identify"]
    lines += [
        f"| embedding structures from SMILES | {found['embed_structures_new_per_s']:.0f} structures/s | | |",
        f"| identify a spectrum, mass window, {one['library']:,} structures | {one['mass_window_s']:.3f} s | | |",
        f"| the same, whole library | {one['whole_library_s']:.2f} s | | |",
        f"| the same by a new process: start, load and identify | {one['with_start_and_load_s']:.1f} s | | |",
        f"| peak memory of that process | {one['peak_memory_MiB']:.0f} MiB | | |",
        f"| `molvis --help` | {found['start']['help_s']:.2f} s | | |",
        f"| `molvis plugins` | {found['start']['plugins_s']:.2f} s | | |",
    ]
    return lines


TABLES = {
    "retrieval": retrieval,
    "checks": checks,
    "groups": groups,
    "losses": losses,
    "encoders": encoders,
    "speed": speed,
}


def main() -> None:
    for page in ("results.md", "losses.md", "choosing.md"):
        file = ROOT / "docs" / page
        text = file.read_text(encoding="utf-8")
        for name, make in TABLES.items():
            pattern = re.compile(rf"(<!-- table {name} -->\n).*?(<!-- end -->)", re.DOTALL)
            if pattern.search(text):
                body = "\n".join(make()) + "\n"
                text = pattern.sub(lambda m, body=body: m.group(1) + "\n" + body + "\n" + m.group(2), text)
        file.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
