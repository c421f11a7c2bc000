"""Files of every format of tandem mass spectra, and how tests read them."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from molvis_core.errors import ReadError
from molvis_core.records import Measurement, PeakList
from molvis_core.testing import ReaderContract

CAFFEINE = "Cn1c(=O)c2c(ncn2C)n(C)c1=O"
CAFFEINE_KEY = "RYYVLZVUVIJVGH-UHFFFAOYSA-N"  # PubChem, CID 2519
Read = Callable[[Path], Iterator[Measurement | ReadError]]
MGF = f"""# a comment
BEGIN IONS
TITLE=caffeine
PEPMASS=195.0877 1000
CHARGE=1+
ADDUCT=[M+H]+
IONMODE=Positive
COLLISION_ENERGY=35 eV
SMILES={CAFFEINE}
69.0447 12.5
138.0662 100 1+
END IONS

BEGIN IONS
title=an unknown
PepMass=301.5
60.5\t1.0
END IONS
"""
MSP = f"""NAME: caffeine
SYNON: guaranine
PRECURSORMZ: 195.0877
PRECURSORTYPE: [M+H]+
IONMODE: Positive
INSTRUMENTTYPE: LC-ESI-QTOF
COLLISIONENERGY: 30(NCE)
SMILES: {CAFFEINE}
Num Peaks: 3
69.0447\t12.5
110.0713 40 "C5H8N3+ 1.2ppm; 2 of 3"
138.0662\t100

Name: an unknown
Precursor_m/z: 301.5
Num peaks: 3
60.5 1.0; 61.5 2.0;
62.5 3.0
"""
MASSBANK = f"""ACCESSION: MSBNK-Test-TS000001
RECORD_TITLE: Caffeine; LC-ESI-QFT; MS2
AUTHORS: A. Tester
LICENSE: CC BY
CH$NAME: Caffeine
CH$NAME: 1,3,7-trimethylxanthine
CH$FORMULA: C8H10N4O2
CH$SMILES: {CAFFEINE}
AC$INSTRUMENT_TYPE: LC-ESI-QFT
AC$MASS_SPECTROMETRY: MS_TYPE MS2
AC$MASS_SPECTROMETRY: ION_MODE POSITIVE
AC$MASS_SPECTROMETRY: COLLISION_ENERGY 45 % (nominal)
MS$FOCUSED_ION: PRECURSOR_M/Z 195.0877
MS$FOCUSED_ION: PRECURSOR_TYPE [M+H]+
PK$ANNOTATION: m/z tentative_formula
  138.0662 C6H8N3O+
PK$NUM_PEAK: 2
PK$PEAK: m/z int. rel.int.
  110.0713 1200.5 40
  138.0662 3000 999
