"""Structures beyond every size are refused, wherever they come in: RDKit and InChI would end the process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from molvis_core.chemistry.structures import structure

LONG = "C" * 20_000

DOORS = """
import sys
from pathlib import Path
from molvis_retrieval.splitting import similarity_clusters
from molvis_core.errors import MolvisError
from molvis_core.chemistry.structures import structure
from molvis_retrieval.library import Library
from molvis_retrieval.queries import cross_section, modality_files, read_queries
from molvis_files.drawing import draw_structure
from molvis_fragmentation.fragments import fragments
from molvis_structure.chemistry.fingerprints import fingerprint

long = "C" * 20_000
atoms = "".join(f"M  V30 {i + 1} C {i} 0 0 0\\n" for i in range(20_000))
bonds = "".join(f"M  V30 {i} 1 {i} {i + 1}\\n" for i in range(1, 20_000))
molfile = (
    "\\n\\n\\n  0  0  0     0  0            999 V3000\\nM  V30 BEGIN CTAB\\nM  V30 COUNTS 20000 19999 0 0 0\\n"
    f"M  V30 BEGIN ATOM\\n{atoms}M  V30 END ATOM\\nM  V30 BEGIN BOND\\n{bonds}M  V30 END BOND\\nM  V30 END CTAB\\n"
    "M  END\\n"
)
inchi = "InChI=1S/C20000H40002/c" + "-".join(map(str, range(1, 20_001))) + "/h2-19999H2,1,20000H3"
Path("long.smi").write_text(f"CCO\\n{long} a long one\\n")
Path("long.sdf").write_text(molfile + "$$$$\\n")
Path("long.mgf").write_text(f"BEGIN IONS\\nPEPMASS=100\\nSMILES={long}\\n50 1\\nEND IONS\\n")
rings = "".join(f"[U]%({i + 1})" for i in range(450)) + "".join(f"[U]%({i + 1})" for i in range(450))
ways = {
    "smiles": lambda: structure(long), "million": lambda: structure("C" * 1_000_000), "inchi": lambda: structure(inchi),
    "branches": lambda: structure("C(" * 10_000 + "C" + ")" * 10_000), "molfile": lambda: structure(molfile),
    "brackets": lambda: structure("[CH2]" * 20_000), "fragments": lambda: structure(".".join(["C"] * 20_000)),
    "rings": lambda: structure(rings), "hydrogens": lambda: structure("[U]" + "([H])" * 5_000),
    "library": lambda: Library.read("long.smi"), "sdf": lambda: Library.read("long.sdf"),
    "spectrum": lambda: read_queries("long.mgf"), "picture": lambda: draw_structure(long),
    "peaks": lambda: fragments(long), "clusters": lambda: similarity_clusters([long], 0.5),
    "fingerprint": lambda: fingerprint(long),
}
for name, way in ways.items():
    try:
        found = way()
    except MolvisError as error:
        found = str(error)
    problems = getattr(found, "problems", None) or (found[1] if isinstance(found, tuple) else ())
    print(name, [getattr(p, "problem", p) for p in problems][:1] if problems else found, sep=": ", flush=True)
"""


def test_no_way_in_lets_a_large_structure_end_the_process(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", DOORS], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    said = dict(line.split(": ", 1) for line in done.stdout.splitlines())
    assert len(said) == 16
    assert said.pop("picture") == ""
    for name, reason in said.items():
        assert "is too l" in reason, (name, reason)
        assert len(reason) < 400, (name, reason)


@pytest.mark.full
def test_one_refused_smiles_of_a_table_does_not_stop_a_library_build(tmp_path: Path) -> None:
    good = [structure(s) for s in ("CCO", "CCN", "CCC")]
    rows = {
        "smiles": [good[0].smiles, LONG, good[1].smiles, "c1cccc1", good[2].smiles],
        "inchikey": [good[0].inchikey, "A" * 14, good[1].inchikey, "B" * 14, good[2].inchikey],
        "formula": [good[0].formula, "C20000H40002", good[1].formula, "C5H5", good[2].formula],
        "exact_mass": [good[0].exact_mass, 280_000.0, good[1].exact_mass, 65.0, good[2].exact_mass],
    }
    pq.write_table(pa.table(rows), tmp_path / "some.parquet")
    command = [sys.executable, "-m", "molvis_cli", "library", "build", "massbank", "some.parquet", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout)["structures"] == 3
    assert "2 structures refused" in done.stderr
    assert "record 2: the structure 'CCCCCC" in done.stderr
    assert max(map(len, done.stderr.splitlines())) < 300
