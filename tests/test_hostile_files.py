"""Files made to harm: entities that unfold, archives that fill the memory."""

from __future__ import annotations

import gzip
import zipfile
import zlib
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from molvis_core.errors import ReadError
from molvis_core.registry import load
from molvis_flux.formats import read_fluxml, read_measured
from molvis_flux.formats.fluxml_tree import parse_tree
from molvis_nmr.formats.opening import read_spectra
from molvis_nmr.formats.spin_systems import read_system

# Each entity is ten of the one before: nothing may wait for the billion, not even a count of it.
ENTITIES = '<!ENTITY e0 "lol">' + "".join(f'<!ENTITY e{i} "{f"&e{i - 1};" * 10}">' for i in range(1, 10))
ROOTS: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "a.mzML": ("<mzML><run><spectrum id='&e9;'/></run></mzML>", lambda p: list(load("reader", "mzml")(p))),
    "a.nmrML": ("<nmrML version='1'>&e9;</nmrML>", lambda p: list(load("reader", "nmrml")(p))),
    "a.fml": ("<fluxml><info><name>&e9;</name></info></fluxml>", read_fluxml),
    "a.xml": ("<spin_simulation><name>&e9;</name></spin_simulation>", read_system),
}


@pytest.mark.parametrize("name", ROOTS)
@pytest.mark.parametrize("packed", [False, True])
def test_no_xml_with_declarations_is_read(name: str, packed: bool, tmp_path: Path) -> None:
    body, read = ROOTS[name]
    data = f'<?xml version="1.0"?>\n<!DOCTYPE x [{ENTITIES}]>\n{body}'.encode()
    path = tmp_path / name
    path.write_bytes(gzip.compress(data) if packed else data)
    with pytest.raises(ReadError, match=r":2: declares entities"):
        read(path)


def test_no_workbook_with_declarations_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    with zipfile.ZipFile(path, "w") as book:
        book.writestr("xl/workbook.xml", f"<!DOCTYPE x [{ENTITIES}]><workbook>&e9;</workbook>")
    with pytest.raises(ReadError, match=r"xl/workbook\.xml:1: declares entities"):
        read_measured(path)


def test_text_in_very_many_parts_is_joined_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a.fml"
    path.write_text(f"<fluxml><info><name>{'a<!-- -->' * 400_000}</name></info></fluxml>", encoding="utf-8")
    assert parse_tree(path).one("info").one("name").text == "a" * 400_000


def test_no_archive_fills_the_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("1/acqus", "##$TD= 16\n")
        packed.writestr("1/fid", b"\0" * (200 << 20))
    assert path.stat().st_size < 1 << 20
    with pytest.raises(ReadError, match=r"a\.zip: unpacks to more than 134 MB"):
        read_spectra(path)


@pytest.mark.full
@pytest.mark.parametrize(
    ("name", "reader"), [("a.mgf.gz", "mgf"), ("a.smi.gz", "smiles"), ("a.csv.gz", "ccs-csv"), ("a.jdx.gz", "jcamp")]
)
def test_no_packed_file_fills_the_memory(name: str, reader: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress((b" " * 1023 + b"\n") * (140 << 10)))
    with pytest.raises(ReadError, match="unpacks to more than 134 MB"):
        list(load("reader", reader)(path))


def test_an_array_within_a_scan_does_not_fill_the_memory(tmp_path: Path) -> None:
    bomb = b64encode(zlib.compress(b"\0" * (20 << 20))).decode()
    terms = ("MS:1000523", "MS:1000574", "MS:1000514")
    array = "".join(f'<cvParam accession="{term}" value=""/>' for term in terms)
    path = tmp_path / "a.mzML"
    path.write_text(
        '<mzML><run><spectrumList><spectrum id="s"><cvParam accession="MS:1000511" value="2"/>'
        '<precursorList><precursor><selectedIonList><selectedIon><cvParam accession="MS:1000744" value="100"/>'
        "</selectedIon></selectedIonList></precursor></precursorList>"
        f"<binaryDataArrayList><binaryDataArray>{array}<binary>{bomb}</binary></binaryDataArray></binaryDataArrayList>"
        "</spectrum></spectrumList></run></mzML>",
        encoding="utf-8",
    )
    (found,) = load("reader", "mzml")(path)
    assert isinstance(found, ReadError)
    assert "unpacks to more than 17 MB" in str(found)
