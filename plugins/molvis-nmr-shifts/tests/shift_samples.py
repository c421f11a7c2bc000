"""Files with shifts, as papers and programs write them; the numbers are of ethyl benzoate and made up elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

PAPER = """Ethyl benzoate (3a)
SMILES: CCOC(=O)c1ccccc1
Colourless oil (140 mg, 93%).
1H NMR (400 MHz, CDCl3) δ 8.07–8.03 (m, 2H), 7.55 (tt, J = 7.4, 1.3 Hz, 1H), 7.46–7.40 (m, 2H), 4.38 (q, J = 7.1 Hz,
2H, OCH2), 1.39 (t, J = 7.1 Hz, 3H). 13C{1H} NMR (101 MHz, CDCl3) δ 166.8, 132.9 (CH), 130.6, 129.6 (2C), 128.4 (2 × C),
61.1 (CH2), 14.5 (CH3). HRMS (ESI) calcd for C9H11O2 [M+H]+ 151.0754, found 151.0751.

2-Fluoroaniline. ¹⁹F NMR (376 MHz, DMSO-d6): −135.2 (s).
^13C-NMR (100.6 MHz, (CD3)2SO, 298 K): d = 151.4 (d, J = 237 Hz), 136.2 and 114.7 ppm; Anal. calcd C 64.85.
"""
PLAIN = "# 13C, solvent: CDCl3\n166.8 132.9 130.6 129.6\n128.4, 61.1, 14.5\n"
TABLE = """identifier,smiles,nucleus,shift,multiplicity,solvent
a,CCO,13C,58.4,T,CDCl3
a,CCO,13C,18.3,Q,CDCl3
a,CCO,1H,3.69,q,CDCl3
a,CCO,1H,1.22,t,CDCl3
b,CO,13C,50.1,Q,
"""
WIDE = "name\tsmiles\tnucleus\tshifts\nethanol\tCCO\t13C\t58.4 18.3\nmethanol\tCO\t13C\t50.1\n"
HSQC = "13C (ppm);1H (ppm)\n58.4;3.69\n18.3;1.22\n"
NMREDATA = """ethanol
  a program

  3  2  0  0  0  0            999 V2000
    0.0000    0.0000    0.0000 O   0  0
    1.0000    0.0000    0.0000 C   0  0
    2.0000    0.0000    0.0000 C   0  0
  1  2  1  0
  2  3  1  0
M  END
>  <NMREDATA_VERSION>
1.1\\

>  <NMREDATA_SOLVENT>
CDCl3\\

>  <NMREDATA_ASSIGNMENT>
c1, 58.4, 2\\
c2, 18.3, 3\\
Ha, 3.69, H2\\
Hb, 1.22, H3\\

>  <NMREDATA_1D_13C>
Larmor=100.6\\
58.4, S=T, L=c1\\
18.3, S=Q, L=c2\\

>  <NMREDATA_1D_1H>
Larmor=400.1\\
3.67-3.71, S=q, N=2, L=Ha, J=7.0(Hb)\\
1.22, S=t, N=3, L=Hb, J=7.0(Ha)\\

>  <NMREDATA_2D_13C_1J_1H>
CorType=HSQC\\
c1/Ha\\
18.3/1.22\\

$$$$
"""
PEAK_TABLE = """##TITLE= ethanol
##JCAMP-DX= 5.01
##DATA TYPE= NMR PEAK TABLE
##DATA CLASS= PEAK TABLE
##ORIGIN= test
##OWNER= test
##.OBSERVE FREQUENCY= 100.0
##.OBSERVE NUCLEUS= ^13C
##.SOLVENT NAME= CDCl3
##$SMILES= CCO
##XUNITS= HZ
##YUNITS= ARBITRARY UNITS
##XFACTOR= 1
##YFACTOR= 1
##NPOINTS= 2
##PEAK TABLE= (XY..XY)
5840, 100
1830, 90
##END=
"""
NMRML = """<?xml version="1.0"?>
<nmrML xmlns="http://nmrml.org/schema" version="1.0">
<acquisition><acquisition1D><acquisitionParameterSet>
<acquisitionNucleus name="1H"/></acquisitionParameterSet></acquisition1D></acquisition>
<spectrumAnnotationList><atomAssignment><chemicalCompound><identifierList>
<identifier name="InChI=1S/C2H6O/c1-2-3/h3H,2H2,1H3"/></identifierList></chemicalCompound>
<atomAssignmentList>
<multiplet center="3.69"><atoms atomRefs="a4 a5"/><multiplicity name="quartet feature"/></multiplet>
<multiplet center="1.22"><atoms atomRefs="a6 a7 a8"/><multiplicity name="triplet feature"/></multiplet>
</atomAssignmentList></atomAssignment></spectrumAnnotationList></nmrML>
"""
ROW: dict[str, Any] = {
    "identifier": "a-13C", "smiles": "OCC", "nucleus": "13C", "solvent": "CDCl3", "shifts": [18.3, 58.4],
    "atoms": [[2], [1]], "assignment_p": [0.99, 0.5], "multiplicity": ["Q", None], "fold": "train", "cluster": 3,
}  # fmt: skip


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def table(path: Path, *changes: dict[str, Any]) -> Path:
    """A Parquet table of rows that differ from `ROW` so."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist([{**ROW, **change} for change in changes]), path)
    return path
