"""What readers refuse, with the place and what to change; and what they make of details of their formats."""

from __future__ import annotations

import contextlib
import math
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from molvis_core.errors import ReadError
from molvis_flux.formats import read_freeflux, read_inca, read_mfapy, read_native, read_study
from molvis_flux.formats.notation import conditions, linear, participants, positions, tracer
from molvis_flux.formats.tables import read_measured
from molvis_flux.model.network import Tracer

TOY = """
[network]
name = "toy"

[reactions]
v1 = "A(abc) -> B(abc)"
v2 = { text = "B(abc) <-> D(abc)", net = [-10, 50], exchange = 5 }
v3 = "B(abc) -> C(bc) + E(a)"
v4 = "B(abc) + C(de) -> D(bcd) + E(a) + E(e)"
v5 = "D(abc) -> F(abc)"
out_E = "E(a) ->"

[metabolites]
A = "source"
F = { role = "sink", formula = "C3H6O3" }

[fragments]
F = "F[1-3]"
mixed = { of = "0.2 B[1-3] + 0.6 D", mix = ["b", "d"] }
joined = "C[1-2] * E"

[experiments.one]
tracers.A = "010"
fluxes = { v1 = [100, 1] }
[experiments.one.mids]
F = [0.0001, 0.8008, 0.1983, 0.0008]
"""


