from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from molvis_core.errors import ReadError, WriteError
from molvis_core.records import Measurement, Trace
from molvis_core.testing import ReaderContract, offer, toy_component
from molvis_nmr.formats.opening import read_fid, read_spectra, read_spectrum
from molvis_nmr.formats.spin_systems import (
    is_gissmo,
    read_gissmo,
    read_json,
    read_regions,
    read_system,
    read_systems,
    read_toml,
    write_system,
    write_systems,
)
from molvis_nmr.mixture.results import Reference
from molvis_nmr.spins.simulation import simulate
from molvis_nmr.spins.system import SpinSystem
from molvis_nmr.workflows.convert import convert
from molvis_nmr.workflows.fit import fit_files
from molvis_nmr.workflows.mixture import library_entries
from molvis_nmr.workflows.simulate import simulate_file

DATA = Path(os.environ.get("MOLVIS_DATA", Path(__file__).parents[3] / ".." / "shared" / "data")) / "nmr"
with_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"no NMR data in {DATA}: set MOLVIS_DATA")

GISSMO = """<?xml version="1.0" encoding="ISO-8859-1"?>
<spin_simulation><name>ethanol</name><ID>bmse000297</ID><field_strength>500.13</field_strength>
<coupling_matrix><label>merged</label><lw>1.5</lw>
<spin_names><spin index="1" name="4"/><spin index="2" name="5"/><spin index="3" name="6"/>
<spin index="4" name="7"/><spin index="5" name="8"/></spin_names>
<chemical_shifts_ppm><cs index="1" ppm="1.17"/><cs index="2" ppm="1.17"/><cs index="3" ppm="1.17"/>
<cs index="4" ppm="3.65"/><cs index="5" ppm="3.65"/></chemical_shifts_ppm>
<couplings_Hz>{couplings}</couplings_Hz></coupling_matrix></spin_simulation>"""
TWICE = '<coupling from_index="1" to_index="4" value="1"/><coupling from_index="4" to_index="1" value="2"/>'
SEVEN = (
    "".join(f'<coupling from_index="{i}" to_index="{j}" value="7.1"/>' for i in (1, 2, 3) for j in (4, 5))
    + '<coupling from_index="4" to_index="5" value="-14"/>'
)
GROUPED = GISSMO.format(couplings=SEVEN)
for _name, _group in zip("45678", "abcad", strict=True):
    GROUPED = GROUPED.replace(f'name="{_name}"', f'name="{_name}" group="{_group}"')
TABLE = {
    "spins": [{"name": "H1", "shift_ppm": 1.17, "multiplicity": 3}, {"name": "H2", "shift_ppm": 3.65}],
    "couplings": [{"spins": ["H1", "H2"], "J_Hz": 7.1}],
}


