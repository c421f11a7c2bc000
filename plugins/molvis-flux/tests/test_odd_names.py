"""Names of every kind survive being written: each study of the corpus under names with blanks, quotes and signs."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulating import every_mid
from test_corpus import CORPUS, FILES, fluxes, options

from molvis_core.errors import ReadError
from molvis_flux.formats import read_native, read_study
from molvis_flux.formats.fluxml_writer import write_fluxml
from molvis_flux.formats.notation import conditions, participants, reaction
from molvis_flux.formats.quoting import cut, flux_key, flux_of, quoted, unquoted
from molvis_flux.formats.sbml_writer import write_sbml
from molvis_flux.formats.writers import write_study
from molvis_flux.model.network import Network, Study

ODD = (
    "D-Glc (ext)", "2-oxo glutarate", '5"-AMP', "l'acide", "α-Ketoglutarat", "a+b", "NAD+", "H2O.c", "glc[c]", "2 ATP",
    "3*X", "nothing", "∅", "exchange(v1)", "net(v2)", "a -> b", "x <= y; z", "tick`tock", "``", "back\\slash", "[0]",
    "tab\there", "end\u2028line", "=", "#1", "-", "1e5", "ünï çode", "a,b", "{x}", "7", "true", "new\nline", " blank ",
    "a = 1", "name.", "12", "`", "*", "->",
)  # fmt: skip
"""What people, and programs that make names, call metabolites and reactions."""


def odd(count: int, start: int) -> list[str]:
    """So many different names."""
    names = itertools.chain(ODD[start:], ODD[:start], (f"{name} {i}" for i in itertools.count(2) for name in ODD))
    return list(itertools.islice(names, count))


def renamed(study: Study, start: int = 0) -> Study:
    """The study with odd names of all that has a name."""
    network = study.network
    m = dict(zip(network.metabolites, odd(len(network.metabolites), start), strict=True))
    r = dict(zip(network.reactions, odd(len(network.reactions), start + 7), strict=True))
    f = dict(zip(network.fragments, odd(len(network.fragments), start + 3), strict=True))
    replace = dataclasses.replace
    targets = {"mid": f, "pool": m, "net": r, "exchange": r}

    def sides(side: tuple) -> tuple:
        return tuple(replace(p, metabolite=m[p.metabolite]) for p in side)

    made = Network(
        network.name,
        {m[n]: replace(x, name=m[n]) for n, x in network.metabolites.items()},
        {
            r[n]: replace(x, name=r[n], substrates=sides(x.substrates), products=sides(x.products))
            for n, x in network.reactions.items()
        },
        {
            f[n]: replace(
                x, name=f[n], parts=tuple((w, m[pool], atoms) for w, pool, atoms in x.parts),
                convolved=tuple((m[pool], atoms) for pool, atoms in x.convolved),
            )
            for n, x in network.fragments.items()
        },
        tuple(replace(c, terms=tuple((k, r[n], x) for k, n, x in c.terms)) for c in network.constraints),
    )  # fmt: skip
    experiments = tuple(
        replace(
            e, name=name, tracers={m[n]: t for n, t in e.tracers.items()},
            data=tuple(replace(d, target=targets[d.kind][d.target]) for d in e.data),
        )
        for name, e in zip(odd(len(study.experiments), start + 11), study.experiments, strict=True)
    )  # fmt: skip
    stated = {(k, r[n]): v for (k, n), v in study.fluxes.items()}
    return Study(made, experiments, stated, {m[n]: v for n, v in study.pools.items()}, study.notes)


def bare(study: Study) -> object:
    """Without the places that things were read from, and without the labels of atoms."""
    network, none = study.network, {"where": "", "name": ""}
    return (
        network.metabolites,
        [
            (
                [(p.metabolite, p.coefficient) for side in (x.substrates, x.products) for p in side],
                n,
                x.net,
                x.reversible,
            )
            for n, x in network.reactions.items()
        ],
        {n: dataclasses.replace(x, where="") for n, x in network.fragments.items()},
        [dataclasses.replace(c, **none) for c in network.constraints],
        [
            (e.name, e.tracers, sorted(repr(dataclasses.replace(d, where="")) for d in e.data))
            for e in study.experiments
        ],
        study.fluxes,
        study.pools,
    )


@pytest.mark.parametrize("start", range(0, len(ODD), 5))
@pytest.mark.parametrize("name", FILES)
def test_a_study_under_odd_names_is_read_back_as_it_was_written(name: str, start: int, tmp_path: Path) -> None:
    study = renamed(read_study(CORPUS / name, **options(name)), start)
    write_study(tmp_path / "odd.toml", study)
    again = read_study(tmp_path / "odd.toml")
    assert bare(again) == bare(study)
    write_study(tmp_path / "again.toml", again)
    texts = [(tmp_path / f"{which}.toml").read_text("utf-8") for which in ("odd", "again")]
    kept = [[line for line in text.splitlines() if not line.startswith("#")] for text in texts]
    assert kept[0] == kept[1]


@pytest.mark.parametrize("ending", [".toml", ".fml", ".xml"])
@pytest.mark.parametrize("name", ["toml/network.toml", "fluxml/network.fml"])
def test_the_labelling_under_odd_names_is_the_same(name: str, ending: str, tmp_path: Path) -> None:
    plain = read_study(CORPUS / name)
    net, exchange = fluxes(plain)
    for kind, values in (("net", net), ("exchange", exchange)):
        plain.fluxes.update(zip(((kind, n) for n in plain.network.reactions), values[0].tolist(), strict=True))
    study = renamed(plain)
    path = tmp_path / f"odd{ending}"
    {".toml": write_study, ".fml": write_fluxml, ".xml": write_sbml}[ending](path, study)
    again = read_study(path)
    if ending == ".xml":  # SBML holds no experiments
        assert len(again.network.reactions) == len(study.network.reactions)
        assert {m.symmetries for m in again.network.metabolites.values()} == {
            m.symmetries for m in study.network.metabolites.values()
        }
        return
    measured = sorted({d.target for e in plain.experiments for d in e.data if d.kind == "mid"})
    known = dict(zip(plain.network.fragments, study.network.fragments, strict=True))
    wanted, found = every_mid(plain, measured), every_mid(again, [known[n] for n in measured])
    assert len(wanted) == len(found) > 0
    for one, other in zip(wanted.values(), found.values(), strict=True):
        np.testing.assert_allclose(other, one, atol=1e-12)


@settings(max_examples=200, deadline=None)
@given(names=st.lists(st.text(st.characters(exclude_categories=("Cs",)), min_size=1), min_size=2, max_size=2))
def test_any_name_stands_in_an_equation_and_in_a_condition(names: list[str]) -> None:
    one, other = names
    substrates, products, reversible = reaction(f"{quoted(one)}(ab) + 2 {quoted(other)} <-> {quoted(one)}(ba)")
    assert reversible
    assert [(p.metabolite, p.coefficient) for p in (*substrates, *products)] == [(one, 1), (other, 2), (one, 1)]
    tick = "`" + one.replace("`", "``") + "`"
    [condition] = conditions(f"2 * {tick} + exchange({tick}) <= 3", "net")
    assert condition.terms == (("net", one, 2.0), ("exchange", one, 1.0))
    assert unquoted(quoted(one)) == one or one.startswith("`")
    assert [flux_of(flux_key(kind, one)) for kind in ("net", "exchange")] == [("net", one), ("exchange", one)]


def test_what_is_quoted_is_not_cut() -> None:
    assert cut(r"\+", "a + `b + c` + d") == ["a ", " `b + c` ", " d"]
    assert cut(r"(<=|=)", "`a = b` <= 3") == ["`a = b` ", "<=", " 3"]
    assert cut(r"\+", "`open + ended") == ["`open ", " ended"]


def test_a_name_that_is_not_quoted_is_refused_with_what_to_write() -> None:
    with pytest.raises(ValueError, match=r"'D-Glc \(ext\)\(ab\)' is no metabolite; .*between back quotes"):
        participants("D-Glc (ext)(ab) + B")


def test_errors_name_the_line_of_a_quoted_key(tmp_path: Path) -> None:
    text = (
        '[reactions]\n"v\\"1 = x" = "`A b`(ab) -> C(ab)"\n"[v] 2" = "C(ab) -> D(ax)"\n[metabolites]\n"A b" = "source"\n'
    )
    (tmp_path / "odd.toml").write_text(text + '"D" = "snk"\n')
    with pytest.raises(ReadError, match=r"odd.toml:6: the role of 'D'"):
        read_native(tmp_path / "odd.toml")
    (tmp_path / "odd.toml").write_text(text.replace('"`A b`(ab)', '"`A b`(ab'))
    with pytest.raises(ReadError, match=r"odd.toml:2: reaction 'v\"1 = x'"):
        read_native(tmp_path / "odd.toml")
