"""Formats of networks are reader components: ours keep the contract, and a stranger's is opened like ours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from fake_plugins import Install, install
from typer.testing import CliRunner

from molvis_core import output, registry
from molvis_core.errors import ReadError
from molvis_core.records import Measurement
from molvis_core.testing import ReaderContract
from molvis_flux.commands.fit import fit as fit_command
from molvis_flux.formats import read_study
from molvis_flux.formats.writers import write_study
from molvis_flux.model.examples import antoniewicz

__all__ = ["install"]

MFAPY = """//Reactions
v1\tS --> A\tS --> A\tAB --> AB\t(no annotation)\t0\t100
v2\tA --> B\tA --> B\tAB --> AB\t(no annotation)\t0\t100
//Metabolites
S\t2\tno\tcarbonsource\tno
A\t2\tno\tno\tno
B\t2\tno\tno\texcreted
//End
"""
FREEFLUX = (
    "#reaction_ID\treactant_IDs(atom)\tproduct_IDs(atom)\treversibility\n"
    "v1\tA(ab)\tB(ab)\t0\nv2\tB(ab)\tC(ab)\t1\nv3\tC(ab)\tD(ab)\t0\n"
)
INCA = "model,rxn_eqn,rxn_id\nm,A (ab) -> B (ab),v1\nm,B (ab) <-> C (ab),v2\n"
FLUXML = """<fluxml xmlns="http://www.13cflux.net/fluxml">
<info><name>two</name></info>
<reactionnetwork>
<metabolitepools><pool id="A" atoms="2"/><pool id="B" atoms="2"/></metabolitepools>
<reaction id="v1" bidirectional="false"><educt id="A" cfg="ab"/><product id="B" cfg="ab"/></reaction>
</reactionnetwork>
</fluxml>
"""
TOML = '[reactions]\nv1 = "A(ab) -> B(ab)"\n[metabolites]\nA = "source"\nB = "sink"\n'


class Format(ReaderContract):
    name = file = text = ""
    change = ("", "")

    @pytest.fixture
    def read(self) -> Any:
        return registry.load("reader", self.name)

    @pytest.fixture
    def modality(self) -> str:
        return "flux-study"

    @pytest.fixture
    def good(self, tmp_path: Path) -> Path:
        return self._written(tmp_path / "good", self.text)

    @pytest.fixture
    def bad(self, tmp_path: Path) -> Path:
        assert self.change[0] in self.text
        return self._written(tmp_path / "bad", self.text.replace(*self.change))

    def _written(self, folder: Path, text: str) -> Path:
        folder.mkdir()
        (folder / self.file).write_text(text, encoding="utf-8")
        return folder / self.file


class TestToml(Format):
    name, file, text, change = "flux-toml", "study.toml", TOML, ("-> B", "-> -> B")


class TestFluxml(Format):
    name, file, text, change = "fluxml", "m.fml", FLUXML, ('<product id="B"', '<product id="C"')


class TestMfapy(Format):
    name, file, text, change = "mfapy", "m_model.txt", MFAPY, ("S\t2\tno", "S\ttwo\tno")


class TestFreeflux(Format):
    name, file, text, change = "freeflux", "reactions.tsv", FREEFLUX, ("B(ab)\tC(ab)", "B(ab)\tC(abc, de)")


class TestInca(Format):
    name, file, text, change = "inca", "reactions.csv", INCA, ("A (ab) -> B", "A (ab) -> -> B")


@pytest.mark.parametrize("format_", [TestToml, TestFluxml, TestMfapy, TestFreeflux, TestInca], ids=lambda c: c.name)
def test_a_file_is_opened_by_the_reader_that_recognises_it(format_: type[Format], tmp_path: Path) -> None:
    path = format_()._written(tmp_path / "one", format_.text)
    (measurement,) = registry.load("reader", format_.name)(path)
    assert read_study(path, strict=False) == measurement.record
    claiming = [c for c in registry.components("reader") if c.modality == "flux-study" and c.recognises]
    recognised = {c.name for c in claiming if (known := registry.recogniser(c)) and known(path)}
    assert recognised == {format_.name} - {"flux-toml"}


def test_a_reader_has_its_old_name_for_one_release(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = TestToml()._written(tmp_path / "one", TOML)
    assert read_study(path, reader="native", strict=False).network.reactions.keys() == {"v1"}
    assert "'native' is called 'flux-toml' now" in caplog.text


def test_networks_are_no_measurements_for_a_dataset() -> None:
    assert "flux-study" not in registry.measured_modalities()


ACME = '''
import json
from pathlib import Path

from molvis_core.records import Measurement
from molvis_flux.formats import read_native


def is_acme(path):
    return path.is_file() and path.read_text().startswith("ACME")


def read_acme(path, *, name="acme"):
    """A format that wraps a study in TOML after a first line."""
    inner = Path(path).with_suffix(".inner.toml")
    inner.write_text(Path(path).read_text().partition("\\n")[2])
    yield Measurement(read_native(inner), None, "flux-study", name=name)
'''
ACME_PLUGIN = """
from molvis_core import Component, hookimpl

@hookimpl
def molvis_components():
    return [Component(kind="reader", name="acme", target="acme_flux:read_acme", summary="Networks of ACME.",
                      modality="flux-study", suffixes=(".acme", ".toml"), recognises="acme_flux:is_acme")]
"""


@pytest.fixture
def acme(install: Install, tmp_path: Path) -> Path:
    """A file of a format that somebody else's plugin reads."""
    install("acme-flux", {"acme_flux.py": ACME, "acme_plugin.py": ACME_PLUGIN}, "acme_plugin")
    write_study(tmp_path / "inner.toml", antoniewicz())
    path = tmp_path / "network.acme"
    path.write_text("ACME\n" + (tmp_path / "inner.toml").read_text())
    return path


def test_a_strangers_format_is_opened_through_the_same_door(acme: Path, tmp_path: Path) -> None:
    study = read_study(acme)
    assert study.network.metabolites == antoniewicz().network.metabolites
    # It shares an ending with ours: whoever recognises the file has it.
    other = acme.rename(tmp_path / "network.toml")
    assert read_study(other).network.reactions.keys() == study.network.reactions.keys()
    assert read_study(tmp_path / "inner.toml").network.reactions.keys() == study.network.reactions.keys()
    with pytest.raises(ReadError, match="acme"):
        read_study(tmp_path / "inner.toml", reader="acmee")


def test_a_strangers_format_is_fitted_by_the_command(acme: Path) -> None:
    app = typer.Typer()
    app.command()(fit_command)
    with output.asked(json=True):
        done = CliRunner().invoke(app, [str(acme), "--starts", "3", "--intervals", "none"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["accepted"]


def test_what_a_reader_yields_is_a_measurement_of_the_study(acme: Path) -> None:
    (found,) = registry.load("reader", "acme")(acme)
    assert isinstance(found, Measurement)
    assert found.modality == "flux-study"
