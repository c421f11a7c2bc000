"""The distribution `molvis-suite` stands for all others."""

from __future__ import annotations

import importlib.metadata
import re

from molvis_core.plugins import plugins


def test_it_requires_every_distribution_of_the_project_and_nothing_else() -> None:
    required = importlib.metadata.requires("molvis-suite") or []
    names = {re.split("[<>=]", text)[0] for text in required if "extra" not in text}
    assert names == {
        "molvis-ccs",
        "molvis-cli",
        "molvis-core",
        "molvis-ei",
        "molvis-files",
        "molvis-flux",
        "molvis-formula",
        "molvis-fragmentation",
        "molvis-ir",
        "molvis-lcms",
        "molvis-losses",
        "molvis-models",
        "molvis-msms",
        "molvis-nmr",
        "molvis-nmr-library",
        "molvis-nmr-shifts",
        "molvis-nn",
        "molvis-retrieval",
        "molvis-serve",
        "molvis-structure",
    }


def test_everything_it_requires_is_installed_and_works() -> None:
    state = {p.distribution: p.problem for p in plugins() if p.distribution.startswith("molvis-")}
    expected = (
        "molvis-ccs",
        "molvis-core",
        "molvis-ei",
        "molvis-flux",
        "molvis-ir",
        "molvis-losses",
        "molvis-models",
        "molvis-msms",
        "molvis-nmr",
        "molvis-nmr-library",
        "molvis-nmr-shifts",
        "molvis-nn",
        "molvis-retrieval",
        "molvis-serve",
        "molvis-structure",
    )
    assert {name: state.get(name, "missing") for name in expected} == dict.fromkeys(expected, "")