def written(folder: Path, text: str, name: str = "study.toml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def refused(path: Path, reason: str, line: int | None, **options: object) -> None:
    with pytest.raises(ReadError) as caught:
        read_study(path, **options)
    assert reason in str(caught.value)
    assert caught.value.line == line
    assert str(path) in str(caught.value)


def test_a_study_is_read_as_it_is_written_by_hand(tmp_path: Path) -> None:
    study = read_study(written(tmp_path, TOY))
    network = study.network
    assert network.reactions["v2"].exchange == (5.0, 5.0)
    assert network.reactions["v4"].products[1:] == participants("E(a) + E(e)")
    assert network.metabolites["A"].role == "source"
    assert network.fragments["mixed"].parts == ((0.25, "B", (0, 1, 2)), (pytest.approx(0.75), "D", (0, 1, 2)))
    assert network.fragments["joined"].convolved == (("E", (0,)),)
    [experiment] = study.experiments
    assert experiment.tracers == {"A": Tracer((("010", 1.0),))}
    assert {(datum.target, datum.kind) for datum in experiment.data} == {("F", "mid"), ("v1", "net")}
    assert network.reactions["v3"].where.endswith("study.toml:8")


@pytest.mark.parametrize(
    ("old", "new", "reason", "line"),
    [
        ("v3 = \"B(abc) -> C(bc)", "v3 = \"B(abc) -> C(bx)", "atom 'x' of product 'C' comes from no substrate", 8),
        ("B(abc) -> C(bc) + E(a)", "B(abc) -> C(bc) + E(b)", "atom 'b' stands twice among the products", 8),
        ("B(abc) + C(de) ->", "B(abc) + C(ad) ->", "atom 'a' stands twice among the substrates", 9),
        ("v5 = \"D(abc) -> F(abc)\"", "v5 = \"D(abcd) -> F(abcd)\"", "maps 4 atoms of 'D', and 'v2' maps 3", 10),
        ("B(abc) -> C(bc) + E(a)", "B(abc) <-> C(bc)", "so its way back does not balance", 8),
        ("out_E = \"E(a) ->\"", "", "metabolite 'E' is made by 'v3' and never used", 8),
        ("A = \"source\"", "", "a tracer of 'A', which is no source; sources are none", 23),
        ("B(abc) -> C(bc) + E(a)", "B(abc) -> E(a)", "metabolite 'C' is used by 'v4' and never made", 9),
        ("net = [-10, 50]", "net = [60, 50]", "low is above high", 7),
        ("net = [-10, 50]", "net = [nan, 50]", "write [low, high], or one number", 7),
        ("exchange = 5 }", "exchange = -5 }", "the exchange flux of 'v2' cannot be negative", 7),
        ("0.1983, 0.0008", "0.1983, 0.1008", "the MID of 'F' sums to 1.1", 26),
        ("0.1983, 0.0008", "0.1983", "has 3 fractions; the fragment has 3 atoms", 26),
        ("0.1983, 0.0008]", "inf, 0.0008]", "holds inf", 26),
        ("F = [0.0001", "G = [0.0001", "fragment 'G' is measured, but the network has none of that name", 26),
        ("tracers.A = \"010\"", "tracers.B = \"010\"", "a tracer of 'B', which is no source", 23),
        ("tracers.A = \"010\"", "tracers.A = \"0100\"", "has 4 atoms and the source 3", 23),
        ("tracers.A = \"010\"", "tracers.A = { 010 = 0.4 }", "its fractions sum to 0.4, not to 1", 23),
        ("tracers.A = \"010\"", "tracers.N = \"010\"", "a tracer of 'N', of which no atom is followed", 24),
        ("tracers.A = \"010\"", "tracers.Q = \"010\"", "metabolite 'Q', which the network has not", 23),
        ("v1 = [100, 1]", "v1 = [100, 0]", "write [value, standard deviation]", 24),
        ("v1 = [100, 1]", "v9 = [100, 1]", "reaction 'v9', which the network has not", 24),
        ("v1 = \"A(abc) -> B(abc)\"", "v1 = \"A(abc) B(abc)\"", "has 0 arrows", 6),
        ("v1 = \"A(abc) -> B(abc)\"", "v1 = \"A(abc -> B(abc)\"", "is no metabolite", 6),
        ("F = \"F[1-3]\"", "F = \"F[1-4]\"", "has atom 4 of F, which has 3", 18),
        ("F = \"F[1-3]\"", "F = \"Fx[1-3]\"", "names metabolite 'Fx', which the network has not", 18),
        ("+ 0.6 D\"", "+ 0.6 C\"", "the parts of fragment 'mixed' differ in their number of atoms", 19),
        ("[fragments]", "[fragment]", "no section 'fragment'. Did you mean 'fragments'?", 17),
        ("role = \"sink\"", "rôle = \"sink\"", "is no TOML", 15),
        ("role = \"sink\"", "rol = \"sink\"", "no key 'rol'. Did you mean 'role'?", 15),
        ("role = \"sink\"", "role = \"drain\"", "the role of 'F' is 'drain'", 15),
        ("A = \"source\"", "Ax = \"source\"", "no reaction has metabolite 'Ax'", 14),
        ("name = \"toy\"", "name = 3", "network.name is 3; it must be text", 3),
    ],
)  # fmt: skip
def test_a_faulty_study_is_refused(old: str, new: str, reason: str, line: int | None, tmp_path: Path) -> None:
    assert old in TOY
    text = TOY.replace(old, new, 1)
    if "tracers.N" in new:
        text = text.replace('A = "source"', 'A = "source"\nN = "source"').replace("F(abc)", "F(abc) + N")
    refused(written(tmp_path, text), reason, line)


def test_faults_can_be_read_past(tmp_path: Path) -> None:
    path = written(tmp_path, TOY.replace("C(bc)", "C(bx)"))
    assert read_study(path, strict=False).network.reactions["v3"].products[0].atoms == ("b", "x")


def test_conditions_bound_and_tie_fluxes(tmp_path: Path) -> None:
    text = 'constraints = ["v1 = 100", "0 <= v2 - 2*v3 <= 10", "exchange(v2) >= 5"]\n'
    network = read_study(written(tmp_path, text + TOY)).network
    assert network.reactions["v1"].net == (100.0, 100.0)
    [tie] = network.constraints
    assert (tie.terms, tie.low, tie.high) == ((("net", "v2", 1.0), ("net", "v3", -2.0)), 0.0, 10.0)
    assert tie.where.endswith(":1")


@pytest.mark.parametrize(
    ("condition", "reason"),
    [
        ("v1 >= 2000", "no value does both"),
        ("v1*v2 = 3", "is not linear"),
        ("v1 = 3/0", "divides by zero"),
        ("v1 - v1 = 3", "names no flux"),
        ("v1 + v2", "is no condition"),
        ("v1 = (3", "lacks a closing bracket"),
        ("vx = 3", "names reaction 'vx', which the network has not"),
        ("exchange(v1) >= 3", "the exchange of an irreversible reaction"),
    ],
)
def test_a_condition_that_cannot_be_is_refused(condition: str, reason: str, tmp_path: Path) -> None:
    refused(written(tmp_path, f'constraints = ["{condition}"]\n{TOY}'), reason, 1)


def test_measurements_come_from_a_table(tmp_path: Path) -> None:
    table = "fragment,time,mass,value,sd\nF,0,M+0,0.9,0.01\nF,0,M+1,0.1,0.01\nF,5,0,0.2,0.02\nF,5,3,0.1,0.02\n"
    written(tmp_path, table, "mids.csv")
    text = TOY.partition("[experiments.one.mids]")[0].replace(
        "[experiments.one]", '[experiments.one]\nmids = "mids.csv"'
    )
    study = read_study(written(tmp_path, text))
    first, second = (datum for datum in study.experiments[0].data if datum.kind == "mid")
    assert (first.time, second.time) == (0.0, 5.0)
    assert second.values[0] == 0.2
    assert math.isnan(second.values[1])
    assert second.where == f"{tmp_path / 'mids.csv'}:4"
    written(tmp_path, table.replace("M+1,0.1", "M+1,nan"), "mids.csv")
    with pytest.raises(ReadError, match=r"mids\.csv:3: M\+1 of F is 'nan', no finite number"):
        read_study(tmp_path / "study.toml")
    written(tmp_path, table.replace("F,5,3", "H,5,3"), "mids.csv")
    with pytest.raises(ReadError, match=r"mids\.csv:5: fragment 'H' is measured"):
        read_study(tmp_path / "study.toml")
    written(tmp_path, table.replace("value", "fraction"), "mids.csv")
    with pytest.raises(ReadError, match="lacks the column 'value'"):
        read_study(tmp_path / "study.toml")


MODEL = """//Reactions
v1\tA --> {2}B\tA --> B+B\tABCD --> AB + CD\tnoid\t0\t10
v2\tB + ATP --> C\tB --> C\tAB --> AB\tnoid\t0\t10
v3\tC --> B + ATP\tC --> B\tAB --> AB\tnoid\t0\t10
v4\tC --> Cex\tnd\tnd\tnoid\t0\t10
v5\tx --> ATP\tnd\tnd\tnoid\t0\t100
//Metabolites
A\t4\tno\tcarbonsource\tno\tnoid\t0\t10
B\t2\tno\tno\tno\tnoid\t0\t10
C\t2\tsymmetry\tno\tno\tnoid\t0\t10
Cex\t2\tno\tno\texcreted\tnoid\t0\t10
ATP\t0\tno\tno\tno\tnoid\t0\t10
x\t0\tno\tcarbonsource\tno\tnoid\t0\t10
//Reversible_reactions
BC\tv2\tv3\tnoid\t-5\t10
//Target_fragments
Cm\tgcms\tC_1:2\tuse\tC5H10N2O3
AC\tgcms\tA_1:2+C_1\tuse
no\tgcms\tB_1\tno
//End
"""


def test_a_model_of_mfapy_keeps_what_is_drained_and_what_is_mapped_apart(tmp_path: Path) -> None:
    network = read_mfapy(written(tmp_path, MODEL, "m_model.txt")).network
    assert network.reactions["v1"].products == participants("B(AB) + B(CD)")
    assert network.reactions["v2"].substrates == participants("B(AB) + ATP")
    assert network.metabolites["C"].symmetries == ((1, 0),)
    assert network.fragments["AC"].convolved == (("C", (0,)),)
    assert set(network.fragments) == {"Cm", "AC"}
    [pair] = network.constraints
    assert (pair.low, pair.high) == (-5.0, 10.0)


def test_types_of_a_status_fix_measure_and_copy(tmp_path: Path) -> None:
    status = (
        "State,Id,type,value,stdev,lb,ub\nreaction,v1,fixed,4,1,0,9\nreaction,v2,fitting,6,0.5,0.01,8\n"
        "reaction,v3,pseudo,1,1,0,9\nreaction,v4,free,4,1,0.0001,7\nmetabolite,B,fixed,3,1,0,9\n"
        "reversible,BC,free,2,1,0,4\n"
    )
    study = read_mfapy(written(tmp_path, MODEL, "m_model.txt"), status=written(tmp_path, status, "s.csv"))
    reactions = study.network.reactions
    assert reactions["v1"].net == (4.0, 4.0)
    assert reactions["v2"].net == (0.01, 8.0)
    assert reactions["v4"].net == (0.0, 7.0)
    assert [p.coefficient for p in (*reactions["v3"].substrates, *reactions["v3"].products)] == [0.0, 1.0, 1.0]
    assert study.pools == {"B": 3.0}
    assert study.network.metabolites["B"].pool == (3.0, 3.0)
    assert study.network.constraints[0].high == 4.0
    [datum] = study.experiments[0].data
    assert (datum.target, datum.kind, datum.values, datum.sd) == ("v2", "net", (6.0,), (0.5,))


@pytest.mark.parametrize(
    ("old", "new", "reason", "line"),
    [
        ("AB + CD\tnoid", "AB\tnoid", "maps the atoms of 2 products with 1 maps", 2),
        ("v2\tB + ATP --> C", "v2\tB + ATP C", "has one arrow", 3),
        ("v2\tB + ATP", "v2\tQ + ATP", "names metabolite 'Q'", 3),
        ("ABCD --> AB + CD", "ABCD --> AB + CE", "atom 'E' of product 'B' comes from no substrate", 2),
        ("B\t2\tno", "B\ttwo\tno", "a metabolite has a name, a number of carbons", 9),
        ("B\t2\tno", "B\t3\tno", "maps 2 atoms of 'B' (B(AB)), which has 3", 2),
        ("\t0\t100\n", "\tlow\t100\n", "a bound is 'low', no finite number", 6),
        ("C_1:2", "C_1:3", "has atom 3 of C, which has 2", 17),
        ("C_1:2", "C12", "write atoms as in Ala_2:3", 17),
        ("//Metabolites\n", "", "no section //Metabolites", None),
        ("v3\tC", "v2\tC", "reaction 'v2' is defined twice", 4),
        ("\nC\t2", "\nB\t2", "metabolite 'B' is defined twice", 10),
    ],
)
def test_a_faulty_model_of_mfapy_is_refused(old: str, new: str, reason: str, line: int | None, tmp_path: Path) -> None:
    assert old in MODEL
    refused(written(tmp_path, MODEL.replace(old, new, 1), "m_model.txt"), reason, line)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("Cm\t0\t1\tnan\t0.01", "M+0 of Cm is 'nan', no finite number"),
        ("Cm\t3\t1\t0.1\t0.01", "M+3 of 'Cm' is measured, but the fragment has 2 carbons"),
        ("Dm\t0\t1\t0.1\t0.01", "fragment 'Dm' is measured, but the network has none of that name"),
        ("Cm\tx\t1\t0.1\t0.01", "the mass isotopomer of 'Cm' is 'x'"),
        ("Cm\t0\t1", "a line has name, spectrum, select, MDV and sd"),
    ],
)
def test_a_faulty_measurement_of_mfapy_is_refused(row: str, reason: str, tmp_path: Path) -> None:
    data = written(tmp_path, f"Name\tSpectrum\tSelect\tMDV\tStd\n{row}\n", "d.txt")
    with pytest.raises(ReadError) as caught:
        read_mfapy(written(tmp_path, MODEL, "m_model.txt"), data=data)
    assert reason in str(caught.value)
    assert (caught.value.path, caught.value.line) == (str(data), 2)