def _file(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def _same(a: SpinSystem, b: SpinSystem) -> None:
    for name in ("shifts", "couplings", "multiplicity", "widths", "intensities"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    for name in ("names", "nuclei", "name", "identifier", "inchi", "frequency"):
        assert getattr(a, name) == getattr(b, name)


@st.composite
def systems(draw: st.DrawFn) -> SpinSystem:
    size = draw(st.integers(1, 5))
    number = st.floats(-20, 20, allow_nan=False)
    couplings = np.zeros((size, size))
    for i in range(size):
        for j in range(i):
            couplings[i, j] = couplings[j, i] = draw(number)
    word = st.text("abcHJ0123.-+ &<>'\"é", min_size=1, max_size=6).filter(lambda s: s == s.strip())
    # Names such as "1+2" or "3..5" stand for several spins in GISSMO's XML.
    return SpinSystem(
        names=tuple(draw(st.lists(word.map("H{}".format), min_size=size, max_size=size, unique=True))),
        shifts=np.array(draw(st.lists(number, min_size=size, max_size=size))),
        couplings=couplings,
        multiplicity=np.array(draw(st.lists(st.integers(1, 3), min_size=size, max_size=size))),
        nuclei=tuple(draw(st.lists(st.sampled_from(["1H", "19F"]), min_size=size, max_size=size))),
        widths=np.array(draw(st.lists(st.floats(0.01, 9), min_size=size, max_size=size))),
        intensities=np.array(draw(st.lists(st.floats(0, 2), min_size=size, max_size=size))),
        name=draw(word),
        identifier=draw(word),
        frequency=draw(st.none() | st.floats(40, 1200)),
    )


@settings(max_examples=40, deadline=None)
@given(system=systems(), suffix=st.sampled_from([".json", ".toml", ".xml", ".json.gz"]))
def test_what_is_written_is_read_back(tmp_path_factory: pytest.TempPathFactory, system: SpinSystem, suffix: str):
    path = tmp_path_factory.mktemp("system") / f"a{suffix}"
    write_system(path, system)
    _same(read_system(path), system)
    assert [p.name for p in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("names", [("H++",), ("Ha+b", "Ha")])
def test_a_group_whose_name_only_looks_joined_can_be_written(tmp_path: Path, names: tuple[str, ...]):
    count = [3] if len(names) == 1 else [2, 1]
    shifts = np.arange(1.0, len(names) + 1)
    system = SpinSystem(names=names, shifts=shifts, couplings=np.zeros((len(names),) * 2), multiplicity=np.array(count))
    write_system(tmp_path / "a.xml", system)
    found = read_system(tmp_path / "a.xml")
    assert found.multiplicity.tolist() == count
    assert found.shifts.tolist() == shifts.tolist()


def test_equivalent_spins_of_gissmo_become_groups(tmp_path: Path):
    system = read_system(_file(tmp_path / "ethanol.xml", GISSMO.format(couplings=SEVEN)))
    assert system.names == ("4..6", "7+8")
    assert system.multiplicity.tolist() == [3, 2]
    assert system.couplings.tolist() == [[0, 7.1], [7.1, 0]]
    assert system.widths.tolist() == [0.75, 0.75]  # lw is a full width
    assert (system.identifier, system.frequency) == ("bmse000297", 500.13)
    assert is_gissmo(tmp_path / "ethanol.xml")


def test_regions_that_gissmo_leaves_out_are_told(tmp_path: Path):
    water = "<water_region><min_ppm>4.6</min_ppm><max_ppm>5</max_ppm><remove_flag>1</remove_flag></water_region>"
    other = "<DSS_region><min_ppm>-.1</min_ppm><max_ppm>.1</max_ppm><remove_flag>0</remove_flag></DSS_region>"
    text = GISSMO.format(couplings=SEVEN).replace("<spin_names>", f"{water}{other}<spin_names>")
    assert read_regions(_file(tmp_path / "a.xml", text)) == [(4.6, 5.0)]
    assert read_regions(_file(tmp_path / "a.json", json.dumps(TABLE))) == []


def test_spins_that_couple_differently_stay_apart(tmp_path: Path):
    other = SEVEN.replace('to_index="4" value="7.1"', 'to_index="4" value="6"', 1)
    system = read_system(_file(tmp_path / "a.xml", GISSMO.format(couplings=other)))
    assert system.multiplicity.tolist() == [1, 2, 1, 1]


def test_parts_of_a_gissmo_file_without_the_whole_are_joined(tmp_path: Path):
    def part(names: str, ppm: float) -> str:
        spins = "".join(f'<spin index="{k}" name="{n}"/>' for k, n in enumerate(names, 1))
        shifts = "".join(f'<cs index="{k}" ppm="{ppm + k}"/>' for k, _ in enumerate(names, 1))
        couplings = '<coupling from_index="1" to_index="2" value="8"/>'
        return (
            f"<coupling_matrix><spin_names>{spins}</spin_names><chemical_shifts_ppm>{shifts}</chemical_shifts_ppm>"
            f"<couplings_Hz>{couplings}</couplings_Hz></coupling_matrix>"
        )

    path = _file(tmp_path / "a.xml", f"<spin_simulation>{part('ab', 1)}{part('cd', 5)}</spin_simulation>")
    system = read_system(path)
    assert system.names == ("a", "b", "c", "d")
    assert system.couplings[0, 1] == system.couplings[2, 3] == 8
    assert system.couplings[1, 2] == 0


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (GISSMO.format(couplings=SEVEN)[:300], "is no XML.*get it whole"),
        ("<mzML></mzML>", "holds <mzML> in place of GISSMO's <spin_simulation>"),
        ("<spin_simulation></spin_simulation>", "no <coupling_matrix>"),
        (GISSMO.format(couplings="").replace('name="5"', 'name="4"'), "two spins are called '4'"),
        (GISSMO.format(couplings="").replace('ppm="3.65"', 'ppm="x"'), "ppm of spin 7 must be a number, got 'x'"),
        (GISSMO.format(couplings="").replace('<cs index="5" ppm="3.65"/>', ""), "spin 8 has no chemical shift"),
        (GISSMO.format(couplings='<coupling from_index="1" to_index="9" value="1"/>'), "names spin '9'"),
        (GISSMO.format(couplings='<coupling from_index="1" to_index="1" value="1"/>'), "couples spin 4 to itself"),
        (GISSMO.format(couplings=TWICE), "couples 7 and 4 by 1 Hz and by 2 Hz; give one number for both"),
        (GISSMO.format(couplings="").replace(">500.13<", ">strong<"), "field_strength must be a number, got 'strong'"),
        (GROUPED, "spins of one group= differ"),
    ],
)
def test_a_bad_gissmo_file_says_what_is_wrong(tmp_path: Path, text: str, reason: str):
    path = _file(tmp_path / "a.xml", text)
    with pytest.raises(ReadError, match=reason) as caught:
        read_system(path)
    assert caught.value.path == str(path)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"spins": 3}, "spins is not a list of tables"),
        ({"spins": [{"name": "H1"}], "couplings": []}, "shift_ppm must be a number, got None"),
        ({"spins": [{"name": "H1", "shift_ppm": True}], "couplings": []}, "shift_ppm must be a number, got True"),
        (
            {"spins": [{"shift_ppm": 1, "multiplicity": 1.5}], "couplings": []},
            "multiplicity must be a whole number, got 1.5",
        ),
        ({"spins": [{"name": "a", "shift_ppm": 1}, {"name": "a", "shift_ppm": 2}], "couplings": []}, "repeats a"),
        ({"couplings": [{"spins": ["H1"], "J_Hz": 7}]}, "must name two groups"),
        ({"couplings": [{"spins": ["H1", "H3"], "J_Hz": 7}]}, "'H3', which is none of its groups: H1, H2"),
        ({"couplings": [{"spins": ["H1", "H1"], "J_Hz": 7}]}, "couples H1 to itself"),
        (
            {"couplings": [{"spins": ["H1", "H2"], "J_Hz": 7}, {"spins": ["H2", "H1"], "J_Hz": 8}]},
            "by 7 Hz and by 8 Hz",
        ),
        ({"field_MHz": "high"}, "field_MHz must be a number, got 'high'"),
    ],
)
def test_a_bad_table_says_what_is_wrong(tmp_path: Path, change: dict, reason: str):
    path = _file(tmp_path / "a.json", json.dumps({**TABLE, **change}))
    with pytest.raises(ReadError, match=reason) as caught:
        read_system(path)
    assert caught.value.path == str(path)


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("a.json", '{"spins": [', "is no JSON"),
        ("a.toml", "[[spins]\nname=1", "is neither GISSMO XML, JSON nor TOML"),
        ("a.txt", "", "is empty"),
        ("a.json", "[]", "holds no spin system"),
        ("a.json", '{"answer": 42}', "holds answer, and no spin system"),
        ("a.json", '{"shifts_ppm": [1, 2], "multiplicity": [1]}', "2 shifts_ppm and 1 multiplicity"),
        ("a.json", '{"shifts_ppm": [1, 2], "couplings_Hz": [[0, 2, 7]]}', "couples groups 0 and 2"),
        ("a.json", '{"shifts_ppm": [1, 2], "couplings_Hz": [[0, 1, 7], [1, 0, 8]]}', "by 7 Hz and by 8 Hz"),
        ("a.json", '{"shifts_ppm": [1, NaN]}', "shifts_ppm must be a number, got nan"),
    ],
)
def test_what_is_no_spin_system_is_refused(tmp_path: Path, name: str, text: str, reason: str):
    with pytest.raises(ReadError, match=reason):
        read_system(_file(tmp_path / name, text))


