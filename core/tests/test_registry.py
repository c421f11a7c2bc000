from __future__ import annotations

from pathlib import Path

import pytest
from fake_plugins import Install, install, manifest

from molvis_core.errors import ComponentError, ConfigError, PluginError
from molvis_core.plugins import Component
from molvis_core.registry import (
    build,
    check_arguments,
    claiming,
    clashes,
    component,
    current_name,
    fixed_modalities,
    for_suffix,
    load,
    measured_modalities,
    parameters,
    readable_modalities,
    warn_of_old_name,
    with_current_names,
)
from molvis_core.testing import offer

__all__ = ["install"]

LOSSES = '''
class Margin:
    """A loss."""
    def __init__(self, margin: float = 0.5, *, scale: float = 1.0):
        if margin < 0:
            raise ValueError("margin is negative")
        self.margin, self.scale = margin, scale

class Needs:
    def __init__(self, dim: int): self.dim = dim

class Nested:
    class Inner:
        pass
'''


@pytest.fixture
def acme(install: Install) -> Install:
    components = (
        "loss margin acme_losses:Margin",
        "loss needs acme_losses:Needs",
        "loss inner acme_losses:Nested.Inner",
    )
    install("acme-losses", {"acme.py": manifest(*components), "acme_losses.py": LOSSES}, "acme")
    return install


def test_a_component_is_built_with_the_arguments_of_its_spec(acme: Install) -> None:
    loss = build("loss", {"use": "margin", "margin": 0.2})
    assert (loss.margin, loss.scale) == (0.2, 1.0)
    assert build("loss", "margin").margin == 0.5


def test_a_target_may_be_an_attribute_of_an_attribute(acme: Install) -> None:
    assert load("loss", "inner").__qualname__ == "Nested.Inner"


def test_the_signature_is_the_schema(acme: Install) -> None:
    assert {name: p.default for name, p in parameters("loss", "margin").items()} == {"margin": 0.5, "scale": 1.0}


def test_an_unknown_name_offers_the_nearest_and_says_what_is_installed(acme: Install) -> None:
    with pytest.raises(ComponentError, match=r"no loss named 'margn'. Did you mean 'margin'\? Installed: .*margin"):
        load("loss", "margn")
    with pytest.raises(LookupError):
        load("loss", "margn")


def test_an_unknown_name_mentions_broken_plugins_where_it_might_be(acme: Install) -> None:
    acme("acme-broken", {"acme_broken.py": "import nowhere_to_be_found"}, "acme_broken")
    with pytest.raises(ComponentError, match=r"Broken plugins: acme-broken \(ModuleNotFoundError.*nowhere_to_be_found"):
        load("loss", "other")


RENAMED = """
from molvis_core import Component, hookimpl

@hookimpl
def molvis_components():
    return [Component(kind="loss", name="hinge", target="acme_losses:Margin", summary="For tests.", replaces=("gap",))]
"""


def test_a_name_of_the_release_before_works_with_one_warning(acme: Install, caplog: pytest.LogCaptureFixture) -> None:
    warn_of_old_name.cache_clear()
    acme("renamed", {"renamed.py": RENAMED}, "renamed")
    assert build("loss", {"use": "gap", "margin": 0.25}).margin == build("loss", "gap").margin / 2
    assert caplog.messages == [
        "loss 'gap' is called 'hinge' now; the old name works in this release and not in the next"
    ]
    assert build("loss", "hinge").margin == 0.5
    assert (current_name("loss", "gap"), current_name("loss", "margin")) == ("hinge", "margin")
    written = {
        "pairs": [{"loss": {"use": "gap", "of": [{"use": "gap", "margin": 1}]}}],
        "encoders": {"a": {"use": "gap"}},
    }
    assert with_current_names(written) == {
        "pairs": [{"loss": {"use": "hinge", "of": [{"use": "hinge", "margin": 1}]}}],
        "encoders": {"a": {"use": "gap"}},
    }
    assert len(caplog.messages) == 1


