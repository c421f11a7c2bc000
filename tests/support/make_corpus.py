"""The corpus of `make fuzz`, made of what the tests of the readers write.

`python -m make_corpus` makes it again, with this folder in PYTHONPATH.

Files that did harm once are in the corpus too, and stay: their names begin with `found-`.
"""

from __future__ import annotations

import gzip
import importlib.util
import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from molvis_core.records import Measurement
from molvis_core.registry import load
from molvis_core.testing.synthetic import synthetic_structures

ROOT = Path(__file__).resolve().parents[2]
CORPUS = ROOT / "tests" / "corpus"


def _tests(path: str) -> ModuleType:
    """A module of tests."""
    file = ROOT / path
    sys.path.insert(0, str(file.parent))
    spec = importlib.util.spec_from_file_location(f"corpus_{path.replace('/', '_')[:-3]}", file)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _put(target: str, name: str, content: str | bytes) -> Path:
    path = CORPUS / target / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def _spectra() -> None:
    msms = _tests("plugins/molvis-msms/tests/msms_samples.py")
    ccs = _tests("plugins/molvis-ccs/tests/test_readers.py")
    mgf = _put("mgf", "a.mgf", msms.MGF)
    _put("mgf", "b.mgf.gz", gzip.compress(msms.MGF.encode(), mtime=0))
    _put("msp", "a.msp", msms.MSP)
    _put("massbank", "a.txt", msms.MASSBANK)
    scans = msms.scan_element(1), msms.scan_element(2, packed=True), msms.scan_element(3, kind="profile")
    _put("mzml", "a.mzML", msms.mzml_text(*scans))
    inner = msms.mzxml_scan(1, level=1, inside=msms.mzxml_scan(2))
    _put("mzxml", "a.mzXML", msms.mzxml_text(inner, msms.mzxml_scan(3, packed=True)))
    good = [m for m in load("reader", "mgf")(mgf) if isinstance(m, Measurement)]
    for name in ("a.json", "b.jsonl"):
        load("writer", "msms-json")(CORPUS / "msms-json" / _put("msms-json", name, "").name, good)
    gym = _tests("plugins/molvis-msms/tests/test_massspecgym.py")
    _put("massspecgym", "a.tsv", "\n".join(["\t".join(gym.HEADINGS), gym.row(), gym.row(mzs="42.0")]) + "\n")
    recipes = _tests("tests/test_recipes.py")
    with tempfile.TemporaryDirectory() as folder:
        records = recipes.nist(Path(folder)).read_text().split("$$$$\n")
    _put("nist-sdf", "a.sdf", "$$$$\n".join([*records[:2], records[2].replace("[M+H]+", "[M+]"), ""]))
    (CORPUS / "massbank-parquet").mkdir(exist_ok=True)
    msms.table_file(CORPUS / "massbank-parquet" / "a.parquet")
    rows = f"name,smiles,adduct,charge,mz,DTCCSN2,sd\ncaffeine,{ccs.CAFFEINE},[M+H]+,1,195.0877,145.2,0.4\n"
    rows += "x,,[M+Na]+,,,,\n"
    _put("ccs-csv", "a.csv", rows)
    _put("ccs-csv", "b.tsv", rows.replace(",", "\t"))
    _parquet("ccs-parquet", name=["a", None], smiles=["CCO", None], adduct=["[M+H]+", "[M+Na]+"], ccs=[130.0, None])


def _parquet(target: str, **columns: list[object]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table(columns), _put(target, "a.parquet", ""))


def _structures() -> None:
    from rdkit import Chem

    some = synthetic_structures(4)
    _put("smiles", "a.smi", "smiles name\n" + "".join(f"{s.smiles}\t{s.name}\n" for s in some) + "C1CC bad\n")
    mols = [Chem.MolFromSmiles(s.smiles) for s in some]
    for name, version in (("a.sdf", False), ("b.sdf", True)):
        blocks = (f"{Chem.MolToMolBlock(m, forceV3000=version)}> <ID>\n1\n\n$$$$\n" for m in mols)
        _put("sdf", name, "".join(blocks))
    table = "".join(f"{s.smiles},{s.inchikey},{s.formula},{s.exact_mass},{s.charge},{s.name}\n" for s in some)
    _put("structure-table", "a.csv", f"smiles,inchikey,formula,exact_mass,charge,name\n{table}CCO,,,,,\n")
    _parquet(
        "structure-table", smiles=[s.smiles for s in some], inchikey14=[s.inchikey14 for s in some],
        formula=[s.formula for s in some], exact_mass=[s.exact_mass for s in some], sources=["a", None, "b", "c"],
    )  # fmt: skip