def test_a_folder_and_a_missing_file_are_refused(tmp_path: Path):
    with pytest.raises(ReadError, match="is a folder"):
        read_system(tmp_path)
    with pytest.raises(ReadError, match="cannot be read"):
        read_system(tmp_path / "none.xml")


def test_one_entry_of_a_library_is_asked_for_by_name(tmp_path: Path):
    entries = [{"id": f"gissmo:bmse00000{k}:simulation_1", "name": name, "shifts_ppm": [k], "couplings_Hz": []}
               for k, name in enumerate(["Proline", "L-Serine", "L-Valine"])]  # fmt: skip
    path = _file(tmp_path / "library.json", json.dumps({"systems": entries}))
    assert read_system(path, "l-serine").shifts.tolist() == [1]
    assert read_system(f"{path}#bmse000002").name == "L-Valine"
    assert len(read_systems(path)) == 3
    with pytest.raises(ReadError, match="holds 3 spin systems; name one"):
        read_system(path)
    with pytest.raises(ReadError, match="3 spin systems match 'bmse'"):
        read_system(path, "bmse")
    with pytest.raises(ReadError, match="Did you mean 'Proline'"):
        read_system(path, "Prolin")


def test_standard_deviations_stand_beside_their_values(tmp_path: Path):
    system = read_system(_file(tmp_path / "a.json", json.dumps(TABLE)))
    errors = {"shift/H1": 1e-4, "coupling/H2-H1": 0.02, "width/H2": 0.1}
    write_system(tmp_path / "b.json", system, errors=errors)
    written = json.loads((tmp_path / "b.json").read_text())
    assert written["spins"][0]["shift_ppm_sd"] == 1e-4
    assert written["spins"][1]["width_Hz_sd"] == 0.1
    assert written["couplings"][0]["J_Hz_sd"] == 0.02
    _same(read_system(tmp_path / "b.json"), system)
    with pytest.raises(WriteError, match="errors of shift/H9, which are no parameters"):
        write_system(tmp_path / "c.json", system, errors={"shift/H9": 1.0})
    assert not (tmp_path / "c.json").exists()