def test_tracers_of_mfapy_are_given_by_source_or_by_experiment(tmp_path: Path) -> None:
    model = written(tmp_path, MODEL, "m_model.txt")
    row = "Name\tSpectrum\tSelect\tMDV\tStd\nCm\tm0\t1\t0.4\t0.01\nCm\tm1\t0\t0.5\t0.01\n"
    data = {"a": written(tmp_path, row, "a.txt"), "b": written(tmp_path, row, "b.txt")}
    both = read_mfapy(model, data=data, tracers={"A": "1,2-13C"})
    assert [e.tracers["A"].isotopomers for e in both.experiments] == [(("1100", 1.0),)] * 2
    assert math.isnan(both.experiments[0].data[0].values[1])
    sources = written(tmp_path, "Name\tIsotopomer\tRatio\nA\t#0000\t0.5\nA\t#1111\t0.5\n", "sources.txt")
    each = read_mfapy(model, data=data, tracers={"a": {"A": "U-13C"}, "b": sources})
    assert each.experiments[1].tracers["A"].isotopomers == (("0000", 0.5), ("1111", 0.5))
    with pytest.raises(ReadError, match="a tracer of 'B', which is no source; sources are A"):
        read_mfapy(model, data=data, tracers={"B": "11"})


FLUXML = """<fluxml xmlns="http://www.13cflux.net/fluxml">
  <reactionnetwork>
    <metabolitepools>
      <pool id="A" atoms="2"/>
      <pool id="B" atoms="2"/>
    </metabolitepools>
    <reaction id="in"><reduct id="A" cfg="ab"/><rproduct id="B" cfg="ab"/></reaction>
    <reaction id="out"><reduct id="B" cfg="ab"/></reaction>
  </reactionnetwork>
  <configuration name="one">
    <input pool="A"><label cfg="10">0.5</label><label cfg="11" purity="0.9">0.5</label></input>
    <constraints><net><textual>in &lt;= 4;
      in >= 1</textual></net></constraints>
    <measurement>
      <model><labelingmeasurement><group id="g" scale="one"><textual>B[1-2]#M0,1,2</textual></group>
      </labelingmeasurement></model>
      <data>
        <datum id="g" stddev="0.01" weight="0">0.1</datum>
        <datum id="g" stddev="0.01" weight="1">0.5</datum>
        <datum id="g" stddev="0.01" weight="2">0.4</datum>
      </data>
    </measurement>
  </configuration>
  <configuration name="two"><input pool="A"><label cfg="01">1</label></input></configuration>
</fluxml>
"""


