"""Small files of electron ionization spectra."""

from __future__ import annotations

from typing import Any

import numpy as np

from molvis_core.records import EiSpectrum

NIST_MSP = """Name: Benzoic acid, TMS derivative
InChIKey: PAXXKOZGPTMJQE-UHFFFAOYSA-N
Formula: C10H14O2Si
MW: 194
CAS#: 2078-12-8;  NIST#: 1
Retention_index: SemiStdNP=1250/3/20 StdPolar=1600/5/3
Comments: "SMILES=O=C(O)c1ccccc1"
Num Peaks: 5
73 120; 77 550; 105 700;
135 450; 179 999;

Name: Ethylbenzene
SMILES: CCc1ccccc1
RI: 855
Column: DB-5MS
Ionization_energy: 70 eV
Num Peaks: 4
51 11.5
65 11.3
91 99.99
106 28.3
"""
MASSBANK = """ACCESSION: MSBNK-Test-EI000001
RECORD_TITLE: L-Alanine; GC-EI-TOF; MS; 2 TMS; BP:116
CH$NAME: L-Alanine
CH$SMILES: CC(N)C(=O)O
AC$INSTRUMENT_TYPE: GC-EI-TOF
AC$MASS_SPECTROMETRY: MS_TYPE MS
AC$MASS_SPECTROMETRY: ION_MODE POSITIVE
AC$MASS_SPECTROMETRY: IONIZATION_ENERGY 70 eV
AC$CHROMATOGRAPHY: COLUMN_NAME DB-17MS
AC$CHROMATOGRAPHY: RETENTION_INDEX 1105.3
LICENSE: CC BY
PK$NUM_PEAK: 3
PK$PEAK: m/z int. rel.int.
  73 300 300
  116 999 999
  147 200 200
//
"""
JCAMP = """##TITLE=Ethylbenzene
##JCAMP-DX=4.24
##DATA TYPE=MASS SPECTRUM
##SMILES=CCc1ccccc1
##XUNITS=M/Z
##YUNITS=RELATIVE INTENSITY
##NPOINTS=3
##PEAK TABLE=(XY..XY)
65 1131
91 9999
106 2829
##END=
"""

ROW: dict[str, Any] = {
    "identifier": "EI1", "name": "Alanine", "smiles": "CC(N)C(=O)O", "ionization_energy": "70 eV", "ms_type": "MS",
    "isotope_labelled": False, "retention_index": 1105.0, "gc_column": "DB-17MS", "derivative": "2 TMS",
    "derivative_kind": "derivatised, underivatised structure given", "mzs": [73.0, 116.0], "intensities": [0.3, 1.0],
    "fold": "train", "cluster": 7,
}  # fmt: skip


def spectrum(peaks: dict[float, float], **known: object) -> EiSpectrum:
    return EiSpectrum(np.array(list(peaks)), np.array(list(peaks.values())), **known)