def test_an_ending_of_no_format_is_refused(tmp_path: Path):
    system = read_system(_file(tmp_path / "a.json", json.dumps(TABLE)))
    with pytest.raises(WriteError, match=r"cannot be written as '.mol'; end it in .xml, .json, .toml"):
        write_system(tmp_path / "a.mol", system)


def test_a_spin_system_is_converted(tmp_path: Path):
    done = convert(_file(tmp_path / "a.xml", GISSMO.format(couplings=SEVEN)), tmp_path / "a.toml")
    assert (done.kind, done.identifier, done.size, done.frequency) == ("spin system", "bmse000297", 2, 500.13)
    _same(read_system(tmp_path / "a.toml"), read_system(tmp_path / "a.xml"))


@with_data
def test_every_spin_system_of_the_library_survives_every_format(tmp_path: Path):
    for system in read_systems(DATA / "spin_systems.json")[::25]:
        for suffix in (".xml", ".toml", ".json"):
            write_system(tmp_path / f"a{suffix}", system)
            _same(read_system(tmp_path / f"a{suffix}"), system)


@with_data
@pytest.mark.parametrize("name", ["a", "c"])
def test_gissmo_files_agree_with_the_library(name: str):
    system = read_system(DATA / "raw" / "gissmo_xml" / f"spinach_molecule_{name}.xml")
    other = read_system(DATA / "spin_systems.json", system.identifier)
    assert system.names == other.names
    np.testing.assert_array_equal(system.multiplicity, other.multiplicity)
    np.testing.assert_allclose(system.shifts, other.shifts)
    np.testing.assert_allclose(system.couplings, other.couplings, atol=1e-5)


class TestGissmo(ReaderContract):
    @pytest.fixture
    def read(self) -> Any:
        return read_gissmo

    @pytest.fixture
    def write(self) -> Any:
        return write_systems

    @pytest.fixture
    def modality(self) -> str:
        return "spin-system"

    @pytest.fixture
    def good(self, tmp_path: Path) -> Path:
        return _file(tmp_path / "good.xml", GISSMO.format(couplings=SEVEN))

    @pytest.fixture
    def bad(self, tmp_path: Path) -> Path:
        return _file(tmp_path / "bad.xml", GISSMO.format(couplings=SEVEN)[:300])


class TestJson(TestGissmo):
    @pytest.fixture
    def read(self) -> Any:
        return read_json

    @pytest.fixture
    def good(self, tmp_path: Path) -> Path:
        return _file(tmp_path / "good.json", json.dumps({**TABLE, "id": "a", "aliases": ["b"]}))

    @pytest.fixture
    def bad(self, tmp_path: Path) -> Path:
        return _file(tmp_path / "bad.json", json.dumps({"systems": [{"id": "a", "shifts_ppm": "x"}]}))


class TestToml(TestGissmo):
    @pytest.fixture
    def read(self) -> Any:
        return read_toml

    @pytest.fixture
    def good(self, tmp_path: Path) -> Path:
        write_system(tmp_path / "good.toml", read_system(_file(tmp_path / "a.json", json.dumps(TABLE))))
        return tmp_path / "good.toml"

    @pytest.fixture
    def bad(self, tmp_path: Path) -> Path:
        return _file(tmp_path / "bad.toml", '[[systems]]\nid = "a"\nshifts_ppm = [1, "x"]\n')


