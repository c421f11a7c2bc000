"""Write the tables of docs (results, losses, choosing, identify, formula, nmr-results) from benchmarks/results.

    python benchmarks/tables.py

A table stands between `<!-- table NAME -->` and `<!-- end -->`; everything else on the pages is written by hand.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from formula_table import formula, formula_groups, formula_peer
from ir_table import robustness
from massbank_tables import TABLES as MASSBANK
from msms_peers_table import peers
from nmr_trials_table import crude, intervals
from several_table import TABLES as SEVERAL

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
    for f in [*figures("massbank.json"), *figures("massbank-all.json")]:
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
    for c in json.loads((RESULTS / "massbank.json").read_text(encoding="utf-8"))[0]["controls"]:
        cells = [estimate(c["estimates"][k]) for k in ("hit1", "hit5", "hit20")]
        lines.append(f"| {CONTROLS[c['kind']]} | {c['method']} | {' | '.join(cells)} |")
    return lines


CONTROLS = {
    "spectrum": "as measured",
    "precursor off": "precursor off by N(0, 3 ppm)",
    "decoy": "decoy: another compound's peaks",
    "no peaks": "no peaks at all",
    "random": "random order",
}


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


def presence_reliability() -> list[str]:
    lines = ["| stated | queries | compounds | mean stated | truth among them |", "| --- | --- | --- | --- | --- |"]
    found = part("presence.json")
    for row in found.get("reliability", []):
        name = f"{100 * row['low']:.0f} to {100 * row['low'] + 10:.0f}%"
        told = f"{share(row['stated'])} | {estimate(row['observed'])}"
        lines.append(f"| {name} | {row['cases']:,} | {row['compounds']} | {told} |")
    return lines


def presence_distribution() -> list[str]:
    lines = [
        "| what was asked | candidates | queries | 5% | median | 95% | below 25% |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for kind, label in PRESENCE.items():
        for size, row in part("presence.json", "distribution", kind).items():
            cells = " | ".join(share(row[k]) for k in ("q05", "median", "q95", "unlikely"))
            lines.append(f"| {label} | {size} | {row['cases']:,} | {cells} |")
    return lines


PRESENCE = {
    "present": "the truth is among them",
    "removed": "the truth was taken out",
    "foreign": "another compound's peaks",
    "shuffled": "peaks of many spectra",
    "random": "random peaks",
}


def presence_areas() -> list[str]:
    lines = ["| told from queries with their truth | AUC |", "| --- | --- |"]
    found = part("presence.json")
    for kind, value in found.get("area", {}).items():
        lines.append(f"| {PRESENCE[kind]} | {area(value)} |")
    for size, value in found.get("area_by_candidates", {}).items():
        lines.append(f"| {PRESENCE['removed']}, {size} candidate{'' if size == '1' else 's'} | {area(value)} |")
    for name, value in found.get("area_by_records", {}).items():
        told = "several measurements of the compound" if name == "several" else name
        lines.append(f"| {PRESENCE['removed']}, {told} | {area(value)} |")
    return lines


def area(value: dict[str, float]) -> str:
    return f"{value['value']:.3f} ({value['low']:.3f}-{value['high']:.3f})"


def library_search() -> list[str]:
    found = json.loads((RESULTS / "references.json").read_text(encoding="utf-8"))
    lines = [
        "| similarity | median | worst | index | beside | CPU time, peer / ours | pairs differ | unambiguous |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for kind, row in found["speed"].items():
        if not isinstance(row, dict):
            continue
        cells = [f"{row['median']:.3f} s", f"{row['worst']:.2f} s", f"{row['index']:.1f} s", "", "", "", ""]
        if peer := found["peers"].get(kind):
            cells[3:5] = peer["peer"], f"{peer['ratio']:g}"
            cells[5:] = str(peer["differ"]), str(peer["differ_where_no_peak_has_two_partners"])
        lines.append(f"| `{kind}` | {' | '.join(cells)} |")
    return lines


def reference_votes() -> list[str]:
    found = json.loads((RESULTS / "references.json").read_text(encoding="utf-8"))["vote"]
    lines = ["| compounds | ranked by | number | hit@1 | hit@5 | hit@20 |", "| --- | --- | --- | --- | --- | --- |"]
    for part_, label, names in (
        ("unknown_compounds", "no reference is of them", {"vote": "vote", "decoy": "vote, decoy", "chance": "random"}),
        (
            "measured_by_another_laboratory", "another laboratory's references are of them",
            {"search": "best own reference", "vote": "vote", "scorer": "vote and `same-compound`"},
        ),
    ):  # fmt: skip
        for key, name in names.items():
            row = found[part_][key]
            cells = [f"{share(v)} ({100 * a:.1f}-{100 * b:.1f})" for v, a, b in (row[f"hit{k}"] for k in (1, 5, 20))]
            lines.append(f"| {label} | {name} | {row['compounds']} | {' | '.join(cells)} |")
    return lines


def part(name: str, *keys: str) -> dict[str, Any]:
    """A part of a file of results; empty where it was not measured."""
    file = RESULTS / name
    found: Any = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    for key in keys:
        found = found.get(key, {})
    return found


def nmr_table4() -> list[str]:
    lines = [
        "| amino acid | GISSMO, paper | paper | ours | ROI IoU | with line shape | ROI IoU | time |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, row in part("nmr_fit.json", "table4", "rows").items():
        plain, shaped = row["parametric"], row["line_shape"]
        printed = f"{row['paper']['gissmo']:.3f} | {row['paper']['all_free']:.3f}"
        lines.append(
            f"| {name} | {printed} | {plain['iou']:.3f} | {plain['roi_iou']:.3f} | {shaped['iou']:.3f} | "
            f"{shaped['roi_iou']:.3f} | {shaped['seconds']:.1f} s |"
        )
    if whole := part("nmr_fit.json", "table4"):
        means = [f"{whole[f'mean_{k}_{f}']:.3f}" for k in ("parametric", "line_shape") for f in ("iou", "roi_iou")]
        papers = [[row["paper"][k] for row in whole["rows"].values()] for k in ("gissmo", "all_free")]
        printed = " | ".join(f"{sum(p) / len(p):.3f}" for p in papers)
        lines.append(f"| mean of these | {printed} | {' | '.join(means)} | {whole['seconds']:.0f} s in all |")
    return lines


def nmr_proline() -> list[str]:
    lines = [
        "| proline's spectrum | paper | each by itself | one set of couplings | couplings fixed at the average |",
        "| --- | --- | --- | --- | --- |",
    ]
    found = part("nmr_fit.json", "proline")
    for name, row in found.get("full", {}).items():
        shared, held = found["shared_couplings"]["each"][name], found["average_couplings"][name]
        lines.append(f"| {name} | {row['paper']:.3f} | {row['iou']:.3f} | {shared['iou']:.3f} | {held['iou']:.3f} |")
    return lines


def nmr_modes() -> list[str]:
    lines = ["| what is free | IoU | ROI IoU | R factor |", "| --- | --- | --- | --- |"]
    for name, row in part("nmr_fit.json", "proline", "modes").items():
        lines.append(f"| {name} | {row['iou']:.3f} | {row['roi_iou']:.3f} | {100 * row['r_factor']:.2f}% |")
    return lines


def nmr_starts() -> list[str]:
    lines = ["| case | converged | median time |", "| --- | --- | --- |"]
    for name, row in part("nmr_fit.json", "starts").items():
        if "of" in row:
            told = f"{row['converged']} of {row['of']} | {row['median_seconds']:.2f} s"
            lines.append(f"| proline, simulated, S/N 1000, off by {name} | {told} |")
    thf = part("nmr_fit.json", "anatolia", "thf_random_starts")
    if thf:
        told = f"{thf['converged']} of {thf['of']} | {thf['median_seconds']:.2f} s"
        lines.append(f"| THF-2-carboxylic acid, 300 MHz, off by {thf['off_by']} | {told} |")
    return lines


def nmr_anatolia() -> list[str]:
    lines = ["| spectrum | R factor | ANATOLIA 1.2 | time | ANATOLIA 1.2 |", "| --- | --- | --- | --- | --- |"]
    found = part("nmr_fit.json", "anatolia")
    for name, label, theirs, time in (
        ("thf", "THF-2-carboxylic acid, 300 MHz, crude start", "43%", "76 s"),
        ("odcb", "o-dichlorobenzene, 300 MHz", "12.04%", "0.5 s"),
        ("odcb_phase", "the same with phase", "", ""),
        ("odcb_line_shape", "the same with an instrument line shape", "", ""),
    ):
        if row := found.get(name):
            value = f"{100 * row['r_factor_regions']:.2f}%"
            lines.append(f"| {label} | {value} | {theirs} | {row['seconds']:.2f} s | {time} |")
    return lines


def nmr_sharp() -> list[str]:
    lines = [
        "| compound | field | start | R factor | beside it | times | CPU time | said to be not sure |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in sorted(part("nmr_sharp.json").get("rows", []), key=lambda r: (r["compound"], r["field"], r["start"])):
        spectrum = f"{row['field']} MHz, {'measured' if row['measured'] else 'simulated'}"
        lines.append(
            f"| {row['compound']} | {spectrum} | {row['start']} | {share(row['r_factor'])} | {share(row['beside'])} | "
            f"{row['r_factor'] / row['beside']:.2f} | {row['seconds']:.1f} s | {'yes' if row['doubt'] else ''} |"
        )
    return lines


def nmr_coverage() -> list[str]:
    lines = ["| simulated | intervals | 90% intervals that hold the truth |", "| --- | --- | --- |"]
    for name, row in part("nmr_fit.json", "coverage").items():
        if "all" in row:
            lines.append(f"| {name} | {row['intervals']:,} | {share(row['all'])} |")
    return lines


def nmr_methods() -> list[str]:
    lines = [
        "| amino acid | paper | `nmr-gradient` | time | `nmr-spin-system` | time | times faster |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, row in part("nmr_fit.json", "paper").items():
        if "nmr-gradient" in row:
            theirs, ours = row["nmr-gradient"], row["nmr-spin-system"]
            lines.append(
                f"| {name} | {row['paper']:.3f} | {theirs['iou']:.3f} | {theirs['seconds']:.0f} s | "
                f"{ours['iou']:.3f} | {ours['seconds']:.2f} s | {row['times_faster']:.0f} |"
            )
    return lines


def nmr_solvers() -> list[str]:
    result = json.loads((RESULTS / "nmr_solvers.json").read_text(encoding="utf-8"))
    labels = list(result["summary"])
    lines = [f"| amino acid | {' | '.join(labels)} |", "| --- |" + " --- |" * len(labels)]
    for name, row in result["systems"].items():
        cells = [f"{100 * row[k]['r_factor']:.2f}%, {row[k]['ratio']:.2f} times" for k in labels]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    for what, key in (("median ratio", "median_ratio"), ("ratio of all times", "total_ratio")):
        lines.append(f"| {what} | {' | '.join(format(result['summary'][k][key], '.2f') for k in labels)} |")
    far = result["from_far"]
    cells = [
        f"{far[k]['arrived']} of {far[k]['of']}, {far[k]['median_seconds']:.2f} s" if k in far else "" for k in labels
    ]
    lines.append(f"| proline from starts off by 0.05 ppm, 3 Hz | {' | '.join(cells)} |")
    return lines


def nmr_lines() -> list[str]:
    lines = [
        "| coupled spins | lines | ours | nmrsim, the faster of its two | ratio | spectra apart, of the area |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in (part("nmr_simulation.json", "against_nmrsim") or {}).get("line_lists", []):
        theirs = min(row[way] for way in ("nmrsim_sparse_s", "nmrsim_dense_s") if way in row)
        lines.append(
            f"| {row['spins']} | {row['lines']:,} | {1000 * row['ours_s']:.2f} ms | {1000 * theirs:.0f} ms | "
            f"{row['ratio']:.0f} | {row['apart']['area']:.1e} |"
        )
    return lines


def nmr_library() -> list[str]:
    lines = ["| line lists at 600 MHz | |", "| --- | --- |"]
    if found := part("nmr_simulation.json", "library_at_600_MHz"):
        lines += [
            f"| systems | {found['systems']:,} |",
            f"| of these exact | {found['exact']:,} |",
            f"| in overlapping clusters | {', '.join(found['in_clusters']) or 'none'} |",
            f"| time for all | {found['total_s']:.1f} s |",
        ]
    return lines


def nmr_mixtures() -> list[str]:
    lines = ["| mixture | present | ROI IoU | time |", "| --- | --- | --- | --- |"]
    for name, row in part("nmr_mixture.json", "measured").items():
        present = ", ".join(
            f"{m['name']} {m['concentration']:.2f} ± {m['concentration_error']:.2f}"
            for m in row["metabolites"]
            if m["present"]
        )
        lines.append(f"| {name} | {present} | {row['roi_iou']:.3f} | {row['cpu_s']:.0f} s |")
    return lines


def nmr_simulated_mixtures() -> list[str]:
    lines = ["| simulated mixtures of five of ten compounds | |", "| --- | --- |"]
    if found := part("nmr_mixture.json", "simulated"):
        lines += [
            f"| mixtures | {found['mixtures']} |",
            f"| amounts within their 90% interval | {share(found['covered90'])} of {found['compounds']} |",
            f"| median error of an amount | {share(found['median_relative_error'])} |",
            f"| present and missed | {found['missed']} of {found['compounds']} |",
            f"| absent and found | {found['false']} of {found['absent']} |",
            f"| median time | {found['median_cpu_s']:.1f} s |",
        ]
    return lines


TABLES = {
    **MASSBANK,
    **SEVERAL,
    "retrieval": retrieval,
    "checks": checks,
    "groups": groups,
    "losses": losses,
    "encoders": encoders,
    "infrared": infrared,
    "infrared-robustness": robustness,
    "together": together,
    "why": why,
    "presence-reliability": presence_reliability,
    "presence-distribution": presence_distribution,
    "presence-areas": presence_areas,
    "library-search": library_search,
    "reference-votes": reference_votes,
    "peers": peers,
    "formula": formula,
    "formula-groups": formula_groups,
    "formula-peer": formula_peer,
    "nmr-table4": nmr_table4,
    "nmr-proline": nmr_proline,
    "nmr-modes": nmr_modes,
    "nmr-starts": nmr_starts,
    "nmr-crude": crude,
    "nmr-sharp": nmr_sharp,
    "nmr-intervals": intervals,
    "nmr-anatolia": nmr_anatolia,
    "nmr-coverage": nmr_coverage,
    "nmr-methods": nmr_methods,
    "nmr-solvers": nmr_solvers,
    "nmr-lines": nmr_lines,
    "nmr-library": nmr_library,
    "nmr-mixtures": nmr_mixtures,
    "nmr-simulated-mixtures": nmr_simulated_mixtures,
}


def main() -> None:
    for page in ("results.md", "losses.md", "choosing.md", "identify.md", "formula.md", "nmr/results.md"):
        file = ROOT / "docs" / page
        text = file.read_text(encoding="utf-8")
        for name, make in TABLES.items():
            pattern = re.compile(rf"(<!-- table {name} -->\n).*?(<!-- end -->)", re.DOTALL)
            if pattern.search(text):
                try:
                    rows = make()
                    body = "\n".join(rows if len(rows) > 2 else ["Not measured yet."]) + "\n"
                except FileNotFoundError as error:
                    print(f"{name} is left as it is: there is no {error.filename}")
                    continue
                text = pattern.sub(lambda m, body=body: m.group(1) + "\n" + body + "\n" + m.group(2), text)
        file.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