def test_configurations_of_fluxml_are_read_alone_or_together(tmp_path: Path) -> None:
    path = written(tmp_path, FLUXML, "m.fml")
    alone = read_study(path)
    assert [e.name for e in alone.experiments] == ["one"]
    assert "two" in alone.notes[0]
    assert alone.network.reactions["in"].net == (1.0, 4.0)
    assert not alone.network.reactions["in"].reversible
    together = read_study(path, configuration=["one", "two"])
    assert [e.tracers["A"].isotopomers[0][0] for e in together.experiments] == ["10", "01"]


def test_labels_of_different_purity_are_written_out(tmp_path: Path) -> None:
    tracer_of_a = read_study(written(tmp_path, FLUXML, "m.fml")).experiments[0].tracers["A"]
    assert tracer_of_a.purity == 1.0
    assert dict(tracer_of_a.isotopomers) == pytest.approx({"10": 0.5 + 0.045, "11": 0.405, "01": 0.045, "00": 0.005})


def test_variants_of_a_product_become_reactions_in_their_ratio(tmp_path: Path) -> None:
    variants = '<variant cfg="ab" ratio="0.25"/><variant cfg="ba" ratio="0.75"/>'
    text = FLUXML.replace('<rproduct id="B" cfg="ab"/>', f'<rproduct id="B">{variants}</rproduct>')
    text = text.replace("in &lt;= 4;\n      in >= 1", "in___1 + in___2 = 4")
    network = read_study(written(tmp_path, text, "m.fml")).network
    assert network.reactions["in___2"].products[0].atoms == ("b", "a")
    ties = [constraint for constraint in network.constraints if "variants" in constraint.name]
    assert [tuple(factor for *_, factor in tie.terms) for tie in ties] == [(4.0, pytest.approx(-4 / 3))] * 2


