"""Make the demo's spectra and library from the openly licensed MassBank table.

    python plugins/molvis-models/tools/make_demo.py massbank_open.parquet

The compounds were named before anything was trained, for being well known and in the test fold; of each, the spectrum
of [M+H]+ or [M-H]- with the median number of peaks is taken, so that none is chosen for how well it is identified.

The library holds MassBank's structures and isomers of them that `isomers.py` makes, so that each query has rivals of
its mass. One more compound, of which neither the structure nor an isomer is in the library, stands for unknowns that no
library holds: the first of `ABSENT` for which five others of its mass are there.
"""

from __future__ import annotations

import gzip
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from isomers import isomers

from molvis_core.chemistry.structures import structure
from molvis_core.errors import StructureError
from molvis_core.records import Structure
from molvis_retrieval.library import Library

COMPOUNDS = (
    "Verapamil", "Atenolol", "Citalopram", "Losartan", "Metronidazole", "Resveratrol", "Sulfathiazole", "Theobromine",
    "Thiacloprid", "Gibberellic acid",
)  # fmt: skip
ABSENT = ("Omeprazole", "Risperidone", "Sildenafil", "Estrone", "Phenytoin", "Amlodipine")
ISOMERS = 12
"""Of each structure, as far as there are so many."""

LICENCES = {"CC0": "CC0-1.0", "CC BY": "CC-BY-4.0", "CC BY-SA": "CC-BY-SA-4.0", "dl-de/by-2-0": "DL-DE-BY-2.0"}
OUT = Path(__file__).parents[1] / "src" / "molvis_models" / "demo"


def main(path: str) -> None:
    """Write `spectra.mgf`, `absent.mgf`, `massbank.smi.gz` and `library.parquet`."""
    table = pq.read_table(path)
    OUT.mkdir(exist_ok=True)
    unique = {row["inchikey14"]: row for row in table.select(["inchikey14", "smiles_flat", "name"]).to_pylist()}
    lines = sorted(f"{row['smiles_flat']}\t{row['name']}\n" for row in unique.values())
    with (OUT / "massbank.smi.gz").open("wb") as raw, gzip.GzipFile(fileobj=raw, mode="wb", mtime=0) as packed:
        packed.write("".join(lines).encode())
    good = pc.and_(pc.and_(table["is_high_res"], table["precursor_ok"]), pc.equal(table["fold"], "test"))
    rows = [r for r in table.filter(good).to_pylist() if r["adduct"] in ("[M+H]+", "[M-H]-") and r["n_peaks"] >= 4]
    blocks = [_mgf(_median([r for r in rows if r["name"] == name])) for name in COMPOUNDS]
    (OUT / "spectra.mgf").write_text("\n".join(blocks), encoding="utf-8")
    licences: dict[str, set[str]] = {}
    for row in table.select(["inchikey14", "licence"]).to_pylist():
        licences.setdefault(row["inchikey14"], set()).add(LICENCES[row["licence"]])
    made = list(_library(unique, licences))
    for name in ABSENT:
        missing = _median([r for r in rows if r["name"] == name])
        kept = [(s, source) for s, source in made if missing["inchikey14"] not in (s.inchikey14, source[-14:])]
        library = Library.from_structures(kept)
        if len(library.within_ppm(missing["exact_mass"], 10.0)) >= 5:
            break
    else:
        raise SystemExit(f"none of {', '.join(ABSENT)} has five others of its mass")
    (OUT / "absent.mgf").write_text(_mgf(missing), encoding="utf-8")
    _write(library, OUT / "library.parquet")
    generated = sum(source.startswith("isomer") for source in library.table["source"].to_pylist())
    print(f"{len(library):,} structures, {generated:,} of them made; not in it: {missing['name']}")


def _library(unique: dict[str, Any], licences: dict[str, set[str]]) -> Iterator[tuple[Structure, str]]:
    """MassBank's structures, then their isomers; each with where it comes from."""
    known = [(key, structure(row["smiles_flat"]), row["name"]) for key, row in sorted(unique.items())]
    for key, one, name in known:
        said = " ".join(sorted(licences[key]))
        yield Structure(one.smiles, one.inchikey, one.formula, one.exact_mass, one.charge, name), f"MassBank {said}"
    for number, (key, one, _) in enumerate(known):
        for smiles in isomers(one.smiles, ISOMERS, number):
            try:
                made = structure(smiles)
            except StructureError:
                continue
            if made.formula == one.formula:
                yield made, f"isomer of {key}"


def _write(library: Library, path: Path) -> None:
    """Stereochemistry is not drawn, so that the first block of the InChIKey is enough; small, for it ships."""
    table = library.table
    keys = pc.utf8_slice_codeunits(table["inchikey"], 0, 14)
    columns = {"smiles": table["smiles"], "inchikey14": keys}
    columns |= {name: table[name] for name in ("formula", "exact_mass", "charge", "name", "source")}
    pq.write_table(pa.table(columns), path, compression="zstd", compression_level=19)


def _median(rows: list[dict]) -> dict:
    ordered = sorted(rows, key=lambda r: (r["n_peaks"], r["identifier"]))
    return ordered[len(ordered) // 2]


def _mgf(row: dict) -> str:
    peaks = "\n".join(f"{mz:.5f} {height * 999:.2f}" for mz, height in zip(row["mzs"], row["intensities"], strict=True))
    sign = "+" if row["ion_mode"] == "positive" else "-"
    fields = {
        "TITLE": row["name"], "SPECTRUMID": row["identifier"], "PEPMASS": f"{row['precursor_mz']:.5f}",
        "CHARGE": f"1{sign}", "ADDUCT": row["adduct"], "IONMODE": row["ion_mode"],
        "COLLISION_ENERGY": f"{row['ce_ev']:.0f} eV", "INSTRUMENT_TYPE": row["instrument_type"],
        "SMILES": row["smiles"], "INCHIKEY": row["inchikey"], "LICENSE": row["licence"], "AUTHORS": row["authors"],
        "SOURCE": f"MassBank 2025.05.1, record {row['identifier']}",
    }  # fmt: skip
    return "BEGIN IONS\n" + "".join(f"{k}={v}\n" for k, v in fields.items()) + peaks + "\nEND IONS\n"


if __name__ == "__main__":
    main(sys.argv[1])