def _traces() -> None:
    ir, jcamp = _tests("plugins/molvis-ir/tests/ir_samples.py"), _tests("libraries/molvis-files/tests/test_jcamp.py")
    nmr = _tests("plugins/molvis-nmr/tests/nmr_samples.py")
    _put("jcamp", "a.jdx", ir.jcamp_text(ir.ROWS))
    _put("jcamp", "b.jdx", ir.LONG)
    _put("jcamp", "c.jdx", jcamp.written(jcamp.GOOD, 6))
    _put("jcamp", "d.dx", jcamp.NTUPLES)
    _put("xy-text", "a.csv", "wavenumber (cm-1),absorbance\n" + "".join(f"{1000 + i},0.{i:02d}\n" for i in range(40)))
    _put("spc", "a.spc", ir.spc_bytes([[1, 2, 3, 5, 4]]))
    _put("spc", "b.spc", ir.spc_bytes([[10, 100, 1], [100, 10, 1]], y_type=128))
    _put("opus", "a.0", ir.opus_bytes([1, 2, 3, 5, 4]))
    (CORPUS / "ir-parquet").mkdir(parents=True, exist_ok=True)
    ir.table_file(CORPUS / "ir-parquet" / "a.parquet")
    nmr.POINTS = 64  # small files: the damage is in what stands around the points
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        for name, make in {
            "nmr-bruker/a.zip": lambda: nmr.packed(home / "a.zip", nmr.bruker(home / "7")),
            "nmr-bruker/b.zip": lambda: nmr.packed(home / "b.zip", nmr.processed(nmr.bruker(home / "8"))),
            "nmr-varian/a.zip": lambda: nmr.packed(home / "c.zip", nmr.varian(home / "a.fid")),
            "nmr-jcamp/a.dx": lambda: nmr.jcamp_fid(home / "a.dx"),
            "nmrml/a.nmrML": lambda: nmr.nmrml(home / "a.nmrML"),
            "nmrpipe/a.fid": lambda: nmr.nmrpipe(home / "b.fid"),
            "nmrpipe/b.ft": lambda: nmr.nmrpipe(home / "b.ft", time=False),
            "nmr-text/a.csv": lambda: nmr.text(home / "a.csv"),
        }.items():
            _put(*name.split("/"), _repacked(make()))
    _parquet(
        "nmr-parquet", spectrum_id=["a", "b"], field_MHz=[500.0, None], ppm_start=[9.0, 9.0], ppm_step=[-0.1, -0.1],
        intensity=[[float(i % 7) for i in range(40)], None], compound=["x", None],
    )  # fmt: skip


def _shifts() -> None:
    shifts = _tests("plugins/molvis-nmr-shifts/tests/shift_samples.py")
    _put("nmr-experimental", "a.txt", shifts.PAPER)
    for name, text in (
        ("a.csv", shifts.TABLE),
        ("b.tsv", shifts.WIDE),
        ("c.csv", shifts.HSQC),
        ("d.txt", shifts.PLAIN),
    ):
        _put("nmr-shift-text", name, text)
    _put("nmredata", "a.sdf", shifts.NMREDATA)
    _put("nmr-peak-table", "a.jdx", shifts.PEAK_TABLE)
    _put("nmrml-peaks", "a.nmrML", shifts.NMRML)
    _parquet("nmr-shift-parquet", **{name: [value, None] for name, value in shifts.ROW.items()})