def test_a_present_name_goes_before_one_that_another_component_had(acme: Install) -> None:
    acme("renamed", {"renamed.py": RENAMED.replace("gap", "needs")}, "renamed")
    assert build("loss", {"use": "needs", "dim": 3}).dim == 3
    assert current_name("loss", "needs") == component("loss", "needs").name == "needs"
    assert with_current_names({"loss": {"use": "needs"}}) == {"loss": {"use": "needs"}}


def test_an_old_name_that_two_components_had_stays_and_is_an_error_when_asked_for(acme: Install) -> None:
    acme("renamed", {"renamed.py": RENAMED}, "renamed")
    acme("rival", {"rival.py": RENAMED.replace("hinge", "door")}, "rival")
    assert current_name("loss", "gap") == "gap"
    with pytest.raises(ComponentError, match="2 plugins offer a loss named 'gap'"):
        component("loss", "gap")


def test_clashing_names_are_an_error_that_names_both_when_asked_for(acme: Install) -> None:
    acme("rival", {"rival.py": manifest("loss margin rival_losses:Margin")}, "rival")
    assert build("loss", {"use": "needs", "dim": 3}).dim == 3
    with pytest.raises(ComponentError) as caught:
        component("loss", "margin")
    message = str(caught.value)
    assert "2 plugins offer a loss named 'margin'" in message
    assert "acme-losses (acme_losses:Margin)" in message
    assert "rival (rival_losses:Margin)" in message
    assert clashes() == {
        "acme-losses": ("loss 'margin' is offered by rival too",),
        "rival": ("loss 'margin' is offered by acme-losses too",),
    }


def test_the_same_name_of_another_kind_is_no_clash(acme: Install) -> None:
    acme("rival", {"rival.py": manifest("encoder margin rival_models:Margin")}, "rival")
    assert component("loss", "margin").distribution == "acme-losses"
    assert clashes() == {}


@pytest.mark.parametrize(
    ("target", "reason"),
    [("acme_gone:Loss", "No module named 'acme_gone'"), ("acme_losses:Gone", "has no attribute 'Gone'")],
)
def test_a_target_that_cannot_be_imported_says_how_to_mend_it(target: str, reason: str, acme: Install) -> None:
    acme("rival", {"rival.py": manifest(f"loss gone {target}")}, "rival")
    with pytest.raises(PluginError) as caught:
        load("loss", "gone")
    assert reason in str(caught.value)
    assert "pip install --force-reinstall rival" in str(caught.value)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            {"use": "margin", "margn": 1},
            r"pairs.1: loss 'margin' has no argument 'margn'. Did you mean 'margin'\? It takes",
        ),
        ({"use": "needs"}, "pairs.1: loss 'needs' needs dim"),
        ({"use": "margin", "margin": -1}, "pairs.1: loss 'margin' refused .*margin is negative"),
        ({"margin": 1}, "pairs.1: the key 'use' must name a component"),
    ],
)
def test_an_argument_that_does_not_fit_names_place_component_and_key(
    spec: dict[str, object], message: str, acme: Install
) -> None:
    with pytest.raises(ConfigError, match=message):
        build("loss", spec, where="pairs.1")


def test_arguments_can_be_checked_without_building(acme: Install) -> None:
    check_arguments("loss", "margin", {"margin": -1})
    with pytest.raises(ConfigError, match="has no argument 'x'"):
        check_arguments("loss", "margin", {"x": -1})


READERS = """
from molvis_core import Component, hookimpl

def reader(name, modality, *suffixes):
    return Component(kind="reader", name=name, target="acme:read", summary="x", modality=modality, suffixes=suffixes)

@hookimpl
def molvis_components():
    return [
        reader("acme-a", "ir", ".acme"),
        reader("acme-b", "raman", ".acme"),
        reader("acme-c", "ir", ".acme.txt"),
        reader("acme-d", "ir", ".txt"),
    ]
"""


