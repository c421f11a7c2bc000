"""Write the shipped bundle's card from what was measured.

molvis evaluate massbank DATASET --library INDEX --controls --json > evaluation.json
python benchmarks/presence.py --dataset DATASET --index INDEX --out presence.json
python plugins/molvis-models/tools/make_card.py evaluation.json presence.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

CARD = Path(__file__).parents[1] / "src" / "molvis_models" / "massbank" / "CARD.md"

TEXT = """# massbank

Ranks candidate structures for tandem mass spectra (MS/MS). Made by the molvis developers with the preset `default`:
by one `molvis train`, which takes some 33 CPU minutes, and one `molvis calibrate`, which takes seven.

## What it is

- `msms`: encoder `fingerprint-regression` (a fingerprint predicted from the peaks by a kernel regression from 11,182
  training spectra, by their peaks, losses and differences between peaks; what spectra of a mass have in common is
  taken off) beside a fixed block of the neutral mass.
- `structure`: encoder `fingerprint-map` (a linear map of a fingerprint, learned with the former) beside the same block.
  These two rank a whole library, and choose what the scorers look at.
- `learned-fragments`: two networks over the peaks and the connected substructures of a candidate that fit them.
- `predicted-spectrum`: a network over the molecule and its substructures that predicts spectra at the query's settings;
  a candidate counts by how like the prediction for it is. What each peak is worth in that, ten small networks learned
  from validation compounds, each from four fifths of them. Together with the former it is most of the ranking.
- `nearest-spectra`: the spectra that the bundle was trained on, as references: 11,161 of 3,855 compounds.
- The weights of the evidence were calibrated on the validation fold, candidates within 10 ppm, each compound by
  networks that had not learned from it. The embedding has no weight there.
- Cross sections count by `ccs-likelihood` of molvis-ccs, weighed together with the spectra on the validation compounds
  that have either.
- Whether MS/MS and cross section are of one compound was fitted on 129 validation compounds with both, one exchanged in
  half of the cases.

## What it was trained on

MassBank 2025.05.1 (doi:10.1002/jms.1777), openly licensed records alone: CC0, CC BY, CC BY-SA and dl-de/by-2-0;
high-resolution MS/MS whose precursor fits its structure. 3,939 compounds in training, 421 in validation, 491 in test;
whole clusters of similar structures (ECFP4 Tanimoto of 0.6 or more) are in one fold. The authors of the records are
named in MassBank; their contributions are what this bundle is made of. Structures of equal mass from a library (natural
products, PubChem and ZINC samples) were what the truth had to be told from; no compound of another fold was among them.

Licence of the weights: CC BY-SA 4.0, as the most demanding of the records ask.

## How well it does

Test fold, adducts [M+H]+ [M-H]- [M+Na]+ [M+NH4]+, spectra of two peaks or more: {spectra} spectra of {compounds}
compounds, each spectrum by itself, averaged over compounds; {library} candidate structures; 95% intervals over
compounds. Controls give each query the peaks of the compound nearest in mass (decoy), no peaks, or a precursor that
is off by 3 ppm: what is left of the first two is what precursor, metadata and the looks of candidates alone achieve.

| candidates | method | first | among 5 | among 20 |
| --- | --- | --- | --- | --- |
{rows}

The stated probability of the first candidate is off by {ece} on average (expected calibration
error); it is the probability that a candidate is the truth *given that the truth is in the library*. Mean Tanimoto
similarity of the first candidate to the truth: {similarity}.

How probable it is that the truth is among the candidates at all is stated beside the ranking. It was fitted on spectra
and cross sections of validation compounds whose structures were in the library for one half of the queries and taken
out for the other, and on noise. On {presence_compounds} test compounds it tells these two apart with an AUC of
{removed}; {one} with one candidate, {many} with more than twenty), and random peaks from real
spectra with {noise}; what it states is off by {off} points on average. docs/results.md of the repository has the
reliability. The order of the candidates, and so the table above, does not depend on it.

## Limits: where not to trust it

- Spectra of low resolution, and spectra of one peak or two, say little; electron ionisation it never saw.
- The embedding knows something of what measured compounds look like. Only in searches of a whole library does it count,
  and there the precursor's mass decides much: a precursor of the wrong adduct ranks wrong.
- Adducts other than [M+H]+ and [M-H]- were rare in training, and too few in the test fold to say how well they do.
- Isomers that differ in positions of substituents often explain the same peaks: look at the margin.
- Stereoisomers are not told apart. Molecules of more than 128 heavy atoms are not broken into substructures.
- Many MassBank records were cleaned of peaks that fit no sub-formula of the true structure. Such cleaning flatters
  every method that explains peaks; raw spectra of your own will be harder.
- MassBank's compounds are mostly drugs, pesticides and natural products; lipids and peptides are few.
"""


def percent(estimate: dict[str, float]) -> str:
    """`50.8% (47.0-54.9)`."""
    return f"{100 * estimate['value']:.1f}% ({100 * estimate['low']:.1f}-{100 * estimate['high']:.1f})"


def rows(found: dict[str, Any]) -> list[str]:
    """Lines of the table."""
    names = {"mass": "within 10 ppm", "formula": "same formula", "all": "whole library"}
    methods = {"embedding": "embedding", "reranked": "with scorers"}
    out = []
    for figure in found["figures"]:
        if figure["group"] or figure["by"] not in ("compound", "consensus"):
            continue
        kind = methods[figure["method"]] + (", all spectra of a compound" if figure["by"] == "consensus" else "")
        cells = " | ".join(percent(figure["estimates"][k]) for k in ("hit1", "hit5", "hit20"))
        out.append(f"| {names[figure['candidates']]} | {kind} | {cells} |")
        if figure["method"] == "embedding" and figure["by"] == "compound":
            chance = " | ".join(f"{100 * figure['chance'][k]:.3g}%" for k in ("hit1", "hit5", "hit20"))
            out.append(f"| {names[figure['candidates']]} | random | {chance} |")
    for control in found["controls"]:
        if control["kind"] not in ("spectrum", "random"):
            cells = " | ".join(percent(control["estimates"][k]) for k in ("hit1", "hit5", "hit20"))
            out.append(f"| within 10 ppm | {methods[control['method']]}, {control['kind']} | {cells} |")
    return out


def main(evaluation: str, presence: str) -> None:
    """Write `CARD.md`."""
    found = json.loads(Path(evaluation).read_text(encoding="utf-8"))[0]
    known = json.loads(Path(presence).read_text(encoding="utf-8"))
    text = TEXT.format(
        spectra=f"{found['spectra']:,}",
        compounds=found["compounds"],
        library=f"{found['library'] + found['added']:,}",
        rows="\n".join(rows(found)),
        ece=f"{100 * found['calibration_error']:.1f} percentage points",
        similarity=f"{found['first_hit_similarity']:.2f}",
        presence_compounds=known["compounds"],
        removed="{value:.2f} ({low:.2f}-{high:.2f}".format(**known["area"]["removed"]),
        one=f"{known['area_by_candidates']['1']['value']:.2f}",
        many=f"{known['area_by_candidates']['more than 20']['value']:.2f}",
        noise=f"{known['area']['random']['value']:.3f}",
        off=f"{100 * known['calibration_error']:.1f}",
    )
    CARD.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