def test_a_bad_entry_of_a_library_stops_only_those_who_ask_for_it(tmp_path: Path):
    good, bad = {"id": "a", "shifts_ppm": [1]}, {"id": "b", "shifts_ppm": ["x"]}
    path = _file(tmp_path / "library.json", json.dumps([good, bad]))
    assert read_system(path, "a").identifier == "a"
    with pytest.raises(ReadError, match="record b: shifts_ppm must be a number, got 'x'"):
        read_system(path, "b")
    with pytest.raises(ReadError, match="record b"):
        read_systems(path)


@pytest.mark.parametrize("name", ["a.xml", "a.json", "a.txt"])
def test_the_content_of_a_file_counts_before_its_ending(tmp_path: Path, name: str):
    assert read_system(_file(tmp_path / name, GISSMO.format(couplings=SEVEN))).identifier == "bmse000297"
    write_system(tmp_path / "b.toml", read_system(tmp_path / name))
    assert read_system(_file(tmp_path / name, (tmp_path / "b.toml").read_text())).identifier == "bmse000297"


# A format as another plugin brings it: a line for each group.


def read_lines(path: Path) -> Iterator[Measurement | ReadError]:
    """`name ppm spins` on each line, without couplings."""
    rows = [line.split() for line in path.read_text().splitlines()[1:]]
    names, shifts, counts = zip(*rows, strict=True)
    size = len(rows)
    system = SpinSystem(
        names, np.array(shifts, float), np.zeros((size, size)), multiplicity=np.array(counts, int), identifier=path.stem
    )
    yield Measurement(system, None, "spin-system", name=path.stem)


def is_lines(path: Path) -> bool:
    return path.read_bytes()[:8] == b"# spins\n"


def read_pairs(path: Path) -> Iterator[Measurement | ReadError]:
    """`ppm:intensity` on each line, at 500 MHz."""
    x, y = np.array([line.split(":") for line in path.read_text().splitlines()], dtype=float).T
    yield Measurement(Trace(x, y, frequency=500.0, identifier=path.stem), None, "nmr", name="of a stranger")


@pytest.fixture
def stranger() -> Iterator[None]:
    """A plugin that reads spin systems and spectra of its own."""
    lines = toy_component(
        "reader", "acme-lines", read_lines, modality="spin-system", suffixes=(".lines",),
        recognises=toy_component("reader", "acme-lines", is_lines).target,
    )  # fmt: skip
    pairs = toy_component("reader", "acme-pairs", read_pairs, modality="nmr", suffixes=(".pairs",))
    with offer(lines, pairs):
        yield


@pytest.mark.usefixtures("stranger")
def test_formats_of_other_plugins_go_through_the_same_door(tmp_path: Path):
    start = _file(tmp_path / "start.lines", "# spins\nH1 1.200 3\nH2 3.601 2\n")
    truth = SpinSystem(("H1", "H2"), np.array([1.2, 3.6]), np.zeros((2, 2)), multiplicity=np.array([3, 2]))
    clean = simulate(truth, 500.0, window=(0.8, 4.0), points=8000)
    noisy = clean.y + np.random.default_rng(0).normal(0, 0.01, 8000)
    spectrum = _file(
        tmp_path / "a.pairs", "\n".join(f"{x!r}:{y!r}" for x, y in zip(clean.x.tolist(), noisy.tolist(), strict=True))
    )
    assert read_system(start).identifier == "start"
    assert read_system(f"{start}#START").names == ("H1", "H2")
    assert read_system(_file(tmp_path / "b.unknown", start.read_text())).names == ("H1", "H2")  # by its content
    assert [one.name for one in read_spectra(spectrum)] == ["of a stranger"]
    np.testing.assert_array_equal(read_spectrum(spectrum).y, noisy)
    with pytest.raises(ReadError, match="holds a processed spectrum and no fid"):
        read_fid(spectrum)
    found = fit_files([spectrum], system=str(start))
    np.testing.assert_allclose(found.system.shifts, [1.2, 3.6], atol=1e-4)
    assert simulate_file(start, frequency=500.0).system.names == ("H1", "H2")
    named, reference = library_entries([start, spectrum])
    assert isinstance(named, SpinSystem)
    assert isinstance(reference, Reference)
    assert convert(start, tmp_path / "a.toml").size == 2