//
"""


def array_element(values: Sequence[float], accession: str, name: str, *, packed: bool) -> str:
    raw = np.array(values, dtype="<f4" if packed else "<f8").tobytes()
    data = base64.b64encode(zlib.compress(raw) if packed else raw).decode()
    bits = ("MS:1000521", "32-bit float") if packed else ("MS:1000523", "64-bit float")
    how = ("MS:1000574", "zlib compression") if packed else ("MS:1000576", "no compression")
    terms = "".join(f'<cvParam cvRef="MS" accession="{a}" name="{n}"/>' for a, n in (bits, how, (accession, name)))
    return f'<binaryDataArray encodedLength="{len(data)}">{terms}<binary>{data}</binary></binaryDataArray>'


def scan_element(
    number: int,
    *,
    level: int = 2,
    kind: str = "centroid",
    packed: bool = False,
    mz: Sequence[float] = (),
    heights: Sequence[float] = (10.0, 20.0),
) -> str:
    shape = {"centroid": "MS:1000127", "profile": "MS:1000128"}[kind]
    precursor = (
        '<precursorList count="1"><precursor><selectedIonList count="1"><selectedIon>'
        '<cvParam cvRef="MS" accession="MS:1000744" name="selected ion m/z" value="195.0877" unitName="m/z"/>'
        '<cvParam cvRef="MS" accession="MS:1000041" name="charge state" value="1"/>'
        "</selectedIon></selectedIonList><activation>"
        '<cvParam cvRef="MS" accession="MS:1000045" name="collision energy" value="35.0" unitName="electronvolt"/>'
        "</activation></precursor></precursorList>"
    )
    points = mz or [69.0447, 69.0467 if kind == "profile" else 138.0662]
    first = array_element(points, "MS:1000514", "m/z array", packed=packed)
    second = array_element(heights, "MS:1000515", "intensity array", packed=packed)
    return (
        f'<spectrum index="{number - 1}" id="scan={number}" defaultArrayLength="2">'
        '<referenceableParamGroupRef ref="common"/>'
        f'<cvParam cvRef="MS" accession="MS:1000511" name="ms level" value="{level}"/>'
        f'<cvParam cvRef="MS" accession="{shape}" name="{kind} spectrum"/>'
        f"{precursor if level == 2 else ''}"
        f'<binaryDataArrayList count="2">{first}{second}</binaryDataArrayList></spectrum>\n'
    )


NEGATIVE = '<cvParam cvRef="MS" accession="MS:1000129" name="negative scan"/>'


def mzml_text(*scans: str) -> str:
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n<mzML xmlns="http://psi.hupo.org/ms/mzml" version="1.1.0">'
        f'<referenceableParamGroupList count="1"><referenceableParamGroup id="common">{NEGATIVE}'
        '</referenceableParamGroup></referenceableParamGroupList><run id="r">\n'
        f'<spectrumList count="{len(scans)}">\n{"".join(scans)}</spectrumList></run></mzML>'
    )


def read_all(read: Read, path: Path) -> tuple[list[Measurement], list[ReadError]]:
    items = list(read(path))
    return [i for i in items if isinstance(i, Measurement)], [i for i in items if isinstance(i, ReadError)]


def peak_lists(found: list[Measurement]) -> list[PeakList]:
    return [m.record for m in found if isinstance(m.record, PeakList)]


def write_file(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def table_file(path: Path, **changed: Any) -> Path:
    columns = {
        "identifier": ["a", "b", "c"], "smiles": [CAFFEINE] * 3, "adduct": ["[M+H]+"] * 3, "ion_mode": ["positive"] * 3,
        "precursor_mz": [195.0877] * 3, "mzs": [[69.0, 138.0]] * 3, "intensities": [[0.1, 1.0]] * 3,
        "ce_ev": [20.0, None, 30.0], "is_high_res": [True, True, False], "precursor_ok": [True] * 3,
        "fold": ["train", "test", "val"], "cluster": [1, 2, 3], "licence": ["CC BY"] * 3, "authors": ["A. Tester"] * 3,
    } | changed  # fmt: skip
    pq.write_table(pa.table({k: v for k, v in columns.items() if v is not None}), path)
    return path


class MassSpectra(ReaderContract):
    @pytest.fixture
    def modality(self) -> str:
        return "msms"


MZ, HEIGHT = [69.0447, 138.0662], [12.5, 100.0]
PROFILE = [69.0447, 69.0467]


def mzxml_scan(
    number: int,
    *,
    level: int = 2,
    kind: str = ">f4",
    packed: bool = False,
    inside: str = "",
    peaks: Sequence[tuple[float, float]] = (),
    **more: str,
) -> str:
    """A scan as mzXML's version 3.2 has it; `more` changes its attributes, and those of its peaks."""
    points = PROFILE if more.get("centroided") == "0" else MZ
    pairs = peaks or list(zip(points, HEIGHT, strict=True))
    numbers = np.array(pairs).astype(kind).tobytes()
    data = base64.b64encode(zlib.compress(numbers) if packed else numbers).decode()
    own = {"num": str(number), "msLevel": str(level), "peaksCount": "2", "polarity": "-", "retentionTime": "PT90.5S"}
    own |= {"collisionEnergy": "35"} | {k: v for k, v in more.items() if k in ("centroided", "peaksCount", "polarity")}
    packing = {"precision": kind[2:].replace("4", "32").replace("8", "64"), "byteOrder": "network"}
    packing |= {"contentType": "m/z-int", "compressionType": "zlib" if packed else "none"}
    packing |= {k: v for k, v in more.items() if k in packing or k == "pairOrder"}
    ion = '<precursorMz precursorIntensity="9" precursorCharge="1">193.0731</precursorMz>' if level > 1 else ""
    return f"<scan {_written(own)}>{ion}<peaks {_written(packing)}>{data}</peaks>{inside}</scan>\n"


def _written(attributes: dict[str, str]) -> str:
    return " ".join(f'{name}="{value}"' for name, value in attributes.items())


def mzxml_text(*scans: str, processing: str = "") -> str:
    return (
        '<?xml version="1.0" encoding="ISO-8859-1"?>\n'
        '<mzXML xmlns="http://sashimi.sourceforge.net/schema_revision/mzXML_3.2"><msRun scanCount="9">'
        f'<parentFile fileName="a.raw"/><dataProcessing {processing}/>\n{"".join(scans)}</msRun><index/></mzXML>'
    )
