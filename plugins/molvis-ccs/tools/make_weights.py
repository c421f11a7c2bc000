"""Fits the predictor that comes with molvis-ccs, and writes its card.

    python plugins/molvis-ccs/tools/make_weights.py TABLE.parquet [--members 5]

Only rows that may be passed on with attribution teach it. All rows of fold `val` set the width of its intervals, which
would else be those of the laboratories that share freely. Fold `test` is looked at for the card alone;
benchmarks/ccs.py compares it with others.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

import numpy as np

from molvis_ccs.evaluation import Accuracy, accuracy
from molvis_ccs.predictor.ensemble import INSTRUMENTS, CcsEnsemble
from molvis_ccs.predictor.loading import SHIPPED
from molvis_ccs.readers.parquet import read_parquet
from molvis_ccs.training.fitting import fit
from molvis_ccs.training.ions import redistributable, usable
from molvis_core.records import Measurement
from molvis_files.writing import write_text

MAIN = ("[M+H]+", "[M-H]-", "[M+Na]+")
CARD = """# ccs-ensemble

Predicts collision cross sections in N2 from structure and adduct, with standard deviations. Made by the molvis
developers with `molvis_ccs.training.fitting.fit`, which makes it again from the same rows.

## What it was trained on

{train} measured values of {compounds} compounds quoted from the literature: the rows of molvis's benchmark table whose
licence asks for attribution alone; non-commercial, unclear and GPL rows taught it nothing. {val} values of other
compounds, of every licence, set the width of its intervals. Networks: {members}. Licence of the weights: CC BY 4.0.
The values come from:

{sources}

## How well it does

Fold `test`: values of compounds that it never saw, of every licence. Errors are absolute and relative, with 95%
intervals over compounds drawn again; the intervals of the last column claim 90%.

| | values | compounds | median error, % | median over compounds, % | intervals hold |
| --- | --- | --- | --- | --- | --- |
{figures}

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


def line(name: str, a: Accuracy) -> str:
    low, high = a.median_interval
    below, above = a.by_compound_interval
    return (
        f"| {name} | {a.values} | {a.compounds} | {a.median:.2f} ({low:.2f}-{high:.2f}) "
        f"| {a.by_compound:.2f} ({below:.2f}-{above:.2f}) | {a.coverage:.1f}% |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path)
    parser.add_argument("--members", type=int, default=5)
    arguments = parser.parse_args()
    rows = [item for item in read_parquet(arguments.table) if isinstance(item, Measurement) and usable(item)]
    free = [m for m in rows if m.fold != "train" or redistributable(m)]
    model = fit(
        free, members=arguments.members, progress=lambda done, of: print(f"\r{done}/{of} epochs", end="", flush=True)
    )
    write(model, rows, free)


def write(model: CcsEnsemble, rows: list[Measurement], free: list[Measurement]) -> None:
    """Save the weights and the card beside them."""
    train = [m for m in free if m.fold == "train"]
    sources = Counter(m.authors or m.source or "?" for m in train)
    found = compare([m for m in rows if m.fold == "test" and m.record.adduct in MAIN], model)
    SHIPPED.parent.mkdir(exist_ok=True)
    model.save(SHIPPED, card={"licence": "CC-BY-4.0", "card": "CARD.md"})
    text = CARD.format(
        train=len(train),
        compounds=len({m.structure.inchikey14 for m in train if m.structure}),
        members=model.arguments["members"],
        val=sum(m.fold == "val" for m in free),
        sources="\n".join(f"- {source.strip()} ({count} values)" for source, count in sources.most_common()),
        figures="\n".join(line(name, a) for name, a in found.items()),
    )
    write_text(SHIPPED.parent / "CARD.md", text)


if __name__ == "__main__":
    main()
