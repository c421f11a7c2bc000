"""Fits the predictor that comes with molvis-ccs, and writes its card.

    python plugins/molvis-ccs/tools/make_weights.py TABLE.parquet [--members 5] [--out FOLDER]

Only rows that may be passed on with attribution teach it. The width of its intervals is set by laboratories that are
left out one after the other, with all their compounds, of every licence; those of fold `test` are looked at for the
card alone. benchmarks/ccs.py compares it with others. Takes five CPU minutes. With --out what ships stays as it is.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

import numpy as np

from molvis_ccs.evaluation import Accuracy, accuracy
from molvis_ccs.features import KINDS
from molvis_ccs.predictor.ensemble import INSTRUMENTS, CcsEnsemble
from molvis_ccs.predictor.loading import SHIPPED
from molvis_ccs.readers.parquet import read_parquet
from molvis_ccs.training.calibration import Widths, calibrate_between
from molvis_ccs.training.fitting import fit
from molvis_ccs.training.ions import gather, redistributable, usable
from molvis_ccs.training.laboratories import LeftOut, left_out
from molvis_core.records import Measurement
from molvis_files.writing import write_text

MAIN = ("[M+H]+", "[M-H]-", "[M+Na]+")
CARD = """# ccs-ensemble

Predicts collision cross sections in N2 from structure and adduct, with standard deviations. Made by the molvis
developers with `molvis_ccs.training.fitting.fit`, which makes it again from the same rows.

## What it was trained on

{train} measured values of {compounds} compounds quoted from the literature: the rows of molvis's benchmark table whose
licence asks for attribution alone; non-commercial, unclear and GPL rows taught it nothing. {val} values of other
compounds, of every licence, set how wide candidates' likelihoods are, and {left_out} values of laboratories left out
one after the other the width of its intervals. Networks: {members}, beside a kernel regression that knows {structures}
structures. Licence of the weights: CC BY 4.0. The values come from:

{sources}

## How well it does

Fold `test`: values of compounds that it never saw, of every licence. Errors are absolute and relative, with 95%
intervals over compounds drawn again; the intervals of the last column claim 90%.

| | values | compounds | median error, % | median over compounds, % | intervals hold |
| --- | --- | --- | --- | --- | --- |
{figures}

A laboratory left out with all its compounds, predicted by a single network and a regression that learned from the
others, fold `test`. The widths of its intervals were set by the other laboratories on the other folds. Groups of more
than 100 values. Laboratories: {laboratories}.

| | values | compounds | median error, % | median over compounds, % | intervals hold |
| --- | --- | --- | --- | --- | --- |
{others}

## Limits

