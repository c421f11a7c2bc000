"""Make the demo's spectra and library from the openly licensed MassBank table.

    python plugins/molvis-models/tools/make_demo.py massbank_open.parquet

The compounds were named before anything was trained, for being well known and in the test fold; of each, the spectrum
of [M+H]+ or [M-H]- with the median number of peaks is taken, so that none is chosen for how well it is identified.
"""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq

COMPOUNDS = (
    "Verapamil", "Atenolol", "Citalopram", "Losartan", "Metronidazole", "Resveratrol", "Sulfathiazole", "Theobromine",
    "Thiacloprid", "Gibberellic acid",
)  # fmt: skip
OUT = Path(__file__).parents[1] / "src" / "molvis_models" / "demo"


def main(path: str) -> None:
    """Write `spectra.mgf` and `library.smi.gz`."""
    table = pq.read_table(path)
    OUT.mkdir(exist_ok=True)
    unique = {row["inchikey14"]: row for row in table.select(["inchikey14", "smiles_flat", "name"]).to_pylist()}
    lines = sorted(f"{row['smiles_flat']}\t{row['name']}\n" for row in unique.values())
    with (OUT / "library.smi.gz").open("wb") as raw, gzip.GzipFile(fileobj=raw, mode="wb", mtime=0) as packed:
        packed.write("".join(lines).encode())
    good = pc.and_(pc.and_(table["is_high_res"], table["precursor_ok"]), pc.equal(table["fold"], "test"))
    rows = [r for r in table.filter(good).to_pylist() if r["adduct"] in ("[M+H]+", "[M-H]-") and r["n_peaks"] >= 4]
    blocks = [_mgf(_median([r for r in rows if r["name"] == name])) for name in COMPOUNDS]
    (OUT / "spectra.mgf").write_text("\n".join(blocks), encoding="utf-8")


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
