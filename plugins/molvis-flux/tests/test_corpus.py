"""One small network in every format that is read, written by us after each format's documentation.

Each file opens without editing, all have the same labelling, and a damaged one says where and what.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from isotopomers import Isotopomers

from molvis_core import registry
from molvis_core.errors import ReadError
from molvis_flux.formats import read_study
from molvis_flux.formats.isotopologues import read_isotopologues
from molvis_flux.labelling.stationary import compile_plan
from molvis_flux.model.network import Experiment, Fragment, Study, Tracer
from molvis_flux.space.consistency import check

CORPUS = Path(__file__).parent / "corpus"
HALF = {"A": {"1100": 0.5, "unlabelled": 0.5}}
PAIR = {"fum": 8.0, "muf": 2.0}
"""Of formats that have each direction as a reaction."""

FILES: dict[str, tuple[str, dict[str, Any], tuple[str, str], set[str]]] = {
    # file: its reader, options, the names of the fragments D[1-2] and E[1-3], and what kinds of data it brings
    "toml/network.toml": ("flux-toml", {}, ("D1", "E1"), {"mid"}),
    "fluxml/network.fml": ("fluxml", {}, ("D1", "E1"), {"mid"}),
    "mfapy/network_model.txt": (
        "mfapy",
        {"status": "mfapy/network_status.csv", "data": {"one": "mfapy/network_mdv.txt"},
         "tracers": {"one": "mfapy/network_sources.txt"}},
        ("D1", "E1"), {"mid", "net"},
    ),
    "freeflux": ("freeflux", {"tracers": HALF}, ("D_12", "E_123"), {"mid", "net"}),
    "freeflux/network.xlsx": ("freeflux", {"tracers": HALF}, ("D_12", "E_123"), {"mid", "net"}),
    "inca/reactions.csv": ("inca", {}, ("D1", "E1"), {"mid", "net"}),
    "inca/model.json": ("inca", {}, ("D1", ""), {"mid", "net"}),
    "inca/model.mat": ("inca", {}, ("D1", "E1"), {"mid", "net"}),
    "openflux/network.txt": ("openflux", {"tracers": HALF}, ("D#11", "EM#1110"), {"mid"}),
    "openmebius/network.xlsx": (
        "openmebius",
        {"data": {"one": "openmebius/network_experiment.xlsx"}, "labels": "openmebius/network_label.json"},
        ("D1", "E1"), {"mid"},
    ),
    "sbml/network.xml": ("sbml", {}, ("", ""), set()),
}  # fmt: skip


def options(name: str) -> dict[str, Any]:
    """Those of a file, with paths of the corpus."""

    def at(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: at(item) for key, item in value.items()}
        return CORPUS / value if isinstance(value, str) and (CORPUS / value).is_file() else value

    return at(FILES[name][1])


def fluxes(study: Study) -> list[np.ndarray]:
    """The same state in every file, whatever its reactions are called."""
    pairs = "muf" in study.network.reactions
    net = {"up": 10, "Subs_up": 10, "fum": 8 if pairs else 6, "muf": 2, "split": 6, "by": 4, "outD": 12, "outE": 4}
    halves = {"fum___1": 3, "fum___2": 3}
    exchange = {"fum": 0 if pairs else 2, "fum___1": 1, "fum___2": 1}
    return [np.array([[of.get(n, 0) for n in study.network.reactions]], float) for of in ({**net, **halves}, exchange)]


def labelled(study: Study) -> Experiment:
    """The experiment of the file; where it has none, the tracer that the others have."""
    if study.experiments:
        return study.experiments[0]
    [source] = [name for name, m in study.network.metabolites.items() if m.role == "source"]
    return Experiment("one", {source: Tracer((("1100", 0.5), ("0000", 0.5)))})


@pytest.mark.parametrize("name", FILES)
def test_a_file_opens_without_editing_and_its_data_are_read(name: str) -> None:
    reader, _, (first, second), kinds = FILES[name]
    path = CORPUS / name
    known = [c.name for c in registry.components("reader") if c.modality == "flux-study"]
    assert reader in known
    study = read_study(path, **options(name))
    assert not [finding for finding in check(study) if finding.severity == "error"]
    network = study.network
    assert len(network.reactions) == 6 + ("muf" in network.reactions) + ("fum___2" in network.reactions)
    assert {f for f in (first, second) if f} <= set(network.fragments)
    assert {d.kind for e in study.experiments for d in e.data} == kinds
    for experiment in study.experiments:
        [mid] = [d for d in experiment.data if d.target == first]
        assert mid.values == pytest.approx((0.5, 0.3, 0.2))
        assert mid.sd == pytest.approx((0.01, 0.01, 0.01))
    symmetric = {n for n, m in network.metabolites.items() if m.symmetries}
    assert symmetric == ({"C"} if "fum___1" not in network.reactions else set())


@pytest.mark.parametrize("name", FILES)
def test_the_labelling_is_the_same_in_every_format(name: str) -> None:
    """Against isotopomer balances of the first file, solved apart from the simulation."""
    reference = read_study(CORPUS / "toml/network.toml")
    balances = Isotopomers(reference.network, reference.experiments[0])
    pools = balances.stationary(*(of[0] for of in fluxes(reference)))
    study = read_study(CORPUS / name, **options(name))
    experiment = labelled(study)
    for fragment, pool, atoms in (("d", "D", (0, 1)), ("e", "E", (0, 1, 2))):
        study.network.fragments[fragment] = Fragment(fragment, ((1.0, pool, atoms),), ("C",) * len(atoms))
    plan = compile_plan(study.network, [experiment], ["d", "e"])
    found = plan.simulate(*fluxes(study))[0]
    for fragment, pool, atoms in (("d", "D", (0, 1)), ("e", "E", (0, 1, 2))):
        wanted = balances.masses(pools, pool, atoms)
        np.testing.assert_allclose(found[plan.slot(experiment.name, fragment)], wanted, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "file", "old", "new", "reason"),
    [
        ("toml/network.toml", "network.toml", "D(ab) + D(cd)", "D(ab) + D(ce)", r"network.toml:8: .*split.* atom"),
        ("toml/network.toml", "network.toml", "exchange(fum)", "exchange(fun)", r"'fun', which the network has not"),
        ("fluxml/network.fml", "network.fml", 'id="outD" bid', 'id="outE" bid', r"'outE' is defined twice"),
        ("fluxml/network.fml", "network.fml", "D[1,2]#M0", "D[1,3]#M0", r"atom 3 of D, which has 2"),
        ("mfapy/network_model.txt", "network_model.txt", "AB + CD\t", "AB\t", r"_model.txt:6: .*2 products with 1"),
        ("mfapy/network_model.txt", "network_status.csv", "by,fitting", "by,guess", r"_status.csv:6: 'by' is of"),
        ("mfapy/network_model.txt", "network_mdv.txt", "D1\tm2", "D1\tm5", r"M\+5 of 'D1' is measured"),
        ("mfapy/network_model.txt", "network_sources.txt", "#1100", "#11000", r"the tracer of 'A'"),
        ("freeflux", "reactions.tsv", "D(ab)+D(cd)", "D(ab)+D(c", r"reactions.tsv:4: "),
        ("freeflux", "measured_MDVs.tsv", "0.5,0.3", "0.5,x", r"measured_MDVs.tsv:2: .*no finite number"),
        ("inca/reactions.csv", "reactions.csv", "E (bcda)", "E (bcd)", r"reactions.csv:7: E has 4 atoms"),
        ("inca/reactions.csv", "tracers.csv", '"[1,2]"', '"[1,5]"', r"tracers.csv:2: .*labelled at atom 5"),
        ("inca/reactions.csv", "ms_measurements.csv", "one,E,", "one,Z,", r"measurements.csv:5: .*'Z', which"),
        ("inca/model.json", "model.json", '"isotope"', '"isotpe"', r"lacks or misuses 'isotope'"),
        ("openflux/network.txt", "network.txt", "#\tA", "#\tAA", r"names metabolite 'AA', which the network has not"),
        ("openmebius/network.xlsx", "network_label.json", "#1100", "#110", r"'half' has '110', and Subs_A has 4"),
        ("sbml/network.xml", "network.atoms.csv", "split,", "spilt,", r"atoms.csv:4: .*'spilt'.*Did you mean 'split'"),
    ],
)  # fmt: skip
def test_a_damaged_file_says_where_and_what(
    tmp_path: Path, name: str, file: str, old: str, new: str, reason: str
) -> None:
    folder = CORPUS / name if (CORPUS / name).is_dir() else (CORPUS / name).parent
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    text = (tmp_path / file).read_text(encoding="utf-8")
    assert old in text
    (tmp_path / file).write_text(text.replace(old, new), encoding="utf-8")

    def here(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: here(item) for key, item in value.items()}
        return tmp_path / value.name if isinstance(value, Path) else value

    path = tmp_path if folder == CORPUS / name else tmp_path / Path(name).name
    with pytest.raises(ReadError, match=reason):
        read_study(path, reader=FILES[name][0], **here(options(name)))


@pytest.mark.parametrize("file", sorted(p.name for p in (CORPUS / "isotopologues").iterdir()))
def test_a_table_of_an_instrument_opens_without_editing(file: str) -> None:
    [*found] = read_isotopologues(CORPUS / "isotopologues" / file)
    assert {item.compound for item in found} == {"Succinate"}
    assert all(len(item.values) == 5 for item in found)


def test_every_file_of_the_corpus_is_read_by_a_test() -> None:
    used = {CORPUS / name for name in FILES}

    def collect(value: Any) -> None:
        if isinstance(value, dict):
            for item in value.values():
                collect(item)
        elif isinstance(value, Path):
            used.add(value)

    for name in FILES:
        collect(options(name))
    beside = {"freeflux", "inca", "sbml", "isotopologues"}  # read with a file beside them, or by the test above
    others = {"of2009.txt", "later.csv", "later_data.txt", "metabolic_network.xlsx", "label.json", "experiment.xlsx"}
    left = [p for p in CORPUS.rglob("*") if p.is_file() and p not in used and p.parent.name not in beside]
    assert {p.name for p in left} == others
