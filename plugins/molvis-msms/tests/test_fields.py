"""What sources write into fields, and what it means."""

from __future__ import annotations

from pathlib import Path

import pytest
from msms_samples import CAFFEINE, CAFFEINE_KEY, MGF, peak_lists, read_all, write_file

from molvis_files.spectra import peak
from molvis_msms.fields import collision_energy, ionmode, parse_charge
from molvis_msms.readers.mgf import read_mgf


@pytest.mark.parametrize(
    ("text", "instrument", "wanted"),
    [
        ("35", None, 35.0),
        ("35 eV", "LC-ESI-ITFT", 35.0),
        ("35eV", None, 35.0),
        ("-35 V", None, 35.0),
        ("HCD 45%", None, 45 * 0.4),
        ("30(NCE)", None, 30 * 0.4),
        ("35 % (nominal)", None, 35 * 0.4),
        ("15 (nominal)", None, 15 * 0.4),
        ("35", "LC-ESI-ITFT", 35 * 0.4),
        ("35", "LC-ESI-QTOF", 35.0),
        ("NCE=35% 54eV", None, 54.0),
        ("20-40 eV", None, 30.0),
        ("Ramp 21.1-31.6 eV", None, 26.35),
        ("25,60,100% (stepped)", None, (25 + 60 + 100) / 3 * 0.4),
        ("HCD (NCE 20-30-40%)", None, 30 * 0.4),
        ("15, 30, 45, 60, 70 or 90 (nominal)", None, None),
        ("scaled 80 (m/z=200) to 110 (m/z=120)", None, None),
        ("low", None, None),
    ],
)
def test_collision_energies_become_electronvolts(text: str, instrument: str | None, wanted: float | None) -> None:
    found = collision_energy(text, 200.0, instrument)
    assert found == (None if wanted is None else pytest.approx(wanted))


def test_a_normalized_energy_without_a_precursor_is_unknown() -> None:
    assert collision_energy("30 NCE", None) is None


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Positive", "positive"),
        ("P", "positive"),
        ("-", "negative"),
        ("neg", "negative"),
        ("0", "negative"),
        ("x", None),
    ],
)
def test_ion_modes_are_understood_as_sources_write_them(text: str, wanted: str | None) -> None:
    assert ionmode(text) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"), [("1", 1), ("+2", 2), ("2+", 2), ("1-", -1), ("0", None), ("2+ and 3+", None)]
)
def test_charges_are_understood_as_sources_write_them(text: str, wanted: int | None) -> None:
    assert parse_charge(text) == wanted


@pytest.mark.parametrize("text", ["100.5 999", "100.5\t999 C4H4", "100.5:999", "100.5,999", "100.5, 999", "100.5; 999"])
def test_peaks_are_parted_in_many_ways(text: str) -> None:
    assert peak(text) == (100.5, 999.0)


@pytest.mark.parametrize("missing", ["N/A", "unknown", "", "null"])
def test_fields_that_say_unknown_are_unknown(tmp_path: Path, missing: str) -> None:
    text = MGF.replace(f"SMILES={CAFFEINE}", f"SMILES={missing}").replace("ADDUCT=[M+H]+", f"ADDUCT={missing}")
    found, errors = read_all(read_mgf, write_file(tmp_path / "a.mgf", text))
    assert not errors
    assert found[0].structure is None
    assert peak_lists(found)[0].adduct is None


def test_an_inchi_names_the_structure_with_or_without_its_prefix(tmp_path: Path) -> None:
    inchi = "1S/C8H10N4O2/c1-10-4-9-6-5(10)7(13)12(3)8(14)11(6)2/h4H,1-3H3"
    for number, prefix in enumerate(("InChI=", "")):
        text = MGF.replace(f"SMILES={CAFFEINE}", f"INCHI={prefix}{inchi}")
        found, errors = read_all(read_mgf, write_file(tmp_path / f"{number}.mgf", text))
        assert not errors
        assert found[0].structure is not None
        assert found[0].structure.inchikey == CAFFEINE_KEY