def test_a_reader_is_chosen_by_the_files_longest_ending(install: Install) -> None:
    install("acme", {"acme.py": READERS}, "acme")
    assert for_suffix("reader", "x/SPECTRA.ACME.TXT").name == "acme-c"
    assert for_suffix("reader", "x/spectra.acme.txt.gz").name == "acme-c"
    assert for_suffix("reader", "x/spectra.acme", modality="raman").name == "acme-b"
    with pytest.raises(ComponentError, match="claim this ending: acme-a, acme-b. Name one with --reader, or its mod"):
        for_suffix("reader", "spectra.acme")
    with pytest.raises(ComponentError, match=r"several readers claim this ending: acme-a, acme-b\. Rename it\.$"):
        for_suffix("reader", "spectra.acme", remedy="Rename it.")
    with pytest.raises(ComponentError, match=r"no reader claims this ending. Known endings: .*\.acme, \.acme\.txt"):
        for_suffix("reader", "spectra.doc")
    with pytest.raises(ComponentError, match=r"Known endings: \.acme\. Those of other modalities do: .*acme-d \(ir\)"):
        for_suffix("reader", "spectra.txt", modality="raman")


RECOGNISING = """
from molvis_core import Component, hookimpl

def reader(name, **more):
    said = dict(name=name, target="acme:read", summary="x", modality=name, suffixes=(".acme",))
    return Component(kind="reader", **said, **more)

def starts_with_a(path):
    return path.read_text().startswith("A")

def starts_with_b(path):
    return path.read_text().startswith("B")

@hookimpl
def molvis_components():
    return [
        reader("acme-a", recognises="acme:starts_with_a"),
        reader("acme-b", recognises="acme:starts_with_b"),
        reader("acme-c"),
    ]
"""


def test_where_several_readers_claim_an_ending_the_one_that_recognises_the_file_is_taken(
    install: Install, tmp_path: Path
) -> None:
    install("acme", {"acme.py": RECOGNISING}, "acme")
    for content, wanted in (("A 1", "acme-a"), ("B 2", "acme-b"), ("C 3", "acme-c")):
        file = tmp_path / "spectrum.acme"
        file.write_text(content)
        assert for_suffix("reader", file).name == wanted
    with pytest.raises(ComponentError, match="none recognises it: acme-a, acme-b. Name one with --reader, or"):
        for_suffix("reader", file, modality=("acme-a", "acme-b"))


def test_modalities_that_are_not_measured_are_left_out() -> None:
    parts = (
        Component("modality", "structure", "molvis_core.modality:STRUCTURE", "Structures."),
        Component("modality", "broken", "molvis_core.modality:MISSING", "Cannot be loaded."),
        Component("reader", "acme", "os:getcwd", "Readers.", modality="acme"),
        Component("reader", "smiles", "os:getcwd", "Readers.", modality="structure"),
    )
    with offer(*parts, hide="*"):
        assert measured_modalities() == {"acme", "broken"}  # what cannot be loaded is not taken away
        assert (readable_modalities(), fixed_modalities()) == ({"acme"}, set())


def test_the_longest_ending_of_a_modality_is_claimed(acme: Install) -> None:
    offered = "Component('reader', '{}', 'os:getcwd', 'For tests.', modality='{}', suffixes=('{}',))"
    readers = ", ".join(offered.format(*r) for r in [("acme-txt", "acme", ".txt"), ("acme-mb", "msms", ".acme.txt")])
    code = "from molvis_core import Component, hookimpl\n@hookimpl\ndef molvis_components():\n    return [{}]"
    acme("acme-readers", {"acme_readers.py": code.format(readers)}, "acme_readers")
    assert [c.name for c in claiming("reader", "A.ACME.TXT.gz")] == ["acme-mb"]
    assert [c.name for c in claiming("reader", "a.acme.txt", modality={"acme"})] == ["acme-txt"]
    assert claiming("reader", "a.acme", modality={"acme"}) == []