@pytest.mark.parametrize(
    ("old", "new", "reason", "line"),
    [
        ("</fluxml>", "", "is no XML", 26),
        ('<reduct id="A"', '<reduct id="Q"', "reaction 'in' names metabolite 'Q'", 7),
        ('<reduct id="A" cfg="ab"', '<reduct id="A" cfg="ax"', "atom 'b' of product 'B' comes from no substrate", 7),
        ('<reduct id="A" cfg="ab"', '<reduct id="A" cfg="abc"', "maps 3 atoms of 'A'", 7),
        ('pool id="A" atoms="2"', 'pool id="A" atoms="two"', "has 'two' atoms, no whole number", 4),
        ('label cfg="10"', 'label cfg="100"', "has to be 2 digits 0 or 1", 11),
        ("in >= 1", "into >= 1", "names reaction 'into', which the network has not", 13),
        ("in >= 1", "in >= 5", "no value does both", 13),
        ("B[1-2]#M", "B[1-3]#M", "group 'g' has atom 3 of B, which has 2", 15),
        ("B[1-2]#M0,1,2", "B", "write `Pool[1-3]#M0,1,2,3`", 15),
        ('weight="2">0.4', 'weight="3">0.4', "M+3 of group 'g' is measured, and it has 0, 1, 2", 20),
        ('weight="2">0.4', 'weight="2">NaN', "the datum of g is 'NaN', no finite number", 20),
        ('weight="2">0.4', 'weight="2">0.7', "sums to 1.3, not to 1", 18),
        (
            'datum id="g" stddev="0.01" weight="2"',
            'datum id="h" stddev="0.01" weight="2"',
            "belongs to no measurement",
            20,
        ),
        ('stddev="0.01" weight="2"', 'stddev="0" weight="2"', "has a standard deviation of 0", 18),
        ("<fluxml", "<fluxmlx", "of no known format", None),
    ],
)
def test_faulty_fluxml_is_refused(old: str, new: str, reason: str, line: int | None, tmp_path: Path) -> None:
    assert old in FLUXML
    text = FLUXML.replace(old, new, 1)
    if "known format" in reason:
        text = text.replace("</fluxml>", "</fluxmlx>").replace("<fluxmlx", "<model").replace("</fluxmlx", "</model")
        refused(written(tmp_path, text, "m.fml"), "holds no network that is known", None)
    else:
        refused(written(tmp_path, text, "m.fml"), reason, line)