def _electron_ionization() -> None:
    ei = _tests("plugins/molvis-ei/tests/ei_samples.py")
    _put("ei-msp", "a.msp", ei.NIST_MSP)
    _put("ei-massbank", "a.txt", ei.MASSBANK)
    _put("ei-jcamp", "a.jdx", ei.JCAMP)
    _parquet("ei-parquet", **{name: [value, None] for name, value in ei.ROW.items()})


def _repacked(path: Path) -> bytes:
    """A ZIP file compressed, and of no special time."""
    if path.suffix != ".zip":
        return path.read_bytes()
    import zipfile

    with zipfile.ZipFile(path) as old, zipfile.ZipFile(path.with_suffix(".new"), "w") as new:
        for name in old.namelist():
            new.writestr(zipfile.ZipInfo(name), old.read(name), zipfile.ZIP_DEFLATED)
    return path.with_suffix(".new").read_bytes()


def _models() -> None:
    flux, systems = (
        _tests(f"plugins/molvis-{p}.py") for p in ("flux/tests/test_formats", "nmr/tests/test_formats_spin_systems")
    )
    _put("flux-toml", "a.toml", flux.TOY)
    _put("fluxml", "a.fml", flux.FLUXML)
    _put("mfapy", "m_model.txt", flux.MODEL)
    _put(
        "freeflux",
        "reactions.tsv",
        f"{flux.REACTIONS}v1\tA(ab)\tB(ab)\t0\nv2\tB(ab)\tC(ab)\t1\nv3\tC(ab)\tD(ab)\t0\n",
    )
    _put("inca", "reactions.csv", "model,rxn_eqn,rxn_id\nm,A (ab) -> B (ab),v1\nm,B (ab) <-> C (ab),v2\n")
    _put("flux-measured", "a.csv", "Compound,Label,s1,s2\nala,0,0.9,0.8\n,1,0.1,0.2\n1[13C]gly,1,5,6\n")
    _put("gissmo", "a.xml", systems.GISSMO.format(couplings=systems.SEVEN))
    _put("spin-system-json", "a.json", json.dumps(systems.TABLE))
    system = {
        "id": "x", "name": "y", "multiplicity": [3, 2], "shifts_ppm": [1.2, 3.6], "couplings_Hz": [[0, 1, 7.1]],
        "line_width_Hz": 1.0, "intensity_factors": [1, 1], "nuclei": ["1H", "1H"], "field_MHz": 500.0,
    }  # fmt: skip
    several = [system, {**system, "id": "z", "labels": ["a", "b"]}]
    _put("spin-system-json", "library.json", json.dumps({"systems": several}))
    import numpy as np
    import pyarrow as pa
    from safetensors.numpy import save_file

    from molvis_nmr.formats.spin_systems import read_system, write_system
    from molvis_retrieval.library import Library

    for kind, name in (("gissmo", "a.xml"), ("spin-system-json", "a.json")):
        made = _put("spin-system-toml", f"{name.replace('.', '-')}.toml", "")
        write_system(made, read_system(CORPUS / kind / name))
    _put("config", "a.toml", CONFIG)
    library = Library.from_structures(synthetic_structures(6)).table
    with (
        pa.OSFile(str(_put("library-arrow", "a.arrow", "")), "wb") as sink,
        pa.ipc.new_file(sink, library.schema) as out,
    ):
        out.write_table(library)
    save_file(
        {"a": np.zeros((3, 2), np.float32), "b": np.zeros(4, np.float16)}, _put("safetensors", "a.safetensors", "")
    )


CONFIG = """[data]
path = "x"
[encoders.msms]
use = "peak-sum"
dim = 64
[encoders.structure]
use = "fingerprint"
dim = 64
[[pairs]]
query = "msms"
reference = "structure"
loss = "infonce"
"""


def main() -> None:
    """Write it, and leave what was found."""
    for path in CORPUS.glob("*/*"):
        if not path.name.startswith("found-"):
            path.unlink()
    makers: tuple[Callable[[], None], ...] = (_spectra, _structures, _traces, _electron_ionization, _shifts, _models)
    for make in makers:
        make()
    for folder in CORPUS.iterdir():
        if folder.is_dir() and not any(folder.iterdir()):
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