Stereoisomers get one prediction. Adducts beyond these three were rarer in training. It predicts neither values in other
gases than N2 nor ions of more than one charge.
"""


def compare(rows: list[Measurement], model: CcsEnsemble) -> dict[str, Accuracy]:
    """Accuracy over all, by adduct and by type of instrument."""
    structures = [m.structure for m in rows if m.structure]
    adduct, kind = (np.array([getattr(m.record, a) for m in rows]) for a in ("adduct", "instrument_type"))
    measured = np.array([m.record.value for m in rows])
    compound = np.array([s.inchikey14 for s in structures])
    mean, sd = model.predict(structures, adduct.tolist(), kind.tolist())
    groups = {"all": np.ones(len(rows), dtype=bool)}
    groups |= {a: adduct == a for a in MAIN} | {k: kind == k for k in INSTRUMENTS}
    return {
        name: accuracy(measured[some], mean[some], sd[some], compound[some].tolist()) for name, some in groups.items()
    }


def laboratory(one: Measurement) -> str:
    """Who measured a value; small sources are one."""
    source = one.source or ""
    return next((name for name, starts in LABORATORIES.items() if source.startswith(starts)), "others")


LABORATORIES = {
    "Baker and PNNL": ("bakerlab", "pnnl", "zhen", "deepccs_Baker", "dodd"),
    "McLean and the compendium": ("compendium", "nich", "may_", "deepccs_McLean", "stow", "pola"),
    "Xu": ("ross", "hine"),
    "METLIN-CCS lipids": ("baker0524",),
    "Tsugawa": ("tsug",),
    "Zhu and Hernandez": ("zhou", "deepccs_MetCCS", "celm", "bijl"),
}
"""By how the names of sources begin."""


def of_others(values: list[LeftOut], unseen: set[str]) -> dict[str, Accuracy]:
    """Accuracy and coverage for laboratories left out, by every group that is large enough.

    Of compounds that are `unseen`; the others, of the other laboratories, set how wide the intervals of each are.
    """
    widths = {
        name: Widths.of([v for v in values if v.laboratory != name and v.compound not in unseen])
        for name in {one.laboratory for one in values}
    }
    groups: dict[str, list[LeftOut]] = {}
    for one in values:
        for name in ("all", one.instrument_type, one.adduct, KINDS[one.kind], one.laboratory):
            if one.compound in unseen:
                groups.setdefault(name, []).append(one)
    found: dict[str, Accuracy] = {}
    for name, some in groups.items():
        if len(some) > LEAST:
            measured, mean = (np.array([getattr(v, a) for v in some]) for a in ("measured", "mean"))
            sd = np.array([widths[v.laboratory].sd([v])[0] for v in some])
            found[name] = accuracy(measured, mean, sd, [v.compound for v in some])
    return found


LEAST = 100


def line(name: str, a: Accuracy) -> str:
    low, high = a.median_interval
    below, above = a.by_compound_interval
    least, most = a.coverage_interval or (float("nan"), float("nan"))
    return (
        f"| {name} | {a.values} | {a.compounds} | {a.median:.2f} ({low:.2f}-{high:.2f}) "
        f"| {a.by_compound:.2f} ({below:.2f}-{above:.2f}) | {a.coverage:.1f}% ({least:.1f}-{most:.1f}) |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path)
    parser.add_argument("--members", type=int, default=5)
    parser.add_argument("--out", type=Path, default=SHIPPED.parent, help="folder of weights and card")
    arguments = parser.parse_args()
    rows = [item for item in read_parquet(arguments.table) if isinstance(item, Measurement) and usable(item)]
    free = [m for m in rows if m.fold != "train" or redistributable(m)]
    model = fit(
        free, members=arguments.members, epochs=24, batch=256,
        progress=lambda done, of: print(f"\r{done}/{of} epochs", end="", flush=True),
    )  # fmt: skip
    others = left_out(rows, laboratory, teaches=redistributable, note=print, members=1, epochs=14, batch=256)
    write(arguments.out, model, rows, free, others)


def write(
    folder: Path, model: CcsEnsemble, rows: list[Measurement], free: list[Measurement], others: list[LeftOut]
) -> None:
    """Set the width of the intervals, save the weights and the card beside them."""
    unseen = {m.structure.inchikey14 for m in rows if m.structure and m.fold == "test"}
    set_by = [one for one in others if one.compound not in unseen]
    calibrate_between(model, set_by)
    aside = of_others(others, unseen)
    train = [m for m in free if m.fold == "train"]
    sources = Counter(m.authors or m.source or "?" for m in train)
    found = compare([m for m in rows if m.fold == "test" and m.record.adduct in MAIN], model)
    folder.mkdir(parents=True, exist_ok=True)
    model.save(folder / SHIPPED.name, card={"licence": "CC-BY-4.0", "card": "CARD.md"})
    text = CARD.format(
        train=len(train),
        compounds=len({m.structure.inchikey14 for m in train if m.structure}),
        members=model.arguments["members"],
        structures=len({ion.structure.smiles for ion in gather(train)}),
        val=sum(m.fold == "val" for m in free),
        sources="\n".join(f"- {source.strip()} ({count} values)" for source, count in sources.most_common()),
        figures="\n".join(line(name, a) for name, a in found.items()),
        left_out=len(set_by),
        laboratories=", ".join([*LABORATORIES, "others"]),
        others="\n".join(line(name, a) for name, a in aside.items()),
    )
    write_text(folder / "CARD.md", text)


if __name__ == "__main__":
    main()