REACTIONS = "#reaction_ID\treactant_IDs(atom)\tproduct_IDs(atom)\treversibility\n"


def test_copies_and_symmetry_of_freeflux(tmp_path: Path) -> None:
    rows = (
        "v1\tA(abcd)\tS(abcd,dcba)\t0\nv2\tS(abcd,dcba)+0.5ATP\tB(abcd)\t0\n"
        "v3\t0B(abcd)\tBs(abcd)\t0\nv4\tB(abc)\tsink\t0\n"
    )
    network = read_freeflux(written(tmp_path, REACTIONS + rows, "reactions.tsv")).network
    assert network.metabolites["S"].symmetries == ((3, 2, 1, 0),)
    assert network.reactions["v3"].substrates[0].coefficient == 0.0
    assert network.reactions["v2"].substrates[1].coefficient == 0.5
    assert network.reactions["v4"].substrates[0].atoms == ()
    assert [m.name for m in network.metabolites.values() if m.role == "source"] == ["A", "ATP"]


@pytest.mark.parametrize(
    ("rows", "reason", "line"),
    [
        ("v1\tA(abc)\tB(ab)\t0\nv2\tB(abc)\tC(abc)\t0\n", "B has 3 atoms in reaction 'v2', and 2 before", 3),
        ("v1\tA(abc,cab)\tB(abc)\t0\nv2\tA(abc,cba)\tB(abc)\t0\n", "is turned another way", 3),
        ("v1\tA(abc,ab)\tB(abc)\t0\n", "give one map, or two that are permutations", 2),
        ("v1\t\tA(abc)\t0\n", "a row has 2 columns", 2),
        ("v1\tA(abc)\tB(abd)\t0\nv2\tB(abc)\tC(abc)\t0\n", "atom 'd' of product 'B' comes from no substrate", 2),
    ],
)
def test_faulty_reactions_of_freeflux_are_refused(rows: str, reason: str, line: int, tmp_path: Path) -> None:
    refused(written(tmp_path, REACTIONS + rows, "reactions.tsv"), reason, line)


def test_intensities_of_inca_are_normalised_and_keep_their_formula(tmp_path: Path) -> None:
    reactions = written(tmp_path, "model,rxn_id,rxn_eqn\nm,R1,A (ab) -> B (ab)\n", "reactions.csv")
    head = "experiment_id,met_id,ms_id,measurement_replicate,labelled_atom_ids,unlabelled_atoms,mass_isotope,intensity,"
    rows = [f'e,B,B1,1,"[1,2]",C2H6,{m},{v},0.5,0' for m, v in enumerate((20, 10, 10))]
    written(tmp_path, "\n".join([f"{head}intensity_std_error,time", *rows]) + "\n", "ms_measurements.csv")
    study = read_inca(reactions)
    [datum] = study.experiments[0].data
    assert datum.values == (0.5, 0.25, 0.25)
    assert datum.sd == (0.0125,) * 3
    assert (datum.corrected, datum.time) == (False, None)
    assert study.network.fragments["B1"].formula == "C4H6"


def test_another_model_is_extended_by_a_study(tmp_path: Path) -> None:
    written(tmp_path, MODEL, "m_model.txt")
    text = (
        '[model]\nfile = "m_model.txt"\nmerge_pairs = true\n\n[reactions]\nBC = { net = [-1, 2] }\nv6 = "C(ab) ->"\n\n'
        '[experiments.e]\ntracers.A = "U-13C"\n'
    )
    study = read_study(written(tmp_path, text))
    assert study.network.reactions["BC"].net == (-1.0, 2.0)
    assert study.network.reactions["v6"].products == ()
    assert study.experiments[0].tracers["A"].isotopomers == (("1111", 1.0),)
    with pytest.raises(ReadError, match="an option that its format has not"):
        read_native(written(tmp_path, '[model]\nfile = "m_model.txt"\nnonsense = 1\n'))


def test_tracers_read_as_people_write_them() -> None:
    assert tracer("U-13C", 3).isotopomers == (("111", 1.0),)
    assert tracer("1,3-13C", 3).isotopomers == (("101", 1.0),)
    assert tracer("[1,2-13C2]glucose", 3).isotopomers == (("110", 1.0),)
    mixed = tracer({"U-13C": 0.2, "unlabelled": 0.8, "purity": 0.99, "natural": True}, 2)
    assert mixed == Tracer((("11", 0.2), ("00", 0.8)), 0.99, True)
    assert dict(tracer({"mid": [0.6, 0.4]}, 1).isotopomers) == pytest.approx({"0": 0.6, "1": 0.4})
    with pytest.raises(ValueError, match=r"with the fractions M\+0 to M\+2"):
        tracer({"mid": [0.6, 0.4]}, 2)
    with pytest.raises(ValueError, match="labels atom 4, and the source has 3"):
        tracer("4-13C", 3)
    with pytest.raises(ValueError, match="no tracer"):
        tracer(3, 3)


@given(
    st.dictionaries(st.sampled_from(["a", "b_1", "c.d"]), st.floats(-9, 9).map(lambda x: round(x, 3)), min_size=1),
    st.floats(-9, 9).map(lambda x: round(x, 3)),
)
def test_a_sum_reads_as_its_coefficients(terms: dict[str, float], constant: float) -> None:
    text = " + ".join(f"({value})*{name}" for name, value in terms.items()) + f" - ({constant})"
    found, rest = linear(text)
    assert found == pytest.approx(terms)
    assert rest == pytest.approx(-constant)


def test_conditions_with_ends_on_both_sides_are_one() -> None:
    [tie] = conditions("-2 <= 2*a/4 - (b - 1) < 5", "net")
    assert tie.terms == (("net", "a", 0.5), ("net", "b", -1.0))
    assert (tie.low, tie.high) == (-3.0, 4.0)
    [turned] = conditions("3 >= xch(a) + b", "net")
    assert (turned.terms[0], turned.low, turned.high) == (("exchange", "a", 1.0), -math.inf, 3.0)


@given(
    st.integers(0, TOY.count("\n")), st.integers(0, 40), st.sampled_from(["", "x", "9", "-", '"', "(", "nan", "=", "["])
)
def test_a_study_with_any_one_change_is_read_or_refused_with_a_message(line: int, column: int, text: str) -> None:
    lines = TOY.split("\n")
    lines[line] = lines[line][:column] + text + lines[line][column + 1 :]
    with TemporaryDirectory() as folder, contextlib.suppress(ReadError):
        assert read_study(written(Path(folder), "\n".join(lines))).network.reactions


def test_positions_count_from_one() -> None:
    assert positions("1-3,5") == (0, 1, 2, 4)
    with pytest.raises(ValueError, match="count from 1"):
        positions("0-2")


def test_a_table_without_a_block_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="no table with the columns Compound, Label and samples"):
        read_measured(written(tmp_path, "a,b\n1,2\n", "t.csv"))


def test_an_unknown_reader_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="no reader 'fluxmll'. Did you mean 'fluxml'?"):
        read_study(written(tmp_path, TOY), reader="fluxmll")
